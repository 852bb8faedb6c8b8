"""Words every face and every letter shares: spans of time, and instants as the reader writes them."""

from datetime import datetime, timedelta

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import get_language, gettext, ngettext


def language() -> str:
    """``ko`` or ``en``: what the reader reads now."""
    return "en" if (get_language() or "").startswith("en") else "ko"


def span(time: timedelta) -> str:
    """A span of time in its two largest units; under a minute in seconds."""
    total = int(time.total_seconds())
    days, rest = divmod(total, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    parts = [
        (days, ngettext("%d day", "%d days", days)),
        (hours, gettext("%d h")),
        (minutes, gettext("%d min")),
        (secs, gettext("%d s")),
    ]
    first = next((number for number, (value, _unit) in enumerate(parts) if value), len(parts) - 1)
    return " ".join(
        unit % value for number, (value, unit) in enumerate(parts[first : first + 2]) if value or not number
    )


def moment(when: datetime) -> str:
    """A date and time in the reader's zone and language, to the minute."""
    return date_format(localtime(when), "Y. n. j. H:i" if language() == "ko" else "j M Y, H:i")


def day(when: datetime) -> str:
    """A date in the reader's zone and language."""
    return date_format(localtime(when), "Y. n. j." if language() == "ko" else "j M Y")
