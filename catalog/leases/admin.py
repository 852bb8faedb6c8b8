"""Leases in the admin: to be read; services extend and end them."""

from django.contrib import admin

from catalog.leases.models import Lease, LeaseEvent
from catalog.tenancy.admin import PolicyAdmin


@admin.register(Lease)
class LeaseAdmin(PolicyAdmin):
    """How long services may stay."""

    list_display = ("instance", "tenant", "state", "starts_at", "ends_at", "held_until")
    list_filter = ("state", "instance__tenant")
    list_select_related = ("instance__tenant",)
    search_fields = ("instance__name", "instance__tenant__slug")
    ordering = ("ends_at",)

    @admin.display(ordering="instance__tenant")
    def tenant(self, lease: Lease) -> str:
        """Whose service it is."""
        return lease.instance.tenant.slug


@admin.register(LeaseEvent)
class LeaseEventAdmin(PolicyAdmin):
    """What happened to leases."""

    list_display = ("at", "lease", "seq", "kind", "actor")
    list_filter = ("kind",)
    list_select_related = ("lease",)
    ordering = ("-id",)
