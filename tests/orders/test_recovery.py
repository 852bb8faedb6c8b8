"""What the reconciler and the sweeps put right. Runs here have no run at Prefect; tests/dispatch has the real server."""

from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.db import transaction

from catalog.audit.models import AuditEntry
from catalog.dispatch import services as dispatch
from catalog.dispatch.models import Job, JobState
from catalog.instances.states import InstanceState
from catalog.leases.models import Lease
from catalog.orders import fulfilment, recovery, services, sweeps
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.placement.services import release
from catalog.pool.models import Host
from catalog.pool.states import HostState
from catalog.tenancy.policy import system
from tests.orders.world import CLEAN, World, holdings, make_world

NOTHING = {"allocations": 0, "used": 0, "endpoints": 0}


def held() -> dict[str, int]:
    return {name: count for name, count in holdings().items() if name in NOTHING}


def silent(order: Order) -> None:
    """The run of the order's newest attempt began without Prefect, so burying it asks nobody."""
    Job.objects.filter(subject_id=order.pk).update(flow_run_id=None)


def test_a_silent_run_is_followed_by_the_next_attempt(world: World) -> None:
    order = world.place()
    world.begin(order)
    silent(order)
    assert recovery.reconcile(world.later(seconds=settings.HEARTBEAT_STALE_SECONDS)).counts == {}
    assert recovery.reconcile(world.later(seconds=1)).counts == {"lost": 1}
    order.refresh_from_db()
    assert (order.state, order.attempt, order.tries, order.undoing) == (OrderState.DISPATCHED, 2, 2, False)
    first, second = Job.objects.order_by("attempt")
    assert (first.state, second.state, second.not_before) == (JobState.LOST, JobState.QUEUED, None)
    # A second look finds nothing more to do.
    assert recovery.reconcile(world.now).counts == {}


def test_a_beating_run_is_left_alone(world: World) -> None:
    order = world.place()
    world.begin(order)
    silent(order)
    for _minute in range(3):
        fulfilment.beat(order.pk, 1, world.later(seconds=settings.HEARTBEAT_STALE_SECONDS - 1))
    assert recovery.reconcile(world.now).counts == {}


def test_a_crash_between_burying_and_going_on_is_made_good(world: World) -> None:
    order = world.place()
    world.begin(order)
    silent(order)
    job = Job.objects.get()
    assert dispatch.bury(job, now=world.now, why="test")
    assert recovery.reconcile(world.later(seconds=6)).counts == {"orphans": 1}
    order.refresh_from_db()
    assert (order.attempt, Job.objects.filter(state=JobState.QUEUED).count()) == (2, 1)


def test_a_cancelled_order_whose_run_died_is_undone_by_the_next(world: World) -> None:
    order = world.place()
    world.begin(order)
    silent(order)
    services.cancel(world.developer, order, now=world.now)
    recovery.reconcile(world.later(minutes=1))
    assert world.begin(order).undoing
    fulfilment.undone(order.pk, 2, residue=CLEAN, now=world.now)
    order.refresh_from_db()
    assert (order.state, held()) == (OrderState.CANCELLED, NOTHING)


class TestFailedDirty:
    def dirty(self, world: World, order: Order) -> Order:
        """Let every attempt of an order fail."""
        while order.state != OrderState.FAILED_DIRTY:
            world.begin(order)
            fulfilment.attempt_failed(order.pk, order.attempt, code="host-unreachable", detail="", now=world.now)
            order.refresh_from_db()
        return order

    @pytest.mark.parametrize("giving_back", [False, True])
    def test_alone_on_its_host_it_is_settled_by_a_wipe(self, world: World, giving_back: bool) -> None:
        if giving_back:
            order = services.give_back(world.developer, world.built().instance, now=world.now)
        else:
            order = world.place()
        self.dirty(world, order)
        host = order.instance.allocations.first().host
        assert recovery.reconcile(world.later(seconds=1)).counts == {"wiped_instead": 1}
        host.refresh_from_db()
        assert (host.state, held()["allocations"]) == (HostState.DRAINING, 3)
        world.wipe(host)
        # The certificate is there, but until the order is settled the books still say that it holds the room.
        assert held()["allocations"] == 3
        assert recovery.reconcile(world.later(seconds=1)).counts == {"settled_by_wipe": 1}
        order.refresh_from_db()
        assert order.state == (OrderState.FULFILLED if giving_back else OrderState.FAILED)
        assert order.instance.state == (InstanceState.DECOMMISSIONED if giving_back else InstanceState.FAILED)
        host.refresh_from_db()
        assert (held(), host.state) == (NOTHING, HostState.AVAILABLE)

    def test_a_host_that_cannot_be_proven_clean_keeps_the_claim(self, world: World) -> None:
        order = self.dirty(world, world.place())
        host = order.instance.allocations.first().host
        recovery.reconcile(world.later(seconds=1))
        world.wipe(host, findings=[{"kind": "users", "what": "app_x"}])
        assert host.state == HostState.QUARANTINED
        assert recovery.reconcile(world.later(hours=3)).counts == {}
        order.refresh_from_db()
        assert (order.state, held()["allocations"]) == (OrderState.FAILED_DIRTY, 3)

    def test_beside_others_it_is_tried_again_ever_more_rarely(self, world: World) -> None:
        world.built("other-db")
        order = self.dirty(world, world.place())
        assert recovery.reconcile(world.later(seconds=1)).counts == {}
        assert recovery.reconcile(world.later(hours=2)).counts == {"dirty_retried": 1}
        assert world.begin(order).undoing
        fulfilment.undone(order.pk, order.attempt, residue=CLEAN, now=world.now)
        order.refresh_from_db()
        assert order.state == OrderState.FAILED
        assert held()["allocations"] == 3


def swept(at: datetime) -> dict[str, int]:
    """As the worker does: no run is started unless a look finds something, which then is there to be found."""
    if not sweeps.anything_stuck(at):
        return {}
    counts = sweeps.stuck(at).counts
    assert counts
    return counts


class TestDeadlines:
    def test_an_approval_ends_after_72_hours(self, world: World) -> None:
        order = world.place(plan="dedicated")
        assert swept(world.later(hours=72)) == {}
        assert swept(world.later(seconds=1)) == {"overdue_orders": 1}
        order.refresh_from_db()
        assert (order.state, order.instance.state) == (OrderState.EXPIRED, InstanceState.FAILED)
        world.place()

    def test_an_order_that_no_worker_took_up_gives_everything_back(self, world: World) -> None:
        order = world.place()
        assert swept(world.later(minutes=31)) == {"overdue_orders": 1}
        order.refresh_from_db()
        assert (order.state, order.failure_code, held()) == (OrderState.FAILED, "not-taken-up", NOTHING)
        host = world.hosts[0]
        host.refresh_from_db()
        assert host.state == HostState.AVAILABLE

    def test_a_run_that_takes_too_long_is_told_to_stop(self, world: World) -> None:
        order = world.place()
        world.begin(order)
        assert swept(world.later(minutes=61)) == {"overdue_orders": 1}
        assert fulfilment.beat(order.pk, 1, world.now).cancel
        order.refresh_from_db()
        assert order.state == OrderState.RUNNING


class TestLeases:
    def test_a_lease_that_ended_is_reclaimed_once_and_never_early(self, world: World) -> None:
        order = world.built()
        lease = Lease.objects.get()
        assert sweeps.reclaim_due("zone-a", lease.ends_at - timedelta(microseconds=1)) == 0
        assert sweeps.reclaim_due("zone-b", lease.ends_at) == 0
        assert sweeps.reclaim_due("zone-a", lease.ends_at) == 1
        assert sweeps.reclaim_due("zone-a", lease.ends_at) == 0
        back = Order.objects.get(kind="decommission")
        assert (back.instance, back.state, back.requested_by) == (order.instance, OrderState.DISPATCHED, None)
        assert AuditEntry.objects.filter(actor="system:reclaim", action="order.approved").count() == 1

    def test_a_held_lease_is_left_alone(self, world: World) -> None:
        world.built()
        lease = Lease.objects.get()
        Lease.objects.update(held_at=lease.starts_at, held_until=lease.ends_at + timedelta(days=1))
        assert sweeps.reclaim_due("zone-a", lease.ends_at + timedelta(hours=23)) == 0
        assert sweeps.reclaim_due("zone-a", lease.ends_at + timedelta(days=1, seconds=1)) == 1


def test_a_host_nobody_is_left_on_is_wiped_even_after_a_crash(world: World) -> None:
    order = world.built()
    host = order.instance.allocations.first().host
    with transaction.atomic():
        release(order.instance, now=world.now, actor=system("test"))
    assert swept(world.later(seconds=1)) == {"abandoned_hosts": 1}
    host.refresh_from_db()
    assert host.state == HostState.DRAINING


def test_room_that_comes_free_goes_to_those_who_wait_in_their_order(db: None) -> None:
    world = make_world(hosts=1)
    first = world.built("first-db", plan="shared-small")
    full = Host.objects.get()
    full.inventories.filter(resource_class="VCPU").update(used=8)
    waiting = [
        world.place(f"waiting-{number}", wait_for_capacity=True, now=world.later(seconds=1)) for number in range(3)
    ]
    assert recovery.reconcile(world.now).counts == {}
    full.inventories.filter(resource_class="VCPU").update(used=6)
    assert recovery.reconcile(world.now).counts == {"admitted": 2}
    states = [Order.objects.get(pk=order.pk).state for order in waiting]
    assert states == [OrderState.DISPATCHED, OrderState.DISPATCHED, OrderState.WAITING_CAPACITY]
    assert first.state == OrderState.FULFILLED


def test_a_run_that_died_before_it_began_is_followed_by_the_next_attempt(world: World) -> None:
    order = world.place()
    Job.objects.filter(subject_id=order.pk).update(state=JobState.SENT, sent_at=world.now)
    report = recovery.reconcile(world.later(seconds=settings.PICKUP_SECONDS + 1))
    order.refresh_from_db()
    assert (report.counts, order.state, order.attempt) == ({"lost": 1}, OrderState.DISPATCHED, 2)
    world.begin(order)
    assert recovery.reconcile(world.now).counts == {}
