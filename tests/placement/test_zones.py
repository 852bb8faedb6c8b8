"""Which zones a claim may go to: who is admitted, what data may stand there, whether it is open and somebody works there."""

from typing import Any

import pytest

from catalog.instances.models import ServiceInstance
from catalog.offerings.models import Plan
from catalog.placement.models import Allocation
from catalog.placement.selectors import why_no_zone, zones_for
from catalog.placement.services import place
from catalog.pool.errors import ZoneRefused
from catalog.pool.models import DISK_GB, MEMORY_MB, VCPU, Inventory, WorkerState, Zone
from catalog.pool.states import HostState
from catalog.tenancy.models import Project, Tenant
from tests.factories import NOW, TESTER, HostFactory, InstanceFactory, PlanFactory, ZoneFactory

ALL = ["public", "internal", "personal-credit", "unique-id"]


def ask(project: Project, plan: Plan, data_class: str = "internal", zone: Zone | None = None) -> str:
    instance = InstanceFactory(project=project, plan=plan, data_class=data_class)
    placed = place(
        instance, resources={VCPU: 1, MEMORY_MB: 512, DISK_GB: 2}, exclusive=False, tenant=project.tenant, zone=zone,
        now=NOW, actor=TESTER,
    )  # fmt: skip
    return placed.host.zone.slug


@pytest.fixture
def plan(db: None) -> Plan:
    return PlanFactory()


def slugs(tenant: Tenant, data_class: str = "internal", zone: Zone | None = None) -> list[str]:
    return [each.slug for each in zones_for(tenant, zone, data_class)]


def test_local_zones_first_and_outside_only_by_name(capital: Tenant, card: Tenant) -> None:
    ZoneFactory(slug="shared-b")
    ZoneFactory(slug="shared-a")
    ZoneFactory(slug="own", kind="local", tenant=capital)
    ZoneFactory(slug="theirs", kind="local", tenant=card)
    ZoneFactory(slug="guests", kind="local", tenant=card).admitted.set([capital])
    cloud = ZoneFactory(slug="cloud", kind="external")
    assert slugs(capital) == ["guests", "own", "shared-a", "shared-b"]
    assert slugs(capital, zone=cloud) == ["cloud"]
    cloud.admission = "chosen"
    cloud.save()
    assert slugs(capital, zone=cloud) == []


def test_the_chosen_are_admitted_and_nobody_else(capital: Tenant, card: Tenant) -> None:
    ZoneFactory(slug="club", admission="chosen").admitted.set([card])
    assert (slugs(capital), slugs(card)) == ([], ["club"])


def test_data_goes_where_it_may_stand(loan: Project, plan: Plan) -> None:
    for slug, data_classes in (("zone-a", ["public"]), ("zone-b", ALL), ("zone-c", ["internal"])):
        HostFactory(zone=ZoneFactory(slug=slug, data_classes=data_classes))
    assert ask(loan, plan, "public") in {"zone-a", "zone-b"}
    assert ask(loan, plan, "unique-id") == "zone-b"
    assert ask(loan, plan, "personal-credit") == "zone-b"
    # zone-b has a host of ours already; the other one does not, but it would be as good.
    assert ask(loan, plan, "internal") in {"zone-b", "zone-c"}


def test_zones_where_somebody_works_come_first_also_before_own_hosts(loan: Project, plan: Plan) -> None:
    near, far = ZoneFactory(slug="near", kind="local", tenant=loan.tenant), ZoneFactory(slug="far")
    HostFactory(zone=near)
    HostFactory(zone=far, vcpu=1)
    assert ask(loan, plan) == "near"
    Zone.objects.filter(pk=near.pk).update(worker_state=WorkerState.SILENT)
    assert slugs(loan.tenant) == ["far", "near"]
    # A clean host where somebody works before room beside our own where nobody does.
    assert ask(loan, plan) == "far"
    # That one is full: better to wait for a worker than to be refused.
    assert ask(loan, plan) == "near"
    assert ask(loan, plan, zone=near) == "near"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("zone-not-open", "No zone is open to your affiliate. Ask a pool operator to admit it."),
        (
            "zone-data-class",
            "No zone of the group that is open to your affiliate may hold personal credit data."
            " These may, if the order names one: cloud.",
        ),
        (
            "zone-closed",
            "Nothing new is placed there for now (zone-b: new switches). Choose another zone, or let the order wait.",
        ),
    ],
)
def test_without_any_zone_it_is_said_why_and_what_to_do(
    code: str, words: str, loan: Project, plan: Plan, card: Tenant
) -> None:
    zone_a = ZoneFactory(slug="zone-a")
    HostFactory(zone=zone_a)
    if code == "zone-not-open":
        zone_a.admission = "chosen"
        zone_a.save()
        zone_a.admitted.set([card])
    elif code == "zone-data-class":
        ZoneFactory(slug="cloud", kind="external", data_classes=ALL, protected_outside=True)
    else:
        ZoneFactory(slug="zone-b", data_classes=ALL, closed_at=NOW, closed_reason="new switches")
    with pytest.raises(ZoneRefused) as refused:
        ask(loan, plan, "personal-credit")
    assert (refused.value.code, refused.value.detail) == (code, words)
    assert not Allocation.objects.exists()
    assert sum(Inventory.objects.values_list("used", flat=True)) == 0
    assert ServiceInstance.objects.get().zone is None
    assert zone_a.hosts.get().state == HostState.AVAILABLE


@pytest.mark.parametrize(
    ("terms", "code", "words"),
    [
        ({"admission": "chosen"}, "zone-not-open", "not open to your affiliate"),
        (
            {"data_classes": ["public"]},
            "zone-data-class",
            "The zone busan may not hold internal data. These may, if the order names one: zone-a.",
        ),
        ({"closed_at": NOW, "closed_reason": "flood"}, "zone-closed", "busan: flood"),
    ],
)
def test_a_named_zone_that_refuses_says_why(
    terms: dict[str, Any], code: str, words: str, loan: Project, plan: Plan
) -> None:
    HostFactory(zone=ZoneFactory(slug="zone-a"))
    busan = ZoneFactory(slug="busan", **terms)
    HostFactory(zone=busan)
    with pytest.raises(ZoneRefused) as refused:
        ask(loan, plan, zone=busan)
    assert refused.value.code == code
    assert words in str(refused.value.detail)
    assert list(refused.value.fields) == ["zone"]
    assert not Allocation.objects.exists()


def test_a_zone_that_takes_it_refuses_nothing(capital: Tenant, zone_a: Zone) -> None:
    assert why_no_zone(capital, None, "internal") is None
    assert why_no_zone(capital, zone_a, "public") is None
