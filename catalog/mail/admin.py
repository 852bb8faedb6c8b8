"""The outbox of letters in the admin: to be read."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from catalog.mail.models import Mail
from catalog.tenancy.admin import PolicyAdmin
from catalog.tenancy.lists import listed


@admin.register(Mail)
class MailAdmin(PolicyAdmin):
    """Letters to people."""

    list_display = (
        "created_at", "address", "subject", "state", "tries", "next_at", "sent_at", "expires_at", "failure",
    )  # fmt: skip
    list_filter = ("state", listed("subject_type", _("subject"), ("lease", "handover")))
    search_fields = ("address", "subject_id", "person__username")
    quick = {"": ("address", "=subject_id"), "person": ("=username",)}
    heavy = ("body",)
    ordering = ("-created_at",)
