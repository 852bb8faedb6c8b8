"""What is done to a service that stands: by its people, and by its lease. Also extending that lease, which may start it again."""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from catalog.common.errors import NotFound
from catalog.common.locks import lock_one
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.leases import services as leases
from catalog.leases.models import Lease
from catalog.leases.states import LeaseState
from catalog.offerings.operations import START, STOP, Operation, find_operation, operations_of
from catalog.offerings.schemas import Schema, only_given, with_defaults
from catalog.offerings.services import changeable
from catalog.orders import advance, turns
from catalog.orders.content import digest, same_request, shown_to_approver
from catalog.orders.errors import InGrace, NothingToChange, OperationNotPossible, OperationUnknown, OrderUnderWay
from catalog.orders.models import Order
from catalog.orders.states import OrderKind, OrderState
from catalog.orders.transitions import move_order
from catalog.placement.services import locate
from catalog.tenancy.policy import Action, Actor, require

STANDING = frozenset({InstanceState.ACTIVE, InstanceState.STOPPED, InstanceState.TAINTED})
"""States of instances in which an operation may begin."""

_STOP_AGAIN_AFTER = timedelta(minutes=2)
_LONGEST_PAUSE = timedelta(hours=1)


def possible(instance: ServiceInstance, lease: Lease | None) -> list[Operation]:
    """The operations that may be ordered for an instance as it is now, in the order of its manifest.

    :param instance: with its version.
    :param lease: its lease, if it has begun.
    """
    if instance.state not in STANDING:
        return []
    in_grace = lease is not None and lease.state == LeaseState.GRACE
    return [
        each
        for each in operations_of(instance.version.manifest, instance.plan.slug)
        if (instance.state == InstanceState.TAINTED or instance.state in each.begins)
        and not (in_grace and each.ends == InstanceState.ACTIVE)
    ]


def operate(
    actor: Actor,
    instance: ServiceInstance,
    *,
    operation: str,
    parameters: Any = None,
    reason: str = "",
    idempotency_key: str | None = None,
    now: datetime,
) -> Order:
    """Order an operation of a service: it begins at once, unless somebody must agree or a freeze keeps it.

    :param operation: its name in the manifest the service was built from.
    :param parameters: what the operation asks for; None where it asks for nothing.
    :raises NotFound, Forbidden: the actor may not order for this affiliate.
    :raises OperationUnknown: the service has no such operation.
    :raises OrderUnderWay: another order for this service is under way.
    :raises InGrace: its lease has ended; it runs again when that is extended.
    :raises OperationNotPossible: not in its present state.
    :raises NothingToChange: it changes settings, and they are so already.
    :raises ParameterForbidden, ParametersInvalid, IdempotencyKeyReused: as for a new service. Nothing has changed.
    """
    require(actor, Action.ORDER, instance.tenant_id, instance.project_id)
    given = {} if parameters is None else parameters
    request_hash = digest({"operate": [str(instance.pk), operation], "parameters": given})
    if earlier := same_request(actor, idempotency_key, request_hash):
        return earlier
    with transaction.atomic():
        held, ahead = turns.hold(instance.pk)
        # The same request may have come twice at once: the other one was first.
        if earlier := same_request(actor, idempotency_key, request_hash):
            return earlier
        found = _judged(held, operation, ahead)
        values = _chosen(held, found, given)
        return _placed(
            actor, held, found, now=now, parameters=values, reason=reason, request_hash=request_hash,
            idempotency_key=idempotency_key,
        )  # fmt: skip


def asked_for(instance: ServiceInstance, operation: Operation) -> Schema:
    """The JSON Schema of what an operation asks for, of this service as it is now."""
    if operation.sets:
        return changeable(instance.version, instance.plan, instance.parameters)
    return operation.parameters


def _chosen(instance: ServiceInstance, operation: Operation, given: Any) -> dict[str, Any]:
    schema = asked_for(instance, operation)
    if not operation.sets:
        return with_defaults(schema, given)
    values = only_given(schema, given)
    changed = {name: value for name, value in values.items() if value != instance.parameters.get(name)}
    if not changed:
        raise NothingToChange(fields=dict.fromkeys(values, NothingToChange.title))
    return changed


def again(order: Order, *, actor: Actor, now: datetime) -> None:
    """Try an operation again that failed, in the caller's transaction, which has locked the order.

    :raises OrderUnderWay, InGrace, OperationNotPossible: as :func:`operate`.
    """
    assert order.instance_id is not None  # every operation has its instance
    held, ahead = turns.hold(order.instance_id)
    _judged(held, order.operation, ahead)
    move_order(
        order, OrderState.SUBMITTED, actor=actor, now=now, ended_at=None, failure_code="", failure_detail=""
    )  # fmt: skip
    advance.submitted(order, actor=actor, now=now)


def _judged(instance: ServiceInstance, name: str, ahead: list[Order]) -> Operation:
    found = find_operation(instance.version.manifest, name, instance.plan.slug)
    if found is None:
        raise OperationUnknown(fields={"operation": OperationUnknown.title})
    if ahead:
        raise OrderUnderWay()
    lease = Lease.objects.filter(instance=instance).first()
    if found not in possible(instance, lease):
        in_grace = lease is not None and lease.state == LeaseState.GRACE and instance.state in STANDING
        raise (
            InGrace() if in_grace and found.ends == InstanceState.ACTIVE else OperationNotPossible(state=instance.state)
        )
    return found


def _placed(
    actor: Actor, instance: ServiceInstance, operation: Operation, *, asks: bool = True, now: datetime, **more: Any
) -> Order:
    """Place an order for an instance that the caller holds; it begins, or waits: for its turn, an approval, a freeze's end.

    :param asks: whether rules of approval apply; not where it only follows from something that was decided already.
    """
    order = Order(
        kind=OrderKind.OPERATE,
        operation=operation.name,
        tenant=instance.tenant,
        project=instance.project,
        requested_by_id=actor.user_id,
        instance=instance,
        plan=instance.plan,
        version=instance.version,
        zone=locate(instance).zone,
        slug=instance.plan.offering.slug,
        manifest_version=instance.version.version,
        git_revision=instance.version.git_revision,
        name=instance.name,
        data_class=instance.data_class,
        allow_from=instance.allow_from,
        created_at=now,
        state_since=now,
        **more,
    )
    order.content_hash = shown_to_approver(order)
    order.save(force_insert=True)
    said = {"operation": operation.name, "reason": order.reason}
    move_order(order, OrderState.SUBMITTED, actor=actor, now=now, data=said)
    if asks:
        advance.submitted(order, actor=actor, now=now)
    else:
        advance.approved(order, actor=actor, now=now, data={"rule": "operation"})
    return order


def stop_for_grace(instance: ServiceInstance, ahead: list[Order], *, actor: Actor, now: datetime) -> Order | None:
    """Stop a service whose lease has entered grace; None: it is stopped, or being stopped. What waits is called off.

    :param ahead: its orders under way, as :func:`catalog.orders.turns.hold` found them, in the caller's transaction.
    """
    return _bring_to(STOP, instance, ahead, reason=_("The lease ended."), actor=actor, now=now)


def _start_after_grace(instance: ServiceInstance, ahead: list[Order], *, actor: Actor, now: datetime) -> Order | None:
    for order in ahead:
        # No run is at it in this moment: it need not be stopped first to be started then.
        if order.state == OrderState.DISPATCHED:
            turns.call_off(order, actor=actor, now=now, why="lease-extended", instance=instance)
    left = [order for order in ahead if order.state in {*turns.WAITING, *turns.AT_WORK}]
    return _bring_to(START, instance, left, reason=_("The lease was extended."), actor=actor, now=now)


def _bring_to(
    name: str, instance: ServiceInstance, ahead: list[Order], *, reason: str, actor: Actor, now: datetime
) -> Order | None:
    operation = find_operation(instance.version.manifest, name)
    assert operation is not None  # without it there is no grace
    at_work = [order for order in ahead if order.state in turns.AT_WORK]
    if any(order.kind == OrderKind.DECOMMISSION and order.state in turns.WAITING for order in ahead):
        # Its people have ordered the give-back already, which waits for the end of a freeze.
        return None
    for order in ahead:
        if order.state in turns.WAITING:
            turns.call_off(order, actor=actor, now=now, why="outranked", instance=instance)
    if any(order.operation == name and order.state != OrderState.CANCELLING for order in at_work):
        return None
    if instance.state == operation.ends and not at_work:
        return None
    return _placed(actor, instance, operation, asks=False, now=now, reason=reason)


def stop_again(lease: Lease, instance: ServiceInstance, ahead: list[Order], *, actor: Actor, now: datetime) -> bool:
    """Stop a service that runs although its lease is in grace: the last try failed. Ever more rarely; all rows are locked."""
    runs = instance.state in {InstanceState.ACTIVE, InstanceState.TAINTED}
    if lease.state != LeaseState.GRACE or lease.is_held(now) or ahead or not runs:
        return False
    stops = Order.objects.filter(instance=instance, operation=STOP, created_at__gte=lease.state_since)
    ends = list(stops.order_by("-created_at").values_list("ended_at", flat=True)[:8])
    pause = min(_STOP_AGAIN_AFTER * 2 ** max(len(ends) - 1, 0), _LONGEST_PAUSE)
    if ends and ends[0] is not None and ends[0] > now - pause:
        return False
    return stop_for_grace(instance, ahead, actor=actor, now=now) is not None


def extend_lease(actor: Actor, instance: ServiceInstance, *, seconds: int, now: datetime) -> Lease:
    """Let a service stay ``seconds`` longer; one that was stopped because its lease had ended is started again.

    :raises: what :func:`catalog.leases.services.extend` does; NotFound where there is no lease yet; OrderUnderWay where an
        order for the service was placed in this very moment.
    """
    require(actor, Action.ORDER, instance.tenant_id, instance.project_id)
    lease = Lease.objects.filter(instance=instance).first()
    if lease is None:
        raise NotFound(_("The service has no lease yet; it starts when the service is ready."))
    with transaction.atomic():
        held, ahead = turns.hold(instance.pk)
        in_grace = lock_one(Lease, lease.pk).state == LeaseState.GRACE
        extended = leases.extend(actor, lease, seconds=seconds, now=now)
        if in_grace:
            _start_after_grace(held, ahead, actor=actor, now=now)
    return extended
