"""What people ask for. Every face calls these; the rules are here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from catalog.approvals import services as approvals
from catalog.approvals.models import Decision
from catalog.common.data import DataClass
from catalog.common.errors import Forbidden, NotFound
from catalog.common.locks import lock_one
from catalog.dispatch import services as dispatch
from catalog.instances import services as instances
from catalog.instances.errors import StillUsed
from catalog.instances.links import connect, dependents
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.ipam import access
from catalog.leases import services as leases
from catalog.leases.limits import order_seconds
from catalog.offerings import services as offerings
from catalog.orders import advance, claims, operations, turns
from catalog.orders.content import SUBJECT, digest, same_request, shown_to_approver
from catalog.orders.destination import destination
from catalog.orders.errors import (
    AlreadyCancelling,
    AlreadyGivingBack,
    GiveBackNotCancellable,
    NotRetryable,
    OrderEnded,
    OrderUnderWay,
    ProjectEnded,
    ProjectUnknown,
)
from catalog.orders.models import Order
from catalog.orders.states import OrderKind, OrderState
from catalog.orders.transitions import ENDS, move_order
from catalog.placement.selectors import zones_for
from catalog.placement.services import locate, refuse_weak_isolation
from catalog.tenancy.models import Project
from catalog.tenancy.policy import Action, Actor, require
from catalog.tenancy.projects import use_until


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
    data_class: str = DataClass.INTERNAL,
    allow_from: Sequence[str] = (),
    links: Mapping[str, str] | None = None,
) -> Order:
    """Order a service. It is approved and claimed at once, or waits for an approval; either way its name is reserved.

    :param lease_seconds: how long the service may stay, as the lease policy allows; None for its default.
    :param wait_for_capacity: stand in line when the pool is full or the zone closed, instead of being refused.
    :param data_class: the most protected data it will hold; it decides with the zone where it may stand.
    :param allow_from: networks whose clients may connect; none: those of the affiliate and of the zone.
    :param links: alias → name of a service of the project that it uses; see :func:`catalog.instances.links.connect`.
    :raises ProjectUnknown, ProjectEnded, PlanUnavailable, ParametersInvalid, NameInvalid, NameTaken, ZoneUnknown, LeaseTooShort,
        LeaseTooLong, LeaseOutlivesProject, AccessInvalid, AccessOpenToAnyone, AccessUnknown, IdempotencyKeyReused,
        IsolationTooWeak, QuotaExceeded, NothingToBorrow, NoCapacity, DataClassNotAllowed, ZoneRefused, LinksNotTaken,
        LinkInvalid, LinkUnknown: nothing has changed.
    """
    try:
        require(actor, Action.ORDER, project.tenant_id, project.pk)
    except NotFound as error:
        raise ProjectUnknown(fields={"project": ProjectUnknown.title}) from error
    asked = [str(project.pk), offering, plan, name, zone, lease_seconds, wait_for_capacity, data_class, *allow_from]
    used = {"links": dict(links)} if links else {}
    request_hash = digest({"create": asked, "parameters": parameters, **used})
    if earlier := same_request(actor, idempotency_key, request_hash):
        return earlier
    if (until := use_until(project)) is not None and until <= now:
        raise ProjectEnded()
    wanted = offerings.find_plan(offering, plan)
    values = offerings.validate_parameters(wanted, parameters)
    seconds = order_seconds(project, wanted, lease_seconds, now=now)
    where = destination(zone, project, wanted, data_class, waits=wait_for_capacity)
    clients = access.check(allow_from, tenant=project.tenant, zones=zones_for(project.tenant, where, data_class))
    try:
        with transaction.atomic():
            instance = instances.create(
                actor, project=project, plan=wanted, name=name, parameters=values, data_class=data_class,
                allow_from=clients, now=now,
            )  # fmt: skip
            connect(actor, instance, links or {}, now=now)
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
                data_class=data_class,
                allow_from=clients,
                lease_seconds=seconds,
                price_krw_month=wanted.price_krw_month,
                request_hash=request_hash,
                idempotency_key=idempotency_key,
                wait_for_capacity=wait_for_capacity,
                created_at=now,
                state_since=now,
            )
            refuse_weak_isolation(wanted.isolation, order.data_class)
            order.content_hash = shown_to_approver(order)
            order.save(force_insert=True)
            move_order(order, OrderState.SUBMITTED, actor=actor, now=now)
            advance.submitted(order, actor=actor, now=now)
            return order
    except IntegrityError:
        # Two requests with one key met: the other one won, and this answers with its order.
        if earlier := same_request(actor, idempotency_key, request_hash):
            return earlier
        raise


def _decide(actor: Actor, order: Order, verdict: str, *, content_hash: str, comment: str, now: datetime) -> Order:
    with transaction.atomic():
        held = lock_one(Order, order.pk)
        ruling = approvals.decide(
            actor, subject_type=SUBJECT, subject_id=held.pk, verdict=verdict, content_hash=content_hash,
            shown=shown_to_approver(held), comment=comment, now=now,
        )  # fmt: skip
        advance.decided(held, ruling, actor=actor, now=now)
        return held


def approve(actor: Actor, order: Order, *, content_hash: str, comment: str = "", now: datetime) -> Order:
    """Agree to exactly what was shown. With the last agreement that is needed the claim is made, in the same transaction.

    :param content_hash: ``content_hash`` of the order as it was shown to the approver.
    :raises NotFound, Forbidden, NotYourTurn, NotWaitingForApproval, OwnApproval, ApprovalConflict, AlreadyDecided,
        ApprovalExpired, ApprovalStale: as :func:`catalog.approvals.services.decide`.
    :raises QuotaExceeded, NothingToBorrow, NoCapacity, LegalHold, AlreadyGivingBack: nothing has changed.
    """
    return _decide(actor, order, Decision.Verdict.APPROVED, content_hash=content_hash, comment=comment, now=now)


def reject(actor: Actor, order: Order, *, content_hash: str, comment: str = "", now: datetime) -> Order:
    """Refuse an order, on whichever level it is; its name is free again. Raises what ``decide`` does, as :func:`approve`."""
    return _decide(actor, order, Decision.Verdict.REJECTED, content_hash=content_hash, comment=comment, now=now)


def cancel(actor: Actor, order: Order, *, now: datetime) -> Order:
    """Cancel an order at any point before its end. What was built is taken down by a run before the claim is given back.

    An operation that has begun is stopped, and leaves the service tainted: nobody knows how far it came.

    :raises OrderEnded, AlreadyCancelling, GiveBackNotCancellable: nothing has changed.
    """
    require(actor, Action.ORDER, order.tenant_id, order.project_id)
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
            advance.withdrawn(held, actor=actor, now=now)
            return held
        move_order(held, OrderState.CANCELLING, actor=actor, now=now)
        if not dispatch.ever_began("order", held.pk) and dispatch.withdraw("order", held.pk, now=now):
            move_order(held, OrderState.CANCELLED, actor=actor, now=now)
            advance.drop_instance(held, actor=actor, now=now)
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
    require(actor, Action.ORDER, order.tenant_id, order.project_id)
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
        advance.submitted(held, actor=actor, now=now)
        return held


def give_back(
    actor: Actor,
    instance: ServiceInstance,
    *,
    reason: str = "",
    idempotency_key: str | None = None,
    now: datetime,
) -> Order:
    """Give a service back, once whoever must agree has agreed and no freeze keeps it. Everything on it will be lost.

    It outranks every operation: one that has not begun is cancelled, one at work is told to stop and the give-back is the next.

    :raises AlreadyGivingBack: a give-back is under way or done.
    :raises OrderUnderWay: it is still being built; cancel that order instead.
    :raises LegalHold: it is held.
    :raises StillUsed: services that stand use it; the platform itself, at the end of a lease, asks nobody.
    """
    require(actor, Action.ORDER, instance.tenant_id, instance.project_id)
    request_hash = digest({"decommission": str(instance.pk)})
    if earlier := same_request(actor, idempotency_key, request_hash):
        return earlier
    with transaction.atomic():
        held, ahead = turns.hold(instance.pk)
        if held.state in advance.GOING or turns.waiting_give_backs(held.pk).exists():
            raise AlreadyGivingBack()
        leases.refuse_if_held(held, now=now)
        if not actor.is_system and (users := dependents(held)):
            raise StillUsed(f"{StillUsed.title} ({', '.join(users)})", used_by=users)
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
            data_class=held.data_class,
            allow_from=held.allow_from,
            reason=reason,
            request_hash=request_hash,
            idempotency_key=idempotency_key,
            created_at=now,
            state_since=now,
        )
        order.content_hash = shown_to_approver(order)
        order.save(force_insert=True)
        move_order(order, OrderState.SUBMITTED, actor=actor, now=now, data={"reason": reason})
        advance.submitted(order, actor=actor, now=now)
        return order


def reveal(actor: Actor, instance: ServiceInstance, *, now: datetime) -> dict[str, Any]:
    """The credentials of a service, once. Raises Forbidden, InstanceNotReady or AlreadyShown."""
    require(actor, Action.REVEAL_SECRET, instance.tenant_id, instance.project_id)
    if actor.user_id is None:
        raise Forbidden()
    return instances.reveal(actor, instance, now=now)
