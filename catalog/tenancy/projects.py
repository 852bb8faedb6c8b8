"""Until when a project may use what it ordered."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from django.utils.timezone import get_default_timezone

from catalog.tenancy.models import Project

_AS_GOOD_AS_NEVER = 9999


def end_of_day(day: date, zone: tzinfo) -> datetime:
    """The instant, in UTC, at which ``day`` is over in ``zone``: the first instant of the day after.

    Where clocks skip that midnight it is the instant they skip it at; where it comes twice, the first.
    """
    return datetime.combine(day + timedelta(days=1), time.min, zone).astimezone(UTC)


def use_until(project: Project) -> datetime | None:
    """The end of ``project.ends_on`` in the group's time zone (the setting ``TIME_ZONE``); None: no end is set.

    An end in the year 9999 counts as none: people write it for "never".
    """
    if project.ends_on is None or project.ends_on.year >= _AS_GOOD_AS_NEVER:
        return None
    return end_of_day(project.ends_on, get_default_timezone())
