"""Setting what affiliates are guaranteed, may borrow and lend. Loans follow in the same transaction.

The face that calls this has made sure that the actor looks after the pool.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from catalog.audit.services import record
from catalog.common.errors import InvalidInput
from catalog.common.locks import lock
from catalog.placement.models import Allocation, Holding
from catalog.pool.models import RESOURCE_CLASS, Zone
from catalog.quotas.errors import QuotaBelowUse, QuotaInvalid
from catalog.quotas.models import Capacity, Loan, Quota
from catalog.quotas.services import end_loans, loans_of, open_loans
from catalog.quotas.shares import MOST, Account
from catalog.quotas.standings import Book, own_books
from catalog.tenancy.models import Tenant
from catalog.tenancy.policy import Actor

AMOUNTS = ("guaranteed", "borrow_limit", "lend_limit")


def check_amounts(amounts: dict[str, int]) -> None:
    """Refuse amounts that are no whole numbers from 0 to ``MOST``. Raises QuotaInvalid with every field that is wrong."""
    wrong = {
        name: _("A whole number from 0 to %(most)d.") % {"most": MOST}
        for name, amount in amounts.items()
        if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount <= MOST
    }
    if wrong:
        raise QuotaInvalid(fields=wrong)


def set_quota(
    actor: Actor,
    tenant: Tenant,
    resource_class: str,
    zone: Zone | None,
    *,
    guaranteed: int,
    borrow_limit: int,
    lend_limit: int,
    now: datetime,
) -> Quota:
    """Make or change the quota of a tenant for one class in one zone (None: wherever no row of its own says otherwise).

    More than the pool has may be guaranteed: see :func:`beyond_pool`, and the decision page. A lower lend limit
    counts for new loans; those that stand end when they are returned or recalled.

    :raises QuotaInvalid: an amount is negative or absurd, or this is no resource class.
    :raises InvalidInput: the zone is local to another affiliate, which has not admitted this one.
    :raises QuotaBelowUse: the tenant would use more than it may.
    """
    amounts = {"guaranteed": guaranteed, "borrow_limit": borrow_limit, "lend_limit": lend_limit}
    check_amounts(amounts)
    try:
        RESOURCE_CLASS(resource_class)
    except ValidationError as error:
        raise QuotaInvalid(fields={"resource_class": error.messages[0]}) from error
    local = zone is not None and zone.kind == Zone.Kind.LOCAL and zone.tenant_id != tenant.pk
    if zone is not None and local and not zone.admitted.filter(pk=tenant.pk).exists():
        raise InvalidInput(fields={"zone": _("This zone is local to another affiliate.")})
    with transaction.atomic():
        rows = list(lock(Quota.objects.filter(tenant=tenant, resource_class=resource_class)))
        row = next((each for each in rows if each.zone_id == (zone.pk if zone else None)), None)
        before = {name: getattr(row, name) for name in AMOUNTS} if row else {}
        if row is None:
            row = Quota(tenant=tenant, resource_class=resource_class, zone=zone)
            rows.append(row)
        for name, amount in amounts.items():
            setattr(row, name, amount)
        row.save()
        _follow(tenant, resource_class, rows, now)
        _record(actor, row, "quota.set", before=before, after=amounts, now=now)
    return row


def remove_quota(actor: Actor, quota: Quota, *, now: datetime) -> None:
    """Take a quota away. Raises QuotaBelowUse where something is held that no other row allows."""
    with transaction.atomic():
        rows = list(lock(Quota.objects.filter(tenant=quota.tenant_id, resource_class=quota.resource_class)))
        _follow(quota.tenant, quota.resource_class, [row for row in rows if row.pk != quota.pk], now)
        _record(
            actor, quota, "quota.removed", before={name: getattr(quota, name) for name in AMOUNTS}, after={}, now=now
        )
        Quota.objects.filter(pk=quota.pk).delete()


def _record(
    actor: Actor, row: Quota, action: str, *, before: dict[str, int], after: dict[str, int], now: datetime
) -> None:
    zone = {"zone": row.zone.slug if row.zone else "", "resource_class": row.resource_class}
    record(
        actor, action, subject_type="quota", subject_id=str(row.pk), tenant_id=row.tenant_id, now=now,
        before={**zone, **before} if before else {}, after={**zone, **after} if after else {},
    )  # fmt: skip


def _follow(tenant: Tenant, name: str, rows: Iterable[Quota], now: datetime) -> None:
    """Judge what is held by the new agreements, and make the loans agree with them."""
    list(lock(Holding.objects.filter(tenant=tenant, resource_class=name)))
    book = own_books(tenant, rows).get(name, Book())
    for account in book:
        if account.used > account.most:
            said = _("used %(used)d, limit %(limit)d") % {"used": account.used, "limit": account.most}
            raise QuotaBelowUse(fields={name: said}, classes={name: {"used": account.used, "limit": account.most}})
    loans = list(lock(open_loans(tenant).filter(resource_class=name)))
    end_loans(tenant, {name: book}, loans, gone=None, now=now)
    for account in list(book):
        lent = sum(loan.amount for loan in loans_of(account, name, book, open_loans(tenant)))
        if account.borrowed > lent:
            _owe(name, account, book, account.borrowed - lent, tenant=tenant, now=now)


def _owe(name: str, account: Account, book: Book, amount: int, *, tenant: Tenant, now: datetime) -> None:
    """What was guaranteed and is used, but is guaranteed no longer, is nobody's now, and borrowed by the newest services."""
    own = Counter[object]()
    for loan in loans_of(account, name, book, open_loans(tenant)):
        own[loan.instance_id] += loan.amount
    held = Allocation.objects.filter(instance__tenant=tenant, resource_class=name, released_at__isnull=True)
    for each in held.select_related("host").order_by("-created_at", "-pk").iterator(chunk_size=200):
        if book.at(tenant.pk, each.host.zone_id).zone != account.zone or amount <= 0:
            continue
        part = min(amount, each.amount - own[each.instance_id])
        if part > 0:
            Loan.objects.create(
                borrower=tenant, instance_id=each.instance_id, zone_id=each.host.zone_id, resource_class=name,
                amount=part, began_at=now,
            )  # fmt: skip
            amount -= part


def beyond_pool() -> list[str]:
    """Where more is guaranteed than there is, in words: no error, since hosts come and go, but worth knowing."""
    notes = []
    there = Counter[str]()
    for row in Capacity.objects.select_related("zone"):
        promised = _guaranteed(resource_class=row.resource_class, zone=row.zone_id)
        if row.zone.kind != Zone.Kind.LOCAL:
            there[row.resource_class] += row.amount
        if promised > row.amount:
            notes.append(f"{row.zone.slug} has {row.amount} {row.resource_class}, {promised} are guaranteed there")
    for name, amount in sorted(there.items()):
        local = _guaranteed(resource_class=name, zone__kind=Zone.Kind.LOCAL)
        promised = _guaranteed(resource_class=name) - local
        if promised > amount:
            notes.append(f"the shared zones have {amount} {name}, {promised} are guaranteed")
    return sorted(notes)


def _guaranteed(**of: object) -> int:
    total: int | None = Quota.objects.filter(**of).aggregate(sum=Sum("guaranteed"))["sum"]
    return total or 0
