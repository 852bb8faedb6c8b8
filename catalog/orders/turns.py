"""Whose turn it is: one run at a time touches a service, and giving it back outranks everything else.

An order that has to wait for the run at work stays approved until that has ended; at most one waits. Whatever ends a run lets
the next go on, and the reconciler does where a crash came between.
"""

import contextlib
import uuid
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from catalog.audit.gate import Happening, append_events
from catalog.common.locks import lock, lock_one
from catalog.dispatch import services as dispatch
from catalog.instances import services as instances
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.offerings.operations import ENDS_OF, Operation, find_operation
from catalog.orders import claims
from catalog.orders.errors import OrderUnderWay
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import OrderKind, OrderState
from catalog.orders.transitions import move_order
from catalog.tenancy.policy import Actor

WAITING = (OrderState.APPROVED, OrderState.WAITING_CAPACITY)
AT_WORK = (OrderState.DISPATCHED, OrderState.RUNNING, OrderState.CANCELLING)
_GOING = (InstanceState.DECOMMISSIONING, InstanceState.DECOMMISSIONED)
_SETTLED = timedelta(seconds=5)


def hold(instance_id: uuid.UUID) -> tuple[ServiceInstance, list[Order]]:
    """An instance and its orders that are under way, locked, orders first. Until the transaction ends no other can be placed.

    :raises OrderUnderWay: one was placed in this very moment.
    """
    under_way = Order.objects.filter(instance=instance_id, state__in=(*WAITING, *AT_WORK))
    orders = list(lock(under_way))
    instance = lock_one(ServiceInstance, instance_id)
    # Placed between the two locks. To wait for it now would be against the order of locks.
    late = under_way.exclude(pk__in=[order.pk for order in orders])
    orders += lock(late, skip_locked=True)
    if late.exclude(pk__in=[order.pk for order in orders]).exists():
        raise OrderUnderWay()
    return instance, orders


def waiting_give_backs(instance_id: uuid.UUID) -> "QuerySet[Order]":
    """The orders that will give this instance back once somebody agrees or a freeze ends."""
    waits = (OrderState.SUBMITTED, OrderState.PENDING_APPROVAL, OrderState.APPROVED)
    return Order.objects.filter(instance=instance_id, kind=OrderKind.DECOMMISSION, state__in=waits)


def operation_of(order: Order) -> Operation:
    """The operation that an order of the kind operate runs, by the manifest the service was built from."""
    operation = find_operation(order.version.manifest, order.operation)
    assert operation is not None  # looked up when it was placed, and a loaded manifest never changes
    return operation


def begin_or_wait(order: Order, *, actor: Actor, now: datetime) -> None:
    """Open the first attempt of an approved order, or let it wait for the one at work. The caller holds the instance."""
    ahead = Order.objects.filter(instance=order.instance_id, state__in=AT_WORK).exclude(pk=order.pk).first()
    if ahead is None:
        claims.dispatch_attempt(order, actor=actor, now=now, tries=1)
        return
    said = {"order": str(ahead.pk), "kind": ahead.kind, "operation": ahead.operation}
    append_events(order, OrderEvent, [Happening("behind", said)], actor=actor.name, now=now)


def call_off(
    order: Order, *, actor: Actor, now: datetime, why: str = "", instance: ServiceInstance | None = None
) -> None:
    """End an operation that nobody wants any more; one that is at work is told to stop, and ends when its run says so.

    In the caller's transaction, which has locked the order, and who lets the next one go on.

    :param why: code of the reason, for the record; empty: a person cancels it.
    :param instance: the instance, where the caller has locked it already.
    """
    data = {"why": why} if why else None
    if order.state not in AT_WORK:
        move_order(order, OrderState.CANCELLED, actor=actor, now=now, data=data)
        return
    if order.state != OrderState.CANCELLING:
        move_order(order, OrderState.CANCELLING, actor=actor, now=now, data=data)
    if dispatch.withdraw("order", order.pk, now=now) or not dispatch.request_cancel("order", order.pk, now=now):
        assert order.instance_id is not None  # every operation has its instance
        settle(order, instance or lock_one(ServiceInstance, order.instance_id), actor=actor, now=now)


def settle(order: Order, instance: ServiceInstance, *, actor: Actor, now: datetime) -> None:
    """End an operation that did not go to its end, in the caller's transaction, with both rows locked.

    A service that is updating was touched, and nobody knows how far that came: it is tainted. Any other stays what it is.
    """
    cancelled = order.state == OrderState.CANCELLING
    if instance.state == InstanceState.UPDATING:
        about = {"operation": order.operation, "detail": order.failure_detail}
        if cancelled:
            reason = _("The operation %(operation)s was cancelled while it was under way.") % about
        else:
            reason = _("The operation %(operation)s did not end well: %(detail)s") % about
        instances.move_instance(instance, InstanceState.TAINTED, actor=actor, now=now, state_reason=reason[:500])
    data = {"code": order.failure_code} if order.failure_code else None
    move_order(order, OrderState.CANCELLED if cancelled else OrderState.FAILED, actor=actor, now=now, data=data)


def go_on(instance: ServiceInstance, *, actor: Actor, now: datetime) -> bool:
    """Let the order that waits for its turn begin, if none is at work; False: there is none.

    In the caller's transaction, which has locked the instance. A stop of what has stopped, or a start of what runs, is cancelled.
    """
    if Order.objects.filter(instance=instance, state__in=AT_WORK).exists():
        return False
    # Whoever has locked it is about to decide on it; if they leave it, the reconciler comes back to it.
    rows = Order.objects.filter(instance=instance, state=OrderState.APPROVED, not_before__isnull=True)
    waiting = lock(rows, skip_locked=True).first()
    if waiting is None:
        return False
    if waiting.kind == OrderKind.OPERATE and (
        instance.state in _GOING or instance.state == ENDS_OF.get(waiting.operation)
    ):
        move_order(waiting, OrderState.CANCELLED, actor=actor, now=now, data={"why": "nothing-to-do"})
        return False
    claims.dispatch_attempt(waiting, actor=actor, now=now, tries=1)
    return True


def go_on_with_the_waiting(now: datetime, *, actor: Actor) -> int:
    """Begin what waits although nothing is at work any more: the process died in between. Returns how many."""
    waiting = Order.objects.filter(
        state=OrderState.APPROVED, state_since__lt=now - _SETTLED, instance__isnull=False, not_before__isnull=True
    )
    begun = 0
    for instance_id in list(waiting.values_list("instance_id", flat=True)[:500]):
        with contextlib.suppress(OrderUnderWay), transaction.atomic():
            instance, _orders = hold(instance_id)
            begun += go_on(instance, actor=actor, now=now)
    return begun
