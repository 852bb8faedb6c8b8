"""The outbox in the admin: to be read."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from catalog.dispatch.models import Job
from catalog.tenancy.admin import PolicyAdmin
from catalog.tenancy.lists import listed
from catalog.tenancy.policy import Action


@admin.register(Job)
class JobAdmin(PolicyAdmin):
    """Runs asked of the workflow engine."""

    readers = Action.VIEW_POOL
    list_display = (
        "created_at", "flow", "zone", "subject_type", "subject_id", "attempt", "state", "heartbeat_at", "ended_at", "outcome",
    )  # fmt: skip
    list_filter = ("state", listed("flow", _("flow"), ("provision", "decommission", "enrol", "wipe")))
    search_fields = ("key", "outcome")
    quick = {"": ("key", "=outcome")}
    ordering = ("-created_at",)
