"""Due means due: once, never early, whatever the clock, the time zone and the platform did meanwhile."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from catalog.audit.models import AuditEntry
from catalog.instances.models import ServiceInstance
from catalog.leases import services as leases
from catalog.leases.holds import hold
from catalog.leases.models import Lease
from catalog.leases.states import LeaseState
from catalog.orders import sweeps
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.placement.services import locate
from catalog.tenancy.policy import system
from tests.orders.world import World, make_world, together

MOMENT = timedelta(microseconds=1)
GIVE_BACKS = Order.objects.filter(kind="decommission")


def sweep(at: datetime) -> int:
    """As the worker does: no run is started unless a look finds something."""
    return sweeps.reclaim_due("zone-a", at) if sweeps.anything_to_reclaim("zone-a", at) else 0


@pytest.mark.parametrize(
    "case",
    [
        # The night clocks go forward has 23 hours, the night they go back 25: an hour later is an hour later.
        ("Europe/London", "2027-03-28T00:30", 3600, "2027-03-28T02:30"),
        ("Europe/London", "2027-10-31T00:30", 7200, "2027-10-31T01:30"),
        ("Europe/London", "2027-10-30T12:00", 86_400, "2027-10-31T11:00"),
        ("America/New_York", "2027-03-13T12:00", 86_400, "2027-03-14T13:00"),
        ("America/New_York", "2027-11-07T00:30", 3600, "2027-11-07T01:30"),
        # Leap day, and the years that have none.
        ("Asia/Seoul", "2028-02-28T23:30", 86_400, "2028-02-29T23:30"),
        ("Asia/Seoul", "2028-02-29T09:00", 365 * 86_400, "2029-02-28T09:00"),
        ("Asia/Seoul", "2027-02-28T09:00", 86_400, "2027-03-01T09:00"),
        # Month ends and the year's end, on both sides of midnight in UTC.
        ("Asia/Seoul", "2027-01-31T08:59", 30 * 86_400, "2027-03-02T08:59"),
        ("Asia/Seoul", "2027-12-31T23:59:59", 1, "2028-01-01T00:00"),
        ("America/New_York", "2027-12-31T18:59:59", 1, "2027-12-31T19:00"),
    ],
)
def test_a_lease_lasts_as_long_as_it_says_on_every_calendar(
    settings: Any, world: World, case: tuple[str, str, int, str]
) -> None:
    zone, begins, seconds, ends = case
    settings.TIME_ZONE, there = zone, ZoneInfo(zone)
    start = datetime.fromisoformat(begins).replace(tzinfo=there).astimezone(UTC)
    world.now = start - timedelta(seconds=21)  # the build takes as long
    world.built(lease_seconds=seconds)
    lease = Lease.objects.get()
    assert (lease.starts_at, lease.ends_at) == (start, start + timedelta(seconds=seconds))
    assert lease.ends_at.astimezone(there).replace(tzinfo=None) == datetime.fromisoformat(ends)
    assert not sweeps.anything_to_reclaim("zone-a", lease.ends_at - MOMENT)
    assert not sweeps.anything_to_reclaim("zone-b", lease.ends_at)
    assert [sweep(lease.ends_at - MOMENT), sweep(lease.ends_at), sweep(lease.ends_at)] == [0, 1, 0]
    assert not sweeps.anything_to_reclaim("zone-a", lease.ends_at)


@pytest.mark.parametrize("days", [0, 1, 400])
def test_after_the_platform_was_down_the_first_look_acts_on_all_of_them_once(world: World, days: int) -> None:
    for number in range(3):
        world.built(f"db-{number}")
    back_again = Lease.objects.order_by("-ends_at")[0].ends_at + timedelta(days=days)
    assert [sweep(back_again), sweep(back_again), sweep(back_again + timedelta(days=1))] == [3, 0, 0]
    assert set(GIVE_BACKS.values_list("state", "created_at")) == {(OrderState.DISPATCHED, back_again)}
    assert set(Lease.objects.values_list("state", flat=True)) == {LeaseState.ENDED}


def test_a_clock_that_steps_back_makes_nothing_early_and_nothing_twice(world: World) -> None:
    world.built("db-1")
    first = Lease.objects.get()
    world.built("db-2", lease_seconds=7200)
    assert sweep(first.ends_at) == 1
    for back in (timedelta(seconds=1), timedelta(hours=1), timedelta(days=365)):
        assert sweep(first.ends_at - back) == 0
    assert GIVE_BACKS.count() == 1
    second = Lease.objects.exclude(pk=first.pk).get()
    assert [sweep(second.ends_at - MOMENT), sweep(second.ends_at)] == [0, 1]


def extended(world: World, lease: Lease, at: datetime) -> None:
    leases.extend(world.developer, lease, seconds=60, now=at)


def held(world: World, lease: Lease, at: datetime) -> None:
    hold(system("auditor"), lease, reason="Case 17", until=None, now=at)


@pytest.mark.parametrize("deed", [extended, held])
def test_what_happened_since_it_was_seen_counts(world: World, deed: Callable[[World, Lease, datetime], None]) -> None:
    world.built()
    lease = Lease.objects.get()
    ((lease_id, instance_id),) = leases.due(lease.ends_at, "zone-a").values_list("pk", "instance_id")
    seen_at = lease.ends_at
    deed(world, lease, seen_at)
    before = AuditEntry.objects.count()
    assert sweeps.reclaim_lease(lease_id, instance_id, seen_at) is False
    assert (GIVE_BACKS.count(), AuditEntry.objects.count()) == (0, before)
    lease.refresh_from_db()
    assert lease.state == LeaseState.ACTIVE


def test_one_that_is_refused_does_not_keep_the_others_waiting(world: World) -> None:
    world.built("db-1")
    world.built("db-2")
    stuck = ServiceInstance.objects.get(name="db-1")
    under_way = Order.objects.get(instance=stuck)
    Order.objects.filter(pk=under_way.pk).update(state=OrderState.RUNNING)
    at = Lease.objects.order_by("-ends_at")[0].ends_at
    assert sweep(at) == 1
    Order.objects.filter(pk=under_way.pk).update(state=OrderState.FULFILLED)
    assert [sweep(at), sweep(at)] == [1, 0]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_place_one_give_back_each() -> None:
    world = make_world()
    for number in range(6):
        world.built(f"db-{number}")
    at = Lease.objects.order_by("-ends_at")[0].ends_at
    said = together(*[lambda: str(sweep(at))] * 8)
    assert sum(int(placed) * times for placed, times in said.items()) == 6
    assert GIVE_BACKS.count() == GIVE_BACKS.values("instance").distinct().count() == 6


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_either_it_is_kept_or_it_is_reclaimed_and_never_both() -> None:
    world = make_world()
    for number in range(6):
        world.built(f"db-{number}")
    rows = list(Lease.objects.select_related("instance__plan").order_by("pk"))
    at = max(lease.ends_at for lease in rows)

    def work(lease: Lease, deed: Callable[[World, Lease, datetime], None]) -> Callable[[], str]:
        def run() -> str:
            deed(world, lease, at)
            return "kept"

        return run

    deeds = [work(lease, (extended, held)[number % 2]) for number, lease in enumerate(rows)]
    together(*deeds, *[lambda: str(sweep(at))] * 4)
    for lease in Lease.objects.select_related("instance"):
        kept = lease.ends_at > at or lease.held_at is not None
        assert GIVE_BACKS.filter(instance=lease.instance).count() == (0 if kept else 1)
        assert lease.state == (LeaseState.ACTIVE if kept else LeaseState.ENDED)
        assert locate(lease.instance) is not None
