"""Thirty-two clients on a nearly full pool, on a real PostgreSQL: nothing twice, nothing over, nothing lost, nobody stuck."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, close_old_connections, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from catalog.common.isolation import Isolation
from catalog.instances.models import ServiceInstance
from catalog.ipam.models import Endpoint
from catalog.ipam.services import claim_endpoint, claim_endpoints, release_endpoints
from catalog.placement.claiming import add_holdings
from catalog.placement.errors import NoCapacity
from catalog.placement.members import Member, Spread
from catalog.placement.models import Allocation, Holding
from catalog.placement.services import place, place_all, release
from catalog.pool.models import ANYONE, DISK_GB, GROUP, MEMORY_MB, VCPU, Host, Inventory
from catalog.pool.states import HostState
from catalog.quotas.books import drift
from catalog.quotas.errors import QuotaExceeded
from catalog.quotas.models import Quota
from catalog.quotas.services import borrow, check_and_lock
from catalog.tenancy.models import Project
from tests.factories import NOW, TESTER, HostFactory, InstanceFactory, PlanFactory, ProjectFactory, ZoneFactory

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

CLIENTS = 32
SLICE = {VCPU: 1, MEMORY_MB: 1000, DISK_GB: 10}


def together(work: Callable[[int], str]) -> Counter[str]:
    """Run ``work(number)`` in all clients at once; what each said, counted. A client that fails fails the test."""
    gate = threading.Barrier(CLIENTS, timeout=60)

    def client(number: int) -> str:
        close_old_connections()
        try:
            gate.wait()
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(CLIENTS) as pool:
        return Counter(future.result(timeout=120) for future in [pool.submit(client, n) for n in range(CLIENTS)])


def claim(instance: ServiceInstance, *, whole: bool = False, wanted: dict[str, int] = SLICE) -> str:
    try:
        with transaction.atomic():
            checked = check_and_lock(instance.tenant, wanted, now=NOW)
            placed = place(
                instance, resources=wanted, exclusive=whole, tenant=instance.tenant, zone=None, now=NOW, actor=TESTER
            )
            borrow(instance, placed.amounts, zone=placed.host.zone_id, checked=checked, now=NOW)
            claim_endpoint(instance, placed.host, port_range=(20000, 20099), now=NOW)
    except (NoCapacity, QuotaExceeded) as refusal:
        return refusal.code
    return "placed"


def give_back(instance: ServiceInstance) -> str:
    with transaction.atomic():
        release(instance, now=NOW, actor=TESTER)
        release_endpoints(instance, now=NOW)
    return "released"


def nothing_is_left() -> None:
    assert drift() == []
    assert not Allocation.objects.filter(released_at__isnull=True).exists()
    assert not Endpoint.objects.filter(released_at__isnull=True).exists()
    assert set(Inventory.objects.values_list("used", flat=True)) == {0}
    assert set(Holding.objects.values_list("used", flat=True)) <= {0}
    assert set(Host.objects.values_list("state", "holder", "exclusive")) == {(HostState.AVAILABLE, None, False)}


@pytest.fixture
def projects() -> list[Project]:
    return ProjectFactory.create_batch(4)


@pytest.fixture
def instances(projects: list[Project]) -> Iterator[list[ServiceInstance]]:
    """One for each client, eight for each of four affiliates."""
    plan = PlanFactory()
    return [InstanceFactory(project=projects[number % 4], plan=plan) for number in range(CLIENTS)]


def test_slices_fill_the_pool(projects: list[Project], instances: list[ServiceInstance]) -> None:
    HostFactory.create_batch(4, zone=ZoneFactory(), vcpu=5, memory_mb=5000, disk_gb=50)
    said = together(lambda number: claim(instances[number]))
    assert set(said) == {"placed", "no-capacity"}
    assert drift() == []
    assert not Host.objects.filter(state=HostState.AVAILABLE).exists()
    placed = Counter(Allocation.objects.filter(resource_class=VCPU).values_list("instance__tenant", flat=True))
    assert placed.total() == said["placed"]
    for project in projects:
        # Who was refused had no room left beside its own services either.
        free = set(Inventory.objects.filter(host__holder=project.tenant).values_list("free", flat=True))
        assert placed[project.tenant_id] == 8 or free <= {0}
    held = Endpoint.objects.values_list("address", "port")
    assert len(set(held)) == len(held) == said["placed"]
    assert together(lambda number: give_back(instances[number])) == {"released": CLIENTS}
    nothing_is_left()


def test_whole_hosts_are_given_once(instances: list[ServiceInstance]) -> None:
    HostFactory.create_batch(12, zone=ZoneFactory())
    said = together(lambda number: claim(instances[number], whole=True))
    assert said == {"placed": 12, "no-capacity": 20}
    assert drift() == []
    takers = Allocation.objects.filter(resource_class=VCPU).values_list("host", "instance")
    assert len({host for host, _ in takers}) == len({instance for _, instance in takers}) == len(takers) == 12
    assert together(lambda number: give_back(instances[number])) == {"released": CLIENTS}
    nothing_is_left()


def test_slices_and_whole_hosts_come_and_go_at_once(instances: list[ServiceInstance]) -> None:
    zones = ZoneFactory.create_batch(2)
    for zone in zones:
        HostFactory.create_batch(5, zone=zone, vcpu=3, memory_mb=3000, disk_gb=30)

    def coming_and_going(number: int) -> str:
        plan, project = instances[number].plan, instances[number].project
        said = Counter[str]()
        for turn in range(6):
            instance = ServiceInstance.objects.create(
                project=project, tenant_id=project.tenant_id, plan=plan, version=plan.version,
                name=f"race-{number}-{turn}", unit=f"r{number:05}{turn:06}", created_at=NOW, state_since=NOW,
            )  # fmt: skip
            said[claim(instance, whole=(number + turn) % 5 == 0)] += 1
            if turn % 3 != 2:
                give_back(instance)
        assert set(said) <= {"placed", "no-capacity"}
        return "done" if said["placed"] else "never placed"

    together(coming_and_going)
    assert drift() == []
    assert Inventory.objects.filter(free__lt=0).count() == 0
    for instance in ServiceInstance.objects.all():
        give_back(instance)
    nothing_is_left()


def claim_stack(instance: ServiceInstance, members: list[Member], *, isolation: str = Isolation.AFFILIATE) -> str:
    try:
        with transaction.atomic():
            checked = check_and_lock(instance.tenant, SLICE, now=NOW)
            placed = place_all(
                instance, members, isolation=isolation, tenant=instance.tenant, zone=None, now=NOW, actor=TESTER
            )
            for each in placed:
                borrow(instance, each.amounts, zone=each.host.zone_id, checked=checked, now=NOW)
            hosts = {each.member.name: each.host for each in placed}
            claim_endpoints(instance, hosts, port_range=(20000, 20099), now=NOW)
    except (NoCapacity, QuotaExceeded) as refusal:
        return refusal.code
    return "placed"


def alike(count: int, spread: Spread) -> list[Member]:
    return [Member(SLICE, name=f"n-{n}", role="n", number=n, spread=spread) for n in range(1, count + 1)]


def members_standing() -> Counter[Any]:
    """Instance → how many of its members hold something."""
    held = Allocation.objects.filter(released_at__isnull=True).values_list("instance", "member").distinct()
    return Counter(instance for instance, _member in held)


def test_stacks_are_placed_whole_or_not_at_all(instances: list[ServiceInstance]) -> None:
    """Three slices each on hosts of their own, on a pool for fewer than half of them, chosen by all in another order."""
    HostFactory.create_batch(12, zone=ZoneFactory(), vcpu=2, memory_mb=2000, disk_gb=20)
    said = together(lambda number: claim_stack(instances[number], alike(3, Spread.HOST)))
    assert set(said) == {"placed", "no-capacity"}
    standing = members_standing()
    assert len(standing) == said["placed"] >= 4
    assert set(standing.values()) == {3}
    hosts = Allocation.objects.filter(resource_class=VCPU).values_list("instance", "host")
    assert len(set(hosts)) == len(hosts)
    assert drift() == []
    # Who was refused could not have been served: no affiliate has three hosts with room left, its own or clean ones.
    for tenant in {each.tenant_id for each in instances}:
        room = Inventory.objects.filter(resource_class=VCPU, free__gte=1, open_to__in=(tenant, ANYONE)).count()
        refused = sum(each.tenant_id == tenant and each.pk not in standing for each in instances)
        assert room < 3 or not refused
    assert together(lambda number: give_back(instances[number])) == {"released": CLIENTS}
    nothing_is_left()


def test_stacks_slices_and_whole_hosts_come_and_go_at_once(instances: list[ServiceInstance]) -> None:
    zones = ZoneFactory.create_batch(3)
    for zone in zones:
        HostFactory.create_batch(5, zone=zone, vcpu=3, memory_mb=3000, disk_gb=30)

    def coming_and_going(number: int) -> str:
        plan, project = instances[number].plan, instances[number].project
        said = Counter[str]()
        for turn in range(6):
            instance = ServiceInstance.objects.create(
                project=project, tenant_id=project.tenant_id, plan=plan, version=plan.version,
                name=f"stack-{number}-{turn}", unit=f"k{number:05}{turn:06}", created_at=NOW, state_since=NOW,
            )  # fmt: skip
            match (number + turn) % 5:
                case 0:
                    said[claim(instance, whole=True)] += 1
                case 1:
                    said[claim_stack(instance, alike(3, Spread.ZONE))] += 1
                case 2:
                    said[claim_stack(instance, alike(2, Spread.HOST), isolation=Isolation.GROUP)] += 1
                case 3:
                    said[claim_stack(instance, alike(2, Spread.NONE), isolation=Isolation.DEDICATED)] += 1
                case _:
                    said[claim(instance)] += 1
            if turn % 3 != 2:
                give_back(instance)
        assert set(said) <= {"placed", "no-capacity"}
        return "done" if said["placed"] else "never placed"

    together(coming_and_going)
    assert drift() == []
    assert set(members_standing().values()) <= {1, 2, 3}
    for instance in ServiceInstance.objects.all():
        give_back(instance)
    nothing_is_left()


def test_affiliates_fill_shared_hosts_side_by_side(instances: list[ServiceInstance]) -> None:
    """Thirty slices of four affiliates fit exactly, whoever they stand beside."""
    HostFactory.create_batch(6, zone=ZoneFactory(), vcpu=5, memory_mb=5000, disk_gb=50)
    said = together(lambda number: claim_stack(instances[number], alike(1, Spread.NONE), isolation=Isolation.GROUP))
    assert said == {"placed": 30, "no-capacity": 2}
    assert set(Host.objects.values_list("sharing", "holder")) == {(Isolation.GROUP, None)}
    assert set(Inventory.objects.values_list("free", "open_to")) == {(0, GROUP)}
    tenants = Allocation.objects.filter(resource_class=VCPU).values_list("host", "instance__tenant")
    assert len(set(tenants)) > 6
    assert drift() == []
    assert together(lambda number: give_back(instances[number])) == {"released": CLIENTS}
    nothing_is_left()


def test_quota_is_never_exceeded(projects: list[Project], instances: list[ServiceInstance]) -> None:
    HostFactory.create_batch(8, zone=ZoneFactory(), vcpu=100, memory_mb=100_000, disk_gb=1000)
    Quota.objects.filter(resource_class=VCPU).update(guaranteed=5)
    assert together(lambda number: claim(instances[number])) == {"placed": 20, "quota-exceeded": 12}
    assert set(Holding.objects.filter(resource_class=VCPU).values_list("used", flat=True)) == {5}
    assert drift() == []


def test_room_that_was_only_looked_at_is_not_missed(instances: list[ServiceInstance]) -> None:
    """A claim that waits behind one which gives up must get the room, not a refusal."""
    host = HostFactory(zone=ZoneFactory(), vcpu=1, memory_mb=1000, disk_gb=10)
    tried, waiting = threading.Event(), threading.Event()

    def work(number: int) -> str:
        if number == 0:
            with transaction.atomic():
                claim(instances[0])
                tried.set()
                assert waiting.wait(30)
                transaction.set_rollback(True)
            return "gave up"
        if number == 1:
            assert tried.wait(30)
            threading.Thread(target=until_somebody_waits, args=(waiting,)).start()
            return claim(instances[1])
        return "idle"

    assert together(work) == {"gave up": 1, "placed": 1, "idle": CLIENTS - 2}
    assert Allocation.objects.get(resource_class=VCPU).instance == instances[1]
    assert Host.objects.get() == host
    assert drift() == []


def until_somebody_waits(told: threading.Event) -> None:
    """Tell once a backend of this database waits for a lock."""
    try:
        for _ in range(3000):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                if cursor.fetchone()[0]:
                    return
    finally:
        told.set()
        connection.close()


def test_a_client_killed_in_the_middle_leaves_nothing(instances: list[ServiceInstance]) -> None:
    HostFactory.create_batch(2, zone=ZoneFactory(), vcpu=2, memory_mb=2000, disk_gb=20)
    claimed, killed = threading.Event(), threading.Event()
    backend: list[int] = []

    def victim() -> str:
        try:
            with transaction.atomic():
                assert claim(instances[0]) == "placed"
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_backend_pid()")
                    backend.append(cursor.fetchone()[0])
                claimed.set()
                assert killed.wait(30)
                Host.objects.count()
        except OperationalError:
            return "killed"
        finally:
            connections.close_all()
        return "lived"

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(victim)
        assert claimed.wait(30)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [backend[0]])
            assert cursor.fetchone() == (True,)
        killed.set()
        assert future.result(timeout=60) == "killed"
    nothing_is_left()
    said: list[Any] = [claim(instance) for instance in instances[:8:4]]
    assert said == ["placed", "placed"]
    assert drift() == []


def test_holdings_are_all_there_before_the_first_is_locked() -> None:
    """Else who locked some of them, and then one that was made meanwhile, would lock out of order: a deadlock under fire."""
    project, known, new = ProjectFactory(), ZoneFactory(), ZoneFactory()
    with transaction.atomic():
        add_holdings(project.tenant, {(VCPU, known.pk): 1})
    with CaptureQueriesContext(connection) as asked, transaction.atomic():
        add_holdings(project.tenant, {(VCPU, new.pk): 2, (VCPU, known.pk): 1})
    told = [query["sql"] for query in asked if "placement_holding" in query["sql"]]
    made, locked = ([n for n, sql in enumerate(told) if word in sql] for word in ("INSERT INTO", "FOR NO KEY UPDATE"))
    assert (len(made), len(locked)) == (1, 1)
    assert made < locked
    assert dict(Holding.objects.values_list("zone", "used")) == {known.pk: 2, new.pk: 2}
