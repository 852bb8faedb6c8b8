"""Legal holds: while one lasts, nothing is reclaimed and nothing is given back."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from catalog.audit.gate import Happening, append_events
from catalog.audit.services import record
from catalog.common.locks import lock_one
from catalog.leases.errors import HoldEndInvalid, HoldWithoutReason, LeaseEnded, NotHeld
from catalog.leases.models import Lease, LeaseEvent
from catalog.leases.states import LeaseState
from catalog.tenancy.policy import Action, Actor, require

LONGEST = timedelta(days=36_525)


def _reason(text: str) -> str:
    reason = text.strip()[:300]
    if not reason:
        raise HoldWithoutReason(fields={"reason": HoldWithoutReason.title})
    return reason


def hold(actor: Actor, lease: Lease, *, reason: str, until: datetime | None, now: datetime) -> Lease:
    """Keep a service, whatever its lease says. On one that is held already this changes reason and end.

    The reason is kept with the lease and in the record; the service's own people see that it is held, and not why.

    :param until: the hold's end; None: until it is lifted.
    :raises NotFound, Forbidden: the actor sets no holds.
    :raises HoldWithoutReason: it is blank.
    :raises HoldEndInvalid: not in the future, or more than a hundred years away.
    :raises LeaseEnded: the service is being given back already.
    """
    require(actor, Action.HOLD, lease.instance.tenant_id, lease.instance.project_id)
    why = _reason(reason)
    if until is not None and not now < until <= now + LONGEST:
        raise HoldEndInvalid(fields={"until": HoldEndInvalid.title})
    values = {"held_at": now, "held_until": until, "held_by": actor.name, "hold_reason": why}
    return _set(actor, lease, "held", values, why=why, now=now)


def lift_hold(actor: Actor, lease: Lease, *, reason: str, now: datetime) -> Lease:
    """End a hold. A lease that ended meanwhile is due at once.

    :raises NotFound, Forbidden: the actor sets no holds.
    :raises HoldWithoutReason: the reason is blank.
    :raises NotHeld: there is no hold, or it is over.
    """
    require(actor, Action.HOLD, lease.instance.tenant_id, lease.instance.project_id)
    values = {"held_at": None, "held_until": None, "held_by": "", "hold_reason": ""}
    return _set(actor, lease, "hold-lifted", values, why=_reason(reason), now=now)


def _set(actor: Actor, lease: Lease, kind: str, values: dict[str, Any], *, why: str, now: datetime) -> Lease:
    with transaction.atomic():
        locked = lock_one(Lease, lease.pk)
        if kind == "held" and locked.state == LeaseState.ENDED:
            raise LeaseEnded()
        if kind == "hold-lifted" and not locked.is_held(now):
            raise NotHeld()
        if kind == "held" and locked.is_held(now):
            values = values | {"held_at": locked.held_at}
        before = {"until": _said(locked.held_until), "reason": locked.hold_reason}
        Lease.objects.filter(pk=locked.pk).update(**values)
        happening = Happening(kind, {"until": _said(values["held_until"])})
        append_events(locked, LeaseEvent, [happening], actor=actor.name, now=now)
        record(
            actor, f"lease.{kind}", subject_type="lease", subject_id=str(locked.pk), now=now,
            tenant_id=locked.instance.tenant_id, before=before,
            after={"until": _said(values["held_until"]), "reason": why},
        )  # fmt: skip
    lease.refresh_from_db()
    return lease


def _said(when: datetime | None) -> str | None:
    return when.isoformat() if when is not None else None
