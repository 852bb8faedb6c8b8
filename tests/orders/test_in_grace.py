"""What may happen to a lease in grace, and to its grace before: extended, given back, held, recalled."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from catalog.common.errors import DomainError
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.leases import services as leases
from catalog.leases.holds import hold, lift_hold
from catalog.leases.models import Lease, LeasePolicy
from catalog.leases.states import LeaseState
from catalog.orders import fulfilment, operations, outlook, services
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.placement.choice import Wanted
from catalog.tenancy.policy import system
from tests.orders.test_grace import DAY, GIVE_BACKS, HOUR, MOMENT, STARTS, STOPS, instance_state, one_in_grace, sweep
from tests.orders.world import World

AUDITOR = system("auditor")
pytestmark = pytest.mark.usefixtures("two_days_of_grace")


def extend(world: World, seconds: int = 3600) -> Lease:
    return operations.extend_lease(world.colleague, ServiceInstance.objects.get(), seconds=seconds, now=world.now)


def test_extended_in_grace_it_is_started_again_in_the_same_transaction(world: World) -> None:
    one_in_grace(world)
    world.later(hours=30)
    lease = extend(world)
    start = STARTS.get()
    assert (lease.state, lease.ends_at, lease.grace_ends_at) == (
        LeaseState.ACTIVE, world.now + HOUR, world.now + HOUR + 2 * DAY,
    )  # fmt: skip
    assert (start.state, start.requested_by_id, start.reason) == (
        OrderState.DISPATCHED, world.colleague.user_id, "The lease was extended.",
    )  # fmt: skip
    world.operated(start)
    assert instance_state() == InstanceState.ACTIVE
    assert [sweep(lease.ends_at - MOMENT), sweep(lease.ends_at)] == [0, 1], "and it ends again"
    assert (STOPS.count(), GIVE_BACKS.count()) == (2, 0)


def test_extended_before_the_stop_began_it_is_never_stopped(world: World) -> None:
    world.built()
    world.now = Lease.objects.get().ends_at
    sweep(world.now)
    extend(world)
    assert (STOPS.get().state, STARTS.count(), instance_state()) == (OrderState.CANCELLED, 0, InstanceState.ACTIVE)


def test_extended_while_it_is_being_stopped_the_start_is_the_next(world: World) -> None:
    world.built()
    world.now = Lease.objects.get().ends_at
    sweep(world.now)
    stop = STOPS.get()
    world.begin(stop)
    extend(world)
    assert STARTS.get().state == OrderState.APPROVED
    fulfilment.succeed_operate(stop.pk, 1, outputs={}, now=world.now)
    assert STARTS.get().state == OrderState.DISPATCHED
    world.operated(STARTS.get())
    assert instance_state() == InstanceState.ACTIVE


def test_extended_and_ended_again_while_it_is_being_stopped(world: World) -> None:
    world.built()
    world.now = Lease.objects.get().ends_at
    sweep(world.now)
    stop = STOPS.get()
    world.begin(stop)
    lease = extend(world, seconds=1)
    assert sweep(lease.ends_at) == 1
    assert (STOPS.count(), STARTS.get().state) == (1, OrderState.CANCELLED)
    fulfilment.succeed_operate(stop.pk, 1, outputs={}, now=world.now)
    assert (instance_state(), Order.objects.filter(state__in=("approved", "dispatched")).count()) == (
        InstanceState.STOPPED, 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "code"),
    [({"recalled_at": "now", "recalled_from": "end"}, "lease-recalled"), ({"extensions": 3}, "no-extension-left")],
)
def test_an_extension_that_is_refused_starts_nothing(world: World, before: dict[str, Any], code: str) -> None:
    lease = one_in_grace(world)
    LeasePolicy.objects.create(most_extensions=3)
    values = {name: {"now": world.now, "end": lease.ends_at}.get(value, value) for name, value in before.items()}
    Lease.objects.update(**values)
    with pytest.raises(DomainError) as refusal:
        extend(world)
    assert refusal.value.code == code
    lease.refresh_from_db()
    assert (lease.state, STARTS.count(), instance_state()) == (LeaseState.GRACE, 0, InstanceState.STOPPED)


def test_given_back_in_grace_at_once(world: World) -> None:
    lease = one_in_grace(world)
    services.give_back(world.developer, ServiceInstance.objects.get(), now=world.now)
    lease.refresh_from_db()
    assert lease.state == LeaseState.ENDED
    assert sweep(lease.grace_ends_at) == 0
    assert GIVE_BACKS.count() == 1


def test_a_stop_of_its_people_is_left_alone_and_grace_begins_all_the_same(world: World) -> None:
    world.built()
    world.operated(operations.operate(world.developer, ServiceInstance.objects.get(), operation="stop", now=world.now))
    lease = Lease.objects.get()
    assert sweep(lease.ends_at) == 1
    lease.refresh_from_db()
    assert (lease.state, STOPS.count()) == (LeaseState.GRACE, 1)
    world.now = lease.ends_at
    extend(world)
    assert STARTS.count() == 1


def test_held_nothing_is_stopped_and_nothing_taken_back(world: World) -> None:
    world.built()
    lease = Lease.objects.get()
    hold(AUDITOR, lease, reason="Case 17", until=None, now=world.now)
    assert sweep(lease.ends_at + 30 * DAY) == 0
    assert lease.ahead(world.now) == []
    lifted = lease.ends_at + 30 * DAY
    lift_hold(AUDITOR, lease, reason="Case 17 closed", now=lifted)
    assert sweep(lifted) == 1
    lease.refresh_from_db()
    assert (lease.state, lease.grace_ends_at, STOPS.count()) == (LeaseState.GRACE, lifted + 2 * DAY, 1)


def test_held_in_grace_it_stays_stopped_until_the_hold_is_over(world: World) -> None:
    lease = one_in_grace(world)
    over = lease.grace_ends_at + DAY
    hold(AUDITOR, lease, reason="Case 17", until=over, now=world.now)
    assert lease.ahead(world.now) == [(over, "erase")]
    assert [sweep(lease.grace_ends_at), sweep(over - MOMENT), sweep(over)] == [0, 0, 1]
    assert GIVE_BACKS.count() == 1


def test_a_recalled_lease_has_no_grace(world: World) -> None:
    world.built()
    lease = leases.recall(Lease.objects.get(), ends_at=world.now, reason="Ours", now=world.now, actor=system("lender"))
    assert lease.grace_ends_at is None
    assert sweep(lease.ends_at) == 1
    assert GIVE_BACKS.count() == 1


def test_a_recall_that_is_cancelled_gives_grace_back(world: World) -> None:
    world.built()
    lease = leases.recall(Lease.objects.get(), ends_at=world.now, reason="Ours", now=world.now, actor=system("lender"))
    lease = leases.cancel_recall(lease, now=world.now, actor=system("lender"))
    assert lease.grace_ends_at == lease.ends_at + 2 * DAY


@pytest.mark.parametrize(("notice", "left"), [(3600, HOUR), (7 * 86_400, 2 * DAY)])
def test_recalled_in_grace_it_keeps_what_the_notice_leaves(
    world: World, settings: Any, notice: int, left: timedelta
) -> None:
    settings.RECALL_NOTICE_SECONDS = notice
    lease = one_in_grace(world)
    world.now = lease.ends_at
    lease = leases.recall(lease, ends_at=world.now, reason="Ours", now=world.now, actor=system("lender"))
    assert (lease.state, lease.grace_ends_at) == (LeaseState.GRACE, world.now + left)
    assert [sweep(lease.grace_ends_at - MOMENT), sweep(lease.grace_ends_at)] == [0, 1]


def test_the_room_of_a_lease_comes_after_its_grace(world: World) -> None:
    order = world.built()
    lease = Lease.objects.get()
    assert lease.grace_ends_at is not None

    def room_from() -> datetime:
        told = outlook.look(order, Wanted(order.plan.resources, whole=True), now=world.now).expected_at
        assert told is not None
        return datetime.fromisoformat(told)

    after_grace = room_from()
    Lease.objects.update(grace_ends_at=None)
    assert after_grace - room_from() == lease.grace_ends_at - lease.ends_at
