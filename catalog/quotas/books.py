"""Everything claimed, compared over all floors: allocations, ports, quotas and loans. Read-only."""

from collections import Counter
from collections.abc import Iterator

from django.db.models import Exists, F, OuterRef

from catalog.ipam.models import Endpoint
from catalog.placement.books import Drift
from catalog.placement.books import drift as placement_drift
from catalog.placement.models import Allocation
from catalog.pool.models import Zone
from catalog.quotas.agreements import beyond_pool
from catalog.quotas.models import Loan, Quota
from catalog.quotas.shares import Account
from catalog.quotas.standings import Book, own_books
from catalog.tenancy.models import Tenant


def drift() -> list[Drift]:
    """Every disagreement; an empty list means that the books balance."""
    return [*placement_drift(), *_ports(), *_loans()]


def notes() -> list[str]:
    """What is no error of the books but worth knowing."""
    return [*over_quota(), *beyond_pool()]


def over_quota() -> list[str]:
    """Tenants that hold more than their quota: no error of the books, but nothing more will be given to them."""
    return [
        f"{tenant.slug} holds {account.used} {name}{where}, its quota is {account.most}"
        for tenant, name, where, account in _accounts()
        if account.used > account.most
    ]


def _accounts() -> Iterator[tuple[Tenant, str, str, Account]]:
    zones = {pk: f" in {slug}" for pk, slug in Zone.objects.values_list("pk", "slug")}
    for tenant in Tenant.objects.all():
        for name, book in sorted(own_books(tenant, Quota.objects.filter(tenant=tenant)).items()):
            for account in book:
                yield tenant, name, zones[account.zone] if account.zone else "", account


def _loans() -> list[Drift]:
    """Open loans against what is used beyond the guaranteed amounts; and loans for what is no longer there."""
    found = []
    books = {tenant.pk: own_books(tenant, Quota.objects.filter(tenant=tenant)) for tenant in Tenant.objects.all()}
    lent: Counter[tuple[object, str, object]] = Counter()
    for loan in Loan.objects.filter(ended_at__isnull=True):
        account = books[loan.borrower_id].get(loan.resource_class, Book()).at(loan.borrower_id, loan.zone_id)
        lent[loan.borrower_id, loan.resource_class, account.zone] += loan.amount
    for tenant, name, where, account in _accounts():
        expected, there = account.borrowed, lent.pop((tenant.pk, name, account.zone), 0)
        if there != expected:
            found.append(Drift(f"{name} borrowed by {tenant.slug}{where}", str(expected), str(there)))
    found += [Drift(f"{name} borrowed by {tenant}", "0", str(amount)) for (tenant, name, _), amount in lent.items()]
    standing = Allocation.objects.filter(
        instance=OuterRef("instance"), resource_class=OuterRef("resource_class"), released_at__isnull=True
    )
    found += [
        Drift(f"loan {loan.pk} for {loan.instance.name}", f"an allocation of {loan.resource_class}", "none")
        for loan in Loan.objects.filter(~Exists(standing), ended_at__isnull=True).select_related("instance")
    ]
    return found


def _ports() -> list[Drift]:
    held = Endpoint.objects.filter(released_at__isnull=True).select_related("address", "instance")
    placed = Allocation.objects.filter(
        instance=OuterRef("instance"), member=OuterRef("member"), released_at__isnull=True
    )  # fmt: skip
    astray = held.exclude(Exists(placed.filter(host=OuterRef("address__host")))).annotate(host=F("address__host__name"))
    return [
        Drift(f"port {each} of {each.instance.name}", f"an allocation on host {each.host}", "none") for each in astray
    ]
