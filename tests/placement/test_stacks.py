"""Stacks, all or nothing; and hosts that affiliates share."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from catalog.common.data import DataClass
from catalog.common.isolation import Isolation
from catalog.instances.models import ServiceInstance
from catalog.ipam.models import Endpoint
from catalog.ipam.services import claim_endpoints, release_endpoints
from catalog.placement.errors import IsolationTooWeak, NoCapacity
from catalog.placement.members import Member, Spread
from catalog.placement.models import Allocation, Holding
from catalog.placement.selectors import locate_rows
from catalog.placement.services import Placed, locate, place_all, release, would_fit
from catalog.pool.models import ANYONE, DISK_GB, GROUP, MEMORY_MB, VCPU, Host, Inventory, Zone
from catalog.pool.services import move_host
from catalog.pool.states import HostState
from catalog.quotas.books import drift
from catalog.tenancy.models import Project
from tests.factories import NOW, TESTER, HostFactory, InstanceFactory, PlanFactory, ZoneFactory
from tests.placement.test_place import SMALL, books

pytestmark = pytest.mark.django_db

PRIMARY = Member(SMALL, name="primary", role="primary")


def replicas(count: int, spread: Spread, **more: Any) -> list[Member]:
    return [
        Member(
            SMALL,
            name=f"replica-{n}",
            role="replica",
            number=n,
            spread=spread,
            apart_from=frozenset({"primary"}),
            **more,
        )
        for n in range(1, count + 1)
    ]


@pytest.fixture
def plan(db: None) -> Any:
    return PlanFactory()


def stack(
    project: Project, plan: Any, members: list[Member], *, isolation: str = Isolation.AFFILIATE, **more: Any
) -> list[Placed]:
    instance = InstanceFactory(project=project, plan=plan)
    asked: dict[str, Any] = {"zone": None, "now": NOW, "actor": TESTER} | more
    placed = place_all(instance, members, isolation=isolation, tenant=project.tenant, **asked)
    claim_endpoints(instance, {each.member.name: each.host for each in placed}, port_range=(20000, 20009), now=NOW)
    return placed


def newest() -> ServiceInstance:
    return ServiceInstance.objects.get(pk=Allocation.objects.latest("pk").instance_id)


def test_a_stack_stands_on_different_hosts_and_comes_back_whole(loan: Project, plan: Any, zone_a: Zone) -> None:
    HostFactory.create_batch(3, zone=zone_a)
    placed = stack(loan, plan, [PRIMARY, *replicas(2, Spread.HOST)])
    instance = newest()
    assert [each.member.name for each in placed] == ["primary", "replica-1", "replica-2"]
    assert len({each.host.pk for each in placed}) == 3
    assert [host.pk for host in locate_rows(instance.pk)] == [each.host.pk for each in placed]
    assert locate(instance) == placed[0].host
    assert {(row.member, row.host_id) for row in Allocation.objects.all()} == {
        (each.member.name, each.host.pk) for each in placed
    }
    assert {(row.member, row.address.host_id) for row in Endpoint.objects.select_related("address")} == {
        (each.member.name, each.host.pk) for each in placed
    }
    assert dict(Holding.objects.values_list("resource_class", "used")) == {
        name: 3 * amount for name, amount in SMALL.items()
    }
    assert placed[2].explanation["member"] == "replica-2"
    assert {"code": "apart", "left": 1} in placed[2].explanation["filters"]
    assert drift() == []
    assert {host.pk for host in release(instance, now=NOW, actor=TESTER)} == {each.host.pk for each in placed}
    release_endpoints(instance, now=NOW)
    assert set(Host.objects.values_list("state", flat=True)) == {HostState.AVAILABLE}
    assert set(Holding.objects.values_list("used", flat=True)) == {0}
    assert drift() == []


def test_a_stack_over_zones(loan: Project, plan: Any) -> None:
    zones = ZoneFactory.create_batch(3)
    for zone in zones:
        HostFactory(zone=zone)
    placed = stack(loan, plan, [PRIMARY, *replicas(2, Spread.ZONE)])
    assert {each.host.zone_id for each in placed} == {zone.pk for zone in zones}
    assert Holding.objects.filter(resource_class=VCPU, used=1).count() == 3
    assert drift() == []


def test_a_stack_that_is_not_spread_over_zones_stays_in_one(loan: Project, plan: Any) -> None:
    first, second = ZoneFactory.create_batch(2)
    HostFactory(zone=first)
    for _ in range(2):
        HostFactory(zone=second)
    placed = stack(loan, plan, [PRIMARY, *replicas(1, Spread.HOST)])
    assert {each.host.zone_id for each in placed} == {second.pk}


def test_members_that_belong_together_share_a_host(loan: Project, plan: Any, zone_a: Zone) -> None:
    HostFactory.create_batch(2, zone=zone_a)
    web = [Member(SMALL, name=f"web-{n}", role="web", number=n, spread=Spread.HOST) for n in (1, 2)]
    log = [Member(SMALL, name=f"log-{n}", role="log", number=n, together_with="web") for n in (1, 2)]
    placed = stack(loan, plan, [*web, *log])
    hosts = {each.member.name: each.host for each in placed}
    assert hosts["web-1"] == hosts["log-1"] != hosts["web-2"] == hosts["log-2"]
    assert placed[0].explanation["member"] == "web-1, log-1"
    assert placed[0].explanation["wanted"] == {name: 2 * amount for name, amount in SMALL.items()}
    assert len(set(Endpoint.objects.values_list("address", "port"))) == 4
    assert drift() == []


def test_a_stack_of_whole_hosts(loan: Project, plan: Any, zone_a: Zone) -> None:
    HostFactory.create_batch(2, zone=zone_a)
    placed = stack(loan, plan, [PRIMARY, *replicas(1, Spread.NONE)], isolation=Isolation.DEDICATED)
    assert len({each.host.pk for each in placed}) == 2
    assert set(Inventory.objects.values_list("free", "open_to")) == {(0, None)}
    assert {each.amounts[VCPU] for each in placed} == {8}
    assert drift() == []


@pytest.mark.parametrize(
    "case",
    [
        (2, [PRIMARY, *replicas(2, Spread.HOST)], "apart from the other members of the service"),
        (3, [PRIMARY, *replicas(1, Spread.ZONE)], "apart from the other members of the service"),
        (3, [PRIMARY, Member({VCPU: 99}, name="big", role="big")], "VCPU ≥ 99"),
    ],
    ids=["too few hosts", "one zone", "one too big"],
)
def test_all_or_nothing(loan: Project, plan: Any, zone_a: Zone, case: tuple[int, list[Member], str]) -> None:
    hosts, members, last = case
    HostFactory.create_batch(hosts, zone=zone_a)
    before = books()
    with pytest.raises(NoCapacity) as refused:
        stack(loan, plan, members)
    assert books() == before
    assert refused.value.context["filters"][-1]["filter"] == last
    assert refused.value.context["filters"][-1]["left"] == 0
    assert f"none passes: {last}." in str(refused.value.detail)
    asked: dict[str, Any] = {"isolation": Isolation.AFFILIATE, "tenant": loan.tenant, "zone": None, "now": NOW}
    assert not would_fit(members, **asked)
    assert would_fit(members[:1], **asked)
    assert books() == before


def test_affiliates_share_a_host_where_their_plans_say_so(
    loan: Project, points: Project, plan: Any, zone_a: Zone
) -> None:
    HostFactory.create_batch(2, zone=zone_a)
    (first,) = stack(loan, plan, [PRIMARY], isolation=Isolation.GROUP)
    ours = newest()
    (second,) = stack(points, plan, [PRIMARY], isolation=Isolation.GROUP)
    theirs = newest()
    host = first.host
    assert second.host == host
    assert second.explanation["where"] == "beside-the-group"
    host.refresh_from_db()
    assert (host.state, host.holder, host.exclusive, host.sharing) == (HostState.RESERVED, None, False, Isolation.GROUP)
    assert set(host.inventories.values_list("open_to", flat=True)) == {GROUP}
    # Whoever did not choose so stands elsewhere, and never beside them.
    (alone,) = stack(loan, plan, [PRIMARY])
    assert alone.host != host
    with pytest.raises(NoCapacity):
        stack(points, plan, [PRIMARY])
    assert drift() == []
    # It is wiped when the last of them has left, not before.
    move_host(host, HostState.IN_USE, actor=TESTER, now=NOW, proven_clean=False)
    assert release(ours, now=NOW, actor=TESTER) == []
    assert release(theirs, now=NOW, actor=TESTER) == [host]
    release_endpoints(ours, now=NOW)
    release_endpoints(theirs, now=NOW)
    host.refresh_from_db()
    assert (host.state, host.proven_clean) == (HostState.IN_USE, False)
    assert drift() == []


def test_a_shared_host_never_built_on_is_free_for_all_again(loan: Project, plan: Any, zone_a: Zone) -> None:
    host = HostFactory(zone=zone_a)
    stack(loan, plan, [PRIMARY], isolation=Isolation.GROUP)
    instance = newest()
    release(instance, now=NOW, actor=TESTER)
    release_endpoints(instance, now=NOW)
    host.refresh_from_db()
    assert (host.state, host.sharing) == (HostState.AVAILABLE, Isolation.AFFILIATE)
    assert set(host.inventories.values_list("open_to", flat=True)) == {ANYONE}
    assert drift() == []


@pytest.mark.parametrize("data_class", [DataClass.PERSONAL_CREDIT, DataClass.UNIQUE_ID])
def test_personal_data_never_stands_beside_other_affiliates(
    loan: Project, plan: Any, zone_a: Zone, data_class: DataClass
) -> None:
    Zone.objects.update(data_classes=list(DataClass.values))
    HostFactory(zone=zone_a)
    before = books()
    with pytest.raises(IsolationTooWeak):
        stack(loan, plan, [PRIMARY], isolation=Isolation.GROUP, data_class=data_class)
    assert books() == before
    asked: dict[str, Any] = {"tenant": loan.tenant, "zone": None, "now": NOW, "data_class": data_class}
    assert not would_fit([PRIMARY], isolation=Isolation.GROUP, **asked)
    stack(loan, plan, [PRIMARY], data_class=data_class)
    # The database refuses it too, whatever the code does.
    with pytest.raises(IntegrityError), transaction.atomic():
        Allocation.objects.update(isolation=Isolation.GROUP)


def test_the_database_knows_whose_a_host_is(loan: Project, plan: Any, zone_a: Zone) -> None:
    host = HostFactory(zone=zone_a)
    stack(loan, plan, [PRIMARY], isolation=Isolation.GROUP)
    for change in ({"holder": loan.tenant}, {"exclusive": True}, {"sharing": Isolation.AFFILIATE}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Host.objects.filter(pk=host.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        Host.objects.filter(pk=host.pk).update(state=HostState.AVAILABLE)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda host: Host.objects.filter(pk=host.pk).update(sharing=Isolation.AFFILIATE, holder=host.zone.tenant),
            "affiliate",
        ),
        (lambda host: Allocation.objects.update(isolation=Isolation.AFFILIATE), "group"),
        (lambda host: Allocation.objects.update(isolation=Isolation.DEDICATED), "held as a whole"),
    ],
    ids=["host", "allocation", "whole"],
)
def test_the_books_notice_who_stands_where_they_should_not(
    loan: Project, plan: Any, zone_a: Zone, spoil: Any, said: str
) -> None:
    host = HostFactory(zone=zone_a)
    stack(loan, plan, [PRIMARY], isolation=Isolation.GROUP)
    assert drift() == []
    if said == "affiliate":
        move_host(host.__class__.objects.get(pk=host.pk), HostState.QUARANTINED, actor=TESTER, now=NOW)
    spoil(host)
    assert any(said in str(each) for each in drift())


def test_a_host_on_which_builds_failed_is_passed_over(loan: Project, plan: Any, zone_a: Zone) -> None:
    tight, roomy = HostFactory(zone=zone_a, vcpu=1, memory_mb=600, disk_gb=3), HostFactory(zone=zone_a)
    Host.objects.filter(pk=tight.pk).update(failed_builds=1, build_failed_at=NOW)
    (first,) = stack(loan, plan, [PRIMARY])
    assert first.host == roomy
    assert {"code": "sound", "left": 1} in first.explanation["filters"]
    assert first.explanation["runner_up"] == tight.name
    (second,) = stack(loan, plan, [Member({VCPU: 1, MEMORY_MB: 600, DISK_GB: 3})], isolation=Isolation.DEDICATED)
    assert second.host == tight
    assert {"code": "sound", "left": 0} in second.explanation["filters"]
