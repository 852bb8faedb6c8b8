"""The record."""

from typing import Any

from rest_framework import serializers

from catalog.api.fields import FreeObject, Page


class AuditQuery(Page):
    """Which entries to list."""

    actor = serializers.CharField(max_length=150, required=False)
    action = serializers.CharField(max_length=60, required=False)
    subject_type = serializers.CharField(max_length=40, required=False)
    subject_id = serializers.CharField(max_length=64, required=False)


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
