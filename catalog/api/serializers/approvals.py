"""Approvals, delegations and freezes."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.fields import Strict, Text
from catalog.approvals import explanations
from catalog.approvals.models import Decision as DecisionRow
from catalog.approvals.models import Outcome
from catalog.approvals.models import Request as RequestRow
from catalog.approvals.rules import Deed, Who
from catalog.approvals.terms import DECIDE_WITHIN
from catalog.common.data import DataClass

_DEEDS = [(each.value, each.label) for each in Deed if each is not Deed.RECLAIM]


class Decided(serializers.Serializer[Any]):
    """What somebody decided, on which level, and for whom where it was not for themselves."""

    decision = serializers.ChoiceField(source="verdict", choices=DecisionRow.Verdict.choices)
    level = serializers.IntegerField()
    decided_by = serializers.CharField(source="decided_by.username", allow_null=True, default=None)
    on_behalf_of = serializers.CharField(source="on_behalf_of.username", allow_null=True, default=None)
    decided_at = serializers.DateTimeField()
    comment = serializers.CharField()


class Level(serializers.Serializer[Any]):
    """One level: who decides on it, and how it stands."""

    number = serializers.IntegerField()
    who = serializers.ChoiceField(choices=Who.choices)
    side = serializers.ChoiceField(choices=["consumer", "provider"])
    people = serializers.IntegerField(help_text=_("So many have to agree."))
    words = serializers.CharField()
    state = serializers.ChoiceField(choices=["done", "now", "later", "over"])
    decisions = Decided(many=True)


class Approval(serializers.Serializer[Any]):
    """What was asked, why, of whom, and what they decided."""

    id = serializers.UUIDField()
    order = serializers.UUIDField(source="subject_id")
    title = serializers.CharField()
    action = serializers.ChoiceField(source="deed", choices=_DEEDS)
    tenant = serializers.CharField(source="tenant.slug")
    requested_by = serializers.CharField(source="requested_by.username", allow_null=True, default=None)
    content_hash = serializers.CharField()
    why = serializers.SerializerMethodField()
    level = serializers.IntegerField(help_text=_("The one that decides now, from 1."))
    levels = serializers.SerializerMethodField()
    opened_at = serializers.DateTimeField()
    expires_at = serializers.SerializerMethodField()
    escalated_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    outcome = serializers.ChoiceField(choices=Outcome.choices, allow_blank=True)

    def get_why(self, row: RequestRow) -> str:
        return explanations.because(row.reasons)

    @extend_schema_field(Level(many=True))
    def get_levels(self, row: RequestRow) -> Any:
        return Level(explanations.levels(row), many=True).data

    @extend_schema_field(serializers.DateTimeField())
    def get_expires_at(self, row: RequestRow) -> Any:
        return serializers.DateTimeField().to_representation(row.opened_at + DECIDE_WITHIN)


class Freeze(serializers.Serializer[Any]):
    """What keeps an approved order, and until when."""

    why = serializers.CharField()
    until = serializers.DateTimeField()


class AskPreview(Strict):
    """The order that is thought of."""

    project = Text(max_length=81, help_text="affiliate/project")
    offering = Text(max_length=40)
    plan = Text(max_length=40)
    action = serializers.ChoiceField(choices=_DEEDS, required=False, default=Deed.CREATE)
    zone = Text(max_length=40, required=False, allow_null=True, default=None)
    data_class = serializers.ChoiceField(choices=DataClass.choices, required=False, default=DataClass.INTERNAL)


class Preview(serializers.Serializer[Any]):
    """What that order would need now."""

    needed = serializers.BooleanField()
    why = serializers.CharField(help_text=_("Empty where nobody has to approve."))
    levels = Level(many=True)
    freeze = Freeze(allow_null=True)


class GiveDelegation(Strict):
    """Who decides for me, for which affiliate, and when."""

    tenant = Text(max_length=40, allow_null=True, help_text=_("null: what I decide on the side that provides."))
    delegate = Text(max_length=150, help_text=_("A user name."))
    starts_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text=_("Now when left out.")
    )
    ends_at = serializers.DateTimeField()


class Delegation(serializers.Serializer[Any]):
    """``delegate`` decides for ``person``."""

    id = serializers.UUIDField()
    person = serializers.CharField(source="person.username")
    delegate = serializers.CharField(source="delegate.username")
    tenant = serializers.CharField(source="tenant.slug", allow_null=True, default=None)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class OverrideFreeze(Strict):
    """Why it cannot wait."""

    reason = Text(max_length=300)
