"""How long a service may stay."""

from datetime import timedelta
from typing import Any

import pytest

from catalog.audit.models import AuditEntry
from catalog.common.errors import Forbidden, NotFound
from catalog.leases import services as leases
from catalog.leases.errors import LeaseEnded, LeaseStarted, LeaseTooLong, LeaseTooShort
from catalog.leases.models import Lease, LeaseEvent
from catalog.leases.states import LeaseState
from catalog.tenancy.models import Project, User
from tests.factories import NOW, TESTER, InstanceFactory, PlanFactory, ZoneFactory, acting

pytestmark = pytest.mark.django_db
HOUR = 3600


@pytest.fixture(autouse=True)
def at_most_a_day(settings: Any) -> None:
    settings.LEASE_MAX_SECONDS = 86_400


@pytest.fixture
def lease(loan: Project) -> Lease:
    return leases.start(InstanceFactory(project=loan), seconds=HOUR, now=NOW, actor=TESTER)


def test_a_lease_starts_once(lease: Lease) -> None:
    assert (lease.state, lease.starts_at, lease.ends_at) == (LeaseState.ACTIVE, NOW, NOW + timedelta(hours=1))
    assert list(lease.events.values_list("seq", "kind")) == [(1, "started")]
    assert AuditEntry.objects.get().tenant_id == lease.instance.tenant_id
    with pytest.raises(LeaseStarted):
        leases.start(lease.instance, seconds=HOUR, now=NOW, actor=TESTER)


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_lease_that_may_not_be_is_refused(loan: Project, seconds: int) -> None:
    with pytest.raises(LeaseTooShort):
        leases.start(InstanceFactory(project=loan), seconds=seconds, now=NOW, actor=TESTER)
    assert (Lease.objects.count(), LeaseEvent.objects.count(), AuditEntry.objects.count()) == (0, 0, 0)


def test_an_extension_adds_to_the_end_up_to_the_longest(lease: Lease, developer: User) -> None:
    assert leases.extend(acting(developer), lease, seconds=HOUR, now=NOW).ends_at == NOW + timedelta(hours=2)
    leases.extend(acting(developer), lease, seconds=22 * HOUR, now=NOW)
    assert lease.ends_at == NOW + timedelta(days=1)
    with pytest.raises(LeaseTooLong) as refused:
        leases.extend(acting(developer), lease, seconds=1, now=NOW)
    assert str(refused.value.detail) == "A service may stay 1 day from its start. Choose an earlier end."
    lease.refresh_from_db()
    assert lease.ends_at == NOW + timedelta(days=1)
    assert list(lease.events.values_list("seq", "kind")) == [(1, "started"), (2, "extended"), (3, "extended")]


@pytest.mark.parametrize(
    ("seconds", "after", "error"),
    [(0, 0, LeaseTooShort), (-HOUR, 0, LeaseTooShort), (10**12, 0, LeaseTooLong), (HOUR, 2 * HOUR, LeaseTooShort)],
)
def test_an_extension_that_may_not_be_changes_nothing(
    lease: Lease, developer: User, seconds: int, after: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        leases.extend(acting(developer), lease, seconds=seconds, now=NOW + timedelta(seconds=after))
    lease.refresh_from_db()
    assert (lease.ends_at, lease.events.count()) == (NOW + timedelta(hours=1), 1)


def test_only_who_may_order_extends(lease: Lease, approver: User, mallory: User, card_developer: User) -> None:
    with pytest.raises(Forbidden):
        leases.extend(acting(approver), lease, seconds=HOUR, now=NOW)
    for stranger in (mallory, card_developer):
        with pytest.raises(NotFound):
            leases.extend(acting(stranger), lease, seconds=HOUR, now=NOW)
    lease.refresh_from_db()
    assert lease.ends_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize("state", [LeaseState.EXPIRING, LeaseState.GRACE])
def test_an_extension_brings_an_expiring_lease_back(lease: Lease, developer: User, state: str) -> None:
    Lease.objects.update(state=state, grace_ends_at=lease.ends_at + timedelta(seconds=HOUR))
    leases.extend(acting(developer), lease, seconds=HOUR, now=NOW)
    assert lease.state == LeaseState.ACTIVE


def test_an_ended_lease_stays_ended(lease: Lease, developer: User) -> None:
    leases.end(lease.instance, now=NOW, actor=TESTER)
    leases.end(lease.instance, now=NOW, actor=TESTER)
    lease.refresh_from_db()
    assert lease.state == LeaseState.ENDED
    assert lease.events.count() == 2
    with pytest.raises(LeaseEnded):
        leases.extend(acting(developer), lease, seconds=HOUR, now=NOW)
    leases.end(InstanceFactory(plan=lease.instance.plan), now=NOW, actor=TESTER)
    assert Lease.objects.count() == 1


def test_due_is_never_early_skips_what_is_held_and_asks_by_zone(loan: Project) -> None:
    zone, other, plan = ZoneFactory(), ZoneFactory(), PlanFactory()

    def started(hours: int, where: Any = zone) -> Lease:
        instance = InstanceFactory(project=loan, plan=plan, zone=where)
        return leases.start(instance, seconds=hours * HOUR, now=NOW, actor=TESTER)

    second, first, held, elsewhere, ended = started(2), started(1), started(1), started(1, other), started(1)
    started(3)
    leases.end(ended.instance, now=NOW, actor=TESTER)
    Lease.objects.filter(pk=held.pk).update(held_at=NOW, held_until=NOW + timedelta(hours=2, seconds=1))
    at = NOW + timedelta(hours=2)
    assert list(leases.due(at, zone.slug)) == [first, second]
    assert set(leases.due(at, None)) == {first, second, elsewhere}
    assert list(leases.due(NOW + timedelta(hours=1) - timedelta(microseconds=1), None)) == []
    assert held in leases.due(at + timedelta(seconds=1), zone.slug)
