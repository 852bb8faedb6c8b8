"""What affiliates are guaranteed, use, borrow and lend, as far as the one who asks may see it."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from catalog.quotas.models import Loan, Quota
from catalog.quotas.standings import standings
from catalog.tenancy.policy import Actor, scope, visible_tenants


@dataclass(frozen=True)
class Figures:
    """What counts on one quota now."""

    used: int
    borrowed: int
    lent: int


def quotas_for(actor: Actor) -> "QuerySet[Quota]":
    """The quotas of the affiliates that the actor may see as a whole."""
    visible = visible_tenants(actor)
    rows = Quota.objects.select_related("tenant", "zone")
    return rows if visible is None else rows.filter(tenant__in=visible)


def figures(rows: Iterable[Quota]) -> dict[int, Figures]:
    """Each quota's primary key → its figures; as many queries for ten rows as for a hundred."""
    known = list(rows)
    there = standings({row.resource_class for row in known})
    found = {}
    for row in known:
        account = there[row.resource_class].book.of(row.tenant_id, row.zone_id)
        found[row.pk] = Figures(account.used, account.borrowed, account.lent)
    return found


def loans_for(actor: Actor) -> "QuerySet[Loan]":
    """Open loans that affiliates of the actor take or give; of single projects: what their services borrow."""
    seen = scope(actor)
    rows = Loan.objects.filter(ended_at__isnull=True).select_related("lender", "borrower", "zone", "instance")
    if seen.everything:
        return rows
    return rows.filter(Q(lender__in=seen.tenants) | seen.where("borrower", "instance__project"))
