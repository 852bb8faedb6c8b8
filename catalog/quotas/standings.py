"""How accounts stand: agreements, what is held, lent and waited for, put together for :mod:`catalog.quotas.shares`."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from django.db.models import Sum

from catalog.common.statements import Statement
from catalog.placement.models import Holding
from catalog.pool.models import Zone
from catalog.quotas.models import Capacity, Loan, Quota, Recall
from catalog.quotas.shares import Account, Pool
from catalog.tenancy.models import Tenant


class Book:
    """The accounts of some tenants for one resource class, found by tenant and zone."""

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self._accounts = {(each.tenant, each.zone): each for each in accounts}

    def at(self, tenant: uuid.UUID, zone: uuid.UUID) -> Account:
        """The account that counts for a tenant in a zone; one of nothing where nothing was agreed."""
        for key in ((tenant, zone), (tenant, None)):
            if key in self._accounts:
                return self._accounts[key]
        return self._accounts.setdefault((tenant, None), Account(tenant, 0))

    def of(self, tenant: uuid.UUID, zone: uuid.UUID | None) -> Account:
        """The account that was agreed for exactly this zone. Raises KeyError."""
        return self._accounts[tenant, zone]

    def add(self, tenant: uuid.UUID, zone: uuid.UUID, *, used: int = 0, lent: int = 0, awaited: int = 0) -> None:
        """Count something that is held, lent or waited for in a zone."""
        was = self.at(tenant, zone)
        self._accounts[was.tenant, was.zone] = replace(
            was, used=was.used + used, lent=was.lent + lent, awaited=was.awaited + awaited
        )

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())


def account_of(row: Quota) -> Account:
    """What was agreed, before anything is used."""
    return Account(row.tenant_id, row.guaranteed, row.borrow_limit, row.lend_limit, row.zone_id)


def own_books(tenant: Tenant, rows: Iterable[Quota]) -> dict[str, Book]:
    """Resource class → the tenant's accounts, by these agreements, with what it holds now."""
    agreed: dict[str, list[Account]] = defaultdict(list)
    for row in rows:
        agreed[row.resource_class].append(account_of(row))
    books = {name: Book(accounts) for name, accounts in agreed.items()}
    for name, zone, used in _HELD.ask(tenant.pk):
        books.setdefault(name, Book()).add(tenant.pk, zone, used=used)
    return books


_HELD = Statement(
    lambda tenant: Holding.objects.filter(tenant=tenant, used__gt=0).values_list("resource_class", "zone", "used")
)


@dataclass(frozen=True)
class Standing:
    """Everything that decides who may lend one resource class."""

    book: Book
    pools: tuple[Pool, ...]


def standings(
    classes: Iterable[str], capacity: Mapping[tuple[uuid.UUID, str], int] | None = None
) -> dict[str, Standing]:
    """How everybody stands, for these classes. What it costs grows with affiliates and zones, not with hosts or orders.

    :param capacity: zone and class → what there is; None: as last counted.
    """
    names = sorted(set(classes))
    rows = Quota.objects.filter(resource_class__in=names)
    books = {name: Book(account_of(row) for row in rows if row.resource_class == name) for name in names}
    held = Holding.objects.filter(resource_class__in=names, used__gt=0)
    for name, tenant, zone, used in held.values_list("resource_class", "tenant", "zone", "used"):
        books[name].add(tenant, zone, used=used)
    loans = Loan.objects.filter(resource_class__in=names, ended_at__isnull=True).order_by()
    unowned: Counter[tuple[str, uuid.UUID]] = Counter()
    for row in loans.values("resource_class", "lender", "zone").annotate(lent=Sum("amount")):
        if row["lender"] is None:
            unowned[row["resource_class"], row["zone"]] += row["lent"]
        else:
            books[row["resource_class"]].add(row["lender"], row["zone"], lent=row["lent"])
    for owner, zone, wanted in Recall.objects.filter(ended_at__isnull=True).values_list("owner", "zone", "wanted"):
        for name in books.keys() & wanted.keys():
            books[name].add(owner, zone, awaited=wanted[name])
    if capacity is None:
        rows_counted = Capacity.objects.filter(resource_class__in=names).values_list("zone", "resource_class", "amount")
        capacity = {(zone, name): amount for zone, name, amount in rows_counted}
    local = set(Zone.objects.filter(kind=Zone.Kind.LOCAL).values_list("pk", flat=True))
    pools: dict[str, list[Pool]] = {name: [] for name in names}
    for (zone, name), amount in capacity.items():
        if name in pools:
            pools[name].append(Pool(zone, amount, unowned[name, zone], zone in local))
    return {name: Standing(books[name], tuple(pools[name])) for name in names}
