"""The outbox of letters in the admin: to be read."""

from django.contrib import admin

from catalog.mail.models import Mail
from catalog.tenancy.admin import PolicyAdmin


@admin.register(Mail)
class MailAdmin(PolicyAdmin):
    """Letters to people."""

    list_display = (
        "created_at", "address", "subject", "state", "tries", "next_at", "sent_at", "expires_at", "failure",
    )  # fmt: skip
    list_filter = ("state", "subject_type")
    search_fields = ("address", "subject", "subject_id", "person__username")
    ordering = ("-created_at",)
