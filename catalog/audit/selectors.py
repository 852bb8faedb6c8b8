"""Reading the record."""

from django.db.models import QuerySet

from catalog.audit.models import AuditEntry
from catalog.tenancy.policy import Action, Actor, require


def entries_for(actor: Actor) -> QuerySet[AuditEntry]:
    """All entries, for an auditor. Raises Forbidden."""
    require(actor, Action.AUDIT)
    return AuditEntry.objects.all()
