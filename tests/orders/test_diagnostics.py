"""An operation that only looks: the service stays what it is, and what was found stays with the order."""

from typing import Any

import pytest

from catalog.common.errors import DomainError, NotFound
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.leases.models import Lease
from catalog.leases.states import LeaseState
from catalog.orders import findings, fulfilment, operations, services
from catalog.orders.models import Order, OrderFinding
from catalog.orders.states import OrderState
from tests.orders.world import World

DIAGNOSTICS = {
    "name": "diagnostics", "title": {"en": "Collect", "ko": "수집"}, "about": {"en": "Look.", "ko": "보기."},
    "from": ["active", "stopped"], "to": "same", "seconds": 5,
}  # fmt: skip


@pytest.fixture
def instance(world: World) -> ServiceInstance:
    built = world.built().instance
    assert built is not None
    version = built.version
    type(version).objects.update(
        manifest={**version.manifest, "operations": [*version.manifest["operations"], DIAGNOSTICS]}
    )
    version.refresh_from_db()
    return built


def look(world: World, instance: ServiceInstance) -> Order:
    return operations.operate(world.developer, instance, operation="diagnostics", now=world.now)


def state(thing: Any) -> str:
    thing.refresh_from_db()
    return str(thing.state)


@pytest.mark.parametrize("ends", ["done", "failed", "cancelled"])
@pytest.mark.parametrize("begins", ["active", "stopped", "tainted"])
def test_the_service_stays_what_it_is_throughout(
    settings: Any, world: World, instance: ServiceInstance, begins: str, ends: str
) -> None:
    settings.ORDER_ATTEMPTS = 1
    ServiceInstance.objects.update(state=begins, state_reason="before")
    since = instance.state_since
    order = look(world, instance)
    assignment = world.begin(order)
    assert (assignment.operation, "diagnostics" in assignment.playbooks) == (("diagnostics",), False)
    assert state(instance) == begins
    if ends == "done":
        fulfilment.succeed_operate(order.pk, 1, outputs={"diagnosis": {"unit": {}}}, now=world.now)
    else:
        if ends == "cancelled":
            services.cancel(world.developer, order, now=world.now)
        fulfilment.attempt_failed(order.pk, 1, code="operation-failed", detail="no", now=world.now)
    expected = {"done": OrderState.FULFILLED, "failed": OrderState.FAILED, "cancelled": OrderState.CANCELLED}[ends]
    assert (state(order), state(instance), instance.state_since) == (expected, begins, since)
    assert (instance.state_reason, instance.outputs) == ("before", {})
    assert OrderFinding.objects.count() == (ends == "done")
    if ends == "done":
        assert findings.finding_of(order).content == {"diagnosis": {"unit": {}}}


@pytest.mark.parametrize("begins", sorted({*InstanceState.values} - {"active", "stopped", "tainted"}))
def test_only_what_stands_is_looked_at(world: World, instance: ServiceInstance, begins: str) -> None:
    ServiceInstance.objects.update(state=begins)
    with pytest.raises(DomainError) as refusal:
        look(world, instance)
    assert refusal.value.code == "operation-not-possible"


def test_one_at_a_time_as_any_other_and_giving_back_outranks_it(world: World, instance: ServiceInstance) -> None:
    order = look(world, instance)
    with pytest.raises(DomainError) as refusal:
        look(world, instance)
    assert refusal.value.code == "order-under-way"
    world.begin(order)
    back = services.give_back(world.developer, instance, now=world.now)
    assert state(back) == OrderState.APPROVED
    fulfilment.succeed_operate(order.pk, 1, outputs={"diagnosis": {}}, now=world.now)
    assert (state(instance), state(back)) == (InstanceState.DECOMMISSIONING, OrderState.DISPATCHED)


def test_what_is_stopped_in_grace_can_be_looked_at(world: World, instance: ServiceInstance) -> None:
    Lease.objects.update(
        state=LeaseState.GRACE, grace_ends_at=world.later(days=0) + (Lease.objects.get().ends_at - world.now)
    )
    ServiceInstance.objects.update(state=InstanceState.STOPPED)
    assert state(look(world, instance)) == OrderState.DISPATCHED


def test_what_was_found_is_bounded_in_size_and_number(world: World, instance: ServiceInstance) -> None:
    orders = []
    for number in range(findings.KEPT + 2):
        order = look(world, instance)
        world.operated(order, number=number, long="x" * (findings.LARGEST if number == 6 else 1))
        orders.append(order)
    assert OrderFinding.objects.count() == findings.KEPT
    with pytest.raises(NotFound):
        findings.finding_of(orders[1])
    assert findings.finding_of(orders[5]).content["number"] == 5
    assert set(findings.finding_of(orders[6]).content) == {"too_large"}
