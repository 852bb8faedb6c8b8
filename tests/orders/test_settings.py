"""Changing the settings of a service that stands: what may change, what is kept, and what becomes of it when it fails."""

from typing import Any

import pytest

from catalog.common.errors import DomainError
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.offerings.models import OfferingVersion, Plan
from catalog.offerings.services import changeable
from catalog.orders import fulfilment, operations, services
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import OrderState
from tests.orders.world import World, holdings

pytestmark = pytest.mark.django_db


@pytest.fixture
def instance(world: World) -> ServiceInstance:
    return world.built(parameters={"max_connections": 30}).instance


def configure(world: World, instance: ServiceInstance, **parameters: Any) -> Order:
    return operations.operate(
        world.developer, instance, operation="configure", parameters=parameters, now=world.now
    )  # fmt: skip


def now(instance: ServiceInstance) -> tuple[str, int]:
    instance.refresh_from_db()
    return instance.state, instance.parameters["max_connections"]


def test_new_settings_are_the_services_own_once_it_was_tried_with_them(world: World, instance: ServiceInstance) -> None:
    before = holdings()
    order = configure(world, instance, max_connections=40)
    assert order.parameters == {"max_connections": 40}
    assert now(instance) == (InstanceState.ACTIVE, 30)
    told = world.begin(order)
    assert told.operation == ("configure", "verify")
    assert told.playbooks["configure"] == "provision.yml"
    assert told.values["parameters"] == {"database": "appdb", "max_connections": 40}
    assert told.before is not None
    (former,) = (part.values for part in told.before)
    assert former["parameters"] == {"database": "appdb", "max_connections": 30}
    assert {name: value for name, value in former.items() if name != "parameters"} == {
        name: value for name, value in told.values.items() if name != "parameters"
    }
    assert now(instance) == (InstanceState.UPDATING, 30)
    fulfilment.succeed_operate(order.pk, 1, outputs={}, now=world.later(seconds=3))
    assert now(instance) == (InstanceState.ACTIVE, 40)
    assert holdings() == {**before, "orders": 2}


def test_other_operations_change_nothing_of_it_and_have_nothing_to_put_back(
    world: World, instance: ServiceInstance
) -> None:
    order = operations.operate(world.developer, instance, operation="stop", now=world.now)
    assert world.begin(order).before is None
    fulfilment.succeed_operate(order.pk, 1, outputs={}, now=world.later(seconds=3))
    assert now(instance) == (InstanceState.STOPPED, 30)


def test_what_was_put_back_is_as_it_was_and_the_order_says_why_it_failed(
    world: World, instance: ServiceInstance
) -> None:
    order = configure(world, instance, max_connections=40)
    world.begin(order)
    fulfilment.put_back(order.pk, 1, code="operation-failed", detail="Start it: no", now=world.later(seconds=3))
    order.refresh_from_db()
    assert now(instance) == (InstanceState.ACTIVE, 30)
    assert (order.state, order.failure_code, order.failure_detail) == (
        OrderState.FAILED, "operation-failed", "Start it: no",
    )  # fmt: skip
    assert OrderEvent.objects.filter(order=order, kind="state").latest("seq").data["why"] == "put-back"
    services.retry(world.developer, order, now=world.now)
    assert world.begin(order).values["parameters"]["max_connections"] == 40
    fulfilment.succeed_operate(order.pk, order.attempt, outputs={}, now=world.later(seconds=3))
    assert now(instance) == (InstanceState.ACTIVE, 40)


def test_one_that_is_cancelled_is_put_back_and_ends_as_cancelled(world: World, instance: ServiceInstance) -> None:
    order = configure(world, instance, max_connections=40)
    world.begin(order)
    services.cancel(world.developer, order, now=world.now)
    fulfilment.put_back(order.pk, 1, code="cancelled", detail="", now=world.later(seconds=3))
    order.refresh_from_db()
    assert (order.state, now(instance)) == (OrderState.CANCELLED, (InstanceState.ACTIVE, 30))


def test_what_could_not_be_put_back_is_tried_again_and_then_tainted(
    world: World, instance: ServiceInstance, settings: Any
) -> None:
    order = configure(world, instance, max_connections=40)
    for attempt in range(1, settings.ORDER_ATTEMPTS + 1):
        assert world.begin(order).values["parameters"]["max_connections"] == 40
        said = "no. The former settings could not be put back: no"
        fulfilment.attempt_failed(order.pk, attempt, code="operation-failed", detail=said, now=world.later(minutes=20))
    order.refresh_from_db()
    assert (order.state, now(instance)) == (OrderState.FAILED, (InstanceState.TAINTED, 30))
    assert "could not be put back" in instance.state_reason


@pytest.mark.parametrize(
    ("parameters", "code", "fields"),
    [
        ({}, "nothing-to-change", set()),
        ({"max_connections": 30}, "nothing-to-change", {"max_connections"}),
        ({"max_connections": 51}, "parameters-invalid", {"max_connections"}),
        ({"max_connections": "40"}, "parameters-invalid", {"max_connections"}),
        ({"database": "other"}, "parameters-invalid", {"database"}),
        ({"surprise": 1}, "parameters-invalid", {"surprise"}),
        ({"ansible_user": "x"}, "parameter-forbidden", {"ansible_user"}),
    ],
)
def test_what_may_not_be_changed_is_refused_and_nothing_is_ordered(
    world: World, instance: ServiceInstance, parameters: dict[str, Any], code: str, fields: set[str]
) -> None:
    with pytest.raises(DomainError) as refused:
        configure(world, instance, **parameters)
    assert (refused.value.code, set(refused.value.fields)) == (code, fields)
    assert not Order.objects.filter(kind="operate").exists()


def test_a_curators_limit_counts_as_far_as_the_manifest_knows_it(world: World, instance: ServiceInstance) -> None:
    def limits() -> dict[str, Any]:
        plan = Plan.objects.get(pk=instance.plan_id)
        schema = changeable(instance.version, plan, instance.parameters)
        assert set(schema["properties"]) == {"max_connections"}
        found: dict[str, Any] = schema["properties"]["max_connections"]
        return {name: found[name] for name in ("minimum", "maximum", "default")}

    assert limits() == {"minimum": 5, "maximum": 50, "default": 30}
    plans = Plan.objects.filter(pk=instance.plan_id)
    plans.update(narrowing={"max_connections": {"maximum": 35, "default": 20}, "unknown": {"maximum": 1}})
    assert limits() == {"minimum": 5, "maximum": 35, "default": 30}
    with pytest.raises(DomainError) as refused:
        configure(world, instance, max_connections=36)
    assert refused.value.code == "parameters-invalid"
    # Written for a manifest in which it is a text.
    plans.update(narrowing={"max_connections": {"maxLength": 3}})
    assert limits() == {"minimum": 5, "maximum": 50, "default": 30}
    manifest = OfferingVersion.objects.get(pk=instance.version_id).manifest
    assert manifest["parameters"]["properties"]["max_connections"]["default"] == 20


def test_one_that_waited_begins_although_the_service_runs(world: World, instance: ServiceInstance) -> None:
    """What only starts or stops has nothing to do where that is so already; everything else has."""
    first = configure(world, instance, max_connections=40)
    waiting = Order.objects.get(pk=first.pk)
    waiting.pk, waiting.state, waiting.parameters, waiting.attempt = (
        None,
        OrderState.APPROVED,
        {"max_connections": 45},
        0,
    )
    waiting._state.adding = True
    waiting.idempotency_key = None
    waiting.save()
    world.operated(first)
    waiting.refresh_from_db()
    assert waiting.state == OrderState.DISPATCHED
    world.operated(waiting)
    assert now(instance) == (InstanceState.ACTIVE, 45)
