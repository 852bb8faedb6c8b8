"""What people ask for. Every face calls these; the rules are here."""

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from catalog.common.errors import Forbidden, NotFound
from catalog.common.locks import lock_one
from catalog.dispatch import services as dispatch
from catalog.instances import services as instances
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.leases import services as leases
from catalog.leases.limits import order_seconds
from catalog.offerings import services as offerings
from catalog.orders import claims, operations, turns, waiting
from catalog.orders.errors import (
    AlreadyCancelling,
    AlreadyGivingBack,
    ApprovalStale,
    GiveBackNotCancellable,
    NotRetryable,
    NotWaitingForApproval,
    OrderEnded,
    OrderUnderWay,
    OwnApproval,
    ProjectEnded,
    ProjectUnknown,
    ZoneUnknown,
)
from catalog.orders.models import Approval, Order
from catalog.orders.requests import digest, same_request, shown_to_approver
from catalog.orders.rules import needs_approval
from catalog.orders.states import OrderKind, OrderState
from catalog.orders.transitions import ENDS, move_order
from catalog.placement.errors import NoCapacity
from catalog.placement.services import locate
from catalog.pool.models import Zone
from catalog.quotas import recalls
from catalog.quotas.errors import NothingToBorrow
from catalog.tenancy.models import Project
from catalog.tenancy.policy import Action, Actor, require
from catalog.tenancy.projects import use_until


def _zone(slug: str | None, project: Project) -> Zone | None:
    if slug is None:
        return None
    zone = Zone.objects.filter(slug=slug).first()
    if zone is None or (zone.kind == Zone.Kind.LOCAL and zone.tenant_id != project.tenant_id):
        raise ZoneUnknown(fields={"zone": ZoneUnknown.title})
    return zone


def place(
    actor: Actor,
    *,
    project: Project,
    offering: str,
    plan: str,
    name: str,
    parameters: dict[str, Any],
    zone: str | None,
    lease_seconds: int | None,
    idempotency_key: str | None,
    now: datetime,
    wait_for_capacity: bool = False,
) -> Order:
    """Order a service. It is approved and claimed at once, or waits for an approval; either way its name is reserved.

    :param lease_seconds: how long the service may stay, as the lease policy allows; None for its default.
    :param wait_for_capacity: stand in line when the pool is full, instead of being refused.
    :raises ProjectUnknown, ProjectEnded, PlanUnavailable, ParametersInvalid, NameInvalid, NameTaken, ZoneUnknown, LeaseTooShort,
        LeaseTooLong, LeaseOutlivesProject, IdempotencyKeyReused, QuotaExceeded, NothingToBorrow, NoCapacity: nothing has
        changed.
    """
    try:
        require(actor, Action.ORDER, project.tenant_id)
    except NotFound as error:
        raise ProjectUnknown(fields={"project": ProjectUnknown.title}) from error
    asked = {
        "create": [str(project.pk), offering, plan, name, zone, lease_seconds, wait_for_capacity],
        "parameters": parameters,
    }
    request_hash = digest(asked)
    if earlier := same_request(actor, idempotency_key, request_hash):
        return earlier
    if (until := use_until(project)) is not None and until <= now:
        raise ProjectEnded()
    wanted = offerings.find_plan(offering, plan)
    values = offerings.validate_parameters(wanted, parameters)
    seconds = order_seconds(project, wanted, lease_seconds, now=now)
    where = _zone(zone, project)
    try:
        with transaction.atomic():
            instance = instances.create(actor, project=project, plan=wanted, name=name, parameters=values, now=now)
            order = Order(
                kind=OrderKind.CREATE,
                tenant=project.tenant,
                project=project,
                requested_by_id=actor.user_id,
                instance=instance,
                plan=wanted,
                version=wanted.version,
                zone=where,
                slug=wanted.offering.slug,
                manifest_version=wanted.version.version,
                git_revision=wanted.version.git_revision,
                name=name,
                parameters=values,
                lease_seconds=seconds,
                price_krw_month=wanted.price_krw_month,
                request_hash=request_hash,
                idempotency_key=idempotency_key,
                wait_for_capacity=wait_for_capacity,
                created_at=now,
                state_since=now,
            )
            order.content_hash = shown_to_approver(order)
            order.save(force_insert=True)
            move_order(order, OrderState.SUBMITTED, actor=actor, now=now)
            if needs_approval(order.price_krw_month):
                move_order(order, OrderState.PENDING_APPROVAL, actor=actor, now=now)
            else:
                _approved(order, actor=actor, now=now, data={"rule": "under-threshold"})
            return order
    except IntegrityError:
        # Two requests with one key met: the other one won, and this answers with its order.
        if earlier := same_request(actor, idempotency_key, request_hash):
            return earlier
        raise


def _approved(order: Order, *, actor: Actor, now: datetime, data: dict[str, Any]) -> None:
    """Approve, claim and dispatch in one transaction; or let it wait for room, where it asked for that."""
    move_order(order, OrderState.APPROVED, actor=actor, now=now, data=data)
    try:
        claim_and_dispatch(order, actor=actor, now=now)
    except (NoCapacity, NothingToBorrow) as error:
        recall = waiting.recall(order, error, now=now)
        if recall is None and not order.wait_for_capacity:
            raise
        said = waiting.reason(error, recall)
        move_order(order, OrderState.WAITING_CAPACITY, actor=actor, now=now, data=said, explanation={"waiting": said})


def claim_and_dispatch(order: Order, *, actor: Actor, now: datetime) -> None:
    """Claim what an approved or waiting order needs, and open its first attempt. Nothing has changed after a refusal.

    :raises QuotaExceeded, NothingToBorrow, NoCapacity, PortsExhausted: as :func:`catalog.orders.claims.claim`.
    """
    assert order.instance is not None  # create orders are born with their instance
    with transaction.atomic():
        if order.state == OrderState.WAITING_CAPACITY:
            recalls.finish(order.pk, now=now)
        claims.claim(order, order.instance, actor=actor, now=now)
        if order.state == OrderState.WAITING_CAPACITY:
            recalls.call_off(order.pk, now=now, actor=waiting.LENDER)
        claims.dispatch_attempt(order, actor=actor, now=now, tries=1)


def _decidable(actor: Actor, order: Order, content_hash: str) -> Order:
    require(actor, Action.APPROVE, order.tenant_id)
    held = lock_one(Order, order.pk)
    if held.state != OrderState.PENDING_APPROVAL:
        raise NotWaitingForApproval()
    if held.requested_by_id == actor.user_id:
        raise OwnApproval()
    if content_hash != held.content_hash or held.content_hash != shown_to_approver(held):
        raise ApprovalStale()
    return held


def _decide(actor: Actor, order: Order, decision: str, comment: str, now: datetime) -> None:
    Approval.objects.create(
        order=order,
        decision=decision,
        content_hash=order.content_hash,
        decided_by_id=actor.user_id,
        decided_at=now,
        comment=comment,
    )


def approve(actor: Actor, order: Order, *, content_hash: str, comment: str = "", now: datetime) -> Order:
    """Approve exactly what was shown; the claim is made in the same transaction.

    :param content_hash: ``content_hash`` of the order as it was shown to the approver.
    :raises NotWaitingForApproval, OwnApproval, ApprovalStale, QuotaExceeded, NothingToBorrow, NoCapacity: nothing has changed.
    """
    with transaction.atomic():
        held = _decidable(actor, order, content_hash)
        _decide(actor, held, Approval.Decision.APPROVED, comment, now)
        _approved(held, actor=actor, now=now, data={"comment": comment})
        return held


def reject(actor: Actor, order: Order, *, content_hash: str, comment: str = "", now: datetime) -> Order:
    """Refuse an order; its name is free again. Raises NotWaitingForApproval, OwnApproval or ApprovalStale."""
    with transaction.atomic():
        held = _decidable(actor, order, content_hash)
        _decide(actor, held, Approval.Decision.REJECTED, comment, now)
        move_order(held, OrderState.REJECTED, actor=actor, now=now, data={"comment": comment})
        drop_instance(held, actor=actor, now=now)
        return held


def drop_instance(order: Order, *, actor: Actor, now: datetime) -> None:
    """Free the name that a create order reserved and the claim it may hold. Nothing was ever built for it."""
    if order.kind != OrderKind.CREATE or order.instance is None:
        return
    claims.give_up_claim(order.instance, actor=actor, now=now)
    instances.move_instance(order.instance, InstanceState.FAILED, actor=actor, now=now)


def cancel(actor: Actor, order: Order, *, now: datetime) -> Order:
    """Cancel an order at any point before its end. What was built is taken down by a run before the claim is given back.

    An operation that has begun is stopped, and leaves the service tainted: nobody knows how far it came.

    :raises OrderEnded, AlreadyCancelling, GiveBackNotCancellable: nothing has changed.
    """
    require(actor, Action.ORDER, order.tenant_id)
    with transaction.atomic():
        held = lock_one(Order, order.pk)
        if held.state in ENDS or held.state == OrderState.FAILED_DIRTY:
            raise OrderEnded(state=held.state)
        if held.state == OrderState.CANCELLING:
            raise AlreadyCancelling()
        if held.kind == OrderKind.DECOMMISSION and held.state in {*turns.WAITING, *turns.AT_WORK}:
            raise GiveBackNotCancellable()
        if held.kind == OrderKind.OPERATE:
            turns.call_off(held, actor=actor, now=now)
            if held.state == OrderState.CANCELLED and held.instance_id is not None:
                turns.go_on(lock_one(ServiceInstance, held.instance_id), actor=actor, now=now)
            return held
        if held.state not in {OrderState.DISPATCHED, OrderState.RUNNING}:
            move_order(held, OrderState.CANCELLED, actor=actor, now=now)
            drop_instance(held, actor=actor, now=now)
            recalls.finish(held.pk, now=now)
            recalls.call_off(held.pk, now=now, actor=waiting.LENDER)
            return held
        move_order(held, OrderState.CANCELLING, actor=actor, now=now)
        if not dispatch.ever_began("order", held.pk) and dispatch.withdraw("order", held.pk, now=now):
            move_order(held, OrderState.CANCELLED, actor=actor, now=now)
            drop_instance(held, actor=actor, now=now)
        elif not dispatch.request_cancel("order", held.pk, now=now):
            # It waits between two attempts: open the one that takes down what the earlier ones built.
            claims.dispatch_attempt(held, actor=actor, now=now, tries=1, undoing=True)
        return held


def retry(actor: Actor, order: Order, *, now: datetime) -> Order:
    """Try a failed order again: one that holds nothing starts from its submission, one that does tries to undo again.

    :raises NotRetryable: it has not failed.
    :raises OrderUnderWay, OperationNotPossible: of an operation; another order is under way, or the service has changed since.
    :raises NameTaken, QuotaExceeded, NothingToBorrow, NoCapacity: nothing has changed.
    """
    require(actor, Action.ORDER, order.tenant_id)
    with transaction.atomic():
        held = lock_one(Order, order.pk)
        if held.state == OrderState.FAILED_DIRTY:
            claims.dispatch_attempt(held, actor=actor, now=now, tries=1, undoing=held.kind == OrderKind.CREATE)
            return held
        if held.state == OrderState.FAILED and held.kind == OrderKind.OPERATE:
            operations.again(held, actor=actor, now=now)
            return held
        if held.state != OrderState.FAILED or held.kind != OrderKind.CREATE or held.instance is None:
            raise NotRetryable(state=held.state)
        instances.move_instance(held.instance, InstanceState.PENDING, actor=actor, now=now, state_reason="")
        move_order(
            held,
            OrderState.SUBMITTED,
            actor=actor,
            now=now,
            ended_at=None,
            undoing=False,
            failure_code="",
            failure_detail="",
        )
        if needs_approval(held.price_krw_month):
            move_order(held, OrderState.PENDING_APPROVAL, actor=actor, now=now)
        else:
            _approved(held, actor=actor, now=now, data={"rule": "under-threshold"})
        return held


def give_back(
    actor: Actor,
    instance: ServiceInstance,
    *,
    reason: str = "",
    idempotency_key: str | None = None,
    now: datetime,
) -> Order:
    """Give a service back. Everything on it will be lost.

    It outranks every operation: one that has not begun is cancelled, one at work is told to stop and the give-back is the next.

    :raises AlreadyGivingBack: a give-back is under way or done.
    :raises OrderUnderWay: it is still being built; cancel that order instead.
    :raises LegalHold: it is held.
    """
    require(actor, Action.ORDER, instance.tenant_id)
    request_hash = digest({"decommission": str(instance.pk)})
    if earlier := same_request(actor, idempotency_key, request_hash):
        return earlier
    with transaction.atomic():
        held, ahead = turns.hold(instance.pk)
        if held.state in {InstanceState.DECOMMISSIONING, InstanceState.DECOMMISSIONED, InstanceState.FAILED}:
            raise AlreadyGivingBack()
        if held.state == InstanceState.PENDING or any(each.kind != OrderKind.OPERATE for each in ahead):
            raise OrderUnderWay()
        order = Order(
            kind=OrderKind.DECOMMISSION,
            tenant=held.tenant,
            project=held.project,
            requested_by_id=actor.user_id,
            instance=held,
            plan=held.plan,
            version=held.version,
            zone=locate(held).zone,
            slug=held.plan.offering.slug,
            manifest_version=held.version.version,
            git_revision=held.version.git_revision,
            name=held.name,
            parameters=held.parameters,
            reason=reason,
            request_hash=request_hash,
            idempotency_key=idempotency_key,
            created_at=now,
            state_since=now,
        )
        for each in ahead:
            turns.call_off(each, actor=actor, now=now, why="give-back", instance=held)
        order.content_hash = shown_to_approver(order)
        order.save(force_insert=True)
        move_order(order, OrderState.SUBMITTED, actor=actor, now=now, data={"reason": reason})
        move_order(order, OrderState.APPROVED, actor=actor, now=now, data={"rule": "give-back"})
        instances.move_instance(held, InstanceState.DECOMMISSIONING, actor=actor, now=now)
        leases.end(held, now=now, actor=actor)
        turns.begin_or_wait(order, actor=actor, now=now)
        return order


def reveal(actor: Actor, instance: ServiceInstance, *, now: datetime) -> dict[str, Any]:
    """The credentials of a service, once. Raises Forbidden, InstanceNotReady or AlreadyShown."""
    require(actor, Action.REVEAL_SECRET, instance.tenant_id)
    if actor.user_id is None:
        raise Forbidden()
    return instances.reveal(actor, instance, now=now)
