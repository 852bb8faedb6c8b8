"""The portal's words: units, sizes, spans of time, categories, and texts kept in two languages."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils.formats import date_format, number_format
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _

from catalog.tenancy.models import User

OFFERING_ICONS = frozenset({"database", "bolt", "box", "messages", "app-window", "world"})

CATEGORIES: Mapping[str, str | Promise] = {
    "database": _("Database"),
    "cache": _("Cache"),
    "messaging": _("Messaging"),
    "application": _("Application"),
    "web": _("Web"),
}
_RESOURCES: Mapping[str, str | Promise] = {"VCPU": _("vCPU"), "MEMORY_MB": _("Memory"), "DISK_GB": _("Disk")}
_CREDENTIALS: Mapping[str, str | Promise] = {
    "address": _("Address"),
    "port": _("Port"),
    "username": _("User"),
    "database": _("Database"),
    "password": _("Password"),
}


def language() -> str:
    """``ko`` or ``en``: what the reader reads now."""
    return "en" if (get_language() or "").startswith("en") else "ko"


def of_two(thing: Any, prefix: str) -> str:
    """The text of a row that is kept in two languages, in the reader's."""
    return str(getattr(thing, f"{prefix}_{language()}"))


def of_both(texts: Mapping[str, str]) -> str:
    """The text of a manifest in the reader's language."""
    return texts[language()]


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


def resource(name: str) -> str:
    """The word for a resource class; an unknown one is its own word."""
    return str(_RESOURCES.get(name, name))


def rank(name: str) -> tuple[int, str]:
    """Sorts resource classes as people list them: processors, memory, disk, then the rest by name."""
    known = list(_RESOURCES)
    return (known.index(name) if name in known else len(known), name)


def amount(name: str, value: int, *, named: bool = False) -> str:
    """An amount of a resource class with its unit: memory in MiB or GiB, disks in GiB or TiB. It never breaks in a line.

    :param named: say what it is an amount of, too, where the unit does not tell.
    """
    if name == "MEMORY_MB":
        text = _binary(value, "MiB", "GiB")
        text = gettext("%s memory") % text if named else text
    elif name == "DISK_GB":
        text = _binary(value, "GiB", "TiB")
        text = gettext("%s disk") % text if named else text
    else:
        text = number_format(value, force_grouping=True)
        text = f"{text} {resource(name)}" if named else text
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _binary(value: int, unit: str, larger: str) -> str:
    if value < 1024:
        return f"{value} {unit}"
    whole, rest = divmod(value, 1024)
    return f"{number_format(value / 1024, decimal_pos=1) if rest else number_format(whole)} {larger}"


def moment(when: datetime) -> str:
    """A date and time in the reader's zone and language, to the minute."""
    return date_format(localtime(when), "Y. n. j. H:i" if language() == "ko" else "j M Y, H:i")


def day(when: datetime) -> str:
    """A date in the reader's zone and language."""
    return date_format(localtime(when), "Y. n. j." if language() == "ko" else "j M Y")


def credential(name: str) -> str:
    """The word for one credential; an unknown one is its own word."""
    return str(_CREDENTIALS.get(name, name))


def full_name(user: User) -> str:
    """A person as others know them. A Korean name is written family name first, without a blank, for Korean readers."""
    if language() == "ko" and user.last_name and not user.last_name.isascii():
        return f"{user.last_name}{user.first_name}"
    return user.get_full_name() or user.get_username()
