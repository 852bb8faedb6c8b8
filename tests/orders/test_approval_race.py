"""Many who decide at once: the last agreement that is needed counts once, and the order is dispatched once."""

from collections.abc import Callable

import pytest

from catalog.approvals import delegations
from catalog.approvals.models import ApprovalRule, Decision, Delegation, FreezeWindow, Request
from catalog.dispatch.models import Job
from catalog.orders import frozen, recovery, services
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.placement.models import Allocation
from catalog.tenancy.models import Role
from catalog.tenancy.policy import Actor, actor_for
from tests.factories import NOW, UserFactory
from tests.orders.world import World, make_world, together

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]
MANY = 10


def people(world: World, role: Role, many: int = MANY) -> list[Actor]:
    tenant = world.project.tenant if role in {Role.APPROVER, Role.TENANT_ADMIN} else None
    return [actor_for(UserFactory(roles=[(role, tenant)]), now=NOW) for _ in range(many)]


def agreeing(world: World, who: Actor, order: Order) -> Callable[[], str]:
    return lambda: str(services.approve(who, order, content_hash=order.content_hash, now=world.now).state)


def test_many_on_the_last_level() -> None:
    world = make_world()
    steps = [{"who": "approver", "people": 1}, {"who": "operator", "people": 3}]
    ApprovalRule.objects.create(name="rule", steps=steps)
    order = world.place()
    services.approve(world.approver, order, content_hash=order.content_hash, now=world.now)
    said = together(*[agreeing(world, who, order) for who in people(world, Role.OPERATOR)])
    assert said == {"pending_approval": 2, "dispatched": 1, "not-waiting-for-approval": MANY - 3}
    order.refresh_from_db()
    assert (order.state, Job.objects.count(), Decision.objects.count()) == (OrderState.DISPATCHED, 1, 4)
    assert order.events.filter(data__to="approved").count() == 1
    assert Allocation.objects.count() == 3


def test_one_person_many_times() -> None:
    world = make_world()
    ApprovalRule.objects.create(name="rule", steps=[{"who": "approver", "people": 2}])
    order = world.place()
    said = together(*[agreeing(world, world.approver, order)] * MANY)
    assert said == {"pending_approval": 1, "already-decided": MANY - 1}
    assert (Decision.objects.count(), Request.objects.get().level) == (1, 1)


def test_agreeing_refusing_and_cancelling_at_once_come_to_one_end() -> None:
    world = make_world()
    order = world.place(plan="dedicated")
    approvers = people(world, Role.APPROVER, 6)

    def refuse(who: Actor) -> Callable[[], str]:
        return lambda: str(services.reject(who, order, content_hash=order.content_hash, now=world.now).state)

    def cancel() -> str:
        return str(services.cancel(world.developer, order, now=world.now).state)

    said = together(
        *[agreeing(world, who, order) for who in approvers[:3]], *[refuse(who) for who in approvers[3:]], cancel
    )
    order.refresh_from_db()
    ends = {state: said[state] for state in ("dispatched", "rejected") if said[state]}
    assert sum(ends.values()) <= 1
    assert order.state in {"dispatched", "rejected", "cancelled"}
    held = Allocation.objects.filter(released_at__isnull=True).count()
    assert (held > 0) == (order.state == OrderState.DISPATCHED)
    assert Request.objects.get().outcome in {"approved", "rejected", "withdrawn"}
    assert Request.objects.get().closed_at is not None


def test_the_end_of_a_freeze_seen_by_many_and_overridden_meanwhile() -> None:
    world = make_world()
    window = FreezeWindow.objects.create(
        reason="Closing", deeds=["create"], starts_at=world.now, ends_at=world.later(hours=1)
    )
    world.now = NOW
    orders = [world.place(f"kept-{number}") for number in range(4)]
    assert window.ends_at is not None
    end = window.ends_at
    chief = actor_for(UserFactory(roles=[(Role.GROUP_ADMIN, None)]), now=NOW)

    def override(order: Order) -> Callable[[], str]:
        return lambda: str(frozen.override(chief, order, reason="now", now=end).state)

    together(*[lambda: str(recovery.reconcile(end).counts)] * 4, *[override(order) for order in orders])
    assert set(Order.objects.values_list("state", "attempt")) == {(OrderState.DISPATCHED, 1)}
    assert Job.objects.count() == 4
    for order in orders:
        assert order.events.filter(data__to="dispatched").count() == 1


def test_two_who_name_each_other_at_once() -> None:
    world = make_world()
    one, other = people(world, Role.APPROVER, 2)
    tenant = world.project.tenant

    def give(who: Actor, to: Actor) -> Callable[[], str]:
        def run() -> str:
            delegations.delegate(
                who, tenant=tenant, to=to.name, starts_at=None, ends_at=world.now.replace(month=12), now=world.now
            )
            return "given"

        return run

    said = together(*[give(one, other), give(other, one)] * 4)
    assert said["given"] == Delegation.objects.count() == 1
    assert set(said) <= {"given", "delegation-chain", "delegation-overlaps"}
