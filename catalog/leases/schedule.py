"""When notices of a lease's end are due. Pure: instants in, instants out, so no calendar and no time zone has a say."""

from datetime import datetime, timedelta

LEADS = (30, 14, 7, 3, 1)
"""Days, of 24 hours, before the end at which a notice is given."""


def next_notice(ends_at: datetime, *, after: datetime) -> datetime | None:
    """The first instant later than ``after`` at which a notice of ``ends_at`` is due; None: there is none left.

    With the moment the end was set as ``after``, a lead that is as long as the rest of the lease or longer is left out: the
    notice would say what whoever set the end knows already.
    """
    instants = (ends_at - timedelta(days=days) for days in LEADS)
    return min((instant for instant in instants if instant > after), default=None)


def lead_due(ends_at: datetime, now: datetime) -> int | None:
    """The shortest lead, in days, whose instant has come: of several that were missed the most urgent one.

    None before the first, and once the end itself has come: there is nothing to announce any more.
    """
    if now >= ends_at:
        return None
    return min((days for days in LEADS if ends_at - timedelta(days=days) <= now), default=None)
