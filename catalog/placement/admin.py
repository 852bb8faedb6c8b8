"""The books in the admin: to be read."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from catalog.placement.models import Allocation, Holding, PriceList
from catalog.pool.models import DISK_GB, MEMORY_MB, VCPU
from catalog.tenancy.admin import PolicyAdmin
from catalog.tenancy.lists import listed
from catalog.tenancy.policy import Action


@admin.register(Allocation)
class AllocationAdmin(PolicyAdmin):
    """Who holds how much of what."""

    readers = Action.VIEW_POOL
    list_display = (
        "host", "resource_class", "amount", "instance", "member", "isolation", "data_class", "created_at", "released_at",
    )  # fmt: skip
    list_filter = (
        listed("resource_class", _("resource class"), (VCPU, MEMORY_MB, DISK_GB)),
        "isolation",
        "data_class",
        ("released_at", admin.EmptyFieldListFilter),
    )
    list_select_related = ("host", "instance")
    search_fields = ("host__name", "instance__name", "instance__unit")
    quick = {"host": ("name",), "instance": ("name", "unit")}
    ordering = ("-id",)


@admin.register(Holding)
class HoldingAdmin(PolicyAdmin):
    """What affiliates hold in sum."""

    readers = Action.VIEW_POOL
    list_display = ("tenant", "resource_class", "zone", "used")
    list_filter = ("resource_class", "zone")
    list_select_related = ("tenant", "zone")
    search_fields = ("tenant__slug",)
    ordering = ("tenant__slug", "resource_class", "zone__slug")


@admin.register(PriceList)
class PriceListAdmin(PolicyAdmin):
    """What room is worth to placement at present."""

    readers = Action.VIEW_POOL
    list_display = ("made_at", "edition")
