"""People, affiliates, projects."""

from typing import Any

from rest_framework import serializers

from catalog.api.fields import Strict, Text
from catalog.api.serializers.texts import FullName, Translated
from catalog.tenancy.models import Environment, Role


class SignIn(Strict):
    """Who asks for a token."""

    username = Text(max_length=150)
    password = Text(max_length=128, write_only=True)


class Token(serializers.Serializer[Any]):
    """A token; it is shown only here."""

    token = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)


class Grant(serializers.Serializer[Any]):
    """A role: for one project, for an affiliate as a whole (``project`` null), or for the group (both null)."""

    role = serializers.ChoiceField(choices=Role.choices)
    tenant = serializers.CharField(source="tenant.slug", allow_null=True, default=None)
    project = FullName(allow_null=True)


class Me(serializers.Serializer[Any]):
    """The person who asks, and what they may do."""

    username = serializers.CharField()
    name = serializers.CharField()
    language = serializers.CharField()
    roles = Grant(many=True)


class Tenant(serializers.Serializer[Any]):
    """An affiliate."""

    slug = serializers.CharField()
    name = Translated("name")


class Project(serializers.Serializer[Any]):
    """A project; ``name`` as in orders is ``affiliate/project``."""

    name = serializers.CharField(source="__str__", help_text="affiliate/project")
    tenant = serializers.CharField(source="tenant.slug")
    title = serializers.CharField(source="name")
    environment = serializers.ChoiceField(choices=Environment.choices)
    ends_on = serializers.DateField(allow_null=True)
