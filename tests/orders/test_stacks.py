"""An order of several hosts: claimed, shown, built on and given back as one."""

import re
import uuid
from typing import Any

import pytest

from catalog.common.data import DataClass
from catalog.common.isolation import Isolation
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.ipam.access import known_networks
from catalog.ipam.errors import MemberUnknown
from catalog.offerings.models import Plan
from catalog.orders import fulfilment, operations, recovery, services
from catalog.orders.errors import OperationUnknown
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.placement.errors import IsolationTooWeak, NoCapacity
from catalog.placement.models import Allocation
from catalog.placement.selectors import locate_rows
from catalog.pool.models import ANYONE, VCPU, Host
from catalog.pool.states import HostState
from catalog.quotas.books import drift
from catalog.quotas.errors import QuotaExceeded
from catalog.quotas.models import Quota
from catalog.reclaim import fulfilment as host_fulfilment
from tests.factories import HostFactory, PlanFactory, ZoneFactory
from tests.orders.world import World, holdings

pytestmark = pytest.mark.django_db

SIZE = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 2}
PRIMARY = {"name": "primary", "count": 1, "resources": SIZE}
REPLICA = {"name": "replica", "count": 2, "resources": SIZE, "spread": "host", "apart_from": ["primary"]}


def make_stack(*roles: dict[str, Any], **more: Any) -> Plan:
    total = {name: sum(role["count"] * role["resources"][name] for role in roles) for name in SIZE}
    plan: Plan = PlanFactory(
        version=Plan.objects.first().version, slug="stack", resources=total, roles=list(roles), **more
    )
    return plan


@pytest.fixture
def stack(world: World) -> Plan:
    HostFactory(zone=world.hosts[0].zone)
    return make_stack(PRIMARY, REPLICA)


def hosts_of(order: Order) -> list[Host]:
    assert order.instance is not None
    return list(locate_rows(order.instance.pk))


def test_a_stack_is_claimed_built_and_given_back_as_one(world: World, stack: Plan) -> None:
    before = holdings()
    order = world.place("the-db", plan="stack")
    hosts = hosts_of(order)
    assert order.instance is not None
    assert len(hosts) == 3
    assert order.zone == order.instance.zone == hosts[0].zone
    said = order.explanation["members"]
    assert [each["member"] for each in said] == ["primary", "replica-1", "replica-2"]
    assert [each["host"] for each in said] == [host.name for host in hosts]
    endpoints = {each.member: each for each in order.instance.endpoints.select_related("address")}
    assert {name: each.address.host for name, each in endpoints.items()} == dict(
        zip(("primary", "replica-1", "replica-2"), hosts, strict=True)
    )
    # The front door is the first member's.
    assert order.instance.bindings.get().public["address"] == str(hosts[0].address)
    assert drift() == []
    world.begin(order)
    assert {host.state for host in hosts_of(order)} == {HostState.IN_USE}
    fulfilment.succeed_create(order.pk, 1, outputs={}, now=world.later(seconds=20))
    back = services.give_back(world.developer, order.instance, now=world.now)
    world.begin(back)
    fulfilment.succeed_decommission(back.pk, 1, residue={"clean": True}, now=world.later(seconds=5))
    assert {host.state for host in Host.objects.filter(pk__in=[host.pk for host in hosts])} == {HostState.DRAINING}
    for host in hosts:
        world.wipe(host)
    assert set(Host.objects.values_list("state", flat=True)) == {HostState.AVAILABLE}
    after = holdings()
    assert {name: after[name] for name in ("allocations", "used", "endpoints", "open jobs")} == {
        name: before[name] for name in ("allocations", "used", "endpoints", "open jobs")
    }
    assert drift() == []


def test_a_stack_that_does_not_fit_leaves_nothing(world: World, stack: Plan) -> None:
    Host.objects.filter(pk=world.hosts[0].pk).update(state=HostState.MAINTENANCE)
    world.hosts[0].inventories.update(open_to=None)
    before = holdings()
    with pytest.raises(NoCapacity) as refused:
        world.place("the-db", plan="stack")
    assert holdings() == before
    assert refused.value.explanation is not None
    assert refused.value.explanation["member"].startswith("replica-")
    assert refused.value.explanation["outlook"]["plans"] == ["shared-small"]
    assert "A smaller plan fits now: shared-small." in str(refused.value.detail)
    assert drift() == []


def test_every_member_counts_against_the_quota(world: World, stack: Plan) -> None:
    Quota.objects.filter(tenant=world.project.tenant, resource_class=VCPU).update(guaranteed=2)
    before = holdings()
    with pytest.raises(QuotaExceeded):
        world.place("the-db", plan="stack")
    assert holdings() == before


def test_a_stack_over_zones_counts_in_each(world: World) -> None:
    """Of what it may hold in each zone for itself the affiliate may use a part in each."""
    zones = [world.hosts[0].zone, ZoneFactory(slug="zone-b")]
    HostFactory(zone=zones[1])
    make_stack(PRIMARY, REPLICA | {"count": 1, "spread": "zone"})
    tenant = world.project.tenant
    Quota.objects.filter(tenant=tenant).delete()
    for zone in zones:
        for name, amount in SIZE.items():
            Quota.objects.create(tenant=tenant, zone=zone, resource_class=name, guaranteed=amount)
    order = world.place("the-db", plan="stack")
    assert {host.zone for host in hosts_of(order)} == set(zones)
    assert drift() == []
    before = holdings()
    with pytest.raises((QuotaExceeded, NoCapacity)):
        world.place("db-2", plan="stack")
    assert holdings() == before


def test_evidence_is_needed_of_every_host(world: World, stack: Plan) -> None:
    """A stack whose undoing failed is settled by wipes, but only once all its hosts were wiped."""
    order = world.place("the-db", plan="stack")
    for attempt in range(1, 7):
        order.refresh_from_db()
        assert order.attempt == attempt
        world.later(minutes=30)
        world.begin(order)
        fulfilment.attempt_failed(order.pk, attempt, code="playbook-failed", detail="no", now=world.now)
    order.refresh_from_db()
    assert order.state == OrderState.FAILED_DIRTY
    hosts = hosts_of(order)
    recovery.reconcile(world.later(seconds=15))
    assert {host.state for host in hosts_of(order)} == {HostState.DRAINING}
    for host in hosts[:2]:
        world.wipe(host)
    order.refresh_from_db()
    assert order.state == OrderState.FAILED_DIRTY
    assert Allocation.objects.filter(released_at__isnull=True).exists()
    world.wipe(hosts[2])
    recovery.reconcile(world.later(seconds=15))
    order.refresh_from_db()
    assert order.state == OrderState.FAILED
    assert not Allocation.objects.filter(released_at__isnull=True).exists()
    assert drift() == []


def test_builds_that_fail_are_remembered_of_the_host(world: World) -> None:
    order = world.place()
    (host,) = hosts_of(order)
    world.begin(order)
    fulfilment.enter_undo(order.pk, 1, code="playbook-failed", detail="no", now=world.now)
    host.refresh_from_db()
    assert (host.failed_builds, host.build_failed_at) == (1, world.now)
    fulfilment.undone(order.pk, 1, residue={"clean": True}, now=world.now)
    world.wipe(host)
    assert host.failed_builds == 1
    second = world.place("next-db")
    assert hosts_of(second) != [host]
    world.begin(second)
    Host.objects.update(failed_builds=2, build_failed_at=world.now)
    fulfilment.succeed_create(second.pk, 1, outputs={}, now=world.now)
    assert sorted(Host.objects.values_list("failed_builds", flat=True)) == [0, 2]


def test_a_build_that_somebody_cancelled_says_nothing_of_the_host(world: World) -> None:
    order = world.place()
    world.begin(order)
    fulfilment.enter_undo(order.pk, 1, code="cancelled", detail="", now=world.now)
    assert set(Host.objects.values_list("failed_builds", flat=True)) == {0}


def test_personal_data_is_never_let_in_where_affiliates_share(world: World) -> None:
    """Not even where the plan has become one to be shared while the order waited."""
    for host in world.hosts:
        host.inventories.update(open_to=None)
    order = world.place(wait_for_capacity=True)
    Order.objects.filter(pk=order.pk).update(data_class=DataClass.UNIQUE_ID)
    Plan.objects.filter(pk=order.plan_id).update(isolation=Isolation.GROUP)
    for host in world.hosts:
        host.inventories.update(open_to=ANYONE)
    before = holdings()
    assert recovery.reconcile(world.later(seconds=15)).counts == {}
    assert holdings() == before
    order.refresh_from_db()
    assert order.state == OrderState.WAITING_CAPACITY
    assert order.explanation["waiting"]["why"] == str(IsolationTooWeak.title)


def test_a_group_slice_is_wiped_away_when_the_last_affiliate_has_left(world: World) -> None:
    make_stack(PRIMARY, isolation=Isolation.GROUP)
    ours = world.built("ours", plan="stack")
    theirs = world.built("theirs", plan="stack", actor=world.stranger, project=world.other_project)
    (host,) = hosts_of(ours)
    assert hosts_of(theirs) == [host]
    for order, who, state in ((ours, world.developer, HostState.IN_USE), (theirs, world.stranger, HostState.DRAINING)):
        back = services.give_back(who, order.instance, now=world.now)
        world.begin(back)
        fulfilment.succeed_decommission(back.pk, 1, residue={"clean": True}, now=world.later(seconds=5))
        host.refresh_from_db()
        assert (host.state, host.sharing) == (state, Isolation.GROUP)
    world.wipe(host)
    assert (host.state, host.sharing, host.holder) == (HostState.AVAILABLE, Isolation.AFFILIATE, None)
    certificate = host.certificates.first()
    assert (certificate.previous_holder, certificate.evidence["shared_by"]) == (None, ["capital", "card"])
    assert drift() == []


def test_every_member_reads_what_is_its_own(world: World) -> None:
    HostFactory(zone=world.hosts[0].zone)
    make_stack(PRIMARY, REPLICA | {"clients": False})
    order = world.place("the-db", plan="stack")
    assert order.instance is not None
    assignment = world.begin(order)
    hosts = hosts_of(order)
    names = ["primary", "replica-1", "replica-2"]
    assert [(part.name, part.groups, part.target.name) for part in assignment.parts] == [
        (name, (f"role_{name.split('-')[0]}",), host.name) for name, host in zip(names, hosts, strict=True)
    ]
    assert (assignment.front, assignment.values) == ("primary", assignment.parts[0].values)
    members = [
        {"name": each.member, "role": each.member.split("-")[0], "address": each.address.address, "port": each.port}
        for each in order.instance.endpoints.select_related("address").order_by("member")
    ]
    addresses = [str(host.address) for host in hosts]
    for number, part in enumerate(assignment.parts):
        assert part.values["members"] == members
        assert part.values["member"]["name"] == names[number]
        assert part.values["endpoint"] == {"address": addresses[number], "port": 20000}
        assert part.values["size"] == {"vcpu": 1, "memory_mb": 512, "disk_gb": 2}
        others = {f"{address}/32" for address in addresses if address != addresses[number]}
        # Replicas of this plan answer only the other members.
        usual = set(known_networks(world.project.tenant, [hosts[0].zone])) if number == 0 else set()
        assert set(part.values["access"]["allow_from"]) == others | usual
    units = [part.values["instance"]["unit"] for part in assignment.parts]
    assert len({*units, order.instance.unit}) == 4
    assert all(re.fullmatch("s[a-z0-9]{11}", unit) for unit in units)
    again = world.begin(_next_attempt(world, order))
    assert [part.values["instance"]["unit"] for part in again.parts] == units


def _next_attempt(world: World, order: Order) -> Order:
    fulfilment.attempt_failed(order.pk, order.attempt, code="run-lost", detail="", now=world.later(seconds=1))
    order.refresh_from_db()
    return order


def with_failover(plan: Plan) -> None:
    """Services of this plan, and of no other, have an operation that lets another member lead."""
    operation = {
        "name": "failover", "title": {"en": "Fail over", "ko": "전환"}, "about": {"en": "It does.", "ko": "합니다."},
        "playbook": "failover.yml", "plans": [plan.slug], "from": ["active"], "to": "active", "seconds": 3,
    }  # fmt: skip
    plan.version.manifest["operations"].append(operation)
    plan.version.save(update_fields=["manifest"])


def test_another_member_leads(world: World, stack: Plan) -> None:
    with_failover(stack)
    order = world.place("the-db", plan="stack")
    world.begin(order)
    fulfilment.succeed_create(order.pk, 1, outputs={}, now=world.later(seconds=20))
    instance = ServiceInstance.objects.get(pk=order.instance_id)
    switch = operations.operate(world.developer, instance, operation="failover", now=world.now)
    assert world.begin(switch).front == "primary"
    outputs = {"front": "replica-2", "replica": "missing"}
    fulfilment.succeed_operate(switch.pk, 1, outputs=outputs, now=world.later(seconds=5))
    instance.refresh_from_db()
    assert (instance.state, instance.outputs) == (InstanceState.ACTIVE, {"replica": "missing"})
    leader = instance.endpoints.select_related("address").get(member="replica-2")
    public = instance.bindings.get().public
    assert (public["address"], public["port"]) == (leader.address.address, leader.port)
    assert instance.events.filter(kind="state").last().data["front"] == "replica-2"
    following = operations.operate(world.developer, instance, operation="stop", now=world.now)
    assert world.begin(following).front == "replica-2"


def test_a_member_that_does_not_exist_cannot_lead(world: World, stack: Plan) -> None:
    with_failover(stack)
    order = world.place("the-db", plan="stack")
    world.begin(order)
    fulfilment.succeed_create(order.pk, 1, outputs={}, now=world.later(seconds=20))
    instance = ServiceInstance.objects.get(pk=order.instance_id)
    before = instance.bindings.get().public
    switch = operations.operate(world.developer, instance, operation="failover", now=world.now)
    world.begin(switch)
    with pytest.raises(MemberUnknown):
        fulfilment.succeed_operate(switch.pk, 1, outputs={"front": "replica-9"}, now=world.later(seconds=5))
    switch.refresh_from_db()
    assert (switch.state, instance.bindings.get().public) == (OrderState.RUNNING, before)


def test_services_of_other_plans_do_not_have_the_operation(world: World, stack: Plan) -> None:
    with_failover(stack)
    alone = world.built("alone").instance
    assert alone is not None
    assert [each.name for each in operations.possible(alone, None)] == ["stop", "configure"]
    with pytest.raises(OperationUnknown):
        operations.operate(world.developer, alone, operation="failover", now=world.now)


def test_what_members_tell_each_other_is_never_given_to_the_owner(world: World, stack: Plan) -> None:
    stack.version.manifest["credentials"]["replication"] = {"generate": "secret", "length": 32, "internal": True}
    stack.version.save(update_fields=["manifest"])
    order = world.place("the-db", plan="stack")
    assert order.instance is not None
    values = world.begin(order).values
    fulfilment.succeed_create(order.pk, 1, outputs={}, now=world.later(seconds=20))
    assert len(values["credentials"]["replication"]) == 32
    order.instance.refresh_from_db()
    given = services.reveal(world.developer, order.instance, now=world.now)
    assert given == {
        **{name: value for name, value in values["credentials"].items() if name != "replication"},
        **values["endpoint"],
    }


def test_a_wipe_looks_for_the_names_of_every_member(world: World, stack: Plan) -> None:
    order = world.place("the-db", plan="stack")
    units = {part.values["instance"]["unit"] for part in world.begin(order).parts}
    fulfilment.succeed_create(order.pk, 1, outputs={}, now=world.later(seconds=20))
    assert order.instance is not None
    order.instance.refresh_from_db()
    world.given_back(services.give_back(world.developer, order.instance, now=world.now))
    host = Host.objects.filter(state=HostState.DRAINING).earliest("name")
    assignment = host_fulfilment.begin_wipe(host.pk, host.attempt, uuid.uuid4(), world.later(seconds=1))
    assert units | {order.instance.unit} <= set(assignment.values["tenant_words"])
