"""Reading the record."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from catalog.audit.models import AuditEntry
from catalog.tenancy.policy import Action, Actor, require

_NAMES = ("actor", "action", "subject_type", "subject_id", "source")


def entries_for(actor: Actor) -> QuerySet[AuditEntry]:
    """All entries, for an auditor. Raises Forbidden."""
    require(actor, Action.AUDIT)
    return AuditEntry.objects.all()


def narrowed(rows: "QuerySet[AuditEntry]", asked: Mapping[str, Any]) -> "QuerySet[AuditEntry]":
    """Those that somebody asked for: by who, what, whose (``tenant_id``), from where, and from when (``since``) to when
    (``until``, itself not included).
    """
    rows = rows.filter(**{name: asked[name] for name in _NAMES if name in asked})
    if "tenant_id" in asked:
        rows = rows.filter(tenant_id=asked["tenant_id"])
    since, until = asked.get("since"), asked.get("until")
    if isinstance(since, datetime):
        rows = rows.filter(at__gte=since)
    if isinstance(until, datetime):
        rows = rows.filter(at__lt=until)
    return rows
