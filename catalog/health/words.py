"""What people read about the health of a service, in their language."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.common import words

HOST_AWAY, HOST_SILENT, UNFINISHED, BROKEN, NO_WORKER, ALL_AT_ONCE = (
    "host-away", "host-silent", "check-unfinished", "check-broken", "no-worker", "all-at-once",
)  # fmt: skip

_WHY = {
    HOST_AWAY: _("Its server is not in service at the moment."),
    HOST_SILENT: _("Its server does not answer."),
    UNFINISHED: _("The check did not come to its end in time."),
    BROKEN: _("The check itself could not be run."),
    ALL_AT_ONCE: _(
        "All services failed at once, so it is rather what they share: the network of the zone, or its name server."
    ),
}


def why_unknown(code: str) -> str:
    """Why a service could not be checked, as a sentence."""
    return str(_WHY.get(code, ""))


def task_in_words(name: str, manifest: Mapping[str, Any]) -> str:
    """The name of a task of a service's playbook, in the reader's language where there is one in it."""
    plain = name.rpartition(" : ")[2]
    if words.language() == "ko" and plain in manifest.get("tasks", {}):
        return str(manifest["tasks"][plain])
    return gettext(plain) if plain else ""


def cause(task: str, message: str, manifest: Mapping[str, Any]) -> str:
    """Why a check failed: the task, and what it said."""
    said = task_in_words(task, manifest)
    return f"{said}: {message}" if said else message
