"""The releases of one slice: what of them was served, so that it can be again without being fetched.

A release is a folder of the slice's user that holds `source`. Which of them were served stands in a file of root's: the last two.
"""

from __future__ import annotations

import json
from pathlib import Path

from ansible.module_utils.pumasi_host import write_file

KEPT = 2


def releases_of(unit):
    return f"/var/lib/pumasi/{unit}/releases"


def _record(unit):
    return Path(f"/etc/pumasi/slices/{unit}/releases.json")


def served(unit):
    """Releases that were served, the last of them last: a list of {"key", "name"}."""
    try:
        return json.loads(_record(unit).read_text(encoding="ascii"))
    except FileNotFoundError:
        return []


def note(unit, key, name):
    """Remember that a release is served from now on. Returns whether that is news."""
    others = [each for each in served(unit) if each["name"] != name]
    return write_file(str(_record(unit)), json.dumps([*others, {"key": key, "name": name}][-KEPT:]) + "\n", 0o640)
