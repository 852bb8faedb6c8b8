"""Forms made from parameter schemas: that of an order, and those of operations.

A field only reads what was typed; what is allowed is judged by the services, for every face alike. Their refusals come back to
the fields they are about.
"""

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from catalog.common.data import DataClass
from catalog.common.errors import DomainError
from catalog.common.words import span
from catalog.instances.links import alias_of
from catalog.leases.limits import Limits
from catalog.pool.models import WorkerState, Zone
from catalog.tenancy.models import Project
from catalog.web.words import of_both, of_two

PREFIX = "p-"
LEASE_DAYS = (1, 7, 30, 90, 180, 365)
_DAY = 86_400
NETWORKS_SHOWN = 6


class DelegationForm(forms.Form):
    """Who decides in one's place, for which affiliate (or the group), and when. Times are the group's."""

    delegate = forms.CharField(label=_("User name"), max_length=150)
    tenant = forms.ChoiceField(label=_("For"))
    starts_at = forms.DateTimeField(label=_("From"), required=False, help_text=_("Now when left empty."))
    ends_at = forms.DateTimeField(label=_("Until"))

    def __init__(self, *args: Any, places: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].choices = places  # type: ignore[attr-defined]  # a choice field
        for field in self.fields.values():
            field.widget.attrs["class"] = "form-select" if isinstance(field, forms.ChoiceField) else "form-control"
        for name in ("starts_at", "ends_at"):
            self.fields[name].widget.input_type = "datetime-local"


def lease_choices(longest: int) -> list[tuple[str, Any]]:
    """Spans to choose from, up to ``longest`` seconds; where that is under a day, ``longest`` alone."""
    days = [each for each in LEASE_DAYS if each * _DAY <= longest]
    if not days:
        return [(str(longest), span(timedelta(seconds=longest)))]
    return [(str(each * _DAY), ngettext_lazy("%d day", "%d days", each) % each) for each in days]


def order_choices(limits: Limits, left: int | None) -> list[tuple[str, Any]]:
    """Lengths to order, the default first: its value is empty, so that the services reckon it when the order is placed.

    :param left: seconds until the project ends; None where it has no end.
    """
    longest = limits.longest_seconds if left is None else min(left, limits.longest_seconds)
    usual = min(limits.default_seconds, longest)
    # Under a day there is only the longest, which would have changed by the time the form is sent.
    others = [each for each in lease_choices(longest) if int(each[0]) != usual] if longest >= _DAY else []
    return [("", _("%s (usual)") % span(timedelta(seconds=usual))), *others]


def _help(schema: Mapping[str, Any]) -> Any:
    said: Any = of_both(schema["x-help"])
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        said = format_lazy("{} {}", said, _("From %(low)s to %(high)s.") % {"low": low, "high": high})
    if schema.get("x-immutable"):
        said = format_lazy("{} {}", said, _("It cannot be changed later."))
    return said


def parameter_field(schema: Mapping[str, Any], *, required: bool) -> forms.Field:
    """The field of one parameter, with its title, help, range and default.

    :param schema: a property of a plan's parameter schema (``playbooks/services/manifest.schema.json`` says what it may be).
    """
    common: dict[str, Any] = {
        "label": of_both(schema["x-title"]),
        "help_text": _help(schema),
        "initial": schema.get("default"),
        "required": required,
    }
    if "enum" in schema:
        choices = [(value, value) for value in schema["enum"]]
        return forms.ChoiceField(choices=choices, widget=forms.Select(attrs={"class": "form-select"}), **common)
    if schema["type"] == "boolean":
        common["required"] = False
        return forms.BooleanField(widget=forms.CheckboxInput(attrs={"class": "form-check-input"}), **common)
    if schema["type"] in {"integer", "number"}:
        limits = {name: schema[key] for name, key in (("min", "minimum"), ("max", "maximum")) if key in schema}
        whole = schema["type"] == "integer"
        widget = forms.NumberInput(attrs={"class": "form-control", "step": 1 if whole else "any", **limits})
        return forms.IntegerField(widget=widget, **common) if whole else forms.FloatField(widget=widget, **common)
    attrs: dict[str, Any] = {"class": "form-control", "autocomplete": "off", "spellcheck": "false"}
    if "maxLength" in schema:
        attrs["maxlength"] = schema["maxLength"]
    return forms.CharField(strip=False, widget=forms.TextInput(attrs=attrs), **common)


class ParametersForm(forms.Form):
    """What a parameter schema asks for.

    :param schema: that of a plan, or of an operation.
    """

    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Names in refusals → fields that are called otherwise."""

    key = forms.CharField(max_length=100, widget=forms.HiddenInput, required=False)

    def __init__(
        self, data: Any = None, *, schema: Mapping[str, Any], initial: Mapping[str, Any] | None = None
    ) -> None:  # fmt: skip
        super().__init__(data, initial={"key": str(uuid.uuid4()), **(initial or {})}, use_required_attribute=False)
        self.schema = schema
        needed = schema.get("required", ())
        for name, each in schema["properties"].items():
            self.fields[PREFIX + name] = parameter_field(each, required=name in needed)

    @property
    def parameters(self) -> list[forms.BoundField]:
        """What the schema asks for."""
        return [self[PREFIX + name] for name in self.schema["properties"]]

    def values(self) -> dict[str, Any]:
        """The parameters that were filled in; what was left empty takes its default."""
        found = {name: self.cleaned_data.get(PREFIX + name) for name in self.schema["properties"]}
        texts = {
            name for name, each in self.schema["properties"].items() if each["type"] == "string" and "enum" not in each
        }
        return {name: value for name, value in found.items() if value is not None and (value != "" or name in texts)}

    def tell(self, error: DomainError) -> None:
        """Put a refusal beside the fields it is about, or above the form."""
        strays = []
        for name, said in error.fields.items():
            top = name.split(".", 1)[0]
            field = self.elsewhere.get(name, name if name in self.fields else PREFIX + top)
            if field in self.fields:
                self.add_error(field, str(said))
            else:
                strays.append(str(said))
        if strays or not error.fields:
            self.add_error(None, " ".join([str(error.detail), *strays]))


def _zone_label(zone: Zone) -> str:
    """The zone's name, and what somebody who chooses it should know."""
    name = of_two(zone, "name")
    if zone.closed_at is not None:
        return str(_("%(zone)s (closed: %(reason)s)") % {"zone": name, "reason": zone.closed_reason})
    if zone.worker_state == WorkerState.SILENT:
        return str(_("%s (nobody works there now; orders wait)") % name)
    return name


class OrderForm(ParametersForm):
    """One order of one plan.

    :param schema: the plan's parameter schema.
    :param projects: those the person may order for.
    :param zones: where it could stand.
    :param data_classes: kinds of data the plan may hold.
    :param networks: whose clients may connect where nothing is said.
    :param leases: lengths to choose from, in seconds, with their words; empty for the usual one.
    :param services: names of those it may use.
    """

    elsewhere: ClassVar[Mapping[str, str]] = {"lease_seconds": "lease"}

    project = forms.ChoiceField(label=_("Project"), widget=forms.Select(attrs={"class": "form-select"}))
    name = forms.CharField(
        label=_("Name"),
        help_text=_("3 to 40 of a–z, 0–9 and -, starting with a letter."),
        max_length=40,
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off", "spellcheck": "false"}),
    )
    data_class = forms.ChoiceField(
        label=_("Data"),
        help_text=_("The most protected data it will hold. It decides in which zones the service may stand."),
        initial=DataClass.INTERNAL,
        required=False,
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    zone = forms.ChoiceField(
        label=_("Zone"),
        help_text=_(
            "Anywhere lets the pool choose the host that fits best. An external zone is only used when you choose it."
        ),
        required=False,
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    lease = forms.ChoiceField(
        label=_("Lease"),
        help_text=_("When it ends the service is taken back. You can extend it before that."),
        required=False,
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    allow_from = forms.CharField(
        label=_("Who may connect"),
        required=False,
        max_length=2500,
        widget=forms.TextInput(
            attrs={"class": "form-control", "autocomplete": "off", "spellcheck": "false", "placeholder": "10.20.0.0/16"}
        ),
    )
    links = forms.MultipleChoiceField(
        label=_("Services it uses"),
        help_text=_("Their credentials reach it as LOAN_DB_HOST, LOAN_DB_PASSWORD and so on, after the name of each."),
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"}),
    )
    wait = forms.BooleanField(
        label=_("If the pool is full, wait in line"),
        help_text=_("Otherwise the order is refused and you know at once."),
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )

    def __init__(
        self,
        data: Any = None,
        *,
        schema: Mapping[str, Any],
        projects: Iterable[Project],
        zones: Iterable[Zone],
        leases: Iterable[tuple[str, Any]],
        data_classes: Iterable[str] = (DataClass.INTERNAL,),
        networks: Sequence[str] = (),
        services: Sequence[str] = (),
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, schema=schema, initial=initial)
        self._choose("project", [(str(each), f"{each.name} ({each})") for each in projects])
        self._choose("zone", [("", _("Anywhere")), *((each.slug, _zone_label(each)) for each in zones)])
        self._choose("data_class", [(each, DataClass(each).label) for each in data_classes])
        self._choose("lease", list(leases))
        if services:
            self._choose("links", [(name, f"{name} ({alias_of(name)}_…)") for name in services])
        else:
            del self.fields["links"]
        self.fields["allow_from"].help_text = _(
            "Networks with commas between them. Empty: those of your affiliate and of the zone (%s)."
        ) % (", ".join(networks[:NETWORKS_SHOWN]) + (" …" if len(networks) > NETWORKS_SHOWN else ""))

    def _choose(self, name: str, choices: list[tuple[str, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    @property
    def general(self) -> list[forms.BoundField]:
        """What every order is asked."""
        asked = ("project", "name", "data_class", "zone", "lease", "links", "allow_from", "wait")
        return [self[name] for name in asked if name in self.fields]

    def used(self) -> dict[str, str]:
        """The services it uses: alias → name."""
        return {alias_of(name): name for name in self.cleaned_data.get("links", ())}

    def clients(self) -> list[str]:
        """The networks that were named, one by one."""
        return [each for each in re.split(r"[\s,]+", self.cleaned_data["allow_from"]) if each]
