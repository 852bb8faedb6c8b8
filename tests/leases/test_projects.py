"""Leases follow a project whose end is brought forward."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from catalog.audit.models import AuditEntry
from catalog.leases import services as leases
from catalog.leases.models import Lease
from catalog.leases.projects import follow_projects
from catalog.tenancy.models import Project
from tests.factories import NOW, TESTER, InstanceFactory, PlanFactory

pytestmark = pytest.mark.django_db
DAY = 86_400


@pytest.fixture(autouse=True)
def in_seoul(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Seoul"


@pytest.fixture
def started(loan: Project, points: Project) -> list[Lease]:
    """Two of the loan project, for ten and for two days; one of another affiliate's for ten."""
    plan = PlanFactory()
    return [
        leases.start(InstanceFactory(project=project, plan=plan), seconds=days * DAY, now=NOW, actor=TESTER)
        for project, days in ((loan, 10), (loan, 2), (points, 10))
    ]


def _ends() -> list[datetime]:
    return list(Lease.objects.order_by("instance__name").values_list("ends_at", flat=True))


def test_what_would_outlive_it_is_brought_forward_once(started: list[Lease], loan: Project) -> None:
    long, short, other = started
    assert follow_projects(NOW, actor=TESTER) == 0
    Project.objects.filter(pk=loan.pk).update(ends_on=date(2026, 11, 7))
    assert follow_projects(NOW, actor=TESTER) == 1
    assert follow_projects(NOW, actor=TESTER) == 0
    until = datetime(2026, 11, 7, 15, tzinfo=UTC)
    for lease, ends_at in ((long, until), (short, NOW + timedelta(days=2)), (other, NOW + timedelta(days=10))):
        lease.refresh_from_db()
        assert lease.ends_at == ends_at
    event = long.events.get(kind="brought-forward")
    assert event.data == {
        "from": (NOW + timedelta(days=10)).isoformat(), "to": until.isoformat(), "until": until.isoformat(),
    }  # fmt: skip
    assert AuditEntry.objects.get(action="lease.brought-forward").subject_id == str(long.pk)


def test_a_project_that_is_over_ends_its_leases_now_and_not_before(started: list[Lease], loan: Project) -> None:
    Project.objects.filter(pk=loan.pk).update(ends_on=date(2026, 10, 1))
    later = NOW + timedelta(hours=1)
    assert follow_projects(later, actor=TESTER, project=loan) == 2
    assert _ends()[:2] == [later, later]
    assert set(leases.due(later, None)) == set(started[:2])


def test_a_project_that_lasts_longer_gives_nobody_more_time(started: list[Lease]) -> None:
    before = _ends()
    Project.objects.update(ends_on=date(2030, 1, 1))
    assert follow_projects(NOW, actor=TESTER) == 0
    assert _ends() == before


def test_only_the_named_project_and_only_leases_that_live(started: list[Lease], points: Project) -> None:
    Project.objects.update(ends_on=date(2026, 11, 3))
    leases.end(started[0].instance, now=NOW, actor=TESTER)
    assert follow_projects(NOW, actor=TESTER, project=points) == 1
    assert follow_projects(NOW, actor=TESTER) == 1
    started[0].refresh_from_db()
    assert started[0].ends_at == NOW + timedelta(days=10)


@pytest.mark.parametrize(
    ("zone", "day"),
    [("Europe/London", date(2027, 3, 28)), ("America/New_York", date(2027, 11, 7)), ("Asia/Seoul", date(2028, 2, 29))],
)
def test_an_end_at_the_last_instant_of_the_day_is_left_alone(
    settings: Any, started: list[Lease], zone: str, day: date
) -> None:
    settings.TIME_ZONE = zone
    Project.objects.update(ends_on=day)
    Lease.objects.update(ends_at=datetime(2030, 1, 1, tzinfo=UTC))
    assert follow_projects(NOW, actor=TESTER) == 3
    (end,) = set(_ends())
    assert follow_projects(NOW, actor=TESTER) == 0
    Lease.objects.update(ends_at=end + timedelta(microseconds=1))
    assert follow_projects(NOW, actor=TESTER) == 3
    assert set(_ends()) == {end}
