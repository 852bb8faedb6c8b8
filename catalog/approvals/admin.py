"""Rules, freezes and holidays in the admin, to be curated; requests, decisions and delegations to be read."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from catalog.approvals import delegations, freezes
from catalog.approvals.curation import check_freeze, check_rule
from catalog.approvals.explanations import by_whom
from catalog.approvals.models import ApprovalRule, Decision, Delegation, FreezeWindow, Holiday, Request
from catalog.approvals.rules import MOST_LEVELS, MOST_PEOPLE, Deed, Who
from catalog.approvals.services import pure
from catalog.audit.admin import AuditedAdmin
from catalog.common import clock, words
from catalog.common.errors import DomainError
from catalog.tenancy.admin import PolicyAdmin, actor_of
from catalog.tenancy.policy import Action, can

_CONDITIONS = ("tenant", "offering", "plan", "zone", "price_over_krw", "data_class", "deed", "production")


def _columns(model: type[Model], cleaned: dict[str, Any]) -> dict[str, Any]:
    """What a form says about the columns of its model."""
    return {field.name: cleaned[field.name] for field in model._meta.concrete_fields if field.name in cleaned}


def _judge(form: forms.ModelForm, check: Callable[[], None]) -> None:
    """Put a refusal to the fields it is about, as far as the form has them."""
    try:
        check()
    except DomainError as error:
        for name, text in (error.fields or {"": error.detail}).items():
            form.add_error(name if name in form.fields else None, str(text))


def _who(number: int) -> forms.ChoiceField:
    label = format_lazy("{} {}", _("Level"), number)
    return forms.ChoiceField(label=label, choices=[("", "–"), *Who.choices], required=False)


def _people() -> forms.IntegerField:
    return forms.IntegerField(label=_("so many people"), min_value=1, max_value=MOST_PEOPLE, required=False)


class ApprovalRuleForm(forms.ModelForm):
    """A rule with its levels side by side; what nobody could satisfy is refused."""

    who_1, people_1 = _who(1), _people()
    who_2, people_2 = _who(2), _people()
    who_3, people_3 = _who(3), _people()
    who_4, people_4 = _who(4), _people()

    class Meta:
        model = ApprovalRule
        fields = (
            "name", "active", "priority", "tenant", "offering", "plan", "zone", "price_over_krw", "data_class", "deed",
            "production",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number, step in enumerate(self.instance.steps or (), start=1):
            self.initial[f"who_{number}"], self.initial[f"people_{number}"] = step["who"], step["people"]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        steps = []
        for number in range(1, MOST_LEVELS + 1):
            who, people = cleaned.get(f"who_{number}"), cleaned.get(f"people_{number}")
            if who:
                steps.append({"who": who, "people": people or 1})
            elif people:
                self.add_error(f"who_{number}", _("Choose who decides on this level."))
        self.instance.steps = steps
        if not self.errors:
            row = ApprovalRule(**_columns(ApprovalRule, cleaned), steps=steps)
            _judge(self, lambda: check_rule(row, now=clock.now()))
        return cleaned


@admin.register(ApprovalRule)
class ApprovalRuleAdmin(AuditedAdmin):
    """What must be approved, by whom. The first that holds decides; where none does, one approver above a price."""

    form = ApprovalRuleForm
    writers, written_by_hand, deletable = Action.CURATE, True, True
    list_display = ("priority", "name", "active", "condition", "demands")
    list_display_links = ("name",)
    list_filter = ("active", "deed", "production", "data_class", "tenant", "offering", "zone")
    list_select_related = ("tenant", "offering", "plan__offering", "zone")
    search_fields = ("name", "tenant__slug", "offering__slug")
    autocomplete_fields = ("tenant", "offering", "plan")
    fieldsets = (
        (None, {"fields": ("name", "active", "priority")}),
        (
            _("Where all of this holds"),
            {"fields": _CONDITIONS},
        ),
        (
            _("These decide, one level after the other; none: nobody has to"),
            {"fields": tuple((f"who_{number}", f"people_{number}") for number in range(1, MOST_LEVELS + 1))},
        ),
    )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change:
            # Made from several fields of the form, so none of its columns is among those that were changed.
            obj.save(update_fields=["steps"])

    @admin.display(description=_("condition"))
    def condition(self, rule: ApprovalRule) -> str:
        """In words."""
        return ", ".join(each.words() for each in pure(rule).conditions) or "*"

    @admin.display(description=_("demands"))
    def demands(self, rule: ApprovalRule) -> str:
        """In words."""
        return " → ".join(by_whom(step) for step in pure(rule).steps) or str(_("nobody's approval"))


class FreezeWindowForm(forms.ModelForm):
    """A freeze; one in which nothing waits or that has no time is refused."""

    deeds = forms.MultipleChoiceField(
        label=_("What waits"), choices=Deed.choices, widget=forms.CheckboxSelectMultiple,
        initial=[Deed.CREATE, Deed.UPDATE, Deed.OPERATE, Deed.DECOMMISSION], required=False,
    )  # fmt: skip

    class Meta:
        model = FreezeWindow
        fields = (
            "reason", "active", "tenant", "deeds", "recurrence", "starts_at", "ends_at", "weekday", "time_from",
            "time_until", "working_days",
        )  # fmt: skip

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors:
            row = FreezeWindow(**_columns(FreezeWindow, cleaned))
            _judge(self, lambda: check_freeze(row))
        return cleaned


@admin.register(FreezeWindow)
class FreezeWindowAdmin(AuditedAdmin):
    """When approved changes wait. Times are the group's."""

    form = FreezeWindowForm
    writers, written_by_hand, deletable = Action.CURATE, True, True
    list_display = ("reason", "active", "tenant", "recurrence", "starts_at", "ends_at", "waits", "now")
    list_filter = ("active", "recurrence", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("reason", "tenant__slug")
    autocomplete_fields = ("tenant",)

    @admin.display(description=_("what waits"))
    def waits(self, window: FreezeWindow) -> str:
        """In words."""
        return ", ".join(str(Deed(each).label) for each in window.deeds)

    @admin.display(description=_("now"))
    def now(self, window: FreezeWindow) -> str:
        """Until when it lasts, where it is on."""
        calendar = freezes.Calendar((freezes.pure(window),), self._holidays())
        tenant = window.tenant.slug if window.tenant is not None else ""
        found = calendar.freeze(window.deeds[0], tenant, now=clock.now()) if window.active and window.deeds else None
        return "–" if found is None else str(_("until %s") % words.moment(found.until))

    def _holidays(self) -> frozenset[Any]:
        today = clock.now().date()
        rows = Holiday.objects.filter(day__year=today.year, day__month=today.month)
        return frozenset(rows.values_list("day", flat=True))


@admin.register(Holiday)
class HolidayAdmin(AuditedAdmin):
    """Days that are no working days."""

    writers, written_by_hand, deletable = Action.CURATE, True, True
    list_display = ("day", "name")
    search_fields = ("name",)
    date_hierarchy = "day"


@admin.register(Request)
class RequestAdmin(PolicyAdmin):
    """What was asked, and what it came to."""

    list_display = ("opened_at", "title", "deed", "tenant", "requested_by", "level", "who", "escalated_at", "outcome")
    list_filter = ("outcome", "deed", "who", "tenant", ("escalated_at", admin.EmptyFieldListFilter))
    list_select_related = ("tenant", "requested_by")
    search_fields = ("title", "requested_by__username")
    ordering = ("-opened_at",)


@admin.register(Decision)
class DecisionAdmin(PolicyAdmin):
    """Who decided what, for whom."""

    list_display = ("decided_at", "request", "level", "verdict", "decided_by", "on_behalf_of", "comment")
    list_filter = ("verdict",)
    list_select_related = ("request", "decided_by", "on_behalf_of")
    search_fields = ("request__title", "decided_by__username", "on_behalf_of__username")
    ordering = ("-decided_at",)


@admin.register(Delegation)
class DelegationAdmin(PolicyAdmin):
    """Who stands in for whom. Those who are away say so in the portal; administrators of the group may end it."""

    list_display = ("person", "delegate", "tenant", "starts_at", "ends_at")
    list_filter = ("tenant",)
    list_select_related = ("person", "delegate", "tenant")
    search_fields = ("person__username", "delegate__username")
    ordering = ("-starts_at",)
    actions = ("end",)

    def has_end_permission(self, request: HttpRequest) -> bool:
        """Who ends delegations of others."""
        return can(actor_of(request), Action.APPROVE_GROUP)

    @admin.action(description=_("End now"), permissions=["end"])
    def end(self, request: HttpRequest, queryset: "QuerySet[Delegation]") -> None:
        """Nobody stands in any more from now on."""
        for each in queryset.select_related("person", "delegate"):
            try:
                delegations.end(actor_of(request), each, now=clock.now())
            except DomainError as error:
                self.message_user(request, f"{each.person} → {each.delegate}: {error.detail}", messages.ERROR)
            else:
                self.message_user(request, f"{each.person} → {each.delegate}: {_('ended')}")
