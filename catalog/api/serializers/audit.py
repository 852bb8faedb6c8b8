"""The record."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from catalog.api.fields import FreeObject, Page, Strict


class AuditFilter(Strict):
    """Which entries: who did what to what, of which affiliate, from where, and when."""

    actor = serializers.CharField(max_length=150, required=False)
    action = serializers.CharField(max_length=60, required=False)
    subject_type = serializers.CharField(max_length=40, required=False)
    subject_id = serializers.CharField(max_length=64, required=False)
    source = serializers.CharField(max_length=100, required=False)  # type: ignore[assignment]  # called so on the wire
    tenant = serializers.CharField(max_length=40, required=False, help_text=_("Of this affiliate only."))
    since = serializers.DateTimeField(required=False, help_text=_("From this instant on."))
    until = serializers.DateTimeField(required=False, help_text=_("Before this instant."))


class AuditQuery(Page, AuditFilter):
    """The same, page by page."""


class Head(serializers.Serializer[Any]):
    """The last link of the chain, signed. Kept elsewhere, it proves that nothing up to it was changed or cut off."""

    day = serializers.DateField()
    number = serializers.IntegerField()
    digest = serializers.CharField()
    exported_at = serializers.DateTimeField()
    signature = serializers.CharField()


class AuditEntry(serializers.Serializer[Any]):
    """Who did what to what. ``digest`` is empty for the seconds until the entry is sealed into the chain."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]  # the member is called so on the wire
    action = serializers.CharField()
    subject_type = serializers.CharField()
    subject_id = serializers.CharField()
    tenant_id = serializers.UUIDField(allow_null=True)
    before = FreeObject()
    after = FreeObject()
    chain_day = serializers.DateField(allow_null=True)
    chain_seq = serializers.IntegerField(allow_null=True)
    previous = serializers.CharField()
    digest = serializers.CharField()
