"""Freezes on every calendar: to the instant, over month ends, leap days and changes of the clock."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from catalog.approvals.calendar import LOOK_AHEAD, Freeze, Window, frozen, last_working_day

SEOUL, LONDON, NEW_YORK = ZoneInfo("Asia/Seoul"), ZoneInfo("Europe/London"), ZoneInfo("America/New_York")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ALL = frozenset({"create"})
MOMENT = timedelta(microseconds=1)


def at(text: str, zone: ZoneInfo) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def ask(*windows: Window, now: datetime, zone: ZoneInfo = SEOUL, deed: str = "create", tenant: str = "capital",
        holidays: frozenset[date] = frozenset()) -> Freeze | None:  # fmt: skip
    return frozen(windows, deed=deed, tenant=tenant, at=now, zone=zone, holidays=holidays)


def spans(window: Window, begin: datetime, end: datetime, zone: ZoneInfo, **kwargs: frozenset[date]) -> None:
    """The freeze begins and ends exactly there."""
    assert ask(window, now=begin - MOMENT, zone=zone, **kwargs) is None  # type: ignore[arg-type]  # holidays only
    for now in (begin, begin + (end - begin) / 2, end - MOMENT):
        assert ask(window, now=now, zone=zone, **kwargs) == Freeze(end, window.reason)  # type: ignore[arg-type]
    assert ask(window, now=end, zone=zone, **kwargs) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("year", "month", "nth", "holidays", "day"),
    [
        (2026, 11, 1, [], 30),  # a Monday
        (2026, 11, 2, [], 27),  # over the weekend
        (2027, 1, 1, [], 29),  # the 31st is a Sunday
        (2028, 2, 1, [], 29),  # leap day, a Tuesday
        (2027, 2, 1, [], 26),
        (2026, 12, 3, [31], 28),  # New Year's Eve off: the 30th, 29th, 28th
        (2026, 12, 1, [31, 30], 29),
        (2026, 11, 40, [], 1),  # more than there are: all of it
    ],
)
def test_the_last_working_days_of_a_month(year: int, month: int, nth: int, holidays: list[int], day: int) -> None:
    off = {date(year, month, each) for each in holidays}
    assert last_working_day(year, month, nth, off) == date(year, month, day)


def month_end(days: int, **more: object) -> Window:
    return Window(1, "closing", ALL, None, "month_end", LONG_AGO, working_days=days, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("zone", "days", "begin", "end"),
    [
        (SEOUL, 3, "2026-11-26T00:00", "2026-12-01T00:00"),
        (SEOUL, 1, "2026-12-31T00:00", "2027-01-01T00:00"),
        (SEOUL, 1, "2028-02-29T00:00", "2028-03-01T00:00"),
        (SEOUL, 1, "2027-02-26T00:00", "2027-03-01T00:00"),
        # Clocks change on the last Sunday of March and of October: these spans have an hour less, and an hour more.
        (LONDON, 5, "2027-03-25T00:00", "2027-04-01T00:00"),
        (LONDON, 1, "2027-10-29T00:00", "2027-11-01T00:00"),
    ],
)
def test_month_end_closing(zone: ZoneInfo, days: int, begin: str, end: str) -> None:
    spans(month_end(days), at(begin, zone), at(end, zone), zone)


def test_a_holiday_moves_the_beginning() -> None:
    off = frozenset({date(2026, 11, 30)})
    spans(month_end(1), at("2026-11-27T00:00", SEOUL), at("2026-12-01T00:00", SEOUL), SEOUL, holidays=off)


def test_hours_are_counted_over_a_change_of_the_clock() -> None:
    window = month_end(1)
    found = ask(window, now=at("2027-10-29T00:00", LONDON), zone=LONDON)
    assert found is not None
    assert found.until - at("2027-10-29T00:00", LONDON) == timedelta(days=3, hours=1)


def weekly(weekday: int, begin: str, end: str, **more: object) -> Window:
    return Window(
        2, "weekend", ALL, None, "weekly", LONG_AGO, weekday=weekday, time_from=time.fromisoformat(begin),
        time_until=time.fromisoformat(end), **more,  # type: ignore[arg-type]  # its fields
    )  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "window", "begin", "end"),
    [
        (SEOUL, weekly(4, "18:00", "23:00"), "2026-11-27T18:00", "2026-11-27T23:00"),
        (SEOUL, weekly(4, "18:00", "06:00"), "2026-11-27T18:00", "2026-11-28T06:00"),
        (SEOUL, weekly(6, "00:00", "00:00"), "2026-11-29T00:00", "2026-11-30T00:00"),
        # The night in which clocks go forward has no 01:30 in London: it is 02:30 then.
        (LONDON, weekly(6, "01:30", "04:00"), "2027-03-28T02:30", "2027-03-28T04:00"),
        # 01:30 comes twice when they go back: the first counts.
        (NEW_YORK, weekly(6, "01:30", "04:00"), "2026-11-01T01:30", "2026-11-01T04:00"),
        (NEW_YORK, weekly(5, "22:00", "02:00"), "2027-03-13T22:00", "2027-03-14T03:00"),
    ],
)
def test_every_week(zone: ZoneInfo, window: Window, begin: str, end: str) -> None:
    spans(window, at(begin, zone), at(end, zone), zone)


def test_once_and_within_its_bounds() -> None:
    begin, end = at("2026-12-24T00:00", SEOUL), at("2027-01-04T09:00", SEOUL)
    spans(Window(3, "turn of the year", ALL, None, "once", begin, end), begin, end, SEOUL)
    # A recurrence counts within its own bounds only.
    first, last = at("2026-11-28T12:00", SEOUL), at("2026-11-29T12:00", SEOUL)
    bounded = Window(4, "closing", ALL, None, "month_end", first, last, working_days=3)
    spans(bounded, first, last, SEOUL)


def test_freezes_that_meet_are_one() -> None:
    night = weekly(0, "18:00", "00:00")
    morning = weekly(1, "00:00", "09:00")
    assert ask(night, morning, now=at("2026-11-30T20:00", SEOUL)) == Freeze(at("2026-12-01T09:00", SEOUL), "weekend")
    every_day = [weekly(day, "00:00", "00:00") for day in range(7)]
    now = at("2026-11-30T20:00", SEOUL)
    endless = ask(*every_day, now=now)
    assert endless is not None
    assert LOOK_AHEAD <= endless.until - now <= LOOK_AHEAD + timedelta(days=1)


def test_only_what_it_says_and_for_whom_it_says() -> None:
    begin, end = at("2026-12-24T00:00", SEOUL), at("2026-12-25T00:00", SEOUL)
    window = Window(5, "x", frozenset({"update", "operate"}), "card", "once", begin, end)
    found = {
        (deed, tenant): ask(window, now=begin, deed=deed, tenant=tenant) is not None
        for deed in ("create", "update", "decommission", "reclaim") for tenant in ("card", "capital")
    }  # fmt: skip
    assert [each for each, frozen_then in found.items() if frozen_then] == [("update", "card")]
