"""Quotas in the admin: operators set them; loans and recalls are to be read."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from catalog.common import clock
from catalog.pool.models import DISK_GB, MEMORY_MB, VCPU
from catalog.quotas.agreements import beyond_pool, remove_quota, set_quota
from catalog.quotas.models import Capacity, Loan, Memory, Quota, Recall
from catalog.quotas.selectors import figures
from catalog.tenancy.admin import PolicyAdmin, ToldAdmin, actor_of
from catalog.tenancy.lists import listed
from catalog.tenancy.policy import Action

_KEY = ("tenant", "resource_class", "zone")
_CLASSES = listed("resource_class", _("resource class"), (VCPU, MEMORY_MB, DISK_GB))


@admin.register(Quota)
class QuotaAdmin(ToldAdmin):
    """What an affiliate is guaranteed, may borrow and lend; operators set it, and every setting is recorded."""

    writers, written_by_hand, deletable = Action.OPERATE_POOL, True, True
    delegated, roads = Action.MANAGE_MEMBERS, ("tenant", None)
    list_display = (
        "tenant", "resource_class", "in_zone", "guaranteed", "used", "borrowed", "borrow_limit", "lent", "lend_limit",
    )  # fmt: skip
    list_filter = ("tenant", _CLASSES, "zone")
    list_select_related = ("tenant", "zone")
    search_fields = ("tenant__slug", "resource_class")
    autocomplete_fields = ("tenant",)
    fields = (*_KEY, "guaranteed", "borrow_limit", "lend_limit")

    def get_readonly_fields(self, request: HttpRequest, obj: Quota | None = None) -> tuple[str, ...]:
        return _KEY if obj is not None else ()

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        shown = super().get_changelist_instance(request)
        known = figures(shown.result_list)
        for row in shown.result_list:
            row.figures = known[row.pk]
        return shown

    @admin.display(description=_("zone"), ordering="zone__slug")
    def in_zone(self, quota: Quota) -> str:
        """The zone, or that it counts wherever no other does."""
        return quota.zone.slug if quota.zone else str(_("wherever"))

    @admin.display(description=_("used"))
    def used(self, quota: Any) -> int:
        """How much of it is used now."""
        return int(quota.figures.used)

    @admin.display(description=_("borrowed"))
    def borrowed(self, quota: Any) -> int:
        """How much of what is used belongs to others."""
        return int(quota.figures.borrowed)

    @admin.display(description=_("lent"))
    def lent(self, quota: Any) -> int:
        """How much of it others use."""
        return int(quota.figures.lent)

    def save_model(self, request: HttpRequest, obj: Any, form: "ModelForm[Any]", change: bool) -> None:
        saved = set_quota(
            actor_of(request),
            obj.tenant,
            obj.resource_class,
            obj.zone,
            guaranteed=obj.guaranteed,
            borrow_limit=obj.borrow_limit,
            lend_limit=obj.lend_limit,
            now=clock.now(),
        )
        obj.pk = saved.pk
        for note in beyond_pool():
            messages.warning(request, note)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        remove_quota(actor_of(request), obj, now=clock.now())

    def delete_queryset(self, request: HttpRequest, queryset: Iterable[Quota]) -> None:
        for quota in queryset:
            remove_quota(actor_of(request), quota, now=clock.now())


@admin.register(Loan)
class LoanAdmin(PolicyAdmin):
    """Who uses what of whom, since when, and until when if it was recalled."""

    list_display = (
        "borrower", "lender", "resource_class", "amount", "zone", "instance", "began_at", "recalled_at", "due_at",
        "ended_at",
    )  # fmt: skip
    list_filter = (("ended_at", admin.EmptyFieldListFilter), _CLASSES, "zone", "borrower", "lender")
    list_select_related = ("borrower", "lender", "zone", "instance")
    search_fields = ("borrower__slug", "lender__slug", "instance__name")
    ordering = ("-id",)


@admin.register(Recall)
class RecallAdmin(PolicyAdmin):
    """Who wants back what is theirs, and when they get it."""

    list_display = ("owner", "zone", "wanted", "order_id", "asked_at", "room_at", "ended_at")
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "zone", "owner")
    list_select_related = ("owner", "zone")
    search_fields = ("owner__slug",)
    ordering = ("-asked_at",)


@admin.register(Capacity)
class CapacityAdmin(PolicyAdmin):
    """What zones have, as last counted."""

    readers = Action.VIEW_POOL
    list_display = ("zone", "resource_class", "amount", "counted_at")
    list_filter = ("resource_class", "zone")
    list_select_related = ("zone",)
    ordering = ("zone__slug", "resource_class")


@admin.register(Memory)
class MemoryAdmin(PolicyAdmin):
    """What is remembered of past use, for the line of waiting orders."""

    readers = Action.VIEW_POOL
    list_display = ("tenant", "resource_class", "amount", "written_at")
    list_filter = ("resource_class",)
    list_select_related = ("tenant",)
    ordering = ("tenant__slug", "resource_class")
