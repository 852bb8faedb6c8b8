"""Hardware in the admin. Hosts and what is known of them are written by services; zones and reserves by operators."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from catalog.audit.admin import AuditedAdmin
from catalog.common import clock
from catalog.common.data import DataClass, in_order, in_words, ordinary
from catalog.common.errors import DomainError
from catalog.pool import zones
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
from catalog.tenancy.admin import PolicyAdmin, operator_of
from catalog.tenancy.lists import listed
from catalog.tenancy.policy import Action, Actor


class ZoneForm(forms.ModelForm):
    """Everything an operator says of a zone; :func:`catalog.pool.zones.check` judges it, as for every face."""

    data_classes = forms.MultipleChoiceField(
        label=_("Data its services may hold"), choices=DataClass.choices, widget=forms.CheckboxSelectMultiple,
        initial=ordinary,
    )  # fmt: skip

    class Meta:
        model = Zone
        fields = ("slug", *zones.TERMS, "admitted")

    def clean_data_classes(self) -> list[str]:
        """In their order."""
        return in_order(self.cleaned_data["data_classes"])

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # the hook of model forms, which the stubs leave out
        if self.errors:
            return
        try:
            zones.check(self.instance)
        except DomainError as error:
            for name, said in (error.fields or {"": error.detail}).items():
                self.add_error(name if name in self.fields else None, str(said))


@admin.register(Zone)
class ZoneAdmin(PolicyAdmin):
    """Zones: who may place there and what data may stand there. Each change is written, and recorded, by the services."""

    readers, writers, written_by_hand = Action.VIEW_POOL, Action.OPERATE_POOL, True
    form = ZoneForm
    list_display = (
        "slug", "name_ko", "kind", "tenant", "admission", "data", "worker_state", "worker_seen_at", "closed_at",
        "closed_reason",
    )  # fmt: skip
    list_filter = ("kind", "admission", "worker_state", ("closed_at", admin.EmptyFieldListFilter))
    list_select_related = ("tenant",)
    search_fields = ("slug", "name_ko", "name_en", "tenant__slug")
    autocomplete_fields = ("tenant", "admitted")
    fieldsets = (
        (None, {"fields": ("slug", "name_ko", "name_en", "kind", "tenant")}),
        (_("Who may place there"), {"fields": ("admission", "admitted")}),
        (_("What data may stand there"), {"fields": ("data_classes", "protected_outside")}),
        (_("Hardware"), {"fields": ("wipe_driver", "driver_options")}),
        (_("Now"), {"fields": ("closed_at", "closed_reason", "worker_state", "worker_seen_at")}),
    )
    actions = ("close", "open")

    def get_readonly_fields(self, request: HttpRequest, obj: Zone | None = None) -> tuple[str, ...]:
        fixed = ("closed_at", "closed_reason", "worker_state", "worker_seen_at")
        return fixed if obj is None else ("slug", *fixed)

    @admin.display(description=_("data"))
    def data(self, zone: Zone) -> str:
        """What may stand there, in words."""
        return in_words(each for each in zone.data_classes if zone.holds(each))

    def save_model(self, request: HttpRequest, obj: Any, form: "forms.ModelForm[Any]", change: bool) -> None:
        said = {name: form.cleaned_data[name] for name in form.changed_data if name in {*zones.TERMS, "admitted"}}
        if change:
            zones.change_zone(operator_of(request), obj, now=clock.now(), **said)
        else:
            obj.pk = zones.create_zone(operator_of(request), slug=obj.slug, now=clock.now(), **said).pk

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Done: the service has written who is admitted."""

    @admin.action(description=_("Close for new services…"), permissions=["change"])
    def close(self, request: HttpRequest, queryset: "QuerySet[Zone]") -> HttpResponse | None:
        """Ask for the reason, then close."""
        if "confirmed" not in request.POST:
            return self._confirm(request, queryset, "close", _("Close for new services"))
        reason = request.POST.get("reason", "")
        self._each(request, queryset, lambda actor, zone: zones.close_zone(actor, zone, reason=reason, now=clock.now()))
        return None

    @admin.action(description=_("Open again…"), permissions=["change"])
    def open(self, request: HttpRequest, queryset: "QuerySet[Zone]") -> HttpResponse | None:
        """Ask, then open."""
        if "confirmed" not in request.POST:
            return self._confirm(request, queryset, "open", _("Open again"))
        self._each(request, queryset, lambda actor, zone: zones.open_zone(actor, zone, now=clock.now()))
        return None

    def _confirm(self, request: HttpRequest, queryset: "QuerySet[Zone]", deed: str, title: Any) -> HttpResponse:
        shown = {
            **self.admin_site.each_context(request), "title": title, "opts": self.opts, "zones": queryset, "deed": deed,
            "box": ACTION_CHECKBOX_NAME, "longest": zones.REASON_CHARACTERS,
        }  # fmt: skip
        return TemplateResponse(request, "admin/zone_confirm.html", shown)

    def _each(
        self, request: HttpRequest, queryset: "QuerySet[Zone]", deed: Callable[[Actor, Zone], Zone]
    ) -> None:  # fmt: skip
        for zone in queryset.order_by("slug"):
            try:
                deed(operator_of(request), zone)
            except DomainError as error:
                self.message_user(request, f"{zone.slug}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, _("%s: done.") % zone.slug)


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
        "name", "zone", "state", "holder", "sharing", "exclusive", "failed_builds", "proven_clean", "generation", "address",
        "last_seen_at", "state_reason",
    )  # fmt: skip
    list_filter = ("state", "zone", "sharing", "proven_clean", "holder")
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
