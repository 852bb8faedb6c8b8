"""Recalls: the lender wants the capacity back, the borrower sees it coming."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from catalog.audit.models import AuditEntry
from catalog.leases import services as leases
from catalog.leases.errors import LeaseEnded, LeaseRecalled, NotRecalled, RecallWithoutReason
from catalog.leases.limits import extension_room
from catalog.leases.models import Lease
from catalog.leases.notices import give_notices
from catalog.leases.states import LeaseState
from catalog.mail.models import Mail
from catalog.tenancy.models import Project, User
from catalog.tenancy.policy import system
from tests.factories import NOW, TESTER, InstanceFactory, PlanFactory, acting

pytestmark = pytest.mark.django_db
LENDER = system("quotas")
DAYS = timedelta(days=1)
WHY = "Card needs its four processors for the month-end closing."


@pytest.fixture(autouse=True)
def at_least_two_days(settings: Any) -> None:
    settings.RECALL_NOTICE_SECONDS, settings.TIME_ZONE = 2 * 86_400, "Asia/Seoul"


@pytest.fixture
def lease(loan: Project, developer: User) -> Lease:
    """Sixty days."""
    instance = InstanceFactory(project=loan, plan=PlanFactory(), name="loan-db", created_by=developer)
    return leases.start(instance, seconds=60 * 86_400, now=NOW, actor=TESTER)


def recall(lease: Lease, days: float, now: datetime = NOW) -> Lease:
    return leases.recall(lease, ends_at=NOW + days * DAYS, reason=WHY, now=now, actor=LENDER)


def test_a_recall_brings_the_end_forward_and_says_who_and_why(lease: Lease, developer: User) -> None:
    recall(lease, 10)
    assert (lease.ends_at, lease.recalled_from) == (NOW + 10 * DAYS, NOW + 60 * DAYS)
    assert (lease.recalled_at, lease.recalled_by, lease.recall_reason) == (NOW, "system:quotas", WHY)
    assert lease.state == LeaseState.ACTIVE
    event = lease.events.get(kind="recalled")
    assert event.data == {
        "from": (NOW + 60 * DAYS).isoformat(), "to": (NOW + 10 * DAYS).isoformat(), "reason": WHY,
    }  # fmt: skip
    assert AuditEntry.objects.get(action="lease.recalled").actor == "system:quotas"
    letter = Mail.objects.get()
    assert (letter.person, letter.subject) == (developer, "loan-db is recalled: it will be taken back in 10 days")
    assert WHY in letter.body
    for days in (7, 3, 1):
        assert give_notices(lease.ends_at - days * DAYS, actor=TESTER) == 1
    assert list(leases.due(lease.ends_at, None)) == [lease]


@given(wished=st.floats(-1000, 1000), again=st.floats(-1000, 1000), at=st.floats(0, 70))
@how(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_whatever_is_wished_it_is_never_later_and_never_without_notice(
    lease: Lease, wished: float, again: float, at: float
) -> None:
    end = NOW + 60 * DAYS
    Lease.objects.update(ends_at=end, recalled_at=None, recalled_from=None, recalled_by="", recall_reason="")
    now = NOW + at * DAYS
    for days in (wished, again):
        before = Lease.objects.get().ends_at
        recall(lease, days, now)
        assert lease.ends_at == min(before, max(NOW + days * DAYS, now + 2 * DAYS))
        assert lease.recalled_from == end
    leases.cancel_recall(lease, now=now, actor=LENDER)
    assert (lease.ends_at, lease.recalled_at, lease.recalled_from) == (end, None, None)


def test_a_second_recall_that_brings_nothing_changes_nothing(lease: Lease) -> None:
    recall(lease, 10)
    recall(lease, 20, NOW + DAYS)
    recall(lease, 10, NOW + DAYS)
    assert (lease.recalled_at, lease.events.filter(kind="recalled").count(), Mail.objects.count()) == (NOW, 1, 1)
    recall(lease, 5, NOW + DAYS)
    assert (lease.ends_at, lease.recalled_from) == (NOW + 5 * DAYS, NOW + 60 * DAYS)
    assert Mail.objects.count() == 2


def test_a_recalled_lease_is_not_extended_even_if_it_ends_when_it_would_have(lease: Lease, developer: User) -> None:
    recall(lease, 90)
    assert lease.ends_at == NOW + 60 * DAYS
    assert extension_room(lease, NOW) == 0
    with pytest.raises(LeaseRecalled):
        leases.extend(acting(developer), lease, seconds=1, now=NOW)
    leases.cancel_recall(lease, now=NOW, actor=LENDER)
    leases.extend(acting(developer), lease, seconds=1, now=NOW)


def test_a_cancelled_recall_gives_the_end_back_and_says_so(lease: Lease) -> None:
    recall(lease, 10)
    give_notices(NOW + 9 * DAYS, actor=TESTER)
    lease.refresh_from_db()
    assert lease.state == LeaseState.EXPIRING
    leases.cancel_recall(lease, now=NOW + 9 * DAYS, actor=LENDER)
    assert (lease.state, lease.ends_at, lease.recall_reason) == (LeaseState.ACTIVE, NOW + 60 * DAYS, "")
    assert lease.next_notice_at == NOW + 30 * DAYS
    assert Mail.objects.filter(subject="loan-db is no longer recalled").count() == 1
    with pytest.raises(NotRecalled):
        leases.cancel_recall(lease, now=NOW + 9 * DAYS, actor=LENDER)


def test_a_cancelled_recall_gives_no_more_than_the_project_lasts(lease: Lease) -> None:
    recall(lease, 10)
    Project.objects.update(ends_on=date(2026, 11, 20))
    leases.cancel_recall(lease, now=NOW, actor=LENDER)
    assert lease.ends_at == datetime(2026, 11, 20, 15, tzinfo=UTC)
    recall(lease, 10)
    Project.objects.update(ends_on=date(2026, 11, 3))
    leases.cancel_recall(lease, now=NOW, actor=LENDER)
    assert lease.ends_at == NOW + 10 * DAYS, "bringing it forward is the project's own affair"


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_recall_needs_a_reason(lease: Lease, reason: str) -> None:
    with pytest.raises(RecallWithoutReason):
        leases.recall(lease, ends_at=NOW, reason=reason, now=NOW, actor=LENDER)
    lease.refresh_from_db()
    assert (lease.recalled_at, lease.events.count()) == (None, 1)


def test_what_is_being_given_back_is_not_recalled(lease: Lease) -> None:
    recall(lease, 10)
    leases.end(lease.instance, now=NOW, actor=TESTER)
    with pytest.raises(LeaseEnded):
        recall(lease, 5)
    with pytest.raises(LeaseEnded):
        leases.cancel_recall(lease, now=NOW, actor=LENDER)
