"""Getting back what is guaranteed and lent: with notice, last borrowed first, never more than needed.

A host stands for one affiliate at a time, so what comes back is a host: one on which everything was borrowed.
"""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, Max, Min, OuterRef, Q
from django.utils.translation import gettext as _

from catalog.common.data import DataClass
from catalog.common.locks import lock
from catalog.leases import services as leases
from catalog.leases.models import Lease
from catalog.leases.states import LeaseState
from catalog.placement.models import Allocation
from catalog.placement.selectors import has_traits, zones_for
from catalog.pool.models import Host, Inventory, Zone
from catalog.pool.states import HostState
from catalog.quotas.models import Loan, Quota, Recall
from catalog.quotas.shares import Piece, to_recall
from catalog.quotas.standings import Book, own_books
from catalog.tenancy.models import Tenant
from catalog.tenancy.policy import Actor

HOSTS_COMPARED = 200
"""How many of the hosts borrowed last are looked at."""

TO_WIPE = timedelta(minutes=30)
"""How long after the end of a recalled lease its host may take to come free before another is recalled."""


@dataclass(frozen=True)
class Need:
    """What a waiting order needs: ``wanted`` of one host with ``traits``, in ``zone`` (None: wherever such data may stand)."""

    order_id: uuid.UUID
    owner: Tenant
    wanted: Mapping[str, int]
    traits: Sequence[str] = ()
    whole_host: bool = False
    zone: Zone | None = None
    data_class: str = DataClass.INTERNAL


def recall_for(need: Need, *, now: datetime, actor: Actor) -> Recall | None:
    """Recall a host for an order that did not fit, in the caller's transaction. Asked again, it says what was recalled already.

    Orders of one owner wait here for each other: what one gets back is not there for the next.

    :returns: the recall, with when room will come; None where the owner asks for more than it is guaranteed, or where no
        host is wholly borrowed and long enough to be recalled.
    """
    open_one = Recall.objects.filter(order_id=need.order_id, ended_at__isnull=True).first()
    if open_one is not None:
        if open_one.loans.filter(ended_at__isnull=True).exists() or now < open_one.room_at + TO_WIPE:
            return open_one
        finish(need.order_id, now=now)
    due = now + timedelta(seconds=settings.RECALL_NOTICE_SECONDS)
    books = own_books(need.owner, lock(Quota.objects.filter(tenant=need.owner)))
    awaited = Recall.objects.filter(owner=need.owner, ended_at__isnull=True).values_list("zone", "wanted")
    for place, wanted in awaited:
        for name in books.keys() & wanted.keys():
            books[name].add(need.owner.pk, place, awaited=wanted[name])
    for zone in zones_for(need.owner, need.zone, need.data_class):
        accounts = {name: books.get(name, Book()).at(need.owner.pk, zone.pk) for name in need.wanted}
        room = {name: account.guaranteed - account.used - account.awaited for name, account in accounts.items()}
        if any(room[name] < amount for name, amount in need.wanted.items()):
            continue
        pieces = _pieces(need, zone, room, due=due, now=now)
        by_itself = [piece for piece, last_end in pieces if last_end <= due]
        left = by_itself or [piece for piece, _last_end in pieces]
        while chosen := to_recall(left, need.wanted):
            # Every piece would do alone, so the last borrowed is all there is.
            found = _recall(need, zone, chosen[0].key, due=due, now=now, actor=actor)
            if found is not None:
                return found
            left.remove(chosen[0])
    return None


def finish(order_id: uuid.UUID, *, now: datetime) -> None:
    """The order got its room, or needs none any more: what its owner leaves idle may be lent again."""
    Recall.objects.filter(order_id=order_id, ended_at__isnull=True).update(ended_at=now)


def call_off(order_id: uuid.UUID, *, now: datetime, actor: Actor) -> None:
    """What was recalled for an order and has not come back is not needed any more: its leases get their old ends back.

    A lease that is being given back already stays so; so does one that somebody else has recalled since. In the caller's
    transaction, which locks no host afterwards.
    """
    loans = list(lock(Loan.objects.filter(recall__order_id=order_id, ended_at__isnull=True)))
    mine = Lease.objects.filter(instance__in={loan.instance_id for loan in loans})
    for lease in lock(mine):
        if lease.state != LeaseState.ENDED and lease.recalled_by == actor.name:
            leases.cancel_recall(lease, now=now, actor=actor)
    Loan.objects.filter(pk__in=[loan.pk for loan in loans]).update(recalled_at=None, due_at=None, recall=None)


def _pieces(
    need: Need, zone: Zone, room: Mapping[str, int], *, due: datetime, now: datetime
) -> list[tuple[Piece, datetime]]:
    """Hosts of the zone that would do and on which everything was borrowed and can be recalled, with the last end of a lease."""
    standing = Allocation.objects.filter(host=OuterRef("pk"), released_at__isnull=True)
    lent = Loan.objects.filter(instance=OuterRef("instance"), ended_at__isnull=True, recall__isnull=True)
    lease = leases.recallable(now, ends_at=due).filter(instance=OuterRef("instance"))
    hosts = Host.objects.filter(
        Exists(standing), ~Exists(standing.filter(~Exists(lent))), ~Exists(standing.filter(~Exists(lease))),
        zone=zone, state=HostState.IN_USE,
    ).exclude(holder=need.owner)  # fmt: skip
    for name, amount in sorted(need.wanted.items()):
        enough = Inventory.objects.annotate(all=F("free") + F("used")).filter(resource_class=name, all__gte=amount)
        if need.whole_host:
            enough = enough.filter(all__lte=room[name])
        hosts = hosts.filter(Exists(has_traits(enough.filter(host=OuterRef("pk")), need.traits)))
    on_loan = Q(allocations__released_at__isnull=True, allocations__instance__loans__ended_at__isnull=True)
    newest = list(
        hosts.annotate(
            began=Min("allocations__instance__loans__began_at", filter=on_loan),
            last_end=Max(leases.frees_at("allocations__instance__lease__"), filter=on_loan),
        )
        .order_by("-began")
        .values_list("pk", "began", "last_end")[:HOSTS_COMPARED]
    )
    has: dict[uuid.UUID, dict[str, int]] = defaultdict(dict)
    there = Inventory.objects.filter(host__in=[pk for pk, _began, _end in newest], resource_class__in=need.wanted)
    for pk, name, amount in there.values_list("host", "resource_class", F("free") + F("used")):
        has[pk][name] = amount
    return [(Piece(pk, began, has[pk]), last_end) for pk, began, last_end in newest]


def _recall(need: Need, zone: Zone, host: uuid.UUID, *, due: datetime, now: datetime, actor: Actor) -> Recall | None:
    """End every lease on the host at ``due`` or sooner. None where somebody was faster: another owner, the borrower who gives
    it back, or an auditor who holds it.
    """
    instances = set(
        Allocation.objects.filter(host_id=host, released_at__isnull=True).values_list("instance", flat=True)
    )
    with transaction.atomic():
        loans = list(lock(Loan.objects.filter(instance__in=instances, ended_at__isnull=True, recall__isnull=True)))
        if {loan.instance_id for loan in loans} != instances:
            return None
        found = list(lock(leases.recallable(now, ends_at=due).filter(instance__in=instances)))
        if {lease.instance_id for lease in found} != instances:
            return None
        reason = _("The affiliate that this capacity is guaranteed to needs it back.")
        ends = {
            lease.instance_id: leases.recall(lease, ends_at=due, reason=reason, now=now, actor=actor).erased_at
            for lease in found
        }
        recall = Recall.objects.create(
            owner=need.owner, order_id=need.order_id, zone=zone, wanted=dict(need.wanted), asked_at=now,
            room_at=max(ends.values()),
        )  # fmt: skip
        for loan in loans:
            loan.recalled_at, loan.due_at, loan.recall = now, ends[loan.instance_id], recall
        Loan.objects.bulk_update(loans, ["recalled_at", "due_at", "recall"])
    return recall
