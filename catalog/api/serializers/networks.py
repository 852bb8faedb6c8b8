"""VLANs and prefixes."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from catalog.api.fields import Page, Strict, Text, Whole


class NetworkQuery(Page):
    """Which networks to list."""

    zone = serializers.SlugField(max_length=40, required=False)
    tenant = serializers.SlugField(max_length=40, required=False)


class RegisterVlan(Strict):
    """A VLAN of a zone."""

    zone = Text(max_length=40)
    vid = Whole(min_value=1, max_value=4094)
    name = Text(max_length=100)
    tenant = Text(
        max_length=40, required=False, allow_null=True, help_text=_("Whose it is alone; everybody's when left out.")
    )


class RegisterPrefix(Strict):
    """A network of a zone. With an affiliate, its addresses are for that affiliate's services alone."""

    zone = Text(max_length=40)
    cidr = Text(max_length=43, help_text=_("Such as 10.77.0.0/24, with the host part zero."))
    vlan = Whole(
        required=False, allow_null=True, min_value=1, max_value=4094, help_text=_("Number of a VLAN of the zone.")
    )
    tenant = Text(
        max_length=40, required=False, allow_null=True, help_text=_("Whose it is alone; everybody's when left out.")
    )


class Vlan(serializers.Serializer[Any]):
    """A VLAN. ``retired_at`` null: in use."""

    id = serializers.UUIDField()
    zone = serializers.CharField(source="zone.slug")
    vid = serializers.IntegerField()
    name = serializers.CharField()
    tenant = serializers.CharField(source="tenant.slug", allow_null=True, default=None)
    retired_at = serializers.DateTimeField(allow_null=True)


class Prefix(serializers.Serializer[Any]):
    """A network. ``retired_at`` null: in use."""

    id = serializers.UUIDField()
    zone = serializers.CharField(source="zone.slug")
    cidr = serializers.CharField()
    vlan = serializers.IntegerField(source="vlan.vid", allow_null=True, default=None)
    tenant = serializers.CharField(source="tenant.slug", allow_null=True, default=None)
    retired_at = serializers.DateTimeField(allow_null=True)
