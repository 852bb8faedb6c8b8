"""Networks in the admin. Operators register and retire VLANs and prefixes; services give out addresses, ports and names."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.common import clock
from catalog.common.errors import DomainError
from catalog.ipam import networks
from catalog.ipam.errors import NameServerInvalid
from catalog.ipam.models import DnsName, Endpoint, IPAddress, Prefix, Vlan, ZoneNetwork
from catalog.tenancy.admin import PolicyAdmin, operator_of
from catalog.tenancy.policy import Action, can


class NetworkPage(PolicyAdmin):
    """A kind of network: registered by a form, never changed afterwards, retired by an action that asks first.

    :cvar retire_one: the service that ends the use of one row.
    """

    readers, writers, written_by_hand = Action.VIEW_POOL, Action.OPERATE_POOL, True
    actions = ("retire",)
    list_filter = (("retired_at", admin.EmptyFieldListFilter), "zone")
    retire_one: Callable[..., Any]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who is offered the action."""
        return can(operator_of(request), Action.OPERATE_POOL)

    @admin.action(description=gettext_lazy("Retire"), permissions=["operate"])
    def retire(self, request: HttpRequest, queryset: "QuerySet[Any]") -> HttpResponse | None:
        """End the use of networks, after they have been shown once more."""
        rows = list(queryset.order_by("pk"))
        if "confirmed" not in request.POST:
            shown = {
                **self.admin_site.each_context(request),
                "title": _("Retire these networks?"), "rows": rows, "action": "retire", "opts": self.model._meta,
                "said": _("Nothing of them is given out any more. This cannot be undone; they can be registered anew."),
            }  # fmt: skip
            return TemplateResponse(request, "admin/confirm_action.html", shown)
        for row in rows:
            try:
                type(self).retire_one(operator_of(request), row, now=clock.now())
            except DomainError as error:
                messages.error(request, f"{row}: {error.detail}")
            else:
                messages.success(request, _("%(network)s is retired.") % {"network": row})
        return None

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The form; or, where a rule refuses, what it says, with nothing changed."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except DomainError as error:
            messages.error(request, str(error.detail))
            return HttpResponseRedirect(request.get_full_path())


@admin.register(Vlan)
class VlanAdmin(NetworkPage):
    """VLANs of zones."""

    fields = ("zone", "vid", "name", "tenant")
    autocomplete_fields = ("zone", "tenant")
    list_display = ("vid", "name", "zone", "tenant", "retired_at")
    list_select_related = ("zone", "tenant")
    search_fields = ("name", "zone__slug", "tenant__slug")
    ordering = ("zone__slug", "vid")
    retire_one = networks.retire_vlan

    def save_model(self, request: HttpRequest, obj: Any, form: "forms.ModelForm[Any]", change: bool) -> None:
        saved = networks.register_vlan(
            operator_of(request), zone=obj.zone, vid=obj.vid, name=obj.name, tenant=obj.tenant, now=clock.now()
        )
        obj.pk = saved.pk


@admin.register(Prefix)
class PrefixAdmin(NetworkPage):
    """Networks of zones."""

    fields = ("zone", "cidr", "vlan", "tenant")
    list_display = ("cidr", "zone", "vlan", "tenant", "retired_at")
    list_select_related = ("zone", "vlan", "tenant")
    search_fields = ("cidr", "zone__slug", "tenant__slug")
    autocomplete_fields = ("zone", "vlan", "tenant")
    ordering = ("cidr",)
    retire_one = networks.retire_prefix

    def save_model(self, request: HttpRequest, obj: Any, form: "forms.ModelForm[Any]", change: bool) -> None:
        saved = networks.register_prefix(
            operator_of(request), zone=obj.zone, cidr=obj.cidr, vlan=obj.vlan, tenant=obj.tenant, now=clock.now()
        )
        obj.pk = saved.pk


class ZoneNetworkForm(forms.ModelForm):
    """The key is written, and never shown."""

    dns_key = forms.CharField(
        label=gettext_lazy("Key (Base64)"),
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("Left empty, the key that is known stays."),
    )
    dns_key_algorithm = forms.ChoiceField(choices=[(each, each) for each in networks.ALGORITHMS])

    class Meta:
        model = ZoneNetwork
        fields = (
            "zone", "open_to_anyone", "domain", "dns_server", "dns_port", "dns_key_name", "dns_key_algorithm", "dns_key",
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        names = self.names(values)
        if names is None:
            return values
        try:
            networks.judge(names, known=bool(self.initial.get("dns_key")))
        except NameServerInvalid as error:
            for field, said in error.fields.items():
                self.add_error(field, str(said))
        return values

    @staticmethod
    def names(values: dict[str, Any]) -> networks.NameServer | None:
        """The name server that was filled in; None where neither domain nor address was."""
        if not values.get("domain") and not values.get("dns_server"):
            return None
        return networks.NameServer(
            domain=values.get("domain") or "",
            address=values.get("dns_server") or "",
            port=values.get("dns_port") or 0,
            key_name=values.get("dns_key_name") or "",
            algorithm=values.get("dns_key_algorithm") or "",
            secret=values.get("dns_key") or "",
        )

    def _post_clean(self) -> None:
        """Nothing: the service writes the row, and the database's own words about it would come twice."""


@admin.register(ZoneNetwork)
class ZoneNetworkAdmin(PolicyAdmin):
    """What the networks of zones do beside having prefixes."""

    readers, writers, written_by_hand = Action.VIEW_POOL, Action.OPERATE_POOL, True
    form = ZoneNetworkForm
    list_display = ("zone", "open_to_anyone", "domain", "dns_server")
    list_filter = ("open_to_anyone",)
    list_select_related = ("zone",)
    search_fields = ("zone__slug", "domain")
    autocomplete_fields = ("zone",)
    ordering = ("zone__slug",)

    def get_readonly_fields(self, request: HttpRequest, obj: ZoneNetwork | None = None) -> tuple[str, ...]:
        return ("zone",) if obj is not None else ()

    def get_fields(self, request: HttpRequest, obj: ZoneNetwork | None = None) -> Any:
        shown = super().get_fields(request, obj)
        return shown if self.has_change_permission(request, obj) else [each for each in shown if each != "dns_key"]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        values = form.cleaned_data
        saved = networks.set_zone_network(
            operator_of(request), obj.zone if change else values["zone"], open_to_anyone=values["open_to_anyone"],
            names=form.names(values), now=clock.now(),
        )  # fmt: skip
        obj.pk = saved.pk
        obj.zone = saved.zone


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


@admin.register(DnsName)
class DnsNameAdmin(PolicyAdmin):
    """Names given out."""

    readers = Action.VIEW_POOL
    list_display = ("name", "instance", "claimed_at", "released_at", "rests_until")
    list_filter = (("released_at", admin.EmptyFieldListFilter),)
    list_select_related = ("instance",)
    search_fields = ("name",)
    ordering = ("-claimed_at",)


@admin.register(Endpoint)
class EndpointAdmin(PolicyAdmin):
    """Ports given out."""

    readers = Action.VIEW_POOL
    list_display = ("address", "port", "name", "instance", "claimed_at", "released_at", "rests_until")
    list_filter = (("released_at", admin.EmptyFieldListFilter),)
    list_select_related = ("address", "name", "instance")
    search_fields = ("address__address", "name__name", "instance__name")
    quick = {"address": ("address",), "name": ("name",), "instance": ("name", "unit")}
    ordering = ("-claimed_at",)
