"""The two things that happen to a lease: its end is moved, and its state. For the services of this app only."""

from datetime import datetime
from typing import Any

from django.db.models import Q

from catalog.audit.gate import Happening, append_events, move
from catalog.audit.services import record
from catalog.leases.limits import grace_end
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

    Notices begin anew for the new end; a lease that has more time than before is active again. Grace is what holds now for the
    new end, and none for a lease that is recalled; but one that is in grace and gets no more time keeps what it has.

    :param kind: of the event; the audit entry is ``lease.<kind>``.
    :param data: what else both say.
    :param changes: other columns to set with it.
    """
    said = {"from": lease.ends_at.isoformat(), "to": ends_at.isoformat(), **(data or {})}
    later = ends_at > lease.ends_at
    values = {"ends_at": ends_at, **changes}
    if later or lease.state != LeaseState.GRACE:
        recalled = changes.get("recalled_at", lease.recalled_at) is not None
        grace = None if recalled else grace_end(lease.instance, ends_at)
        values |= {"grace_ends_at": grace, "next_notice_at": next_notice(ends_at, after=now)}
    if later and lease.state != LeaseState.ACTIVE:
        move_lease(lease, LeaseState.ACTIVE, actor=actor, now=now)
    Lease.objects.filter(pk=lease.pk).update(**values)
    for name, value in values.items():
        setattr(lease, name, value)
    append_events(lease, LeaseEvent, [Happening(kind, said)], actor=actor.name, now=now)
    record(
        actor, f"lease.{kind}", subject_type="lease", subject_id=str(lease.pk), now=now,
        tenant_id=lease.instance.tenant_id, before={"ends_at": said["from"]},
        after={"ends_at": said["to"], **(data or {})},
    )  # fmt: skip


def set_grace_end(lease: Lease, grace_ends_at: datetime | None, *, kind: str, actor: Actor, now: datetime) -> None:
    """Move the end of grace alone, with its event and audit entry, in the caller's transaction, which has locked the lease.

    :param grace_ends_at: None: it has none; only for a lease that is not in it.
    :param kind: of the event; the audit entry is ``lease.<kind>``.
    """
    values: dict[str, Any] = {"grace_ends_at": grace_ends_at}
    if lease.state == LeaseState.GRACE and grace_ends_at is not None:
        values["next_notice_at"] = next_notice(grace_ends_at, after=now)
    before, after = ({"grace_ends_at": _iso(when)} for when in (lease.grace_ends_at, grace_ends_at))
    Lease.objects.filter(pk=lease.pk).update(**values)
    for name, value in values.items():
        setattr(lease, name, value)
    append_events(lease, LeaseEvent, [Happening(kind, after)], actor=actor.name, now=now)
    record(
        actor, f"lease.{kind}", subject_type="lease", subject_id=str(lease.pk), now=now,
        tenant_id=lease.instance.tenant_id, before=before, after=after,
    )  # fmt: skip


def _iso(when: datetime | None) -> str | None:
    return when.isoformat() if when is not None else None


def move_lease(
    lease: Lease, to: str, *, actor: Actor, now: datetime, data: dict[str, Any] | None = None, **changes: Any
) -> None:
    """Move a lease through its table. Raises StateConflict."""
    move(
        lease, to, table=LEASE, event_model=LeaseEvent, actor=actor, now=now, tenant_id=lease.instance.tenant_id,
        data=data, **changes,
    )  # fmt: skip
