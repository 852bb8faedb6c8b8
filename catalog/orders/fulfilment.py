"""What the order flows report. Every write carries its attempt; that of an earlier attempt is refused with Superseded."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from catalog.audit.gate import Happening, append_events
from catalog.common.errors import StateConflict
from catalog.common.locks import lock_all, lock_one
from catalog.dispatch import services as dispatch
from catalog.dispatch.errors import Superseded
from catalog.dispatch.services import Beat
from catalog.instances import services as instances
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.ipam import services as ipam
from catalog.leases import services as leases
from catalog.orders import claims, findings, turns
from catalog.orders.assignments import Assignment, assignment_of
from catalog.orders.errors import CancelRequested
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import ORDER, OrderKind, OrderState
from catalog.orders.transitions import FLOW, move_order
from catalog.placement.selectors import locate_rows
from catalog.pool import services as pool
from catalog.pool.models import Host
from catalog.pool.states import HostState

_AT_WORK = frozenset({OrderState.DISPATCHED, OrderState.RUNNING, OrderState.CANCELLING})
FIRST_BACKOFF = timedelta(seconds=5)
LONGEST_BACKOFF = timedelta(minutes=10)

_SAYS_NOTHING_OF_HOST = frozenset({"cancelled", "run-lost"})
"""Codes of ends that are not the host's doing."""


def _locked(order_id: uuid.UUID, attempt: int) -> tuple[Order, ServiceInstance]:
    """The order and its instance, locked, if ``attempt`` is the newest and the order is at work. Raises Superseded."""
    try:
        order = lock_one(Order, order_id)
    except Order.DoesNotExist as error:
        raise Superseded(order=str(order_id), attempt=attempt) from error
    if order.attempt != attempt or order.state not in _AT_WORK or order.instance_id is None:
        raise Superseded(order=str(order_id), attempt=attempt, state=order.state)
    return order, lock_one(ServiceInstance, order.instance_id)


def _hosts_of(instance: ServiceInstance) -> list[uuid.UUID]:
    return list(locate_rows(instance.pk).values_list("pk", flat=True))


def begin(order_id: uuid.UUID, attempt: int, flow_run_id: uuid.UUID | None, now: datetime) -> Assignment:
    """A run takes up its attempt: order running, host dirty from here on. Each attempt is begun once. Raises Superseded."""
    with transaction.atomic():
        order, instance = _locked(order_id, attempt)
        dispatch.claim("order", order_id, attempt, flow_run_id, now)
        if order.state == OrderState.DISPATCHED:
            move_order(order, OrderState.RUNNING, actor=FLOW, now=now, data={"attempt": attempt})
        if order.state == OrderState.CANCELLING and not order.undoing:
            Order.objects.filter(pk=order.pk).update(undoing=True)
            order.undoing = True
        if instance.state == InstanceState.PENDING:
            instances.move_instance(instance, InstanceState.PROVISIONING, actor=FLOW, now=now)
        if (
            order.kind == OrderKind.OPERATE
            and instance.state != InstanceState.UPDATING
            and not turns.operation_of(order).looks
        ):
            said = {"operation": order.operation}
            instances.move_instance(instance, InstanceState.UPDATING, actor=FLOW, now=now, data=said)
        for host in lock_all(Host, _hosts_of(instance)):
            if host.state == HostState.RESERVED:
                pool.move_host(host, HostState.IN_USE, actor=FLOW, now=now, proven_clean=False)
        order.instance = instance
        return assignment_of(order, order.deadline or now + ORDER.deadlines[OrderState.RUNNING])


def beat(order_id: uuid.UUID, attempt: int, now: datetime) -> Beat:
    """Renew the heartbeat; says whether the order is to be cancelled. Raises Superseded."""
    return dispatch.beat("order", order_id, attempt, now)


def record(order_id: uuid.UUID, attempt: int, entries: Sequence[Happening], now: datetime) -> None:
    """Append what the run saw, redacted already. Raises Superseded."""
    try:
        append_events(Order(pk=order_id), OrderEvent, entries, actor=FLOW.name, now=now, guard=Q(attempt=attempt))
    except StateConflict as error:
        raise Superseded(order=str(order_id), attempt=attempt) from error


def enter_undo(order_id: uuid.UUID, attempt: int, *, code: str, detail: str, now: datetime) -> None:
    """Building failed or is to be cancelled: what follows in this attempt takes down. Raises Superseded."""
    with transaction.atomic():
        order, instance = _locked(order_id, attempt)
        if code not in _SAYS_NOTHING_OF_HOST:
            pool.build_ended(_hosts_of(instance), ok=False, now=now)
        Order.objects.filter(pk=order.pk).update(undoing=True, tries=1, failure_code=code, failure_detail=detail[:1000])
        append_events(
            order,
            OrderEvent,
            [Happening("problem", {"code": code, "detail": detail[:1000]}), Happening("phase", {"phase": "undo"})],
            actor=FLOW.name,
            now=now,
        )


def succeed_create(order_id: uuid.UUID, attempt: int, *, outputs: dict[str, Any], now: datetime) -> None:
    """Built and verified: the instance is active, its lease starts, the order is fulfilled.

    :raises CancelRequested: somebody cancelled meanwhile; the run must undo instead.
    :raises Superseded: another attempt has taken over.
    """
    with transaction.atomic():
        order, instance = _locked(order_id, attempt)
        if order.state == OrderState.CANCELLING:
            raise CancelRequested()
        pool.build_ended(_hosts_of(instance), ok=True, now=now)
        instances.move_instance(
            instance, InstanceState.ACTIVE, actor=FLOW, now=now, outputs=outputs, active_at=now, state_reason=""
        )
        leases.start(instance, seconds=order.lease_seconds, now=now, actor=FLOW)
        move_order(order, OrderState.FULFILLED, actor=FLOW, now=now, failure_code="", failure_detail="")
        dispatch.finish("order", order_id, attempt, ok=True, outcome="fulfilled", now=now)


def succeed_operate(order_id: uuid.UUID, attempt: int, *, outputs: dict[str, Any], now: datetime) -> None:
    """Done and verified: the instance is in the operation's end state, the order fulfilled, and the next one's turn has come.

    ``outputs["front"]``, where the run hands it back, names the member that clients are led to from now on. A wish to cancel that
    came too late changes only how the order ends. Raises Superseded; MemberUnknown, of a front that does not exist.
    """
    with transaction.atomic():
        order, instance = _locked(order_id, attempt)
        dispatch.finish("order", order_id, attempt, ok=True, outcome="fulfilled", now=now)
        if instance.state == InstanceState.UPDATING:
            operation = turns.operation_of(order)
            said = _led(instance, outputs)
            changes: dict[str, Any] = {"outputs": {**instance.outputs, **outputs}, "state_reason": ""}
            if operation.sets:
                changes["parameters"] = {**instance.parameters, **order.parameters}
            instances.move_instance(instance, operation.ends, actor=FLOW, now=now, data=said, **changes)
        elif turns.operation_of(order).looks:
            findings.keep(order, outputs, now=now)
        end = OrderState.CANCELLED if order.state == OrderState.CANCELLING else OrderState.FULFILLED
        move_order(order, end, actor=FLOW, now=now, failure_code="", failure_detail="")
        turns.go_on(instance, actor=FLOW, now=now)


def _led(instance: ServiceInstance, outputs: dict[str, Any]) -> dict[str, Any] | None:
    """Where a run says which member answers for the service from now on, lead clients there. Raises MemberUnknown."""
    front = outputs.pop("front", None)
    if front is None:
        return None
    endpoint = ipam.lead_to(instance, str(front))
    instances.lead_bindings_to(instance, address=str(endpoint.address.address), port=endpoint.port)
    return {"front": front}


def put_back(order_id: uuid.UUID, attempt: int, *, code: str, detail: str, now: datetime) -> None:
    """The operation did not go well, and the service was brought back to what it was before, and tried. Raises Superseded.

    The instance is in the operation's end state again, with the settings it had; the order has failed, or is cancelled as was
    wished; the next one's turn has come.
    """
    with transaction.atomic():
        order, instance = _locked(order_id, attempt)
        dispatch.finish("order", order_id, attempt, ok=False, outcome="put-back", now=now)
        if instance.state == InstanceState.UPDATING:
            ends = turns.operation_of(order).ends
            instances.move_instance(instance, ends, actor=FLOW, now=now, state_reason="")
        end = OrderState.CANCELLED if order.state == OrderState.CANCELLING else OrderState.FAILED
        move_order(
            order, end, actor=FLOW, now=now, failure_code=code, failure_detail=detail[:1000],
            data={"code": code, "detail": detail[:1000], "why": "put-back"},
        )  # fmt: skip
        turns.go_on(instance, actor=FLOW, now=now)


def undone(order_id: uuid.UUID, attempt: int, *, residue: dict[str, Any], now: datetime) -> None:
    """Taken down and proven clean: the claim is given back; the order ends as cancelled or failed. Raises Superseded."""
    with transaction.atomic():
        order, instance = _locked(order_id, attempt)
        dispatch.finish("order", order_id, attempt, ok=True, outcome="undone", now=now)
        settle_undone(order, instance, evidence={"residue": residue}, now=now)


def settle_undone(order: Order, instance: ServiceInstance, *, evidence: dict[str, Any], now: datetime) -> None:
    """End a create order of which nothing is left, in the caller's transaction, with both rows locked."""
    cancelled = order.state == OrderState.CANCELLING or order.failure_code == "cancelled"
    claims.give_up_claim(instance, actor=FLOW, now=now)
    if instance.state in {InstanceState.PENDING, InstanceState.PROVISIONING}:
        instances.move_instance(
            instance, InstanceState.FAILED, actor=FLOW, now=now, state_reason=order.failure_detail[:500]
        )
    end = OrderState.CANCELLED if cancelled else OrderState.FAILED
    move_order(order, end, actor=FLOW, now=now, data={"code": order.failure_code, **evidence})


def succeed_decommission(order_id: uuid.UUID, attempt: int, *, residue: dict[str, Any], now: datetime) -> None:
    """Given back and proven clean: the claim is released, and a host nobody is left on is wiped. Raises Superseded."""
    with transaction.atomic():
        order, instance = _locked(order_id, attempt)
        dispatch.finish("order", order_id, attempt, ok=True, outcome="fulfilled", now=now)
        settle_decommission(order, instance, evidence={"residue": residue}, now=now)


def settle_decommission(order: Order, instance: ServiceInstance, *, evidence: dict[str, Any], now: datetime) -> None:
    """End a give-back of which nothing is left, in the caller's transaction, with both rows locked."""
    claims.give_up_claim(instance, actor=FLOW, now=now)
    instances.move_instance(
        instance, InstanceState.DECOMMISSIONED, actor=FLOW, now=now, data=evidence, decommissioned_at=now
    )
    move_order(order, OrderState.FULFILLED, actor=FLOW, now=now, failure_code="", failure_detail="")


def attempt_failed(order_id: uuid.UUID, attempt: int, *, code: str, detail: str, now: datetime) -> None:
    """This attempt ended with something still standing: another follows, or the order is failed_dirty. Raises Superseded."""
    with transaction.atomic():
        order, instance = _locked(order_id, attempt)
        building = order.kind == OrderKind.CREATE and order.state == OrderState.RUNNING and not order.undoing
        if building and code not in _SAYS_NOTHING_OF_HOST:
            pool.build_ended(_hosts_of(instance), ok=False, now=now)
        dispatch.finish("order", order_id, attempt, ok=False, outcome=code, now=now)
        next_attempt(order, code=code, detail=detail, now=now)


def next_attempt(order: Order, *, code: str, detail: str, now: datetime) -> None:
    """Go on after a failed or lost attempt, in the caller's transaction, with the order locked.

    Building is tried ``ORDER_ATTEMPTS`` times, then it is undone; undoing and giving back as often, with a growing pause, and
    then the order is ``failed_dirty``: it still holds its claim, it shows, and the sweep or a person ends it. An operation is
    tried as often as building; then it has failed, and the service is tainted.
    """
    append_events(
        order,
        OrderEvent,
        [Happening("problem", {"code": code, "detail": detail[:1000]})],
        actor=FLOW.name,
        now=now,
    )
    cause = "cancelled" if order.state == OrderState.CANCELLING else order.failure_code or code
    failure = {"failure_code": cause, "failure_detail": order.failure_detail or detail[:1000]}
    Order.objects.filter(pk=order.pk).update(**failure)
    order.failure_code, order.failure_detail = failure["failure_code"], failure["failure_detail"]
    pause = min(FIRST_BACKOFF * 2 ** max(order.tries - 1, 0), LONGEST_BACKOFF)
    undo = order.kind == OrderKind.CREATE and (order.undoing or order.state == OrderState.CANCELLING)
    if order.kind == OrderKind.OPERATE and (
        order.state == OrderState.CANCELLING or order.tries >= settings.ORDER_ATTEMPTS
    ):
        instance = lock_one(ServiceInstance, order.instance_id)
        turns.settle(order, instance, actor=FLOW, now=now)
        turns.go_on(instance, actor=FLOW, now=now)
    elif order.tries < settings.ORDER_ATTEMPTS:
        # A lost run said nothing against the host: go on at once. A failed one gets time to be mended.
        later = None if code == "run-lost" else now + pause
        claims.dispatch_attempt(order, actor=FLOW, now=now, tries=order.tries + 1, not_before=later, undoing=undo)
    elif order.kind == OrderKind.CREATE and not undo:
        claims.dispatch_attempt(order, actor=FLOW, now=now, tries=1, undoing=True)
    else:
        move_order(order, OrderState.FAILED_DIRTY, actor=FLOW, now=now, data={"code": code, "detail": detail[:1000]})


def describe_lost_run() -> str:
    """What an order's reader is told when a run died without a word."""
    return _("The run ended without reporting. Another attempt goes on where it stopped.")
