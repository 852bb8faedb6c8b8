"""The last day of a project is over when it is over where the group lives, to the instant, whatever its clocks do."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.tenancy.models import Project
from catalog.tenancy.projects import end_of_day, use_until

ZONES = [
    "Asia/Seoul", "Europe/London", "America/New_York", "Asia/Beirut", "America/Havana", "Asia/Gaza", "Pacific/Apia",
    "Africa/Cairo", "Australia/Lord_Howe", "UTC",
]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "day", "over"),
    [
        ("Asia/Seoul", date(2026, 12, 31), datetime(2026, 12, 31, 15, tzinfo=UTC)),
        ("Asia/Seoul", date(2028, 2, 29), datetime(2028, 2, 29, 15, tzinfo=UTC)),
        ("Asia/Seoul", date(2027, 2, 28), datetime(2027, 2, 28, 15, tzinfo=UTC)),
        # The days on which clocks change are 23 and 25 hours long.
        ("Europe/London", date(2027, 3, 28), datetime(2027, 3, 28, 23, tzinfo=UTC)),
        ("Europe/London", date(2027, 10, 31), datetime(2027, 11, 1, 0, tzinfo=UTC)),
        ("America/New_York", date(2027, 3, 14), datetime(2027, 3, 15, 4, tzinfo=UTC)),
        ("America/New_York", date(2027, 11, 7), datetime(2027, 11, 8, 5, tzinfo=UTC)),
        # There is no midnight: 23:59:59 is followed by 01:00.
        ("Asia/Beirut", date(2027, 3, 27), datetime(2027, 3, 27, 22, tzinfo=UTC)),
        # Midnight comes twice; the day is over at the first.
        ("America/Havana", date(2027, 11, 6), datetime(2027, 11, 7, 4, tzinfo=UTC)),
        # 30 December 2011 was left out.
        ("Pacific/Apia", date(2011, 12, 29), datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ],
)
def test_a_day_is_over(zone: str, day: date, over: datetime) -> None:
    assert end_of_day(day, ZoneInfo(zone)) == over


@given(st.dates(date(1990, 1, 1), date(2035, 12, 31)), st.sampled_from(ZONES))
def test_the_instant_before_is_still_that_day_and_the_instant_itself_is_not(day: date, zone: str) -> None:
    there = ZoneInfo(zone)
    over = end_of_day(day, there)
    assert over.astimezone(there).date() > day
    # An hour that comes twice, and the one day that never came, are the only ones that look back further.
    assert (over - timedelta(microseconds=1)).astimezone(there).date() <= day
    assert end_of_day(day + timedelta(days=1), there) >= over


def test_the_group_says_where(settings: Any) -> None:
    project = Project(ends_on=date(2027, 3, 31))
    settings.TIME_ZONE = "Asia/Seoul"
    assert use_until(project) == datetime(2027, 3, 31, 15, tzinfo=UTC)
    settings.TIME_ZONE = "America/New_York"
    assert use_until(project) == datetime(2027, 4, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize("day", [None, date(9999, 12, 31), date(9999, 1, 1)])
def test_no_end_is_no_end(day: date | None) -> None:
    assert use_until(Project(ends_on=day)) is None
