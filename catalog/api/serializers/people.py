"""Affiliates and projects as they are made, roles, and handing over."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from catalog.api.fields import Page, Strict, Text
from catalog.api.serializers.texts import FullName
from catalog.tenancy.models import Role


class CreateTenant(Strict):
    """A new affiliate."""

    slug = Text(max_length=40, help_text=_("3 to 40 of a–z, 0–9 and -, starting with a letter."))
    name_ko = Text(max_length=100)
    name_en = Text(max_length=100)


class ChangeTenant(Strict):
    """Other names; those left out stay."""

    name_ko = Text(max_length=100, required=False)
    name_en = Text(max_length=100, required=False)


class CreateProject(Strict):
    """A new project of an affiliate."""

    tenant = Text(max_length=40)
    slug = Text(max_length=40, help_text=_("3 to 40 of a–z, 0–9 and -, starting with a letter."))
    title = Text(max_length=100)
    ends_on = serializers.DateField(required=False, allow_null=True, default=None, help_text=_("Its last day."))


class ChangeProject(Strict):
    """Another title or last day; what is left out stays."""

    title = Text(max_length=100, required=False)
    ends_on = serializers.DateField(required=False, allow_null=True, help_text=_("Its last day."))


class MembershipQuery(Page):
    """Which memberships to list."""

    tenant = Text(max_length=40, required=False, help_text=_("Of this affiliate only."))
    user = Text(max_length=150, required=False, help_text=_("Of this person only."))
    ended = serializers.BooleanField(required=False, default=False, help_text=_("Those that have ended too."))


class GrantRole(Strict):
    """A role for a person: for one project, for an affiliate as a whole (no ``project``), or for the group (neither)."""

    user = Text(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)
    tenant = Text(max_length=40, required=False, allow_null=True, default=None)
    project = Text(max_length=81, required=False, allow_null=True, default=None, help_text="affiliate/project")
    ends_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class EndRole(Strict):
    """When."""

    ends_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text=_("At once when left out.")
    )


class Membership(serializers.Serializer[Any]):
    """A role of a person: for one project, for an affiliate as a whole (``project`` null), or for the group (both null)."""

    id = serializers.IntegerField()
    user = serializers.CharField(source="user.username")
    name = serializers.CharField(source="user.get_full_name")
    role = serializers.ChoiceField(choices=Role.choices)
    tenant = serializers.CharField(source="tenant.slug", allow_null=True, default=None)
    project = FullName(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)


class HandoverQuery(Strict):
    """Who leaves, and who takes over."""

    leaver = Text(max_length=150)
    successor = Text(max_length=150)


class HandOver(HandoverQuery):
    """The same, and whether the successor is given the roles they lack."""

    give_roles = serializers.BooleanField(required=False, default=False)
    reason = Text(max_length=300, required=False, allow_blank=True, default="")


class Handover(serializers.Serializer[Any]):
    """What goes to the successor. ``missing``: roles they lack for it, or were given for it."""

    leaver = serializers.CharField(source="leaver.username")
    successor = serializers.CharField(source="successor.username")
    services = serializers.SerializerMethodField()
    roles = Membership(many=True)
    missing = serializers.SerializerMethodField()
    decisions = serializers.SerializerMethodField(help_text=_("Orders that only the leaver could have decided on."))
    tokens = serializers.IntegerField(help_text=_("Tokens of the leaver that are worth nothing afterwards."))

    def get_services(self, plan: Any) -> list[str]:
        return [str(row.pk) for row in plan.instances]

    def get_missing(self, plan: Any) -> list[str]:
        return list(plan.missing_codes)

    def get_decisions(self, plan: Any) -> list[str]:
        return [str(row.pk) for row in plan.decisions]
