"""What room is worth, counted from the database, kept, and read by claims."""

from datetime import timedelta
from typing import Any

import pytest

from catalog.common.isolation import Isolation
from catalog.leases.models import Lease
from catalog.offerings.models import OfferingVersion, Plan, Publication
from catalog.placement.choice import Stay
from catalog.placement.market import current, reprice
from catalog.placement.models import PriceList
from catalog.placement.prices import NO_PRICES, Demand, Room, Shape, priced
from catalog.placement.selectors import looked_at
from catalog.placement.services import place
from catalog.placement.tasks import prices
from catalog.pool.models import DISK_GB, MEMORY_MB, VCPU, Zone
from catalog.pool.states import HostState
from catalog.tenancy.models import Project
from tests.factories import NOW, TESTER, HostFactory, InstanceFactory, OfferingVersionFactory, PlanFactory

pytestmark = pytest.mark.django_db

SMALL = {VCPU: 2, MEMORY_MB: 2000, DISK_GB: 20}
SHAPE = Shape(tuple(sorted(SMALL.items())))
NONE: frozenset[str] = frozenset()


def plan(**more: Any) -> Any:
    others = Plan.objects.count()
    version = OfferingVersion.objects.first() or OfferingVersionFactory()
    return PlanFactory(version=version, slug=f"plan-{others}", **{"resources": SMALL, **more})


def claim(project: Project, its_plan: Any, *, days: int | None = None, **more: Any) -> Any:
    instance = InstanceFactory(project=project, plan=its_plan, created_at=NOW)
    if days is not None:
        Lease.objects.create(instance=instance, state_since=NOW, starts_at=NOW, ends_at=NOW + timedelta(days=days))
    return place(
        instance, resources=SMALL, tenant=project.tenant, zone=None, now=NOW, actor=TESTER,
        **{"exclusive": False, "traits": its_plan.traits, **more},
    )  # fmt: skip


def test_before_the_first_count_no_room_is_worth_more_than_other_room() -> None:
    assert current() == NO_PRICES


def test_plans_and_orders_are_the_demand_and_what_hosts_have_left_the_supply(loan: Project, zone_a: Zone) -> None:
    HostFactory(zone=zone_a, vcpu=8, memory_mb=8000, disk_gb=80)
    HostFactory(zone=zone_a, vcpu=8, memory_mb=8000, disk_gb=80, traits=["gpu"])
    HostFactory(zone=zone_a, to=HostState.MAINTENANCE)
    plain, gpu = plan(), plan(traits=["gpu"])
    plan(publication=Publication.DRAFT, resources={VCPU: 1})
    claim(loan, plain, days=10)
    claim(loan, plain, days=20)
    made = reprice(NOW)
    size = {VCPU: 8, MEMORY_MB: 8000, DISK_GB: 80}
    assert made == priced(
        [Demand(SHAPE, NONE, 3.0), Demand(SHAPE, frozenset(gpu.traits), 1.0)],
        [
            Room(zone_a.pk, NONE, {VCPU: 4, MEMORY_MB: 4000, DISK_GB: 40}, size),
            Room(zone_a.pk, frozenset({"gpu"}), size, size),
        ],
        standing=2, stay=15 * 86_400.0,
    )  # fmt: skip
    assert made.slack == 0.75
    assert current() == made


def test_a_host_held_as_a_whole_counts_for_when_its_lease_ends(loan: Project, zone_a: Zone) -> None:
    HostFactory(zone=zone_a, vcpu=8, memory_mb=8000, disk_gb=80)
    whole = plan(topology=Plan.Topology.DEDICATED, isolation=Isolation.DEDICATED)
    claim(loan, whole, days=30, exclusive=True)
    size = {VCPU: 8, MEMORY_MB: 8000, DISK_GB: 80}
    for days in (0, 30):
        made = reprice(NOW + timedelta(days=days))
        assert made == priced(
            [Demand(Shape(SHAPE.amounts, whole=True), NONE, 2.0)],
            [Room(zone_a.pk, NONE, size, size, ends_in=(30 - days) * 86_400.0)],
            standing=1, stay=30 * 86_400.0,
        )  # fmt: skip


def test_what_was_counted_anew_is_what_the_next_claim_reads(zone_a: Zone) -> None:
    plan()
    first = reprice(NOW)
    HostFactory(zone=zone_a)
    assert current() == first
    second = reprice(NOW + timedelta(minutes=5))
    assert current() == second != first
    assert PriceList.objects.count() == 1


def test_the_task_says_how_much_is_free(zone_a: Zone) -> None:
    HostFactory(zone=zone_a)
    assert prices() == 1.0


def test_a_rare_trait_is_left_to_those_who_need_it(loan: Project, zone_a: Zone) -> None:
    rare = HostFactory(zone=zone_a, vcpu=4, memory_mb=4000, disk_gb=40, traits=["gpu"])
    roomy = HostFactory(zone=zone_a, vcpu=16, memory_mb=16000, disk_gb=160)
    plain, gpu = plan(), plan(traits=["gpu"])
    reprice(NOW)
    assert claim(loan, plain).host == roomy
    assert claim(loan, gpu).host == rare


def test_a_host_knows_who_stands_on_it_and_until_when(loan: Project, zone_a: Zone) -> None:
    host = HostFactory(zone=zone_a, vcpu=8, memory_mb=4000, disk_gb=80)
    its_plan = plan()
    claim(loan, its_plan, days=3)
    claim(loan, its_plan)
    (found,) = looked_at([host.pk])
    # Of the memory each takes the most: half.
    assert sorted(found.stays, key=lambda stay: stay.until is None) == [
        Stay(0.5, NOW + timedelta(days=3)), Stay(0.5),
    ]  # fmt: skip
    assert not found.empty
