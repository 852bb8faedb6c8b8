"""The health of services in the admin: to be read; checks write it."""

from django.contrib import admin

from catalog.health.models import Health
from catalog.tenancy.admin import PolicyAdmin


@admin.register(Health)
class HealthAdmin(PolicyAdmin):
    """What the regular checks saw."""

    list_display = ("instance", "outcome", "checked_at", "failures", "task", "unknown_code", "next_at")
    list_filter = ("outcome", "instance__zone")
    list_select_related = ("instance",)
    search_fields = ("instance__name", "instance__unit")
    quick = {"instance": ("name", "unit")}
    ordering = ("next_at",)
    heavy = ("spells", "message")
