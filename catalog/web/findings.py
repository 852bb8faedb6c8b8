"""What an order found, as text to be read: a part for each thing that was looked at."""

import json
from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_TITLES: Mapping[str, str | Promise] = {
    "unit": _("Unit"),
    "processes": _("Processes"),
    "disk": _("Disk"),
    "sockets": _("Sockets it listens on"),
    "firewall": _("Firewall"),
    "files": _("Files, the newest first"),
    "journal": _("End of its log"),
}
"""Of what the house's own diagnostics hand back; other parts have the name that their playbook gave them."""


def sections(content: Any) -> list[tuple[str, str]]:
    """(title, text) of each part, in the order in which it was handed back; of several members, one after the other."""
    if isinstance(content, dict) and isinstance(content.get("members"), dict):
        members = content["members"].items()
        return [(f"{name} · {title}", text) for name, each in members for title, text in sections({"diagnosis": each})]
    parts = content.get("diagnosis", content) if isinstance(content, dict) else {"": content}
    inner = parts if isinstance(parts, dict) else {"": parts}
    return [(str(_TITLES.get(name, name)), _text(value)) for name, value in inner.items()]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(each if isinstance(each, str) else _line(each) for each in value) or "–"
    if isinstance(value, dict) and not any(isinstance(each, dict | list) for each in value.values()):
        return "\n".join(f"{name}: {each}" for name, each in value.items()) or "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def _line(each: Any) -> str:
    if isinstance(each, dict):
        return "  ".join(f"{name}={value}" for name, value in each.items())
    return json.dumps(each, ensure_ascii=False)
