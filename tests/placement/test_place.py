"""Claims and releases one at a time, in words a person ordering would understand."""

from typing import Any

import pytest

from catalog.audit.models import AuditEntry
from catalog.ipam.models import Endpoint
from catalog.placement.books import drift
from catalog.placement.errors import NoCapacity, NotPlaced
from catalog.placement.models import Allocation, Holding
from catalog.placement.services import Placed, locate, place, release
from catalog.pool.errors import ZoneNotOpen
from catalog.pool.models import DISK_GB, MEMORY_MB, VCPU, Host, HostEvent, Inventory, Zone
from catalog.pool.services import move_host
from catalog.pool.states import HostState
from catalog.tenancy.models import Project, Tenant
from tests.factories import NOW, TESTER, HostFactory, InstanceFactory, PlanFactory, TenantFactory, ZoneFactory

pytestmark = pytest.mark.django_db

SMALL = {VCPU: 1, MEMORY_MB: 512, DISK_GB: 2}


def ask(
    project: Project, plan: Any, *, resources: dict[str, int] = SMALL, exclusive: bool = False, **more: Any
) -> Placed:
    instance = InstanceFactory(project=project, plan=plan)
    return place(
        instance, resources=resources, exclusive=exclusive, tenant=project.tenant, zone=more.pop("zone", None),
        traits=more.pop("traits", ()), now=NOW, actor=TESTER, **more,
    )  # fmt: skip


def books() -> dict[str, Any]:
    """Everything a refused claim must leave as it was."""
    return {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for model in (Host, HostEvent, Inventory, Allocation, Holding, Endpoint, AuditEntry)
    }


@pytest.fixture
def plan(db: None) -> Any:
    return PlanFactory()


def test_a_slice_takes_a_clean_host_for_its_tenant(loan: Project, plan: Any, zone_a: Zone) -> None:
    host = HostFactory(zone=zone_a)
    placed = ask(loan, plan)
    host.refresh_from_db()
    assert placed.host == host
    assert (host.state, host.holder, host.exclusive) == (HostState.RESERVED, loan.tenant, False)
    assert dict(Allocation.objects.values_list("resource_class", "amount")) == SMALL
    assert dict(Inventory.objects.values_list("resource_class", "used")) == SMALL
    assert dict(Holding.objects.values_list("resource_class", "used")) == SMALL
    assert set(Inventory.objects.values_list("open_to", flat=True)) == {loan.tenant_id}
    assert placed.explanation == {
        "member": "main", "host": host.name, "zone": "zone-a", "where": "clean-host", "isolation": "affiliate", "traits": [],
        "wanted": SMALL, "whole_host": False, "free_before": {VCPU: 8, MEMORY_MB: 16384, DISK_GB: 200},
        "filters": [
            {"code": "zone-open"},
            {"code": "isolation", "isolation": "affiliate"},
            {"code": "reachable"},
            {"code": "room", "resource_class": DISK_GB, "amount": 2},
            {"code": "room", "resource_class": MEMORY_MB, "amount": 512},
            {"code": "room", "resource_class": VCPU, "amount": 1},
            {"code": "shortlist", "left": 1},
            {"code": "sound", "left": 1},
        ],
        "weighers": [
            {"code": "scarcity", "chosen": 0.0, "runner_up": None},
            {"code": "host-hours", "chosen": 0.6, "runner_up": None},
            {"code": "hosts-in-use", "chosen": 1.0, "runner_up": None},
            {"code": "best-fit", "chosen": 0.0009, "runner_up": None},
        ],
        "runner_up": None, "passed_over": 0,
    }  # fmt: skip
    assert drift() == []


def test_the_next_slice_goes_beside_it_and_another_tenants_does_not(
    loan: Project, points: Project, plan: Any, zone_a: Zone
) -> None:
    HostFactory.create_batch(2, zone=zone_a)
    first, second, other = ask(loan, plan), ask(loan, plan), ask(points, plan)
    assert second.host == first.host
    assert second.explanation["where"] == "beside-own-services"
    assert other.host != first.host
    assert drift() == []


def test_a_slice_goes_beside_others_on_a_host_in_use(loan: Project, plan: Any, zone_a: Zone) -> None:
    HostFactory.create_batch(2, zone=zone_a)
    first = ask(loan, plan).host
    move_host(first, HostState.IN_USE, actor=TESTER, now=NOW, proven_clean=False)
    assert ask(loan, plan).host == first
    assert drift() == []


def test_a_whole_host_is_taken_with_all_it_has(loan: Project, plan: Any, zone_a: Zone) -> None:
    HostFactory(zone=zone_a, vcpu=32, memory_mb=65536, disk_gb=900)
    tight = HostFactory(zone=zone_a, vcpu=4, memory_mb=9000, disk_gb=120)
    ask(loan, plan)  # a slice, which takes the tight host first
    assert tight.name == locate(Allocation.objects.first().instance).name
    placed = ask(loan, plan, resources={VCPU: 4, MEMORY_MB: 8192, DISK_GB: 100}, exclusive=True)
    assert placed.host.exclusive
    claimed = Allocation.objects.filter(host=placed.host)
    assert dict(claimed.values_list("resource_class", "amount")) == {VCPU: 32, MEMORY_MB: 65536, DISK_GB: 900}
    assert set(placed.host.inventories.values_list("free", "open_to")) == {(0, None)}
    with pytest.raises(NoCapacity):
        ask(loan, plan, resources={VCPU: 1}, exclusive=True)
    assert drift() == []


def test_reserved_amounts_and_ratios_count(loan: Project, plan: Any, zone_a: Zone) -> None:
    host = HostFactory(zone=zone_a, vcpu=4)
    Inventory.objects.filter(host=host, resource_class=VCPU).update(reserved=2, allocation_ratio=150)
    ask(loan, plan, resources={VCPU: 3})
    with pytest.raises(NoCapacity):
        ask(loan, plan, resources={VCPU: 1})
    assert drift() == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"resources": {VCPU: 9}}, "Of 1 hosts (free to take, or used by your affiliate) none passes: VCPU ≥ 9."),
        (
            {"resources": {VCPU: 1, MEMORY_MB: 20000}},
            "Of 1 hosts (free to take, or used by your affiliate) none passes: MEMORY_MB ≥ 20000.",
        ),
        (
            {"resources": {"GPU": 1}},
            "Of 1 hosts (in a zone open to your affiliate) none passes: free to take, or used by your affiliate.",
        ),
        ({"traits": ["gpu"]}, "Of 1 hosts (free to take, or used by your affiliate) none passes: has the traits gpu."),
    ],
    ids=["too many", "too much memory", "unknown class", "trait"],
)
def test_a_refusal_says_which_filter_left_nothing_and_changes_nothing(
    loan: Project, plan: Any, zone_a: Zone, more: dict[str, Any], words: str
) -> None:
    HostFactory(zone=zone_a, traits=["ssd"])
    before = books()
    with pytest.raises(NoCapacity) as refused:
        ask(loan, plan, **more)
    assert books() == before
    assert str(refused.value.detail).startswith(words)
    assert refused.value.context["filters"][0] == {
        "code": "zone-open", "filter": "in a zone open to your affiliate", "left": 1,
    }  # fmt: skip
    assert refused.value.context["filters"][-1]["left"] == 0
    assert str(refused.value.detail).endswith("Choose a smaller plan or another zone, or try again later.")


def test_a_trait_is_met(loan: Project, plan: Any, zone_a: Zone) -> None:
    HostFactory(zone=zone_a, vcpu=2)
    fast = HostFactory(zone=zone_a, traits=["ssd", "gpu"])
    assert ask(loan, plan, traits=["gpu", "ssd"]).host == fast


@pytest.mark.parametrize(
    "state", [HostState.INSPECTING, HostState.MAINTENANCE, HostState.MISSING, HostState.QUARANTINED]
)
def test_nothing_is_placed_on_a_host_that_is_not_available(
    loan: Project, plan: Any, zone_a: Zone, state: HostState
) -> None:
    HostFactory(zone=zone_a, to=state)
    before = books()
    with pytest.raises(NoCapacity):
        ask(loan, plan)
    assert books() == before
    assert drift() == []


def test_zones_are_kept_apart(loan: Project, card: Tenant, capital: Tenant, plan: Any) -> None:
    shared, theirs = ZoneFactory(), ZoneFactory(kind=Zone.Kind.LOCAL, tenant=card)
    external = ZoneFactory(kind=Zone.Kind.EXTERNAL)
    HostFactory(zone=theirs)
    outside = HostFactory(zone=external)
    with pytest.raises(ZoneNotOpen):
        ask(loan, plan, zone=theirs)
    # Room there is, but nothing goes outside that was not sent there.
    with pytest.raises(NoCapacity):
        ask(loan, plan)
    assert ask(loan, plan, zone=external).host == outside
    far = HostFactory(zone=shared)
    own = HostFactory(zone=ZoneFactory(kind=Zone.Kind.LOCAL, tenant=capital))
    assert ask(loan, plan).host == own
    assert ask(loan, plan, zone=shared).host == far


def test_release_gives_back_once(loan: Project, plan: Any, zone_a: Zone) -> None:
    host = HostFactory(zone=zone_a)
    placed, second = ask(loan, plan), ask(loan, plan)
    first, other = (row.instance for row in Allocation.objects.filter(resource_class=VCPU).order_by("pk"))
    assert release(first, now=NOW, actor=TESTER) == []
    assert release(first, now=NOW, actor=TESTER) == []
    assert dict(Holding.objects.values_list("resource_class", "used")) == SMALL
    assert release(other, now=NOW, actor=TESTER) == [host]
    assert placed.host == second.host == host
    host.refresh_from_db()
    assert (host.state, host.holder, host.exclusive) == (HostState.AVAILABLE, None, False)
    assert set(Inventory.objects.values_list("used", flat=True)) == {0}
    assert set(Allocation.objects.values_list("released_at", flat=True)) == {NOW}
    with pytest.raises(NotPlaced):
        locate(first)
    assert drift() == []


def test_a_host_that_was_built_on_is_left_for_the_wipe(loan: Project, points: Project, plan: Any, zone_a: Zone) -> None:
    HostFactory(zone=zone_a)
    host = ask(loan, plan).host
    move_host(host, HostState.IN_USE, actor=TESTER, now=NOW, proven_clean=False)
    assert release(Allocation.objects.first().instance, now=NOW, actor=TESTER) == [host]
    host.refresh_from_db()
    assert (host.state, host.holder, host.proven_clean) == (HostState.IN_USE, loan.tenant, False)
    with pytest.raises(NoCapacity):
        ask(points, plan)


def test_an_instance_is_placed_for_its_own_tenant_and_for_something(loan: Project, plan: Any) -> None:
    instance = InstanceFactory(project=loan, plan=plan)
    arguments: dict[str, Any] = {"exclusive": False, "zone": None, "now": NOW, "actor": TESTER}
    with pytest.raises(ValueError, match="its own tenant"):
        place(instance, resources=SMALL, tenant=TenantFactory(), **arguments)
    for resources in ({}, {VCPU: 0}, {VCPU: -1}):
        with pytest.raises(ValueError, match="amount above 0"):
            place(instance, resources=resources, tenant=loan.tenant, **arguments)
