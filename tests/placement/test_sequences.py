"""Any sequence of claims and releases leaves books that balance."""

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.instances.models import ServiceInstance
from catalog.ipam.errors import PortsExhausted
from catalog.ipam.models import Endpoint
from catalog.ipam.services import claim_endpoint, release_endpoints
from catalog.placement.errors import NoCapacity
from catalog.placement.models import Allocation
from catalog.placement.services import locate, place, release
from catalog.pool.models import DISK_GB, MEMORY_MB, VCPU, Host
from catalog.pool.services import move_host
from catalog.pool.states import HostState
from catalog.quotas.books import drift
from catalog.quotas.errors import QuotaExceeded
from catalog.quotas.models import Quota
from catalog.quotas.services import borrow, check_and_lock
from tests.factories import NOW, TESTER, HostFactory, InstanceFactory, PlanFactory, ProjectFactory, ZoneFactory

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("claim"), st.integers(0, 1), st.integers(1, 5), st.booleans()),
        st.tuples(st.just("release"), st.integers(0, 30)),
        st.tuples(st.just("build"), st.integers(0, 30)),
    ),
    max_size=25,
)


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_the_books_balance_after_every_step(db: None, steps: list[tuple[Any, ...]]) -> None:
    with transaction.atomic():
        _walk(steps)
        transaction.set_rollback(True)


def _walk(steps: list[tuple[Any, ...]]) -> None:
    zone, plan = ZoneFactory(), PlanFactory()
    HostFactory.create_batch(3, zone=zone, vcpu=6, memory_mb=6000, disk_gb=60)
    projects = [ProjectFactory(), ProjectFactory()]
    Quota.objects.filter(resource_class=VCPU).update(guaranteed=9)
    placed: list[ServiceInstance] = []
    for what, *words in steps:
        if what == "claim":
            instance = InstanceFactory(project=projects[words[0]], plan=plan)
            if _claim(instance, words[1], whole=words[2]):
                placed.append(instance)
        elif placed and what == "release":
            _release(placed.pop(words[0] % len(placed)))
        elif placed:
            host = locate(placed[words[0] % len(placed)])
            if host.state == HostState.RESERVED:
                move_host(host, HostState.IN_USE, actor=TESTER, now=NOW, proven_clean=False)
        assert drift() == []
    held = {row.instance_id for row in Allocation.objects.filter(released_at__isnull=True)}
    assert held == {instance.pk for instance in placed}
    assert Endpoint.objects.filter(released_at__isnull=True).count() == len(placed)
    for instance in placed:
        release(instance, now=NOW, actor=TESTER)
        release_endpoints(instance, now=NOW)
    assert drift() == []
    assert {row.free for host in Host.objects.all() for row in host.inventories.filter(resource_class=VCPU)} == {6}


def _claim(instance: ServiceInstance, vcpu: int, *, whole: bool) -> bool:
    wanted = {VCPU: vcpu, MEMORY_MB: vcpu * 1000, DISK_GB: 1}
    before = sorted(Allocation.objects.values_list("pk", "released_at"))
    try:
        with transaction.atomic():
            checked = check_and_lock(instance.tenant, wanted, now=NOW)
            placed = place(
                instance, resources=wanted, exclusive=whole, tenant=instance.tenant, zone=None, now=NOW, actor=TESTER
            )
            borrow(instance, placed.amounts, zone=placed.host.zone_id, checked=checked, now=NOW)
            claim_endpoint(instance, placed.host, port_range=(20000, 20003), now=NOW)
    except (NoCapacity, QuotaExceeded, PortsExhausted):
        assert sorted(Allocation.objects.values_list("pk", "released_at")) == before
        return False
    return True


def _release(instance: ServiceInstance) -> None:
    for host in release(instance, now=NOW, actor=TESTER):
        if host.state == HostState.IN_USE:
            move_host(host, HostState.DRAINING, actor=TESTER, now=NOW)
    release_endpoints(instance, now=NOW)
