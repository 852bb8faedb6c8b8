"""What is done to a service that stands: judged, one at a time, tried again, cancelled, and outranked by giving it back."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from catalog.audit.models import AuditEntry
from catalog.common.errors import DomainError
from catalog.dispatch import services as dispatch
from catalog.dispatch.models import Job, JobState
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.leases.models import Lease
from catalog.leases.states import LeaseState
from catalog.orders import fulfilment, operations, recovery, services, sweeps
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import OrderState
from tests.factories import manifest
from tests.orders.world import World, holdings, make_world, together


@pytest.fixture
def instance(world: World) -> ServiceInstance:
    return world.built().instance


def order_of(world: World, instance: ServiceInstance, operation: str = "stop", **more: Any) -> Order:
    return operations.operate(
        more.pop("actor", world.developer), instance, operation=operation, now=more.pop("now", world.now), **more
    )


def state(thing: Order | ServiceInstance) -> str:
    thing.refresh_from_db()
    return thing.state


def failed(world: World, order: Order, code: str = "operation-failed", detail: str = "Stop it: no") -> None:
    world.begin(order)
    fulfilment.attempt_failed(order.pk, order.attempt, code=code, detail=detail, now=world.now)
    order.refresh_from_db()


def test_stopped_and_started_again(world: World, instance: ServiceInstance) -> None:
    before = holdings()
    stop = order_of(world, instance)
    assert (stop.kind, stop.operation, stop.state, stop.price_krw_month) == (
        "operate",
        "stop",
        OrderState.DISPATCHED,
        0,
    )
    job = Job.objects.get(subject_id=stop.pk)
    assert (job.flow, job.zone, job.attempt, job.state) == ("operate", "zone-a", 1, JobState.QUEUED)
    assert state(instance) == InstanceState.ACTIVE, "nothing has touched it yet"
    assignment = world.begin(stop)
    assert state(instance) == InstanceState.UPDATING
    assert assignment.operation == ("stop",)
    assert "stop" not in assignment.playbooks
    assert assignment.version_id == instance.version_id
    assert assignment.values["residues"] == manifest()["residues"]
    assert assignment.values["operation"] == {"name": "stop", "parameters": {}}
    assert assignment.values["run"]["outranked"] == [str(Order.objects.get(kind="create").pk)]
    fulfilment.succeed_operate(stop.pk, 1, outputs={"said": "so"}, now=world.later(seconds=3))
    assert (state(stop), state(instance), instance.outputs) == (
        OrderState.FULFILLED,
        InstanceState.STOPPED,
        {"said": "so"},
    )

    start = order_of(world, instance, "start")
    assert world.begin(start).operation == ("start", "verify")
    fulfilment.succeed_operate(start.pk, 1, outputs={}, now=world.later(seconds=3))
    assert (state(start), state(instance)) == (OrderState.FULFILLED, InstanceState.ACTIVE)
    assert holdings() == before | {"orders": before["orders"] + 2}
    moves = [event.data["to"] for event in instance.events.filter(kind="state")][-4:]
    assert moves == ["updating", "stopped", "updating", "active"]
    told = AuditEntry.objects.filter(subject_id=str(stop.pk)).values_list("action", flat=True).order_by("pk")
    assert list(told) == ["order.submitted", "order.approved", "order.dispatched", "order.running", "order.fulfilled"]


def grace(world: World, instance: ServiceInstance) -> None:
    Lease.objects.update(state=LeaseState.GRACE, grace_ends_at=world.now + timedelta(days=30))
    ServiceInstance.objects.update(state=InstanceState.STOPPED)


def in_state(state: str) -> Callable[[World, ServiceInstance], None]:
    def put(_world: World, _instance: ServiceInstance) -> None:
        ServiceInstance.objects.update(state=state)

    return put


def under_way(world: World, instance: ServiceInstance) -> None:
    order_of(world, instance)


def given_back(world: World, instance: ServiceInstance) -> None:
    services.give_back(world.developer, instance, now=world.now)


def old_manifest(_world: World, instance: ServiceInstance) -> None:
    manifest = {name: said for name, said in instance.version.manifest.items() if name != "operations"}
    type(instance.version).objects.update(manifest=manifest)


@pytest.mark.parametrize(
    ("before", "asked", "code"),
    [
        (None, {"operation": "start"}, "operation-not-possible"),
        (in_state(InstanceState.STOPPED), {"operation": "stop"}, "operation-not-possible"),
        (in_state(InstanceState.UPDATING), {"operation": "stop"}, "operation-not-possible"),
        (in_state(InstanceState.PROVISIONING), {"operation": "stop"}, "operation-not-possible"),
        (in_state(InstanceState.DECOMMISSIONED), {"operation": "start"}, "operation-not-possible"),
        (given_back, {"operation": "stop"}, "order-under-way"),
        (under_way, {"operation": "stop"}, "order-under-way"),
        (under_way, {"operation": "start"}, "order-under-way"),
        (grace, {"operation": "start"}, "in-grace"),
        (grace, {"operation": "stop"}, "operation-not-possible"),
        (None, {"operation": "explode"}, "operation-unknown"),
        (None, {"operation": "verify"}, "operation-unknown"),
        (old_manifest, {"operation": "stop"}, "operation-unknown"),
        (None, {"operation": "stop", "parameters": {"force": True}}, "parameters-invalid"),
        (None, {"operation": "stop", "parameters": ["force"]}, "parameters-invalid"),
        (None, {"operation": "stop", "parameters": {"ansible_user": "x"}}, "parameter-forbidden"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    world: World, instance: ServiceInstance, before: Any, asked: dict[str, Any], code: str
) -> None:
    if before is not None:
        before(world, instance)
    state_before, rows, entries = state(instance), holdings(), AuditEntry.objects.count()
    with pytest.raises(DomainError) as refusal:
        order_of(world, instance, **asked)
    assert refusal.value.code == code
    assert (state(instance), holdings(), AuditEntry.objects.count()) == (state_before, rows, entries)


@pytest.mark.parametrize(("who", "code"), [("stranger", "not-found"), ("operator", "forbidden")])
def test_only_people_of_the_affiliate_operate(world: World, instance: ServiceInstance, who: str, code: str) -> None:
    rows = holdings()
    with pytest.raises(DomainError) as refusal:
        order_of(world, instance, actor=getattr(world, who))
    assert (refusal.value.code, holdings()) == (code, rows)


def test_the_same_request_sent_twice_is_one_order(world: World, instance: ServiceInstance) -> None:
    first = order_of(world, instance, idempotency_key="k")
    assert order_of(world, instance, idempotency_key="k") == first
    with pytest.raises(DomainError) as refusal:
        order_of(world, instance, "start", idempotency_key="k")
    assert refusal.value.code == "idempotency-key-reused"
    assert Order.objects.filter(kind="operate").count() == 1


def test_what_fails_is_tried_again_and_in_the_end_leaves_it_tainted(
    settings: Any, world: World, instance: ServiceInstance
) -> None:
    settings.ORDER_ATTEMPTS = 2
    stop = order_of(world, instance)
    failed(world, stop)
    assert (stop.state, stop.attempt, stop.tries, stop.undoing, state(instance)) == (
        OrderState.DISPATCHED, 2, 2, False, InstanceState.UPDATING,
    )  # fmt: skip
    with pytest.raises(DomainError) as refusal:
        fulfilment.succeed_operate(stop.pk, 1, outputs={}, now=world.now)
    assert refusal.value.code == "superseded"
    failed(world, stop)
    assert (stop.state, stop.failure_code, stop.ended_at) == (OrderState.FAILED, "operation-failed", world.now)
    assert state(instance) == InstanceState.TAINTED
    assert instance.state_reason == "The operation stop did not end well: Stop it: no"
    assert [each.name for each in operations.possible(instance, None)] == ["stop", "start", "configure"], (
        "a way out of being tainted"
    )
    assert sweeps.stuck(world.now).counts == {}

    services.retry(world.developer, stop, now=world.now)
    world.operated(stop)
    assert (stop.state, stop.failure_code, state(instance)) == (OrderState.FULFILLED, "", InstanceState.STOPPED)
    assert instance.state_reason == ""


def test_a_retry_that_makes_no_sense_any_more_is_refused(
    settings: Any, world: World, instance: ServiceInstance
) -> None:
    settings.ORDER_ATTEMPTS = 1
    stop = order_of(world, instance)
    failed(world, stop)
    world.operated(order_of(world, instance, "stop"))
    rows = holdings()
    with pytest.raises(DomainError) as refusal:
        services.retry(world.developer, stop, now=world.now)
    assert (refusal.value.code, state(stop), holdings()) == ("operation-not-possible", OrderState.FAILED, rows)


def test_cancelled_before_it_began_nothing_has_happened(world: World, instance: ServiceInstance) -> None:
    stop = order_of(world, instance)
    services.cancel(world.developer, stop, now=world.now)
    assert (state(stop), state(instance), stop.ended_at) == (OrderState.CANCELLED, InstanceState.ACTIVE, world.now)
    assert not Job.objects.filter(subject_id=stop.pk, state=JobState.QUEUED).exists()
    assert [event.data["to"] for event in instance.events.filter(kind="state")][-1] == "active"


def test_cancelled_under_way_it_stops_and_says_that_nobody_knows(world: World, instance: ServiceInstance) -> None:
    stop = order_of(world, instance)
    world.begin(stop)
    services.cancel(world.developer, stop, now=world.now)
    assert state(stop) == OrderState.CANCELLING
    assert fulfilment.beat(stop.pk, 1, world.now).cancel
    with pytest.raises(DomainError) as refusal:
        services.cancel(world.developer, stop, now=world.now)
    assert refusal.value.code == "already-cancelling"
    fulfilment.attempt_failed(stop.pk, 1, code="cancelled", detail="", now=world.now)
    assert (state(stop), state(instance)) == (OrderState.CANCELLED, InstanceState.TAINTED)
    assert instance.state_reason == "The operation stop was cancelled while it was under way."
    world.operated(order_of(world, instance, "start"))
    assert (state(instance), instance.state_reason) == (InstanceState.ACTIVE, "")


def test_a_wish_to_cancel_that_came_too_late_does_not_hide_what_was_done(
    world: World, instance: ServiceInstance
) -> None:
    stop = order_of(world, instance)
    world.begin(stop)
    services.cancel(world.developer, stop, now=world.now)
    fulfilment.succeed_operate(stop.pk, 1, outputs={}, now=world.now)
    assert (state(stop), state(instance)) == (OrderState.CANCELLED, InstanceState.STOPPED)


def test_cancelled_between_two_attempts_it_is_tainted(world: World, instance: ServiceInstance) -> None:
    stop = order_of(world, instance)
    failed(world, stop, "host-unreachable")
    services.cancel(world.developer, stop, now=world.now)
    assert (state(stop), state(instance)) == (OrderState.CANCELLED, InstanceState.TAINTED)


def test_a_lost_run_is_followed_by_the_next_attempt(world: World, instance: ServiceInstance, settings: Any) -> None:
    stop = order_of(world, instance)
    world.begin(stop)
    Job.objects.filter(subject_id=stop.pk).update(flow_run_id=None)
    report = recovery.reconcile(world.later(seconds=settings.HEARTBEAT_STALE_SECONDS + 1))
    assert report.counts["lost"] == 1
    assert (state(stop), stop.attempt, state(instance)) == (OrderState.DISPATCHED, 2, InstanceState.UPDATING)
    world.operated(stop)
    assert state(instance) == InstanceState.STOPPED


def test_one_that_no_worker_takes_up_fails_and_nothing_was_touched(world: World, instance: ServiceInstance) -> None:
    stop = order_of(world, instance)
    assert sweeps.stuck(world.later(minutes=31)).counts == {"overdue_orders": 1}
    assert (state(stop), stop.failure_code, state(instance)) == (
        OrderState.FAILED,
        "not-taken-up",
        InstanceState.ACTIVE,
    )


# ---- giving back outranks everything


def back(world: World, instance: ServiceInstance) -> Order:
    return services.give_back(world.colleague, instance, now=world.now)


def test_a_give_back_cancels_what_has_not_begun(world: World, instance: ServiceInstance) -> None:
    stop = order_of(world, instance)
    order = back(world, instance)
    assert (state(stop), state(order), state(instance)) == (
        OrderState.CANCELLED, OrderState.DISPATCHED, InstanceState.DECOMMISSIONING,
    )  # fmt: skip
    assert stop.events.filter(kind="state").last().data == {"from": "cancelling", "to": "cancelled"}
    with pytest.raises(DomainError) as refusal:
        world.begin(stop)
    assert refusal.value.code == "superseded"
    world.given_back(order)
    assert state(instance) == InstanceState.DECOMMISSIONED


@pytest.mark.parametrize("ends", ["cancelled", "failed", "done"])
def test_a_give_back_stops_what_is_at_work_and_is_the_next(world: World, instance: ServiceInstance, ends: str) -> None:
    stop = order_of(world, instance)
    world.begin(stop)
    order = back(world, instance)
    assert (state(stop), state(order), state(instance)) == (
        OrderState.CANCELLING, OrderState.APPROVED, InstanceState.DECOMMISSIONING,
    )  # fmt: skip
    assert Lease.objects.get().state == LeaseState.ENDED
    assert fulfilment.beat(stop.pk, 1, world.now).cancel
    assert not Job.objects.filter(subject_id=order.pk).exists(), "two runs never touch one service at once"
    said = OrderEvent.objects.get(order=order, kind="behind").data
    assert said == {"order": str(stop.pk), "kind": "operate", "operation": "stop"}
    for refused, code in ((back, "already-giving-back"), (order_of, "order-under-way")):
        with pytest.raises(DomainError) as refusal:
            refused(world, instance)
        assert refusal.value.code == code
    with pytest.raises(DomainError) as refusal:
        services.cancel(world.developer, order, now=world.now)
    assert refusal.value.code == "give-back-not-cancellable"

    if ends == "done":
        fulfilment.succeed_operate(stop.pk, 1, outputs={}, now=world.now)
    else:
        code = "cancelled" if ends == "cancelled" else "operation-failed"
        fulfilment.attempt_failed(stop.pk, 1, code=code, detail="", now=world.now)
    assert (state(stop), state(order), state(instance)) == (
        OrderState.CANCELLED, OrderState.DISPATCHED, InstanceState.DECOMMISSIONING,
    )  # fmt: skip
    assert str(stop.pk) in world.begin(order).values["run"]["outranked"]
    fulfilment.succeed_decommission(
        order.pk, 1, residue={"clean": True, "checked": [], "findings": []}, now=world.now
    )  # fmt: skip
    assert (state(order), state(instance)) == (OrderState.FULFILLED, InstanceState.DECOMMISSIONED)


def test_a_give_back_behind_a_run_that_died_goes_on(world: World, instance: ServiceInstance, settings: Any) -> None:
    stop = order_of(world, instance)
    world.begin(stop)
    order = back(world, instance)
    Job.objects.filter(subject_id=stop.pk).update(flow_run_id=None)
    recovery.reconcile(world.later(seconds=settings.HEARTBEAT_STALE_SECONDS + 1))
    assert (state(stop), state(order)) == (OrderState.CANCELLED, OrderState.DISPATCHED)


def test_what_waits_for_nothing_is_found_by_the_reconciler(world: World, instance: ServiceInstance) -> None:
    stop = order_of(world, instance)
    world.begin(stop)
    order = back(world, instance)
    # The process dies between the end of the one and the beginning of the other.
    dispatch.finish("order", stop.pk, 1, ok=False, outcome="cancelled", now=world.now)
    Order.objects.filter(pk=stop.pk).update(state=OrderState.CANCELLED, deadline=None, ended_at=world.now)
    assert recovery.reconcile(world.later(seconds=1)).counts == {}
    assert recovery.reconcile(world.later(seconds=6)).counts == {"turns": 1}
    assert state(order) == OrderState.DISPATCHED
    assert recovery.reconcile(world.later(seconds=60)).counts == {}


def test_what_is_stopped_can_be_given_back(world: World, instance: ServiceInstance) -> None:
    world.operated(order_of(world, instance))
    order = back(world, instance)
    world.given_back(order)
    assert (state(order), state(instance)) == (OrderState.FULFILLED, InstanceState.DECOMMISSIONED)
    assert holdings()["used"] == 0


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_many_operations_at_once_one_is_placed() -> None:
    world = make_world()
    instance = world.built().instance
    said = together(*[lambda: order_of(world, instance).state] * 16)
    assert said == {"dispatched": 1, "order-under-way": 15}
    assert Order.objects.filter(kind="operate").count() == 1


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("begun", [False, True])
def test_give_backs_and_operations_and_a_run_at_once_end_in_one_give_back(begun: bool) -> None:
    world = make_world()
    instance = world.built().instance
    running = order_of(world, instance)
    if begun:
        world.begin(running)

    def run() -> str:
        if begun:
            fulfilment.succeed_operate(running.pk, 1, outputs={}, now=world.now)
        else:
            fulfilment.begin(running.pk, 1, uuid.uuid4(), world.now)
        return "ran"

    said = together(
        run, *[lambda: back(world, instance).state] * 6, *[lambda: order_of(world, instance, "start").state] * 4,
        *[lambda: str(recovery.reconcile(world.now).counts)] * 2,
    )  # fmt: skip
    assert Order.objects.filter(kind="decommission").count() == 1, said
    order = Order.objects.get(kind="decommission")
    assert state(instance) == InstanceState.DECOMMISSIONING
    if state(order) == OrderState.APPROVED:
        running.refresh_from_db()
        fulfilment.attempt_failed(running.pk, running.attempt, code="cancelled", detail="", now=world.now)
    assert state(order) == OrderState.DISPATCHED
    at_work = Order.objects.filter(state__in=("dispatched", "running", "cancelling", "approved"))
    assert list(at_work) == [order]
    world.given_back(order)
    assert holdings()["used"] == 0
