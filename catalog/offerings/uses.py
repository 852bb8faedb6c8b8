"""An offering that is built with the roles of others keeps them in its own folder; reads files, else pure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from django.utils.translation import gettext as _

from catalog.offerings.folders import FolderInvalid, files_of

ROLES = "roles/"


def wrong_uses(folder: Path, document: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the offerings a manifest uses, as place → what."""
    wrong: dict[str, str] = {}
    used = document.get("uses", ())
    for number, slug in enumerate(used):
        if slug == document["slug"] or not (folder.parent / slug / "service.yml").is_file():
            wrong[f"uses.{number}"] = _("There is no other offering %s.") % slug
    own = "residues" in document
    for number, plan in enumerate(document["plans"]):
        if "roles" not in plan and not own:
            wrong["residues"] = _("Say what a slice of this service may leave on its host.")
        for place, role in enumerate(plan.get("roles", ())):
            if "service" in role and role["service"] not in used:
                wrong[f"plans.{number}.roles.{place}.service"] = (
                    _("%s is not among what this offering uses.") % role["service"]
                )
            elif "service" not in role and not own:
                wrong[f"plans.{number}.roles.{place}.service"] = _("Say which offering its members are one of.")
    return wrong


def with_used(
    folder: Path, document: dict[str, Any], files: dict[str, bytes]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest and the files of a folder, completed by those of the offerings it uses.

    In the manifest ``used`` then says of each what it leaves on a host, and ``tasks`` knows its tasks too.

    :raises FolderInvalid: two of them have a file of one name.
    """
    used: dict[str, Any] = {}
    tasks: dict[str, str] = {}
    for slug in document.get("uses", ()):
        theirs = files_of(folder.parent / slug)
        said = yaml.safe_load(theirs["service.yml"])
        kept = {place: content for place, content in theirs.items() if place.startswith(ROLES)}
        for place in kept.keys() & files.keys():
            raise FolderInvalid(place, _("%s has a file of this name, too.") % slug)
        # Beside the roles its manifest: what it says of residues is part of what must not change unnoticed.
        files = {**files, **kept, f"uses/{slug}.yml": theirs["service.yml"]}
        used[slug] = {"version": said["version"], "residues": said["residues"]}
        tasks |= said.get("tasks", {})
    if not used:
        return document, files
    return {**document, "used": used, "tasks": {**tasks, **document.get("tasks", {})}}, files


def residues_of(manifest: Mapping[str, Any], service: str) -> Any:
    """What a member may leave on its host: that of the offering it is one of, or the manifest's own. None: nobody said."""
    return manifest["used"][service]["residues"] if service else manifest.get("residues")
