"""Affiliates that borrow and return all at once, on a real PostgreSQL: limits hold, and loans balance at every moment."""

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import close_old_connections, connections, transaction
from django.db.models import OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce

from catalog.instances.models import ServiceInstance
from catalog.placement.errors import NoCapacity
from catalog.placement.models import Holding
from catalog.placement.services import place, release
from catalog.pool.models import VCPU, Inventory
from catalog.quotas.agreements import set_quota
from catalog.quotas.books import drift
from catalog.quotas.counts import count_capacity
from catalog.quotas.errors import NothingToBorrow, QuotaExceeded
from catalog.quotas.models import Loan
from catalog.quotas.services import borrow, check_and_lock, give_back
from catalog.tenancy.models import Project, Tenant
from tests.factories import NOW, TESTER, HostFactory, PlanFactory, ProjectFactory, TenantFactory, ZoneFactory

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

CLIENTS, TURNS = 12, 16
HOSTS, VCPU_EACH = 12, 4
GUARANTEED, MAY_BORROW, MAY_LEND = 8, 20, 6


def claim(instance: ServiceInstance, wanted: dict[str, int]) -> str:
    try:
        with transaction.atomic():
            instance.save(force_insert=True)
            checked = check_and_lock(instance.tenant, wanted, now=NOW)
            placed = place(
                instance, resources=wanted, exclusive=False, tenant=instance.tenant, zone=None, now=NOW, actor=TESTER
            )
            borrow(instance, placed.amounts, zone=placed.host.zone_id, checked=checked, now=NOW)
    except (NoCapacity, QuotaExceeded, NothingToBorrow) as refusal:
        return refusal.code
    return "claimed"


def returned(instance: ServiceInstance) -> None:
    with transaction.atomic():
        release(instance, now=NOW, actor=TESTER)
        give_back(instance, now=NOW)


def seen_at_once() -> list[tuple[int, int, int]]:
    """Of every affiliate: used, borrowed, lent; all in one statement, so at one moment."""
    here = OuterRef("pk")
    used = Holding.objects.filter(tenant=here, resource_class=VCPU).values("tenant").annotate(all=Sum("used"))
    open_ = Loan.objects.filter(resource_class=VCPU, ended_at__isnull=True).order_by()
    borrowed = open_.filter(borrower=here).values("borrower").annotate(all=Sum("amount"))
    lent = open_.filter(lender=here).values("lender").annotate(all=Sum("amount"))
    return list(
        Tenant.objects.values_list(
            *(Coalesce(Subquery(each.values("all")), 0) for each in (used, borrowed, lent)),
        )
    )


def test_borrowing_and_returning_at_once() -> None:
    tenants = TenantFactory.create_batch(4, quota={})
    for tenant in tenants:
        set_quota(
            TESTER, tenant, VCPU, None, guaranteed=GUARANTEED, borrow_limit=MAY_BORROW, lend_limit=MAY_LEND, now=NOW
        )
    zones = ZoneFactory.create_batch(2)
    for zone in zones:
        HostFactory.create_batch(HOSTS // 2, zone=zone, vcpu=VCPU_EACH)
    count_capacity(NOW)
    projects = [ProjectFactory(tenant=tenant) for tenant in tenants]
    plan = PlanFactory()
    gate, over = threading.Barrier(CLIENTS + 1, timeout=60), threading.Event()

    def client(number: int) -> Counter[str]:
        close_old_connections()
        draw, said = random.Random(number), Counter[str]()
        project: Project = projects[number % 4]
        mine: list[ServiceInstance] = []
        try:
            gate.wait()
            for turn in range(TURNS):
                if mine and draw.random() < 0.45:
                    returned(mine.pop(draw.randrange(len(mine))))
                    continue
                instance = ServiceInstance(
                    project=project, tenant=project.tenant, plan=plan, version=plan.version,
                    name=f"race-{number}-{turn}", unit=f"r{number:05}{turn:06}", created_at=NOW, state_since=NOW,
                )  # fmt: skip
                outcome = claim(instance, {VCPU: draw.randint(1, 3)})
                said[outcome] += 1
                if outcome == "claimed":
                    mine.append(instance)
            return said
        finally:
            connections.close_all()

    def watcher() -> int:
        close_old_connections()
        looks = 0
        try:
            gate.wait()
            while not over.is_set():
                now = seen_at_once()
                assert sum(used for used, _, _ in now) <= HOSTS * VCPU_EACH
                for used, borrowed, lent in now:
                    assert borrowed == max(0, used - GUARANTEED) <= MAY_BORROW
                    assert lent <= MAY_LEND
                looks += 1
            return looks
        finally:
            connections.close_all()

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        watching = pool.submit(watcher)
        clients = [pool.submit(client, number) for number in range(CLIENTS)]
        try:
            said = sum((each.result(timeout=120) for each in clients), Counter[str]())
        finally:
            over.set()
        assert watching.result(timeout=60) > 0
    assert said["claimed"] > 20
    assert set(said) <= {"claimed", "no-capacity", "nothing-to-borrow", "quota-exceeded"}
    assert Loan.objects.filter(ended_at__isnull=False).exists()
    assert drift() == []
    for instance in ServiceInstance.objects.filter(allocations__released_at__isnull=True).distinct():
        returned(instance)
    assert not Loan.objects.filter(ended_at__isnull=True).exists()
    assert set(Inventory.objects.values_list("used", flat=True)) == {0}
    assert drift() == []


def test_two_who_want_the_last_idle_piece() -> None:
    """Eight affiliates may each borrow the one unit that is to be had; one gets it, and nobody who borrows not waits for that."""
    lender = TenantFactory(quota={})
    set_quota(TESTER, lender, VCPU, None, guaranteed=64, borrow_limit=0, lend_limit=1, now=NOW)
    projects = ProjectFactory.create_batch(8)
    for project in projects:
        project.tenant.quotas.all().delete()
        set_quota(TESTER, project.tenant, VCPU, None, guaranteed=0, borrow_limit=1, lend_limit=0, now=NOW)
    HostFactory.create_batch(16, zone=ZoneFactory(), vcpu=VCPU_EACH)
    plan = PlanFactory()
    gate = threading.Barrier(len(projects), timeout=60)

    def client(number: int) -> str:
        close_old_connections()
        project = projects[number]
        instance = ServiceInstance(
            project=project, tenant=project.tenant, plan=plan, version=plan.version, name=f"one-{number}",
            unit=f"o{number:011}", created_at=NOW, state_since=NOW,
        )  # fmt: skip
        try:
            gate.wait()
            return claim(instance, {VCPU: 1})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(projects)) as pool:
        said = Counter(each.result(timeout=120) for each in [pool.submit(client, n) for n in range(len(projects))])
    assert said == {"claimed": 1, "nothing-to-borrow": 7}
    assert list(Loan.objects.values_list("lender", "amount")) == [(lender.pk, 1)]
    assert drift() == []


def test_a_claim_within_the_guaranteed_amount_does_not_wait_for_one_that_borrows() -> None:
    plain, borrower = ProjectFactory(tenant__quota={}), ProjectFactory(tenant__quota={})
    set_quota(TESTER, plain.tenant, VCPU, None, guaranteed=4, borrow_limit=0, lend_limit=4, now=NOW)
    set_quota(TESTER, borrower.tenant, VCPU, None, guaranteed=0, borrow_limit=4, lend_limit=0, now=NOW)
    HostFactory.create_batch(3, zone=ZoneFactory(), vcpu=VCPU_EACH)
    plan = PlanFactory()

    def instance(project: Project) -> ServiceInstance:
        return ServiceInstance(
            project=project, tenant=project.tenant, plan=plan, version=plan.version, name="some-db",
            unit=f"w{project.slug[-11:]:0>11}", created_at=NOW, state_since=NOW,
        )  # fmt: skip

    def other() -> str:
        close_old_connections()
        try:
            return claim(instance(plain), {VCPU: 1})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        assert claim(instance(borrower), {VCPU: 2}) == "claimed"
        # The loan is not committed yet, and holds the lock of those that borrow.
        assert pool.submit(other).result(timeout=30) == "claimed"
    assert drift() == []
