"""When changes are frozen. Pure: instants in UTC, calendar days and times of day in the group's time zone."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from django.db import models
from django.utils.translation import gettext_lazy as _

LOOK_AHEAD = timedelta(days=400)
"""Freezes that follow one another without a gap for longer than this have no end to tell; they are looked at again then."""


class Recurrence(models.TextChoices):
    ONCE = "once", _("once")
    WEEKLY = "weekly", _("every week")
    MONTH_END = "month_end", _("the last working days of every month")


def instant(day: date, at: time, zone: tzinfo) -> datetime:
    """That time of that day, in UTC. Where clocks skip it, the gap later; where it comes twice, the first."""
    return datetime.combine(day, at, zone).astimezone(UTC)


def last_working_day(year: int, month: int, nth: int, holidays: Set[date]) -> date:
    """The ``nth`` last working day of a month, counted from 1: Monday to Friday and no holiday.

    A month with fewer gives its first day.
    """
    first = date(year, month, 1)
    day = _next_month(first)
    left = nth
    while left and day > first:
        day -= timedelta(days=1)
        left -= day.weekday() < 5 and day not in holidays
    return day


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


@dataclass(frozen=True)
class Window:
    """A stretch of time, or one that recurs, in which ``deeds`` wait.

    :param tenant: the affiliate it is for, by name; None: all.
    :param starts_at, ends_at: ``once``: from and until. Else the recurrence counts from and until then; None: without end.
    :param weekday: of ``weekly``, 0: Monday. From ``time_from`` until ``time_until``, on the next day where that is not later.
    :param working_days: of ``month_end``: so many, from the first minute of the first of them to the month's last.
    """

    key: int
    reason: str
    deeds: frozenset[str]
    tenant: str | None
    recurrence: str
    starts_at: datetime
    ends_at: datetime | None = None
    weekday: int = 0
    time_from: time = time.min
    time_until: time = time.min
    working_days: int = 1

    def until(self, at: datetime, *, zone: tzinfo, holidays: Set[date]) -> datetime | None:
        """When the freeze ends that ``at`` lies in; None where it lies in none. Its first instant belongs to it, its end not."""
        for begin, end in self._spans(at, zone, holidays):
            first = max(begin, self.starts_at)
            last = end if self.ends_at is None else min(end, self.ends_at)
            if first <= at < last:
                return last
        return None

    def _spans(self, at: datetime, zone: tzinfo, holidays: Set[date]) -> Iterable[tuple[datetime, datetime]]:
        today = at.astimezone(zone).date()
        if self.recurrence == Recurrence.ONCE:
            assert self.ends_at is not None  # a constraint of the table
            yield self.starts_at, self.ends_at
        elif self.recurrence == Recurrence.WEEKLY:
            # One that began yesterday may reach into today.
            for day in (today - timedelta(days=1), today):
                if day.weekday() == self.weekday:
                    over_night = timedelta(days=self.time_until <= self.time_from)
                    yield instant(day, self.time_from, zone), instant(day + over_night, self.time_until, zone)
        else:
            first = last_working_day(today.year, today.month, self.working_days, holidays)
            yield instant(first, time.min, zone), instant(_next_month(first), time.min, zone)


@dataclass(frozen=True)
class Freeze:
    """What is frozen now, until when, and why: the reason of the window it lies in."""

    until: datetime
    reason: str


def frozen(
    windows: Iterable[Window], *, deed: str, tenant: str, at: datetime, zone: tzinfo, holidays: Set[date]
) -> Freeze | None:
    """Whether ``deed`` waits at this instant. Freezes that meet or overlap are one: its end is the last one's."""
    mine = [each for each in windows if deed in each.deeds and each.tenant in {None, tenant}]
    reason, end = "", at
    while end < at + LOOK_AHEAD:
        found = [(until, each.reason) for each in mine if (until := each.until(end, zone=zone, holidays=holidays))]
        if not found:
            break
        end, said = max(found)
        reason = reason or said
    return Freeze(end, reason) if end > at else None
