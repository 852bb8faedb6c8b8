"""Networks in the admin. Prefixes are written by operators; addresses and ports by services."""

from django.contrib import admin

from catalog.ipam.models import Endpoint, IPAddress, Prefix
from catalog.tenancy.admin import PolicyAdmin
from catalog.tenancy.policy import Action


@admin.register(Prefix)
class PrefixAdmin(PolicyAdmin):
    """Networks of zones."""

    readers = Action.VIEW_POOL
    list_display = ("cidr", "zone")
    list_filter = ("zone",)
    list_select_related = ("zone",)
    search_fields = ("cidr",)
    ordering = ("cidr",)


@admin.register(IPAddress)
class IPAddressAdmin(PolicyAdmin):
    """Addresses and the hosts they are up on."""

    readers = Action.VIEW_POOL
    list_display = ("address", "prefix", "host")
    list_filter = ("prefix__zone",)
    list_select_related = ("prefix", "host")
    search_fields = ("address", "host__name")
    quick = {"": ("address",), "host": ("name",)}
    ordering = ("address",)


@admin.register(Endpoint)
class EndpointAdmin(PolicyAdmin):
    """Ports given out."""

    readers = Action.VIEW_POOL
    list_display = ("address", "port", "instance", "claimed_at", "released_at", "rests_until")
    list_filter = (("released_at", admin.EmptyFieldListFilter),)
    list_select_related = ("address", "instance")
    search_fields = ("address__address", "instance__name")
    quick = {"address": ("address",), "instance": ("name", "unit")}
    ordering = ("-claimed_at",)
