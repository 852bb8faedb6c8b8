"""Hardware in the admin. Hosts and what is known of them are written by services; zones and reserves by operators."""

from typing import Any

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from catalog.audit.admin import AuditedAdmin
from catalog.pool.models import (
    DISK_GB,
    MEMORY_MB,
    VCPU,
    Baseline,
    HostEvent,
    HostKey,
    Inventory,
    Trait,
    WipeCertificate,
    Zone,
)
from catalog.pool.services import verify_certificate
from catalog.tenancy.admin import PolicyAdmin
from catalog.tenancy.lists import listed
from catalog.tenancy.policy import Action


@admin.register(Zone)
class ZoneAdmin(AuditedAdmin):
    """Zones."""

    readers, writers, written_by_hand = Action.VIEW_POOL, Action.OPERATE_POOL, True
    list_display = ("slug", "name_ko", "name_en", "kind", "tenant", "wipe_driver")
    list_filter = ("kind",)
    list_select_related = ("tenant",)
    search_fields = ("slug", "name_ko", "name_en")
    autocomplete_fields = ("tenant",)


@admin.register(Trait)
class TraitAdmin(AuditedAdmin):
    """Traits. Inspection finds them; an operator may name more."""

    readers, writers, written_by_hand = Action.VIEW_POOL, Action.OPERATE_POOL, True
    list_display = ("name",)
    search_fields = ("name",)


class HostPage(PolicyAdmin):
    """Hosts. Registered, with the actions operators take, by :mod:`catalog.reclaim.admin`, where those actions live."""

    readers = Action.VIEW_POOL
    list_display = (
        "name", "zone", "state", "holder", "exclusive", "proven_clean", "generation", "address", "last_seen_at", "state_reason",
    )  # fmt: skip
    list_filter = ("state", "zone", "proven_clean", "holder")
    list_select_related = ("zone", "holder")
    search_fields = ("name", "address", "holder__slug")
    quick = {"": ("name", "address"), "holder": ("=slug",)}
    heavy = ("facts",)


class ReserveForm(forms.ModelForm):
    """How much of a host is kept back, and how far it is oversold."""

    class Meta:
        model = Inventory
        fields = ("reserved", "allocation_ratio")

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        reserved, ratio = values.get("reserved"), values.get("allocation_ratio")
        if reserved is None or ratio is None:
            return values
        now = Inventory.objects.get(pk=self.instance.pk)
        if reserved > now.total:
            self.add_error("reserved", _("The host has %(total)d; no more can be kept back.") % {"total": now.total})
        elif ratio < 1 or (now.total - reserved) * ratio // 100 < now.used:
            self.add_error(None, _("%(used)d of it are claimed; so much has to remain.") % {"used": now.used})
        return values


@admin.register(Inventory)
class InventoryAdmin(AuditedAdmin):
    """What hosts have. An operator keeps back and oversells; what is used, the books say."""

    readers, writers, written_by_hand, addable = Action.VIEW_POOL, Action.OPERATE_POOL, True, False
    form = ReserveForm
    fields = ("host", "resource_class", "total", "reserved", "allocation_ratio", "used", "free")
    readonly_fields = ("host", "resource_class", "total", "used", "free")
    list_display = ("host", "resource_class", "total", "reserved", "allocation_ratio", "used", "free")
    list_filter = (listed("resource_class", _("resource class"), (VCPU, MEMORY_MB, DISK_GB)), "zone")
    list_select_related = ("host",)
    search_fields = ("host__name",)
    quick = {"host": ("name",)}
    ordering = ("host__name", "resource_class")


@admin.register(HostKey)
class HostKeyAdmin(PolicyAdmin):
    """Pinned ssh keys."""

    readers = Action.VIEW_POOL
    list_display = ("host", "generation", "fingerprint", "learnt_at", "learnt_by")
    list_select_related = ("host",)
    search_fields = ("host__name",)
    quick = {"host": ("name",)}
    ordering = ("host__name", "-generation")


@admin.register(WipeCertificate)
class WipeCertificateAdmin(PolicyAdmin):
    """Evidence of clean lives."""

    readers = Action.VIEW_POOL
    list_display = ("host", "generation", "method", "previous_holder", "issued_at", "valid")
    list_filter = (listed("method", _("method"), ("enrolment", "rack")),)
    list_select_related = ("host", "previous_holder")
    search_fields = ("host__name", "previous_holder__slug")
    quick = {"host": ("name",), "previous_holder": ("=slug",)}
    readonly_fields = ("valid",)

    @admin.display(boolean=True, description=_("signed by us"))
    def valid(self, certificate: WipeCertificate) -> bool:
        """Whether this installation signed exactly this."""
        return verify_certificate(certificate)


@admin.register(Baseline)
class BaselineAdmin(PolicyAdmin):
    """What pristine hosts look like."""

    readers = Action.VIEW_POOL
    list_display = ("digest", "taken_at")
    fields = ("digest", "taken_at")
    search_fields = ("digest",)


@admin.register(HostEvent)
class HostEventAdmin(PolicyAdmin):
    """What happened to hosts."""

    readers = Action.VIEW_POOL
    list_display = ("at", "host", "seq", "kind", "actor")
    list_filter = (listed("kind", _("kind"), ("state", "registered", "inspected", "problem")),)
    list_select_related = ("host",)
    search_fields = ("host__name",)
    quick = {"host": ("name",)}
    ordering = ("-id",)
