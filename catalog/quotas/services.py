"""Does what is wanted fit the quota, who lends what goes beyond the guaranteed amount, and what is returned."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from catalog.common.locks import lock, wait_for
from catalog.instances.models import ServiceInstance
from catalog.pool.models import Zone
from catalog.quotas.counts import counted
from catalog.quotas.errors import NothingToBorrow, QuotaExceeded
from catalog.quotas.models import Loan, Quota
from catalog.quotas.shares import Account, Debt, Part, lenders, to_return
from catalog.quotas.standings import Book, Standing, own_books, standings
from catalog.tenancy.models import Tenant

_BORROWING = 0x6C6F616E


@dataclass(frozen=True)
class Checked:
    """What :func:`check_and_lock` saw of a tenant.

    Until the transaction ends the agreements stay as they are, and others can only make less of what is used.
    """

    rows: Sequence[Quota]
    books: Mapping[str, Book]

    def within_own(self, tenant: uuid.UUID, zone: uuid.UUID, amounts: Mapping[str, int]) -> bool:
        """Whether ``amounts`` more in ``zone`` are surely still the tenant's own."""
        for name, amount in amounts.items():
            account = self.books[name].at(tenant, zone) if name in self.books else Account(tenant, 0)
            if account.used + amount > account.guaranteed:
                return False
        return True


def check_and_lock(tenant: Tenant, wanted: Mapping[str, int], *, now: datetime, zone: Zone | None = None) -> Checked:
    """Make sure that ``wanted`` more fits the quota, and that nobody else uses it up before the transaction ends.

    Claims of one tenant wait here for each other; releases do not. Whether there is something to borrow is said by
    :func:`borrow`, once it is known where the claim stands.

    :param wanted: resource class → amount.
    :param now: when it is asked; quotas do not depend on time yet.
    :param zone: where it will be used; None: wherever there is room.
    :returns: what it saw, for :func:`borrow`.
    :raises QuotaExceeded: for every class that does not suffice: limit, used and wanted.
    """
    rows = list(lock(Quota.objects.filter(tenant=tenant)))
    books = own_books(tenant, rows)
    short = {}
    for name, amount in sorted(wanted.items()):
        book = books.get(name, Book())
        open_to = [book.at(tenant.pk, zone.pk)] if zone is not None else list(book)
        best = max(open_to, key=lambda account: account.most - account.used, default=Account(tenant.pk, 0))
        if best.used + amount > best.most:
            short[name] = {"limit": best.most, "used": best.used, "wanted": amount}
    if short:
        raise QuotaExceeded(fields=_fields(short), classes=short)
    return Checked(rows, books)


def borrow(
    instance: ServiceInstance, amounts: Mapping[str, int], *, zone: uuid.UUID, checked: Checked, now: datetime
) -> bool:
    """After a claim of ``instance`` in ``zone``, in its transaction: what its tenant uses beyond its own is borrowed.

    A whole host holds all it has, which may be more than its plan asks for and :func:`check_and_lock` was told; so what was
    claimed is judged once more. A claim that stays within the guaranteed amounts asks the database nothing; only one that
    borrows waits for others that do.

    :param amounts: resource class → what the claim holds.
    :param checked: what :func:`check_and_lock` saw before the claim.
    :returns: whether something was borrowed.
    :raises QuotaExceeded: for every class the tenant now holds too much of; the caller's transaction must not be committed.
    :raises NothingToBorrow: others leave too little idle; likewise.
    """
    if checked.within_own(instance.tenant_id, zone, amounts):
        return False
    # Something may have been released since it was checked.
    tenant = instance.tenant
    books = own_books(tenant, checked.rows)
    own = {name: book.at(tenant.pk, zone) for name, book in books.items()}
    short = {
        name: {"limit": account.most, "used": account.used, "wanted": 0}
        for name, account in sorted(own.items())
        if account.used > account.most
    }
    if short:
        raise QuotaExceeded(fields=_fields(short), classes=short)
    if not any(account.borrowed for account in own.values()):
        return False
    loans = list(open_loans(tenant))
    more = {
        name: amount
        for name, account in own.items()
        if (amount := account.borrowed - sum(loan.amount for loan in loans_of(account, name, books[name], loans))) > 0
    }
    if more:
        _lend(instance, zone, more, now)
    return bool(more)


def open_loans(tenant: Tenant) -> "QuerySet[Loan]":
    """What a tenant borrows now. Whoever ends some locks them, because a recall may be writing to them."""
    return Loan.objects.filter(borrower=tenant, ended_at__isnull=True).order_by("pk")


def loans_of(account: Account, name: str, book: Book, loans: Iterable[Loan]) -> list[Loan]:
    """Those of a tenant's open loans of class ``name`` that one of its accounts, from ``book``, answers for."""
    return [
        loan
        for loan in loans
        if loan.resource_class == name and book.at(account.tenant, loan.zone_id).zone == account.zone
    ]


def _lend(instance: ServiceInstance, zone: uuid.UUID, more: Mapping[str, int], now: datetime) -> None:
    # Two that borrow at once must not be lent the same; what lenders themselves claim meanwhile is theirs by right.
    wait_for(_BORROWING)
    offers = _offers(instance, zone, more, standings(more))
    if not all(offers.values()):
        # The count may be a minute old; before refusing it is worth counting the pool again.
        offers = _offers(instance, zone, more, standings(more, counted()))
    lacking = {name: more[name] for name, parts in offers.items() if not parts}
    if lacking:
        said = {name: _("others leave less than %(amount)d idle") % {"amount": lacking[name]} for name in lacking}
        raise NothingToBorrow(fields=said, classes=lacking)
    Loan.objects.bulk_create(
        Loan(
            lender_id=part.lender, borrower_id=instance.tenant_id, instance=instance, zone_id=zone, resource_class=name,
            amount=part.amount, began_at=now,
        )
        for name, parts in offers.items()
        for part in parts
    )  # fmt: skip


def _offers(
    instance: ServiceInstance, zone: uuid.UUID, more: Mapping[str, int], there: Mapping[str, Standing]
) -> dict[str, list[Part]]:
    return {
        name: lenders(
            more[name], borrower=instance.tenant_id, zone=zone, accounts=list(standing.book), pools=standing.pools
        )
        for name, standing in there.items()
    }


def give_back(instance: ServiceInstance, *, now: datetime) -> None:
    """After a release of ``instance``, in its transaction: loans end that its tenant no longer needs. Again: nothing."""
    loans = list(lock(open_loans(instance.tenant)))
    if loans:
        books = own_books(instance.tenant, Quota.objects.filter(tenant=instance.tenant))
        end_loans(instance.tenant, books, loans, gone=instance, now=now)


def end_loans(
    tenant: Tenant, books: Mapping[str, Book], loans: Sequence[Loan], *, gone: ServiceInstance | None, now: datetime
) -> None:
    """End so much of a tenant's open ``loans`` that the rest is what it uses beyond its guaranteed amounts.

    :param gone: what was released; its loans end first, then the last borrowed.
    """
    by_key = {loan.pk: loan for loan in loans}
    for name in sorted({loan.resource_class for loan in loans}):
        book = books.get(name, Book())
        for account in {book.at(tenant.pk, loan.zone_id) for loan in loans if loan.resource_class == name}:
            debts = [
                Debt(loan.pk, loan.began_at, loan.amount, loan.instance_id)
                for loan in loans_of(account, name, book, loans)
            ]
            excess = sum(debt.amount for debt in debts) - account.borrowed
            for key, amount in to_return(debts, excess, instance=gone.pk if gone else None):
                _end(by_key[key], amount, now)


def _end(loan: Loan, amount: int, now: datetime) -> None:
    left = loan.amount - amount
    Loan.objects.filter(pk=loan.pk).update(amount=amount, ended_at=now)
    if left:
        Loan.objects.create(
            lender_id=loan.lender_id, borrower_id=loan.borrower_id, instance_id=loan.instance_id, zone_id=loan.zone_id,
            resource_class=loan.resource_class, amount=left, began_at=loan.began_at, recalled_at=loan.recalled_at,
            due_at=loan.due_at, recall_id=loan.recall_id,
        )  # fmt: skip


def usage(tenant: Tenant) -> dict[str, tuple[int, int]]:
    """Resource class → (used, limit) over all zones, for every class the tenant has a quota for or holds something of."""
    books = own_books(tenant, Quota.objects.filter(tenant=tenant))
    return {
        name: (sum(account.used for account in book), sum(account.most for account in book))
        for name, book in sorted(books.items())
    }


def _fields(short: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    return {name: _("limit %(limit)d, used %(used)d, wanted %(wanted)d") % said for name, said in short.items()}
