"""The portal's words: units, sizes, categories, and texts kept in two languages."""

import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.common.words import language
from catalog.offerings.models import OfferingVersion
from catalog.offerings.operations import operations_of
from catalog.tenancy.models import User

OFFERING_ICONS = frozenset({"database", "bolt", "box", "messages", "app-window", "world"})

CATEGORIES: Mapping[str, str | Promise] = {
    "database": _("Database"),
    "vhost": _("Virtual host"),
    "cache": _("Cache"),
    "messaging": _("Messaging"),
    "application": _("Application"),
    "web": _("Web"),
}
_RESOURCES: Mapping[str, str | Promise] = {"VCPU": _("vCPU"), "MEMORY_MB": _("Memory"), "DISK_GB": _("Disk")}
_OPERATIONS: Mapping[str, str | Promise] = {
    "stop": _("Stop"),
    "start": _("Start"),
    "restart": _("Restart"),
    "configure": _("Change settings"),
    "diagnostics": _("Collect diagnostics"),
}
_CREDENTIALS: Mapping[str, str | Promise] = {
    "name": _("Host name"),
    "address": _("Address"),
    "port": _("Port"),
    "username": _("User"),
    "database": _("Database"),
    "password": _("Password"),
}


def of_two(thing: Any, prefix: str) -> str:
    """The text of a row that is kept in two languages, in the reader's."""
    return str(getattr(thing, f"{prefix}_{language()}"))


def of_both(texts: Mapping[str, str]) -> str:
    """The text of a manifest in the reader's language."""
    return texts[language()]


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


def credential(name: str) -> str:
    """The word for one credential; an unknown one is its own word."""
    return str(_CREDENTIALS.get(name, name))


def operation(name: str, version_id: uuid.UUID) -> str:
    """The word for an operation of a service that this version built; an unknown one is its own word.

    Usual ones are known. Of others the manifest is asked, once in the life of a process: it never changes once something was
    ordered.
    """
    usual = _OPERATIONS.get(name)
    if usual is not None:
        return str(usual)
    titles = _titles(version_id).get(name)
    return of_both(titles) if titles else name


@lru_cache(maxsize=1024)
def _titles(version_id: uuid.UUID) -> Mapping[str, Mapping[str, str]]:
    manifest = OfferingVersion.objects.only("manifest").get(pk=version_id).manifest
    return {each.name: each.title for each in operations_of(manifest)}


def full_name(user: User) -> str:
    """A person as others know them. A Korean name is written family name first, without a blank, for Korean readers."""
    if language() == "ko" and user.last_name and not user.last_name.isascii():
        return f"{user.last_name}{user.first_name}"
    return user.get_full_name() or user.get_username()
