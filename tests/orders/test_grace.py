"""Grace: when a lease ends its service is stopped and its data kept; then it is taken back, once and never early."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.leases.models import Lease, LeasePolicy
from catalog.leases.notices import give_notices
from catalog.leases.projects import follow_projects
from catalog.leases.states import LeaseState
from catalog.mail.models import Mail
from catalog.orders import fulfilment, operations, recovery, services, sweeps
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.tenancy.models import Project
from tests.factories import TESTER
from tests.orders.world import World, make_world, together

MOMENT, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)
STOPS = Order.objects.filter(kind="operate", operation="stop")
STARTS = Order.objects.filter(kind="operate", operation="start")
GIVE_BACKS = Order.objects.filter(kind="decommission")
pytestmark = pytest.mark.usefixtures("two_days_of_grace")


def sweep(at: datetime) -> int:
    """As the worker does: no run is started unless a look finds something."""
    return sweeps.reclaim_due("zone-a", at) if sweeps.anything_to_reclaim("zone-a", at) else 0


def one_in_grace(world: World) -> Lease:
    """Ended, stopped, and in grace since the end of its lease."""
    world.built()
    lease = Lease.objects.get()
    world.now = lease.ends_at
    assert sweep(world.now) == 1
    world.operated(STOPS.get())
    lease.refresh_from_db()
    return lease


def instance_state() -> str:
    return ServiceInstance.objects.get().state


def test_from_the_end_of_the_lease_to_the_give_back(world: World) -> None:
    world.built()
    lease = Lease.objects.get()
    assert lease.grace_ends_at == lease.ends_at + 2 * DAY
    assert lease.ahead(world.now) == [(lease.ends_at, "stop"), (lease.grace_ends_at, "erase")]
    assert [sweep(lease.ends_at - MOMENT), sweep(lease.ends_at), sweep(lease.ends_at)] == [0, 1, 0]
    lease.refresh_from_db()
    stop = STOPS.get()
    assert (lease.state, lease.grace_ends_at) == (LeaseState.GRACE, lease.ends_at + 2 * DAY)
    assert (stop.state, stop.requested_by, stop.reason) == (OrderState.DISPATCHED, None, "The lease ended.")
    world.operated(stop)
    assert (instance_state(), GIVE_BACKS.count()) == (InstanceState.STOPPED, 0)
    assert lease.ahead(world.now) == [(lease.grace_ends_at, "erase")]
    end = lease.grace_ends_at
    assert [sweep(end - MOMENT), sweep(end), sweep(end), sweep(end + DAY)] == [0, 1, 0, 0]
    lease.refresh_from_db()
    back = GIVE_BACKS.get()
    assert (lease.state, back.reason, back.state) == (LeaseState.ENDED, "The grace ended.", OrderState.DISPATCHED)
    assert lease.ahead(end) == []
    assert STOPS.count() == 1
    world.given_back(back)
    assert instance_state() == InstanceState.DECOMMISSIONED


@pytest.mark.parametrize(
    "case",
    [
        # Clocks go forward, and back, while the service is stopped: two days have 48 hours.
        ("Europe/London", "2027-03-26T23:30", "2027-03-29T00:30"),
        ("Europe/London", "2027-10-29T12:00", "2027-10-31T11:00"),
        ("America/New_York", "2027-03-13T01:30", "2027-03-15T02:30"),
        # Leap day, the day there is none, month ends and the year's end.
        ("Asia/Seoul", "2028-02-27T23:30", "2028-02-29T23:30"),
        ("Asia/Seoul", "2027-02-27T09:00", "2027-03-01T09:00"),
        ("Asia/Seoul", "2027-01-30T08:59", "2027-02-01T08:59"),
        ("Asia/Seoul", "2027-12-30T23:59:59", "2028-01-01T23:59:59"),
    ],
)
def test_grace_lasts_as_long_as_it_says_on_every_calendar(
    settings: Any, world: World, case: tuple[str, str, str]
) -> None:
    zone, ended, erased = case
    settings.TIME_ZONE, there = zone, ZoneInfo(zone)
    end = datetime.fromisoformat(ended).replace(tzinfo=there).astimezone(UTC)
    world.now = end - timedelta(seconds=3600 + 21)  # the build takes 21 seconds
    world.built(lease_seconds=3600)
    assert [sweep(end - MOMENT), sweep(end)] == [0, 1]
    lease = Lease.objects.get()
    assert lease.grace_ends_at.astimezone(there).replace(tzinfo=None) == datetime.fromisoformat(erased)
    world.now = end
    world.operated(STOPS.get())
    assert [sweep(lease.grace_ends_at - MOMENT), sweep(lease.grace_ends_at)] == [0, 1]


@pytest.mark.parametrize("days", [0, 1, 400])
def test_after_the_platform_was_down_grace_is_given_in_full_and_once(world: World, days: int) -> None:
    for number in range(3):
        world.built(f"db-{number}")
    back_again = Lease.objects.order_by("-ends_at")[0].ends_at + timedelta(days=days)
    assert [sweep(back_again), sweep(back_again), sweep(back_again + HOUR)] == [3, 0, 0]
    assert set(Lease.objects.values_list("state", "grace_ends_at")) == {(LeaseState.GRACE, back_again + 2 * DAY)}
    assert (STOPS.count(), GIVE_BACKS.count()) == (3, 0)
    later = back_again + timedelta(days=2 + days)
    assert [sweep(later), sweep(later)] == [3, 0]
    assert (STOPS.count(), GIVE_BACKS.count()) == (3, 3)


def test_a_clock_that_steps_back_ends_no_grace_early_and_stops_nothing_twice(world: World) -> None:
    lease = one_in_grace(world)
    for back in (timedelta(seconds=1), HOUR, timedelta(days=365)):
        assert sweep(lease.ends_at - back) == 0
    assert (STOPS.count(), sweep(lease.grace_ends_at - MOMENT), sweep(lease.grace_ends_at)) == (1, 0, 1)


@pytest.mark.parametrize(
    ("policy", "grace"),
    [
        ({"grace_seconds": 60}, timedelta(seconds=60)),
        ({"grace_seconds": 0}, None),
        ({"default_seconds": 60}, 2 * DAY),
    ],
)
def test_a_policy_says_how_long(world: World, policy: dict[str, int], grace: timedelta | None) -> None:
    LeasePolicy.objects.create(tenant=world.project.tenant, **policy)
    LeasePolicy.objects.create(tenant=world.other_project.tenant, grace_seconds=7)
    world.built()
    lease = Lease.objects.get()
    assert lease.grace_ends_at == (None if grace is None else lease.ends_at + grace)
    assert sweep(lease.ends_at) == 1
    assert (STOPS.count(), GIVE_BACKS.count()) == ((1, 0) if grace else (0, 1))


def test_what_was_announced_holds_whatever_the_policy_becomes(world: World, settings: Any) -> None:
    world.built()
    lease = Lease.objects.get()
    settings.LEASE_GRACE_SECONDS = 60
    assert sweep(lease.ends_at) == 1
    lease.refresh_from_db()
    assert lease.grace_ends_at == lease.ends_at + 2 * DAY


def test_what_cannot_be_stopped_has_no_grace(world: World) -> None:
    order = world.place()
    manifest = {name: said for name, said in order.version.manifest.items() if name != "operations"}
    type(order.version).objects.update(manifest=manifest)
    world.begin(order)
    fulfilment.succeed_create(order.pk, 1, outputs={}, now=world.later(seconds=20))
    lease = Lease.objects.get()
    assert lease.grace_ends_at is None
    assert sweep(lease.ends_at) == 1
    assert GIVE_BACKS.count() == 1


def test_grace_does_not_outlive_the_project(world: World) -> None:
    world.built(lease_seconds=3600)  # from 18:00 in Seoul
    Project.objects.update(ends_on=date(2026, 11, 2))
    midnight = datetime(2026, 11, 2, 15, tzinfo=UTC)
    assert follow_projects(world.now, actor=TESTER) == 1
    lease = Lease.objects.get()
    assert lease.grace_ends_at == midnight
    assert follow_projects(world.now, actor=TESTER) == 0
    assert sweep(lease.ends_at + HOUR) == 1, "late, so the rest of it is cut as well"
    lease.refresh_from_db()
    assert (lease.state, lease.grace_ends_at) == (LeaseState.GRACE, midnight)
    assert [sweep(midnight - MOMENT), sweep(midnight)] == [0, 1]
    assert GIVE_BACKS.count() == 1


def test_a_project_that_ends_during_grace_ends_it_and_says_so(world: World) -> None:
    lease = one_in_grace(world)
    Project.objects.update(ends_on=date(2026, 11, 2))
    Mail.objects.all().delete()
    assert follow_projects(world.now, actor=TESTER) == 1
    lease.refresh_from_db()
    assert (lease.state, lease.grace_ends_at) == (LeaseState.GRACE, datetime(2026, 11, 2, 15, tzinfo=UTC))
    assert "Why: Its project ends before." in Mail.objects.get().body
    Project.objects.update(ends_on=date(2026, 10, 1))
    assert follow_projects(world.now, actor=TESTER) == 1
    assert sweep(world.now) == 1
    assert GIVE_BACKS.count() == 1


def test_a_project_that_has_ended_leaves_no_grace(world: World) -> None:
    world.built()
    Project.objects.update(ends_on=date(2026, 11, 1))
    follow_projects(world.now, actor=TESTER)
    lease = Lease.objects.get()
    assert (lease.ends_at, lease.grace_ends_at) == (world.now + MOMENT, None)
    assert sweep(lease.ends_at) == 1
    assert GIVE_BACKS.count() == 1


# ---- a stop that does not go well


def test_a_stop_that_failed_is_tried_again_ever_more_rarely(world: World, settings: Any) -> None:
    settings.ORDER_ATTEMPTS = 1
    world.built()
    world.now = Lease.objects.get().ends_at
    sweep(world.now)

    def fail() -> None:
        stop = STOPS.order_by("-created_at")[0]
        world.begin(stop)
        fulfilment.attempt_failed(stop.pk, 1, code="host-unreachable", detail="", now=world.now)

    fail()
    assert instance_state() == InstanceState.TAINTED
    for pauses, minutes in ((1, 2), (2, 4), (3, 8)):
        assert sweep(world.later(minutes=minutes, seconds=-1)) == 0
        assert STOPS.count() == pauses
        assert sweep(world.later(seconds=2)) == 0
        assert sweep(world.now) == 0
        assert STOPS.count() == pauses + 1
        fail()
    sweep(world.later(minutes=20))
    world.operated(STOPS.order_by("-created_at")[0])
    assert instance_state() == InstanceState.STOPPED
    assert (sweep(world.later(hours=2)), STOPS.count()) == (0, 5)


def test_an_operation_under_way_at_the_end_goes_on_and_the_stop_is_the_next(world: World) -> None:
    world.built()
    instance = ServiceInstance.objects.get()
    world.operated(operations.operate(world.developer, instance, operation="stop", now=world.now))
    start = operations.operate(world.developer, instance, operation="start", now=world.now)
    world.begin(start)
    world.now = Lease.objects.get().ends_at
    assert sweep(world.now) == 1
    stop = STOPS.get(state=OrderState.APPROVED)
    fulfilment.succeed_operate(start.pk, 1, outputs={}, now=world.now)
    world.operated(stop)
    assert instance_state() == InstanceState.STOPPED


def test_at_the_end_of_grace_a_stop_still_at_work_is_outranked(world: World) -> None:
    world.built()
    sweep(Lease.objects.get().ends_at)
    stop = STOPS.get()
    world.now = Lease.objects.get().grace_ends_at - HOUR
    world.begin(stop)
    assert sweep(Lease.objects.get().grace_ends_at) == 1
    assert GIVE_BACKS.get().state == OrderState.APPROVED
    fulfilment.attempt_failed(stop.pk, 1, code="cancelled", detail="", now=world.now)
    assert GIVE_BACKS.get().state == OrderState.DISPATCHED


# ---- letters


def test_who_is_told_what_and_when(world: World) -> None:
    world.built(lease_seconds=3 * 86_400)
    lease = Lease.objects.get()
    day_before = lease.ends_at - DAY
    assert give_notices(day_before, actor=TESTER) == 1
    lease.refresh_from_db()
    assert lease.state == LeaseState.EXPIRING
    sweep(lease.ends_at)
    lease.refresh_from_db()
    assert [give_notices(lease.grace_ends_at - DAY - MOMENT, actor=TESTER) for _ in range(2)] == [0, 0]
    assert [give_notices(lease.grace_ends_at - DAY, actor=TESTER) for _ in range(2)] == [1, 0]
    announced, stopped, last = Mail.objects.order_by("created_at")
    assert announced.subject == "loan-db will be stopped in 1 day"
    assert (
        "ends on 5 Nov 2026, 18:00 (Asia/Seoul). It will be stopped then. Its data is kept until 7 Nov 2026, 18:00"
        in (announced.body)
    )
    assert (stopped.subject, stopped.created_at) == ("loan-db is stopped; its data is kept for 2 days", lease.ends_at)
    assert "extend its lease on its page in the portal" in stopped.body
    assert "7 Nov 2026, 18:00 (Asia/Seoul)" in stopped.body
    assert last.subject == "Everything on loan-db will be erased in 1 day"
    assert (announced.expires_at, stopped.expires_at, last.expires_at) == (
        lease.ends_at, lease.grace_ends_at, lease.grace_ends_at,
    )  # fmt: skip


# ---- at once


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_eight_sweeps_at_once_place_one_stop_and_later_one_give_back_each() -> None:
    world = make_world()
    for number in range(6):
        world.built(f"db-{number}")
    at = Lease.objects.order_by("-ends_at")[0].ends_at
    for orders, moment in ((STOPS, at), (GIVE_BACKS, at + 2 * DAY)):
        said = together(*[lambda moment=moment: str(sweep(moment))] * 8)
        assert sum(int(placed) * times for placed, times in said.items()) == 6
        assert orders.count() == orders.values("instance").distinct().count() == 6
    assert Mail.objects.count() == 6


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_extended_given_back_and_swept_at_once_each_ends_in_one_way() -> None:
    world = make_world()
    for number in range(6):
        world.built(f"db-{number}")
    at = Lease.objects.order_by("-ends_at")[0].ends_at
    sweep(at)
    world.now = at
    for stop in STOPS[:3]:
        world.operated(stop)
    rows = list(ServiceInstance.objects.select_related("plan").order_by("pk"))
    end = at + 2 * DAY

    def extending(instance: ServiceInstance) -> Callable[[], str]:
        def run() -> str:
            operations.extend_lease(world.developer, instance, seconds=7 * 86_400, now=end)
            return "extended"

        return run

    def giving(instance: ServiceInstance) -> Callable[[], str]:
        def run() -> str:
            services.give_back(world.developer, instance, now=end)
            return "given back"

        return run

    works = [extending(each) for each in rows] + [giving(each) for each in rows[:3]]
    said = together(*works, *[lambda: str(sweep(end))] * 4, *[lambda: str(recovery.reconcile(end).counts)] * 2)
    for lease in Lease.objects.select_related("instance"):
        backs = GIVE_BACKS.filter(instance=lease.instance).count()
        assert (lease.state, backs) in {(LeaseState.ACTIVE, 0), (LeaseState.ENDED, 1)}, said
        open_ = Order.objects.filter(instance=lease.instance, state__in=("approved", "dispatched", "running"))
        if lease.state == LeaseState.ENDED:
            assert [each.kind for each in open_] == ["decommission"]
        elif lease.instance.state == InstanceState.STOPPED:
            assert [each.operation for each in open_] == ["start"]
