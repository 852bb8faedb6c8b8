"""What waits for the end of a change freeze: orders, which go on by themselves or before by decision, and ends of leases."""

import uuid
from datetime import datetime

import structlog
from django.db import transaction

from catalog.approvals import freezes
from catalog.approvals.calendar import Freeze
from catalog.approvals.errors import NotFrozen, OverrideWithoutReason
from catalog.approvals.rules import Deed
from catalog.audit.gate import Happening, append_events
from catalog.audit.services import record
from catalog.common.errors import DomainError
from catalog.common.locks import lock_one
from catalog.leases.models import Lease
from catalog.leases.states import LeaseState
from catalog.orders import advance, turns
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import OrderKind, OrderState
from catalog.tenancy.policy import Action, Actor, require, system

log = structlog.get_logger(__name__)

CALENDAR = system("calendar")


def keeping(lease: Lease, *, now: datetime) -> Freeze | None:
    """The freeze that delays what the end of a lease, or of its grace, brings; None: none does, or nothing is ahead."""
    if lease.state == LeaseState.ENDED or lease.is_held(now):
        return None
    tenant = lease.instance.tenant.slug
    return freezes.calendar().freeze(Deed.RECLAIM, tenant, now=max(now, lease.turns_at))


def release(now: datetime, *, limit: int = 500) -> int:
    """Let every kept order go on that no freeze keeps any more, the oldest first; returns how many.

    The calendar is asked anew each time: a freeze that was shortened, lengthened or taken away counts at once.
    """
    kept = Order.objects.filter(state=OrderState.APPROVED, not_before__isnull=False)
    rows = list(
        kept.order_by("not_before", "created_at").values_list(
            "pk", "kind", "requested_by_id", "tenant__slug", "not_before"
        )
    )
    if not rows:
        return 0
    calendar, news = freezes.calendar(), []
    for pk, kind, requested_by, tenant, not_before in rows:
        freeze = calendar.freeze(advance.deed_of(kind, requested_by), tenant, now=now)
        if freeze is None or freeze.until != not_before:
            news.append(pk)
    gone = 0
    for pk in news[:limit]:
        try:
            gone += _go_on(pk, now)
        except DomainError as error:
            log.warning("kept_order_refused", order=str(pk), code=error.code)
    return gone


def _go_on(pk: uuid.UUID, now: datetime) -> bool:
    with transaction.atomic():
        order = _locked(pk)
        if order.state != OrderState.APPROVED or order.not_before is None:
            return False
        advance.go(order, actor=CALENDAR, now=now)
        return order.state != OrderState.APPROVED


def _locked(pk: uuid.UUID) -> Order:
    """The order, locked together with everything that is under way for its service. Raises OrderUnderWay."""
    kind, instance_id = Order.objects.values_list("kind", "instance_id").get(pk=pk)
    if kind != OrderKind.CREATE and instance_id is not None:
        turns.hold(instance_id)
    return lock_one(Order, pk)


def override(actor: Actor, order: Order, *, reason: str, now: datetime) -> Order:
    """Let an order go on during a freeze; for administrators of the group, in an emergency. Who and why is recorded.

    :raises NotFound, Forbidden: the actor may not.
    :raises OverrideWithoutReason: the reason is blank.
    :raises NotFrozen: it does not wait for a freeze.
    :raises LegalHold, AlreadyGivingBack: it cannot be given back any more, or not now.
    """
    require(actor, Action.OVERRIDE_FREEZE, order.tenant_id, order.project_id)
    why = reason.strip()[:300]
    if not why:
        raise OverrideWithoutReason(fields={"reason": OverrideWithoutReason.title})
    with transaction.atomic():
        held = _locked(order.pk)
        if held.state != OrderState.APPROVED or held.not_before is None:
            raise NotFrozen()
        before = {"until": held.not_before.isoformat(), "why": held.explanation.get("freeze", {}).get("why", "")}
        append_events(held, OrderEvent, [Happening("override", {"reason": why})], actor=actor.name, now=now)
        record(
            actor, "order.freeze-overridden", subject_type="order", subject_id=str(held.pk), now=now,
            tenant_id=held.tenant_id, before=before, after={"reason": why},
        )  # fmt: skip
        advance.begin(held, actor=actor, now=now)
        return held
