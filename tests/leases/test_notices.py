"""Notices of an end: when, how often, to whom, in which words."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from hypothesis import given
from hypothesis import strategies as st

from catalog.leases import services as leases
from catalog.leases.letters import recipients
from catalog.leases.models import Lease, LeaseEvent
from catalog.leases.notices import give_notices
from catalog.leases.projects import follow_projects
from catalog.leases.schedule import LEADS, lead_due, next_notice
from catalog.leases.states import LeaseState
from catalog.leases.tasks import notices
from catalog.mail.models import Mail
from catalog.tenancy.models import Membership, Project, Tenant, User
from tests.factories import NOW, TESTER, InstanceFactory, PlanFactory, acting

DAY = 86_400
MOMENT = timedelta(microseconds=1)
pytestmark = pytest.mark.django_db
spans = st.timedeltas(timedelta(seconds=1), timedelta(days=100))


@pytest.fixture(autouse=True)
def in_seoul(settings: Any) -> None:
    settings.TIME_ZONE, settings.LEASE_MAX_SECONDS = "Asia/Seoul", 365 * DAY


@pytest.fixture
def lease(loan: Project, developer: User) -> Lease:
    """Forty days."""
    instance = InstanceFactory(project=loan, plan=PlanFactory(), name="loan-db", created_by=developer)
    return leases.start(instance, seconds=40 * DAY, now=NOW, actor=TESTER)


def given_days(lease: Lease) -> list[int]:
    return [event.data["days"] for event in lease.events.filter(kind="notice")]


@given(spans)
def test_walked_from_notice_to_notice_each_sensible_lead_comes_once_in_order(length: timedelta) -> None:
    ends_at, at, seen = NOW + length, NOW, []
    while (at_next := next_notice(ends_at, after=at)) is not None:
        at = at_next
        seen.append(lead_due(ends_at, at))
    assert seen == [days for days in LEADS if timedelta(days=days) < length]
    assert lead_due(ends_at, ends_at) is None


@given(spans, spans)
def test_after_a_silence_the_most_urgent_is_due_and_the_rest_is_still_to_come(
    length: timedelta, silence: timedelta
) -> None:
    ends_at, now = NOW + length, NOW + silence
    left = ends_at - now
    later = next_notice(ends_at, after=now)
    assert lead_due(ends_at, now) == (
        min((days for days in LEADS if timedelta(days=days) >= left), default=None) if left > timedelta(0) else None
    )
    assert later is None or now < later < ends_at


def test_each_notice_is_given_once_and_never_early(lease: Lease) -> None:
    assert give_notices(NOW + timedelta(days=10) - MOMENT, actor=TESTER) == 0
    for days in LEADS:
        at = lease.ends_at - timedelta(days=days)
        assert give_notices(at - MOMENT, actor=TESTER) == 0
        assert [give_notices(at, actor=TESTER), give_notices(at, actor=TESTER)] == [1, 0]
    assert given_days(lease) == [30, 14, 7, 3, 1]
    assert Mail.objects.count() == 5
    lease.refresh_from_db()
    assert (lease.state, lease.next_notice_at) == (LeaseState.EXPIRING, None)


@pytest.mark.parametrize(
    ("days_left", "days"), [(39.0, []), (20.0, [30]), (2.5, [3]), (0.01, [1]), (0.0, []), (-5.0, [])]
)
def test_after_the_platform_was_down_only_the_most_urgent_is_given(
    lease: Lease, days_left: float, days: list[int]
) -> None:
    give_notices(lease.ends_at - timedelta(days=days_left), actor=TESTER)
    assert given_days(lease) == days
    assert Mail.objects.count() == len(days)


def test_a_clock_that_steps_back_gives_nothing_twice(lease: Lease) -> None:
    at = lease.ends_at - timedelta(days=7)
    assert give_notices(at, actor=TESTER) == 1
    for back in (timedelta(seconds=1), timedelta(hours=1), timedelta(days=30)):
        assert give_notices(at - back, actor=TESTER) == 0
    assert give_notices(at, actor=TESTER) == 0
    assert given_days(lease) == [7]


def test_a_short_lease_gets_what_makes_sense(loan: Project) -> None:
    plan = PlanFactory()
    week = leases.start(InstanceFactory(project=loan, plan=plan), seconds=7 * DAY, now=NOW, actor=TESTER)
    hour = leases.start(InstanceFactory(project=loan, plan=plan), seconds=3600, now=NOW, actor=TESTER)
    for hours in range(7 * 24 + 1):
        give_notices(NOW + timedelta(hours=hours), actor=TESTER)
    assert (given_days(week), given_days(hour)) == ([3, 1], [])
    hour.refresh_from_db()
    assert hour.state == LeaseState.ACTIVE


def test_an_extended_lease_is_active_again_and_gets_new_notices(lease: Lease, developer: User) -> None:
    now = lease.ends_at - timedelta(days=1)
    give_notices(now, actor=TESTER)
    leases.extend(acting(developer), lease, seconds=4 * DAY, now=now)
    assert (lease.state, lease.next_notice_at) == (LeaseState.ACTIVE, lease.ends_at - timedelta(days=3))
    assert give_notices(now, actor=TESTER) == 0
    assert give_notices(lease.ends_at - timedelta(days=3), actor=TESTER) == 1
    assert given_days(lease) == [1, 3]


def test_what_has_ended_gets_no_notice(lease: Lease) -> None:
    leases.end(lease.instance, now=NOW, actor=TESTER)
    assert give_notices(lease.ends_at - timedelta(days=1), actor=TESTER) == 0
    assert not Mail.objects.exists()


def test_the_letter_says_what_and_when_in_the_language_of_the_person(lease: Lease, developer: User) -> None:
    now = lease.ends_at - timedelta(days=3)
    give_notices(now, actor=TESTER)
    User.objects.update(language="ko")
    give_notices(now + timedelta(days=2), actor=TESTER)
    english, korean = Mail.objects.order_by("created_at")
    assert (english.person, english.address, english.expires_at) == (developer, developer.email, lease.ends_at)
    assert english.subject == "loan-db will be taken back in 3 days"
    assert english.body.startswith(
        "The service loan-db (Postgresql) of the project capital/loan will be taken back on 12 Dec 2026, 18:00 (Asia/Seoul)."
    )
    assert korean.subject == "loan-db 서비스가 1일 뒤에 회수됩니다"
    assert "2026. 12. 12. 18:00 (Asia/Seoul)" in korean.body
    assert "postgresql 상품" in korean.body


def test_who_is_told(lease: Lease, developer: User, tenant_admin: User, capital: Tenant, mallory: User) -> None:
    def told() -> list[str]:
        lease.instance.refresh_from_db()
        return [person.username for person in recipients(lease.instance, now=NOW)]

    assert told() == ["dana"]
    Membership.objects.filter(user=developer).update(ends_at=NOW)
    assert told() == ["tara"], "who ordered it may not act for it any more"
    Membership.objects.filter(user=developer).update(ends_at=NOW + timedelta(days=1))
    User.objects.filter(pk=developer.pk).update(email="")
    assert told() == ["tara"], "who ordered it cannot be reached"
    User.objects.filter(pk=developer.pk).update(email="d@group.example", is_active=False)
    assert told() == ["tara"], "who ordered it has left"
    Membership.objects.filter(user=tenant_admin).update(ends_at=NOW)
    assert told() == []


def test_where_there_is_nobody_the_notice_is_still_on_record(lease: Lease, developer: User) -> None:
    User.objects.update(email="")
    assert give_notices(lease.ends_at - timedelta(days=1), actor=TESTER) == 1
    assert lease.events.get(kind="notice").data == {"days": 1, "ends_at": lease.ends_at.isoformat(), "told": []}
    assert not Mail.objects.exists()


def test_a_project_brought_forward_writes_at_once_and_begins_notices_anew(lease: Lease) -> None:
    Project.objects.update(ends_on=date(2026, 11, 4))
    follow_projects(NOW, actor=TESTER)
    lease.refresh_from_db()
    assert lease.next_notice_at == datetime(2026, 11, 3, 15, tzinfo=UTC)
    assert Mail.objects.get().subject == "loan-db will be taken back sooner: in 2 days 6 h"
    Project.objects.update(ends_on=date(2026, 11, 1))
    follow_projects(NOW, actor=TESTER)
    assert Mail.objects.filter(expires_at=None).count() == 2, "also told when it is too late for anything else"


def test_the_task_does_both(lease: Lease) -> None:
    # By the real clock this lease is about to end, or has ended.
    Lease.objects.update(ends_at=datetime.now(UTC) + timedelta(hours=5), next_notice_at=NOW)
    assert notices() == {"brought_forward": 0, "given": 1}
    assert given_days(lease) == [1]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_eight_sweeps_at_once_give_each_notice_once(loan: Project, developer: User) -> None:
    plan = PlanFactory()
    for _ in range(12):
        instance = InstanceFactory(project=loan, plan=plan, created_by=developer)
        leases.start(instance, seconds=40 * DAY, now=NOW, actor=TESTER)
    gate = threading.Barrier(8, timeout=60)

    def sweep(_number: int) -> int:
        try:
            gate.wait()
            return give_notices(NOW + timedelta(days=38), actor=TESTER)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(sweep, range(8))) == 12
    assert LeaseEvent.objects.filter(kind="notice", data__days=3).count() == Mail.objects.count() == 12
