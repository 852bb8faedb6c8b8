"""How an order goes on: from its submission through the approvals it needs and the freezes it meets to its first attempt."""

from datetime import datetime
from typing import Any

from django.db import transaction

from catalog.approvals import freezes
from catalog.approvals import services as approvals
from catalog.approvals.calendar import Freeze
from catalog.approvals.models import Outcome
from catalog.approvals.rules import Deed
from catalog.approvals.services import Ruling
from catalog.audit.gate import Happening, append_events
from catalog.instances import services as instances
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.leases import services as leases
from catalog.orders import claims, turns, waiting
from catalog.orders.content import SUBJECT, facts_of, shown_to_approver, title_of
from catalog.orders.errors import AlreadyGivingBack, OrderUnderWay
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import OrderKind, OrderState
from catalog.orders.transitions import move_order
from catalog.placement.errors import NoCapacity
from catalog.pool.errors import ZoneClosed
from catalog.quotas import recalls
from catalog.quotas.errors import NothingToBorrow
from catalog.tenancy.policy import Actor


def submitted(order: Order, *, actor: Actor, now: datetime) -> None:
    """Let a submitted order wait for the people who must agree, or approve it where nobody must. The platform asks nobody.

    :raises QuotaExceeded, NothingToBorrow, NoCapacity, PortsExhausted, LegalHold, AlreadyGivingBack: as :func:`approved`.
    """
    demand = approvals.rulebook().demand(facts_of(order), order.tenant_id)
    if actor.is_system or not demand.steps:
        rule: dict[str, Any] = {"rule": "platform" if actor.is_system else demand.code}
        if not actor.is_system and demand.rules[0].name:
            rule["name"] = demand.rules[0].name
        approved(order, actor=actor, now=now, data=rule)
        return
    # It may have changed since it was placed: a first try has given it a zone.
    order.content_hash = shown_to_approver(order)
    move_order(order, OrderState.PENDING_APPROVAL, actor=actor, now=now, content_hash=order.content_hash)
    approvals.ask(
        actor, demand, subject_type=SUBJECT, subject_id=order.pk, project=order.project, title=title_of(order),
        deed=order.kind, content_hash=order.content_hash, instance=order.instance, now=now,
    )  # fmt: skip


def decided(order: Order, ruling: Ruling, *, actor: Actor, now: datetime) -> None:
    """Go on after a decision: to the next level or person, to the work, or to the order's end. In its transaction."""
    said = {name: value for name, value in ruling.said().items() if value is not None}
    if ruling.outcome is None or ruling.levels > 1 or "on_behalf_of" in said:
        append_events(order, OrderEvent, [Happening("decision", said)], actor=actor.name, now=now)
    if ruling.outcome == Outcome.APPROVED:
        approved(order, actor=actor, now=now, data={"comment": ruling.decision.comment})
    elif ruling.outcome == Outcome.REJECTED:
        move_order(order, OrderState.REJECTED, actor=actor, now=now, data={"comment": ruling.decision.comment})
        drop_instance(order, actor=actor, now=now)


def approved(order: Order, *, actor: Actor, now: datetime, data: dict[str, Any]) -> None:
    """Approve, claim and dispatch in one transaction; or let it wait for room, where it asked for that, or a freeze's end.

    :raises OrderUnderWay: another order waits for the service already.
    """
    if order.kind != OrderKind.CREATE:
        _make_way(order, actor=actor, now=now)
        move_order(order, OrderState.APPROVED, actor=actor, now=now, data=data)
        go(order, actor=actor, now=now)
        return
    move_order(order, OrderState.APPROVED, actor=actor, now=now, data=data)
    try:
        claim_and_dispatch(order, actor=actor, now=now)
    except (NoCapacity, NothingToBorrow, ZoneClosed) as error:
        recall = waiting.recall(order, error, now=now)
        if recall is None and not order.wait_for_capacity:
            raise
        said = waiting.reason(order, error, recall, now=now)
        move_order(order, OrderState.WAITING_CAPACITY, actor=actor, now=now, data=said, explanation={"waiting": said})


def claim_and_dispatch(order: Order, *, actor: Actor, now: datetime, explain: bool = True) -> None:
    """Claim what an approved or waiting order needs, and go on. Nothing has changed after a refusal.

    :param explain: as :func:`catalog.orders.claims.claim`.
    :raises QuotaExceeded, NothingToBorrow, NoCapacity, IsolationTooWeak, ZoneRefused, PortsExhausted: as there.
    """
    assert order.instance is not None  # create orders are born with their instance
    with transaction.atomic():
        if order.state == OrderState.WAITING_CAPACITY:
            recalls.finish(order.pk, now=now)
        claims.claim(order, order.instance, actor=actor, now=now, explain=explain)
        if order.state == OrderState.WAITING_CAPACITY:
            recalls.call_off(order.pk, now=now, actor=waiting.LENDER)
        go(order, actor=actor, now=now)


def _make_way(order: Order, *, actor: Actor, now: datetime) -> None:
    """Before an order for a service that stands is approved: at most one waits, and giving back outranks the others."""
    instance, others = _held(order)
    waiting_ones = [each for each in others if each.state in turns.WAITING]
    if order.kind == OrderKind.DECOMMISSION:
        _may_be_given_back(instance, now=now)
        for each in waiting_ones:
            if each.kind == OrderKind.OPERATE:
                turns.call_off(each, actor=actor, now=now, why="give-back", instance=instance)
    elif waiting_ones:
        raise OrderUnderWay()


def _held(order: Order) -> tuple[ServiceInstance, list[Order]]:
    """The instance of an order, and its other orders that are under way, locked."""
    assert order.instance_id is not None  # only orders to create something are ever without
    instance, orders = turns.hold(order.instance_id)
    return instance, [each for each in orders if each.pk != order.pk]


def deed_of(kind: str, requested_by: int | None) -> str:
    """What a freeze knows an order as: what nobody asked for is the platform taking back what is due."""
    return Deed.RECLAIM if kind != OrderKind.CREATE and requested_by is None else kind


def go(order: Order, *, actor: Actor, now: datetime) -> None:
    """Open the first attempt, or keep the order with its claim until the freeze that it has come into ends."""
    freeze = freezes.calendar().freeze(deed_of(order.kind, order.requested_by_id), order.tenant.slug, now=now)
    if freeze is None:
        begin(order, actor=actor, now=now)
        return
    if order.state == OrderState.WAITING_CAPACITY:
        move_order(order, OrderState.APPROVED, actor=actor, now=now, data={"why": freeze.reason})
    keep_until(order, freeze, actor=actor, now=now)


def keep_until(order: Order, freeze: Freeze, *, actor: Actor, now: datetime) -> None:
    """Write down until when an approved order waits, and why; an event where that is news."""
    said = {"why": freeze.reason, "until": freeze.until.isoformat()}
    if order.not_before == freeze.until and order.explanation.get("freeze") == said:
        return
    order.not_before, order.explanation = freeze.until, {**order.explanation, "freeze": said}
    order.save(update_fields=["not_before", "explanation"])
    append_events(order, OrderEvent, [Happening("frozen", said)], actor=actor.name, now=now)


def begin(order: Order, *, actor: Actor, now: datetime) -> None:
    """Open the first attempt of an approved order, when it is its turn. A give-back ends the lease and all else from here on.

    :raises LegalHold, AlreadyGivingBack: it cannot be given back any more, or not now.
    """
    if order.not_before is not None:
        order.not_before = None
        order.explanation = {name: value for name, value in order.explanation.items() if name != "freeze"}
        order.save(update_fields=["not_before", "explanation"])
    if order.kind == OrderKind.CREATE:
        claims.dispatch_attempt(order, actor=actor, now=now, tries=1)
        return
    instance, others = _held(order)
    if order.kind == OrderKind.DECOMMISSION:
        _may_be_given_back(instance, now=now)
        for each in others:
            turns.call_off(each, actor=actor, now=now, why="give-back", instance=instance)
        instances.move_instance(instance, InstanceState.DECOMMISSIONING, actor=actor, now=now)
        leases.end(instance, now=now, actor=actor)
    elif instance.state in GOING:
        move_order(order, OrderState.CANCELLED, actor=actor, now=now, data={"why": "nothing-to-do"})
        return
    turns.begin_or_wait(order, actor=actor, now=now)


def _may_be_given_back(instance: ServiceInstance, *, now: datetime) -> None:
    """Raises AlreadyGivingBack or LegalHold."""
    if instance.state in GOING:
        raise AlreadyGivingBack()
    leases.refuse_if_held(instance, now=now)


GOING = frozenset({InstanceState.DECOMMISSIONING, InstanceState.DECOMMISSIONED, InstanceState.FAILED})
"""Instances that nobody can give back (any more)."""


def drop_instance(order: Order, *, actor: Actor, now: datetime) -> None:
    """Free the name that a create order reserved and the claim it may hold. Nothing was ever built for it."""
    if order.kind != OrderKind.CREATE or order.instance is None:
        return
    claims.give_up_claim(order.instance, actor=actor, now=now)
    instances.move_instance(order.instance, InstanceState.FAILED, actor=actor, now=now)


def withdrawn(order: Order, *, actor: Actor, now: datetime, data: dict[str, Any] | None = None) -> None:
    """Cancel an order of which nothing was begun: give back its claim and its place in line, and ask nobody any more."""
    approvals.close(SUBJECT, order.pk, Outcome.WITHDRAWN, now=now)
    move_order(order, OrderState.CANCELLED, actor=actor, now=now, data=data, not_before=None)
    drop_instance(order, actor=actor, now=now)
    recalls.finish(order.pk, now=now)
    recalls.call_off(order.pk, now=now, actor=waiting.LENDER)
