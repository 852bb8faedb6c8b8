"""The two things that happen to a lease: its end is moved, and its state. For the services of this app only."""

from datetime import datetime
from typing import Any

from django.db.models import Q

from catalog.audit.gate import Happening, append_events, move
from catalog.audit.services import record
from catalog.leases.models import Lease, LeaseEvent
from catalog.leases.schedule import next_notice
from catalog.leases.states import LEASE, LeaseState
from catalog.tenancy.policy import Actor

LIVE = (LeaseState.ACTIVE, LeaseState.EXPIRING, LeaseState.GRACE)
"""States of leases that have not ended."""


def held(now: datetime) -> Q:
    """Leases that a legal hold keeps at ``now``; what :meth:`Lease.is_held` says of one."""
    return Q(held_at__isnull=False) & (Q(held_until__isnull=True) | Q(held_until__gt=now))


def set_end(
    lease: Lease,
    ends_at: datetime,
    *,
    kind: str,
    actor: Actor,
    now: datetime,
    data: dict[str, Any] | None = None,
    **changes: Any,
) -> None:
    """Move the end of a lease, with its event and audit entry, in the caller's transaction, which has locked it.

    Notices begin anew for the new end; a lease that has more time than before is active again.

    :param kind: of the event; the audit entry is ``lease.<kind>``.
    :param data: what else both say.
    :param changes: other columns to set with it.
    """
    said = {"from": lease.ends_at.isoformat(), "to": ends_at.isoformat(), **(data or {})}
    later = ends_at > lease.ends_at
    values = {"ends_at": ends_at, "next_notice_at": next_notice(ends_at, after=now), **changes}
    Lease.objects.filter(pk=lease.pk).update(**values)
    for name, value in values.items():
        setattr(lease, name, value)
    append_events(lease, LeaseEvent, [Happening(kind, said)], actor=actor.name, now=now)
    record(
        actor, f"lease.{kind}", subject_type="lease", subject_id=str(lease.pk), now=now,
        tenant_id=lease.instance.tenant_id, before={"ends_at": said["from"]},
        after={"ends_at": said["to"], **(data or {})},
    )  # fmt: skip
    if later and lease.state != LeaseState.ACTIVE:
        move_lease(lease, LeaseState.ACTIVE, actor=actor, now=now)


def move_lease(lease: Lease, to: str, *, actor: Actor, now: datetime) -> None:
    """Move a lease through its table. Raises StateConflict."""
    move(
        lease, to, table=LEASE, event_model=LeaseEvent, actor=actor, now=now, tenant_id=lease.instance.tenant_id
    )  # fmt: skip
