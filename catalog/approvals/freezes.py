"""Change freezes, as the table says them."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import date, datetime, time

from django.utils.timezone import get_default_timezone

from catalog.approvals.calendar import Freeze, Recurrence, Window, frozen
from catalog.approvals.models import FreezeWindow, Holiday


def pure(row: FreezeWindow) -> Window:
    """A window of the table as a plain value."""
    return Window(
        key=row.pk or 0,
        reason=row.reason,
        deeds=frozenset(row.deeds),
        tenant=row.tenant.slug if row.tenant is not None else None,
        recurrence=row.recurrence,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        weekday=row.weekday or 0,
        time_from=row.time_from or time.min,
        time_until=row.time_until or time.min,
        working_days=row.working_days or 1,
    )


@dataclass(frozen=True)
class Calendar:
    """The windows in force and the holidays, read once."""

    windows: tuple[Window, ...]
    holidays: Set[date]

    def freeze(self, deed: str, tenant: str, *, now: datetime) -> Freeze | None:
        """Whether this waits at ``now`` for this affiliate, in the group's time zone (the setting ``TIME_ZONE``)."""
        return frozen(
            self.windows, deed=deed, tenant=tenant, at=now, zone=get_default_timezone(), holidays=self.holidays
        )


def calendar() -> Calendar:
    """What is in force now. Holidays are read only where a window asks for working days."""
    windows = tuple(pure(row) for row in FreezeWindow.objects.filter(active=True).select_related("tenant"))
    asks = any(each.recurrence == Recurrence.MONTH_END for each in windows)
    return Calendar(windows, frozenset(Holiday.objects.values_list("day", flat=True)) if asks else frozenset())
