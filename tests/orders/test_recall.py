"""Lend, recall, return: what is guaranteed comes back with notice, and what comes free goes round fairly."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings

from catalog.leases.models import Lease, LeaseEvent
from catalog.leases.services import recall
from catalog.leases.states import LeaseState
from catalog.orders import fulfilment, recovery, services, sweeps
from catalog.orders.claims import LONG_WAIT
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.placement.errors import NoCapacity
from catalog.pool.models import DISK_GB, MEMORY_MB, VCPU, Host
from catalog.quotas.agreements import set_quota
from catalog.quotas.books import drift
from catalog.quotas.errors import NothingToBorrow
from catalog.quotas.models import Loan, Recall
from catalog.tenancy.models import Tenant
from tests.factories import NOW, TESTER, HostFactory
from tests.orders.world import CLEAN, World, holdings, make_world, together

pytestmark = pytest.mark.django_db

HOST = {VCPU: 8, MEMORY_MB: 16384, DISK_GB: 200}
NOTICE = timedelta(seconds=settings.RECALL_NOTICE_SECONDS)
LONG = 30 * 86_400


def agree(tenant: Tenant, *, hosts: int, borrow: int = 0, lend: int = 0) -> None:
    """So many hosts' worth of every class."""
    for name, amount in HOST.items():
        set_quota(
            TESTER, tenant, name, None,
            guaranteed=hosts * amount, borrow_limit=borrow * amount, lend_limit=lend * amount, now=NOW,
        )  # fmt: skip


@pytest.fixture
def world(db: None, settings: Any) -> World:
    """Two hosts; Capital is guaranteed one and lends it, Card is guaranteed one and may borrow two. No approvals."""
    settings.APPROVAL_THRESHOLD_KRW = 10**9
    world = make_world(hosts=2)
    agree(world.project.tenant, hosts=1, lend=1)
    agree(world.other_project.tenant, hosts=1, borrow=2)
    return world


def card_takes(world: World, name: str, **kwargs: Any) -> Order:
    """A whole host for Card, built."""
    wanted = {"plan": "dedicated", "actor": world.stranger, "project": world.other_project, "lease_seconds": LONG}
    return world.built(name, **(wanted | kwargs))


def returned(world: World, order: Order) -> None:
    """The decommission flow of an order's service, to the clean host."""
    last = Order.objects.filter(instance=order.instance, kind="decommission").get()
    host = Host.objects.get(allocations__instance=order.instance, allocations__resource_class=VCPU)
    world.begin(last)
    fulfilment.succeed_decommission(last.pk, last.attempt, residue=CLEAN, now=world.later(seconds=5))
    world.wipe(host)


def lend_everything(world: World) -> tuple[Order, Order]:
    """Card uses its own host, and an hour later borrows Capital's."""
    own = card_takes(world, "own-db")
    world.later(hours=1)
    borrowed = card_takes(world, "borrowed-db")
    assert set(Loan.objects.values_list("lender", "borrower", "instance")) == {
        (world.project.tenant_id, world.other_project.tenant_id, borrowed.instance_id)
    }
    return own, borrowed


def lease_of(order: Order) -> Lease:
    return Lease.objects.get(instance=order.instance)


def test_lend_recall_return(world: World) -> None:
    own, borrowed = lend_everything(world)
    before = lease_of(own).ends_at
    order = world.place("needed-db", plan="dedicated")  # it did not ask to wait, but it has a right to this
    due = world.now + NOTICE
    assert order.state == OrderState.WAITING_CAPACITY
    assert order.explanation["waiting"]["room_at"] == due.isoformat()
    assert order.explanation["waiting"]["why"].startswith("Others use what your affiliate is guaranteed.")
    assert lease_of(borrowed).ends_at == due
    assert lease_of(own).ends_at == before
    event = LeaseEvent.objects.get(kind="recalled")
    assert event.lease == lease_of(borrowed)
    assert (event.actor, event.data["reason"]) == (
        "system:lending", "The affiliate that this capacity is guaranteed to needs it back.",
    )  # fmt: skip
    assert set(Loan.objects.values_list("recalled_at", "due_at", "recall__order_id")) == {(world.now, due, order.pk)}

    # Asked again, it is not recalled again; and what Capital waits for is lent to nobody else.
    recovery.reconcile(world.later(minutes=5))
    assert Recall.objects.count() == LeaseEvent.objects.filter(kind="recalled").count() == 1
    order.refresh_from_db()
    assert (order.explanation["waiting"]["place"], order.explanation["waiting"]["of"]) == (1, 1)

    world.now = due
    assert sweeps.reclaim_due("zone-a", due - timedelta(microseconds=1)) == 0
    assert sweeps.reclaim_due("zone-a", due) == 1
    returned(world, borrowed)
    assert not Loan.objects.filter(ended_at__isnull=True).exists()
    with pytest.raises(NothingToBorrow):
        world.place("greedy-db", plan="dedicated", actor=world.stranger, project=world.other_project)
    assert recovery.reconcile(world.later(seconds=15)).counts == {"admitted": 1}
    order.refresh_from_db()
    assert order.state == OrderState.DISPATCHED
    assert "waiting" not in order.explanation
    assert not Recall.objects.filter(ended_at__isnull=True).exists()
    assert drift() == []


def test_a_second_order_gets_no_more_back_than_is_guaranteed(world: World) -> None:
    lend_everything(world)
    world.place("needed-db", plan="dedicated")
    with pytest.raises(NoCapacity):
        world.place("needed-too", plan="dedicated")
    assert Recall.objects.count() == LeaseEvent.objects.filter(kind="recalled").count() == 1


def test_the_last_borrowed_is_recalled_and_only_that(world: World) -> None:
    HostFactory(zone=world.hosts[0].zone)
    agree(world.project.tenant, hosts=2, lend=2)
    _own, first = lend_everything(world)
    world.later(hours=1)
    last = card_takes(world, "last-db")
    world.place("needed-db", plan="dedicated")
    assert set(Loan.objects.filter(recall__isnull=False).values_list("instance", flat=True)) == {last.instance_id}
    assert LeaseEvent.objects.filter(kind="recalled").count() == 1
    world.place("needed-too", plan="dedicated")
    assert lease_of(first).ends_at == world.now + NOTICE


def test_a_loan_that_ends_by_itself_in_time_is_taken_instead(world: World) -> None:
    HostFactory(zone=world.hosts[0].zone)
    agree(world.project.tenant, hosts=2, lend=2)
    card_takes(world, "own-db")
    world.later(hours=1)
    short = card_takes(world, "short-db", lease_seconds=3600)
    ends = lease_of(short).ends_at
    world.later(minutes=10)
    card_takes(world, "last-db")
    order = world.place("needed-db", plan="dedicated")
    assert order.explanation["waiting"]["room_at"] == ends.isoformat()
    assert set(Loan.objects.filter(recall__isnull=False).values_list("instance", flat=True)) == {short.instance_id}


def test_nothing_is_recalled_for_more_than_is_guaranteed(world: World) -> None:
    agree(world.project.tenant, hosts=0, borrow=1)
    before = holdings()
    lend = card_takes(world, "own-db"), card_takes(world, "borrowed-db")
    claimed = holdings()
    assert claimed != before
    with pytest.raises(NoCapacity):
        world.place("needed-db", plan="dedicated")
    assert holdings() == claimed
    assert not Recall.objects.exists()
    assert [lease_of(each).state for each in lend] == [LeaseState.ACTIVE] * 2


def test_what_is_held_for_the_law_is_not_recalled(world: World) -> None:
    _own, borrowed = lend_everything(world)
    Lease.objects.filter(instance=borrowed.instance).update(held_at=world.now)
    with pytest.raises(NoCapacity):
        world.place("needed-db", plan="dedicated")
    assert not Recall.objects.exists()


def test_a_host_that_is_not_wholly_borrowed_stays(world: World) -> None:
    """It would not come free, so what was borrowed on it would end for nothing."""
    agree(world.project.tenant, hosts=2, lend=2)
    for name, amount in {VCPU: 1, MEMORY_MB: 512, DISK_GB: 2}.items():
        set_quota(
            TESTER, world.other_project.tenant, name, None,
            guaranteed=amount, borrow_limit=amount, lend_limit=0, now=NOW,
        )  # fmt: skip
    card_takes(world, "own-db", plan="shared-small")
    beside = card_takes(world, "borrowed-db", plan="shared-small")
    world.built("mine-db", plan="dedicated", lease_seconds=LONG)
    assert set(Loan.objects.values_list("instance", flat=True)) == {beside.instance_id}
    with pytest.raises(NoCapacity):
        world.place("needed-db", plan="dedicated")
    assert not Recall.objects.exists()
    assert not LeaseEvent.objects.filter(kind="recalled").exists()


def test_a_cancelled_order_waits_for_nothing_back(world: World) -> None:
    _own, borrowed = lend_everything(world)
    before = lease_of(borrowed).ends_at
    order = world.place("needed-db", plan="dedicated")
    services.cancel(world.developer, order, now=world.later(hours=1))
    assert Recall.objects.get().ended_at == world.now
    assert (lease_of(borrowed).ends_at, lease_of(borrowed).recalled_at) == (before, None)
    assert set(Loan.objects.values_list("recalled_at", "due_at", "recall", "ended_at")) == {(None,) * 4}
    world.place("needed-too", plan="dedicated")  # and it can be recalled again
    assert lease_of(borrowed).ends_at == world.now + NOTICE


def test_room_elsewhere_calls_the_recall_off(world: World) -> None:
    _own, borrowed = lend_everything(world)
    before = lease_of(borrowed).ends_at
    order = world.place("needed-db", plan="dedicated")
    assert lease_of(borrowed).ends_at < before
    HostFactory(zone=world.hosts[0].zone)
    assert recovery.reconcile(world.later(seconds=15)).counts == {"admitted": 1}
    order.refresh_from_db()
    assert order.state == OrderState.DISPATCHED
    assert (lease_of(borrowed).ends_at, lease_of(borrowed).recalled_at) == (before, None)
    assert drift() == []


def test_what_ended_meanwhile_stays_ended(world: World) -> None:
    _own, borrowed = lend_everything(world)
    order = world.place("needed-db", plan="dedicated")
    services.give_back(world.stranger, borrowed.instance, now=world.later(hours=1))
    recalled = lease_of(borrowed)
    services.cancel(world.developer, order, now=world.now)
    assert (lease_of(borrowed).state, lease_of(borrowed).ends_at) == (LeaseState.ENDED, recalled.ends_at)
    assert not LeaseEvent.objects.filter(kind="recall-cancelled").exists()


def test_a_pool_operators_recall_is_neither_replaced_nor_called_off(world: World) -> None:
    _own, borrowed = lend_everything(world)
    later = world.now + NOTICE + timedelta(days=1)
    recall(lease_of(borrowed), ends_at=later, reason="move", now=world.now, actor=TESTER)
    with pytest.raises(NoCapacity):
        world.place("needed-db", plan="dedicated")
    world.later(days=2)  # now it ends in time by itself
    order = world.place("needed-too", plan="dedicated")
    assert order.explanation["waiting"]["room_at"] == later.isoformat()
    services.cancel(world.developer, order, now=world.now)
    assert (lease_of(borrowed).ends_at, lease_of(borrowed).recall_reason) == (later, "move")


def test_when_the_room_went_to_another_owner_it_is_recalled_again(world: World) -> None:
    _own, borrowed = lend_everything(world)
    order = world.place("needed-db", plan="dedicated")
    first = Recall.objects.get()
    world.now = first.room_at
    sweeps.reclaim_due("zone-a", world.now)
    returned(world, borrowed)
    host = Host.objects.get(state="available")
    Host.objects.filter(pk=host.pk).update(state="maintenance")
    host.inventories.update(open_to=None)
    recovery.reconcile(world.later(minutes=29))
    assert Recall.objects.filter(ended_at__isnull=True).get() == first
    recovery.reconcile(world.later(minutes=2))
    assert not Recall.objects.filter(ended_at__isnull=True).exists()
    order.refresh_from_db()
    assert (order.state, order.explanation["waiting"]["room_at"]) == (OrderState.WAITING_CAPACITY, None)


class TestLine:
    def waits(self, world: World, name: str, *, card: bool, **kwargs: Any) -> Order:
        who = {"actor": world.stranger, "project": world.other_project} if card else {}
        order = world.place(name, plan="dedicated", wait_for_capacity=True, **(who | kwargs))
        assert order.state == OrderState.WAITING_CAPACITY
        return order

    @pytest.fixture
    def full(self, world: World) -> World:
        """Both may borrow both hosts, and Card has them."""
        agree(world.project.tenant, hosts=0, borrow=2)
        agree(world.other_project.tenant, hosts=0, borrow=4)
        card_takes(world, "one-db")
        card_takes(world, "two-db")
        return world

    def test_who_holds_less_is_served_first_and_all_see_their_place(self, full: World) -> None:
        early = self.waits(full, "early-db", card=True)
        full.later(minutes=5)
        late = self.waits(full, "late-db", card=False)
        recovery.reconcile(full.later(seconds=15))
        places = {
            order.name: order.explanation["waiting"]["place"]
            for order in Order.objects.filter(state="waiting_capacity")
        }
        assert places == {"late-db": 1, "early-db": 2}
        services.give_back(full.stranger, Order.objects.get(name="one-db").instance, now=full.now)
        returned(full, Order.objects.get(name="one-db", kind="create"))
        assert recovery.reconcile(full.later(seconds=15)).counts == {"admitted": 1}
        late.refresh_from_db()
        early.refresh_from_db()
        assert (late.state, early.state) == (OrderState.DISPATCHED, OrderState.WAITING_CAPACITY)
        assert (early.explanation["waiting"]["place"], early.explanation["waiting"]["of"]) == (2, 2)

    def test_nobody_who_borrows_passes_an_order_that_waited_long(self, full: World) -> None:
        old = self.waits(full, "old-db", card=True)
        full.later(seconds=LONG_WAIT.total_seconds() + 1)
        host = HostFactory(zone=full.hosts[0].zone, vcpu=2, memory_mb=2048, disk_gb=20)  # too small for it
        with pytest.raises(NoCapacity) as refused:
            full.place("small-db")
        assert str(refused.value.detail).startswith("Other orders have waited long")
        small = full.place("small-db", wait_for_capacity=True)
        recovery.reconcile(full.later(seconds=15))
        small.refresh_from_db()
        assert small.state == OrderState.WAITING_CAPACITY
        assert small.explanation["waiting"]["why"] == "Orders that have waited long for the same room come first."
        host.refresh_from_db()
        assert host.state == "available"
        agree(full.project.tenant, hosts=1)  # what is guaranteed passes anybody
        assert recovery.reconcile(full.later(seconds=15)).counts == {"admitted": 1}
        old.refresh_from_db()
        assert old.state == OrderState.WAITING_CAPACITY


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    ROUNDS = 4

    @pytest.fixture
    def lent(self, settings: Any) -> tuple[World, list[Order]]:
        """Four hosts that are Capital's, and that Card has borrowed."""
        settings.APPROVAL_THRESHOLD_KRW = 10**9
        world = make_world(hosts=self.ROUNDS)
        agree(world.project.tenant, hosts=self.ROUNDS, lend=self.ROUNDS)
        agree(world.other_project.tenant, hosts=0, borrow=self.ROUNDS)
        return world, [card_takes(world, f"borrowed-{number}") for number in range(self.ROUNDS)]

    def test_recalled_or_given_back(self, lent: tuple[World, list[Order]]) -> None:
        world, borrowed = lent
        said = together(
            *[partial(said_of, world.place, f"needed-{n}", plan="dedicated") for n in range(self.ROUNDS)],
            *[partial(said_of, services.give_back, world.stranger, o.instance, now=world.now) for o in borrowed[::2]],
        )
        assert set(said) <= {"done", "no-capacity"}
        for order in borrowed[::2]:
            assert lease_of(order).state == LeaseState.ENDED
        waits = Order.objects.filter(state=OrderState.WAITING_CAPACITY)
        assert waits.count() == Recall.objects.count() >= 2
        for each in Recall.objects.all():
            assert each.room_at == world.now + NOTICE
            assert each.loans.values("instance").distinct().count() == 1
        assert drift() == []

    def test_called_off_or_given_back(self, lent: tuple[World, list[Order]]) -> None:
        world, borrowed = lent
        before = {order.pk: lease_of(order).ends_at for order in borrowed}
        asked = [world.place(f"needed-{number}", plan="dedicated") for number in range(self.ROUNDS)]
        assert Loan.objects.filter(recall__isnull=True).count() == 0
        said = together(
            *[partial(said_of, services.cancel, world.developer, order, now=world.now) for order in asked],
            *[partial(said_of, services.give_back, world.stranger, o.instance, now=world.now) for o in borrowed[::2]],
        )
        assert said == {"done": self.ROUNDS + 2}
        for order in borrowed[1::2]:
            assert (lease_of(order).ends_at, lease_of(order).recalled_at) == (before[order.pk], None)
        for order in borrowed[::2]:
            assert lease_of(order).state == LeaseState.ENDED
        assert not Loan.objects.filter(recall__isnull=False).exists()
        assert drift() == []


def said_of(deed: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    """Do it and say so."""
    deed(*args, **kwargs)
    return "done"
