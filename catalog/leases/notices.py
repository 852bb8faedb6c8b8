"""Giving the notices that are due: each once for each end a lease has, and after a silence only the most urgent one.

A lease in grace has its own end, of which notice is given in the same way.
"""

from datetime import datetime

from django.db import transaction

from catalog.audit.gate import Happening, append_events
from catalog.common.locks import lock_one
from catalog.leases.ends import LIVE, held, move_lease
from catalog.leases.letters import ENDING, ENDING_WITH_GRACE, GRACE_ENDING, Letter, tell
from catalog.leases.models import Lease, LeaseEvent
from catalog.leases.schedule import lead_due, next_notice
from catalog.leases.states import LeaseState
from catalog.tenancy.policy import Actor


def give_notices(now: datetime, *, actor: Actor, limit: int = 1000) -> int:
    """Give every notice that is due; returns how many. Safe at any time, twice, and at once.

    A lease that gets its first notice is expiring from then on. One that is held is not taken back, so nothing is announced; what
    was missed when the hold ends is given then.
    """
    due = (
        Lease.objects.filter(next_notice_at__lte=now, state__in=LIVE)
        .exclude(held(now))
        .order_by("next_notice_at", "pk")
    )
    given = 0
    for pk in list(due.values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            given += _give(lock_one(Lease, pk), actor=actor, now=now)
    return given


def _give(lease: Lease, *, actor: Actor, now: datetime) -> bool:
    undue = lease.next_notice_at is None or lease.next_notice_at > now
    if undue or lease.state not in LIVE or lease.is_held(now):
        return False
    days = lead_due(lease.turns_at, now)
    lease.next_notice_at = next_notice(lease.turns_at, after=now)
    Lease.objects.filter(pk=lease.pk).update(next_notice_at=lease.next_notice_at)
    if days is None:
        return False
    if lease.state == LeaseState.ACTIVE:
        move_lease(lease, LeaseState.EXPIRING, actor=actor, now=now)
    told = tell(lease, _letter(lease), now=now)
    said = {"days": days, "ends_at": lease.turns_at.isoformat(), "told": told}
    append_events(lease, LeaseEvent, [Happening("notice", said)], actor=actor.name, now=now)
    return True


def _letter(lease: Lease) -> Letter:
    if lease.state == LeaseState.GRACE:
        return GRACE_ENDING
    return ENDING if lease.grace_ends_at is None else ENDING_WITH_GRACE
