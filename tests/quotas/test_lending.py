"""Borrowing with every claim, returning with every release, and what operators agree with affiliates."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from catalog.common.errors import InvalidInput
from catalog.instances.models import ServiceInstance
from catalog.placement.services import place, release
from catalog.pool.models import VCPU, Zone
from catalog.quotas import agreements
from catalog.quotas import services as quotas
from catalog.quotas.books import drift, notes
from catalog.quotas.counts import count_capacity, measure
from catalog.quotas.errors import NothingToBorrow, QuotaBelowUse, QuotaExceeded, QuotaInvalid
from catalog.quotas.models import Capacity, Loan, Memory, Quota, Recall
from catalog.quotas.selectors import Figures, figures
from catalog.quotas.shares import MOST
from catalog.tenancy.models import Tenant
from tests.factories import (
    NOW,
    TESTER,
    HostFactory,
    InstanceFactory,
    PlanFactory,
    ProjectFactory,
    TenantFactory,
    ZoneFactory,
)

pytestmark = pytest.mark.django_db


def agree(tenant: Tenant, guaranteed: int, borrow: int = 0, lend: int = 0, zone: Zone | None = None) -> Quota:
    return agreements.set_quota(
        TESTER, tenant, VCPU, zone, guaranteed=guaranteed, borrow_limit=borrow, lend_limit=lend, now=NOW
    )  # fmt: skip


class Scene:
    """Two affiliates, one zone of four hosts of 4 VCPU."""

    def __init__(self) -> None:
        self.zone = ZoneFactory(slug="zone-a")
        HostFactory.create_batch(4, zone=self.zone, vcpu=4)
        self.capital, self.card = TenantFactory(slug="capital", quota={}), TenantFactory(slug="card", quota={})
        self.plan = PlanFactory()
        self.projects = {tenant.pk: ProjectFactory(tenant=tenant) for tenant in (self.capital, self.card)}
        self.now = NOW

    def claim(self, tenant: Tenant, vcpu: int, zone: Zone | None = None) -> ServiceInstance:
        """One service of so many VCPU, a minute after the last."""
        self.now += timedelta(minutes=1)
        instance = InstanceFactory(project=self.projects[tenant.pk], plan=self.plan)
        with transaction.atomic():
            checked = quotas.check_and_lock(tenant, {VCPU: vcpu}, zone=zone, now=self.now)
            placed = place(
                instance, resources={VCPU: vcpu}, exclusive=False, tenant=tenant, zone=zone, now=self.now, actor=TESTER
            )
            quotas.borrow(instance, placed.amounts, zone=placed.host.zone_id, checked=checked, now=self.now)
        return instance

    def give_back(self, instance: ServiceInstance) -> None:
        with transaction.atomic():
            release(instance, now=self.now, actor=TESTER)
            quotas.give_back(instance, now=self.now)


@pytest.fixture
def scene(db: None) -> Scene:
    return Scene()


def loans(**of: Any) -> list[tuple[str | None, str, int]]:
    rows = Loan.objects.filter(ended_at__isnull=True, **of).order_by("pk")
    return list(rows.values_list("lender__slug", "borrower__slug", "amount"))


def test_idle_guaranteed_capacity_is_lent_and_returned(scene: Scene) -> None:
    agree(scene.capital, 12, lend=6)
    agree(scene.card, 2, borrow=12)
    mine = scene.claim(scene.card, 2)
    assert loans() == []
    first = scene.claim(scene.card, 3)
    assert loans() == [(None, "card", 2), ("capital", "card", 1)]
    second = scene.claim(scene.card, 4)
    assert loans() == [(None, "card", 2), ("capital", "card", 1), ("capital", "card", 4)]
    assert drift() == []
    assert figures(Quota.objects.all()) == {
        Quota.objects.get(tenant=scene.capital).pk: Figures(used=0, borrowed=0, lent=5),
        Quota.objects.get(tenant=scene.card).pk: Figures(used=9, borrowed=7, lent=0),
    }
    with pytest.raises(NothingToBorrow) as refused:
        scene.claim(scene.card, 2)  # Capital lends one more, not two.
    assert refused.value.fields == {VCPU: "others leave less than 2 idle"}
    assert ServiceInstance.objects.filter(allocations__isnull=False).distinct().count() == 3

    scene.give_back(mine)  # its place within the guaranteed amount is taken by what was borrowed last
    assert loans() == [(None, "card", 2), ("capital", "card", 1), ("capital", "card", 2)]
    assert Loan.objects.get(ended_at__isnull=False).amount == 2
    scene.give_back(first)
    assert loans() == [("capital", "card", 2)]
    assert loans(instance=second) == loans()
    scene.give_back(second)
    assert loans() == []
    assert drift() == []
    assert sum(Loan.objects.values_list("amount", flat=True)) == 7


def test_the_borrow_limit_holds(scene: Scene) -> None:
    agree(scene.card, 2, borrow=1)
    scene.claim(scene.card, 3)
    with pytest.raises(QuotaExceeded) as refused:
        scene.claim(scene.card, 1)
    assert refused.value.context["classes"] == {VCPU: {"limit": 3, "used": 3, "wanted": 1}}


def test_a_zone_of_its_own_counts_alone(scene: Scene) -> None:
    other = ZoneFactory(slug="zone-b")
    HostFactory(zone=other, vcpu=4)
    agree(scene.card, 2)
    agree(scene.card, 1, zone=other)
    scene.claim(scene.card, 2, zone=scene.zone)
    scene.claim(scene.card, 1, zone=other)
    for zone in (other, scene.zone):
        with pytest.raises(QuotaExceeded):
            scene.claim(scene.card, 1, zone=zone)
    with pytest.raises(QuotaExceeded):
        scene.claim(scene.card, 1)
    assert quotas.usage(scene.card) == {VCPU: (3, 3)}
    assert drift() == []


def test_what_an_owner_waits_for_is_not_lent_again(scene: Scene) -> None:
    agree(scene.capital, 16, lend=16)
    agree(scene.card, 0, borrow=16)
    recall = Recall.objects.create(
        owner=scene.capital, order_id=scene.zone.pk, zone=scene.zone, wanted={VCPU: 15}, asked_at=NOW, room_at=NOW
    )
    with pytest.raises(NothingToBorrow):
        scene.claim(scene.card, 2)
    scene.claim(scene.card, 1)
    Recall.objects.filter(pk=recall.pk).update(ended_at=NOW)
    scene.claim(scene.card, 2)


def test_a_claim_within_the_guaranteed_amount_costs_no_more_for_lending(scene: Scene) -> None:
    agree(scene.capital, 12, borrow=4, lend=12)
    agree(scene.card, 0, borrow=8)
    scene.claim(scene.card, 2)
    scene.claim(scene.capital, 1)
    instance = InstanceFactory(project=scene.projects[scene.capital.pk], plan=scene.plan)
    with transaction.atomic():
        with CaptureQueriesContext(connection) as checking:
            checked = quotas.check_and_lock(scene.capital, {VCPU: 1}, now=NOW)
        placed = place(
            instance, resources={VCPU: 1}, exclusive=False, tenant=scene.capital, zone=None, now=NOW, actor=TESTER
        )
        zone = placed.host.zone_id
        with CaptureQueriesContext(connection) as borrowing:
            assert quotas.borrow(instance, placed.amounts, zone=zone, checked=checked, now=NOW) is False
    assert (len(checking), len(borrowing)) == (2, 0)


def test_what_was_released_since_the_check_is_not_borrowed(scene: Scene) -> None:
    agree(scene.card, 4, borrow=4)
    first = scene.claim(scene.card, 3)
    instance = InstanceFactory(project=scene.projects[scene.card.pk], plan=scene.plan)
    with transaction.atomic():
        checked = quotas.check_and_lock(scene.card, {VCPU: 3}, now=NOW)
        placed = place(
            instance, resources={VCPU: 3}, exclusive=False, tenant=scene.card, zone=None, now=NOW, actor=TESTER
        )
        scene.give_back(first)
        assert quotas.borrow(instance, placed.amounts, zone=placed.host.zone_id, checked=checked, now=NOW) is False
    assert loans() == []
    assert drift() == []


def test_agreements_move_the_loans(scene: Scene) -> None:
    agree(scene.card, 4)
    older, newer = scene.claim(scene.card, 2), scene.claim(scene.card, 2)
    agree(scene.card, 1, borrow=3)
    assert loans() == [(None, "card", 2), (None, "card", 1)]
    assert loans(instance=newer) == [(None, "card", 2)]
    assert loans(instance=older) == [(None, "card", 1)]
    assert drift() == []
    agree(scene.card, 3, borrow=1)
    assert loans() == [(None, "card", 1)]
    agree(scene.card, 4)
    assert loans() == []
    agree(scene.card, 2, zone=scene.zone, borrow=2)
    assert loans() == [(None, "card", 2)]
    assert drift() == []


def test_a_quota_below_what_is_used_is_refused(scene: Scene) -> None:
    quota = agree(scene.card, 4)
    scene.claim(scene.card, 3)
    with pytest.raises(QuotaBelowUse) as refused:
        agree(scene.card, 1, borrow=1)
    assert refused.value.context["classes"] == {VCPU: {"used": 3, "limit": 2}}
    with pytest.raises(QuotaBelowUse):
        agree(scene.card, 2, zone=scene.zone)
    with pytest.raises(QuotaBelowUse):
        agreements.remove_quota(TESTER, quota, now=NOW)
    assert list(Quota.objects.values_list("guaranteed", "borrow_limit", "zone")) == [(4, 0, None)]


@pytest.mark.parametrize("amount", [-1, MOST + 1, True, 1.5, "3"])
def test_amounts_no_quota_has(scene: Scene, amount: Any) -> None:
    with pytest.raises(QuotaInvalid) as refused:
        agreements.set_quota(
            TESTER, scene.card, VCPU, None, guaranteed=amount, borrow_limit=amount, lend_limit=0, now=NOW
        )
    assert set(refused.value.fields) == {"guaranteed", "borrow_limit"}
    assert not Quota.objects.exists()


def test_no_quota_of_a_class_with_a_bad_name_or_in_somebody_elses_zone(scene: Scene) -> None:
    with pytest.raises(QuotaInvalid):
        agreements.set_quota(TESTER, scene.card, "vcpu", None, guaranteed=1, borrow_limit=0, lend_limit=0, now=NOW)
    local = ZoneFactory(kind=Zone.Kind.LOCAL, tenant=scene.capital)
    with pytest.raises(InvalidInput) as refused:
        agree(scene.card, 1, zone=local)
    assert set(refused.value.fields) == {"zone"}
    assert not Quota.objects.exists()
    local.admitted.set([scene.card])
    assert agree(scene.card, 1, zone=local).guaranteed == 1, "a guest may be promised some of it"


def test_nobody_lends_to_themselves(scene: Scene) -> None:
    instance = InstanceFactory(project=scene.projects[scene.card.pk], plan=scene.plan)
    with pytest.raises(IntegrityError, match="loan_not_to_oneself"), transaction.atomic():
        Loan.objects.create(
            lender=scene.card, borrower=scene.card, instance=instance, zone=scene.zone, resource_class=VCPU, amount=1,
            began_at=NOW,
        )  # fmt: skip


def test_more_guaranteed_than_there_is_is_said(scene: Scene) -> None:
    count_capacity(NOW)
    agree(scene.capital, 10)
    agree(scene.card, 6)
    assert notes() == []
    agree(scene.card, 7)
    agree(scene.card, 17, zone=scene.zone)
    assert notes() == [
        "the shared zones have 16 VCPU, 34 are guaranteed",
        "zone-a has 16 VCPU, 17 are guaranteed there",
    ]


def test_counting_and_remembering(scene: Scene) -> None:
    agree(scene.card, 9)
    scene.claim(scene.card, 3)
    assert measure(NOW) is True
    assert measure(NOW + timedelta(seconds=59)) is False
    assert Capacity.objects.get(resource_class=VCPU, zone=scene.zone).amount == 16
    assert Memory.objects.get().amount == 0
    HostFactory(zone=scene.zone, vcpu=4)
    assert measure(NOW + timedelta(days=7)) is True
    assert Capacity.objects.get(resource_class=VCPU, zone=scene.zone).amount == 20
    assert Memory.objects.get().amount == pytest.approx(1.5)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda: Loan.objects.update(amount=5),
        lambda: Loan.objects.update(ended_at=NOW),
        lambda: Quota.objects.filter(tenant__slug="card").update(guaranteed=1),
        lambda: Loan.objects.update(instance=InstanceFactory(plan=ServiceInstance.objects.get().plan)),
        lambda: Loan.objects.update(borrower=TenantFactory(quota={})),
    ],
)
def test_loans_that_do_not_balance_are_found(scene: Scene, spoil: Any) -> None:
    agree(scene.card, 2, borrow=8)
    scene.claim(scene.card, 3)
    assert drift() == []
    assert spoil()
    assert drift() != []
