"""What would make room, and when some may come: read by the person who was refused, and by whoever waits."""

import uuid
from datetime import datetime, timedelta

import pytest
from django.utils import translation

from catalog.dispatch.models import Job, JobState
from catalog.dispatch.selectors import USUAL_WIPE, usual_wipe
from catalog.leases.models import Lease
from catalog.offerings.models import Plan
from catalog.orders import recovery
from catalog.orders.outlook import said
from catalog.orders.waiting import EXPLAIN_EVERY, why_said
from catalog.placement.errors import NoCapacity
from catalog.pool.models import Host
from catalog.pool.states import HostState
from tests.factories import NOW, HostFactory, PlanFactory, ZoneFactory
from tests.orders.world import World, holdings

pytestmark = pytest.mark.django_db

TINY = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 2}


def wiped(zone: str, *, minutes: int, at: datetime = NOW) -> None:
    subject = uuid.uuid4()
    Job.objects.create(
        key=f"host:{subject}:wipe:1", flow="wipe", zone=zone, subject_type="host", subject_id=subject, attempt=1,
        state=JobState.DONE, outcome="clean", created_at=at - timedelta(minutes=minutes), ended_at=at,
    )  # fmt: skip


def refused(world: World, *args: str, **kwargs: str) -> NoCapacity:
    before = holdings()
    with pytest.raises(NoCapacity) as error:
        world.place(*args, **kwargs)
    assert holdings() == before
    assert error.value.explanation is not None
    return error.value


def outlook(error: NoCapacity) -> dict[str, object]:
    assert error.explanation is not None
    return dict(error.explanation["outlook"])


def test_how_long_a_wipe_takes_is_measured() -> None:
    assert usual_wipe("zone-a") == USUAL_WIPE
    for minutes in (2, 3, 40):
        wiped("zone-a", minutes=minutes)
    assert usual_wipe("zone-a") == timedelta(minutes=3)
    wiped("zone-a", minutes=4)
    assert usual_wipe("zone-a") == timedelta(minutes=3, seconds=30)
    assert usual_wipe("zone-b") == USUAL_WIPE
    for number in range(20):
        wiped("zone-a", minutes=1, at=NOW + timedelta(hours=number + 1))
    assert usual_wipe("zone-a") == timedelta(minutes=1)


def test_the_first_lease_to_end_with_the_wipe_after_it(world: World) -> None:
    wiped("zone-a", minutes=6)
    ends = []
    for number, hours in enumerate((5, 3)):
        order = world.built(f"whole-{number}", plan="small-whole", lease_seconds=hours * 3600)
        ends.append(Lease.objects.get(instance=order.instance).ends_at)
    error = refused(world, plan="small-whole")
    expected = (min(ends) + timedelta(minutes=6)).replace(second=0, microsecond=0)
    assert outlook(error)["expected_at"] == expected.isoformat()
    assert outlook(error)["wipe_seconds"] == 360
    assert "a lease ends, and wiping the host takes about 6 min." in str(error.detail)
    # A legal hold without an end: nobody can tell any more when that one comes free.
    Lease.objects.filter(ends_at=min(ends)).update(held_at=world.now)
    later = (max(ends) + timedelta(minutes=6)).replace(second=0, microsecond=0)
    assert outlook(refused(world, plan="small-whole"))["expected_at"] == later.isoformat()


def test_a_host_that_is_being_wiped_comes_first(world: World) -> None:
    wiped("zone-a", minutes=10)
    for number in range(2):
        world.built(f"whole-{number}", plan="small-whole", lease_seconds=50 * 3600)
    host = world.hosts[0]
    Host.objects.filter(pk=host.pk).update(state=HostState.DRAINING, state_since=world.now)
    expected = (world.now + timedelta(minutes=10)).replace(second=0, microsecond=0)
    assert outlook(refused(world, plan="small-whole"))["expected_at"] == expected.isoformat()


def test_room_beside_ones_own_services_needs_no_wipe(world: World) -> None:
    for number, hours in enumerate((9, 2, 4)):
        world.built(f"part-{number}", plan="third", lease_seconds=hours * 3600)
    for number in range(3):
        world.built(f"more-{number}", plan="third", lease_seconds=20 * 3600)
    error = refused(world, plan="third")
    first = Lease.objects.order_by("ends_at").values_list("ends_at", flat=True)[0]
    assert outlook(error)["expected_at"] == first.replace(second=0, microsecond=0).isoformat()
    assert outlook(error)["wipe_seconds"] == 0
    assert str(error.detail).endswith("when a lease ends.")


def test_own_services_that_would_make_room(world: World) -> None:
    for number in range(6):
        world.built(f"part-{number}", plan="third", lease_seconds=3600)
    error = refused(world, plan="third")
    assert len(outlook(error)["give_back"]) == 1  # type: ignore[arg-type]  # a list of names
    error = refused(world, plan="two-thirds")
    names = outlook(error)["give_back"]
    assert len(names) == 2  # type: ignore[arg-type]  # a list of names
    assert f"Giving back 2 services of your own would make room: {', '.join(names)}." in str(error.detail)  # type: ignore[arg-type]  # names
    error = refused(world, plan="small-whole")
    assert len(outlook(error)["give_back"]) == 3  # type: ignore[arg-type]  # a whole host needs all of them to go


def test_another_affiliates_services_are_never_named(world: World) -> None:
    for number in range(6):
        world.built(f"secret-{number}", plan="third", actor=world.stranger, project=world.other_project)
    error = refused(world, plan="third")
    assert outlook(error)["give_back"] == []
    assert "secret" not in str(error.detail) + str(error.explanation)


def test_other_zones_and_smaller_plans(world: World) -> None:
    near = world.hosts[0].zone
    other = ZoneFactory(slug="zone-b")
    HostFactory(zone=other)
    local = ZoneFactory(slug="zone-c", kind="local", tenant=world.other_project.tenant)
    HostFactory(zone=local)
    for number in range(5):
        world.built(f"part-{number}", plan="third", zone=near.slug)
    error = refused(world, plan="two-thirds", zone="zone-a")
    assert outlook(error)["zones"] == ["zone-b"]
    assert outlook(error)["plans"] == ["third", "bit", "shared-small"]
    assert "There is room in: zone-b." in str(error.detail)
    assert "A smaller plan fits now: third, bit, shared-small." in str(error.detail)


def test_the_reason_is_read_in_ones_own_language(world: World) -> None:
    for number in range(2):
        world.built(f"whole-{number}", plan="small-whole", lease_seconds=3600)
    order = world.place("waits", plan="small-whole", wait_for_capacity=True)
    waiting = order.explanation["waiting"]
    assert waiting["room_at"] is None
    assert waiting["explanation"]["outlook"]["expected_at"] is not None
    with translation.override("en"):
        assert "none passes: free to take." in why_said(waiting)
    with translation.override("ko"):
        korean = why_said(waiting)
    assert korean == said_in("ko", waiting["explanation"])
    assert "바로 쓸 수 있음" in korean
    assert "none passes" not in korean


def said_in(language: str, explanation: dict[str, object]) -> str:
    with translation.override(language):
        return said(explanation)


def test_a_waiting_order_is_explained_once_a_minute(world: World) -> None:
    for number in range(2):
        world.built(f"whole-{number}", plan="small-whole", lease_seconds=90_000)
    order = world.place("waits", plan="small-whole", wait_for_capacity=True)
    told = order.explanation["waiting"]["told_at"]
    recovery.reconcile(world.later(seconds=15))
    order.refresh_from_db()
    assert order.explanation["waiting"]["told_at"] == told
    assert order.explanation["waiting"]["explanation"]["outlook"]["give_back"]
    recovery.reconcile(world.later(seconds=EXPLAIN_EVERY.total_seconds()))
    order.refresh_from_db()
    assert order.explanation["waiting"]["told_at"] == world.now.isoformat()


@pytest.fixture
def world(world: World) -> World:
    """Two hosts of 3 VCPU, and plans of all, two thirds, one third, a bit of one, and one whole."""
    version = Plan.objects.get(slug="shared-small").version
    for host in world.hosts:
        host.inventories.filter(resource_class="VCPU").update(total=3)
        host.inventories.filter(resource_class="MEMORY_MB").update(total=3000)
        host.inventories.filter(resource_class="DISK_GB").update(total=30)
    third = {"VCPU": 1, "MEMORY_MB": 1000, "DISK_GB": 10}
    PlanFactory(version=version, slug="third", resources=third)
    PlanFactory(version=version, slug="two-thirds", resources={name: 2 * amount for name, amount in third.items()})
    PlanFactory(version=version, slug="bit", resources={"VCPU": 1, "MEMORY_MB": 900, "DISK_GB": 4})
    PlanFactory(version=version, dedicated=True, slug="small-whole", resources=TINY, price_krw_month=10)
    return world
