"""``manage.py offerings load|check``: manifests into the catalog."""

import subprocess
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.common.clock import now
from catalog.common.errors import DomainError
from catalog.offerings.manifests import read_all
from catalog.offerings.services import load_manifests
from catalog.tenancy.policy import system


class Command(BaseCommand):
    help = "load: bring the catalog up to the manifests. check: only say what is wrong with them; changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["load", "check"])
        parser.add_argument("--publish", action="store_true", help="put on sale what is still a draft")
        parser.add_argument("--root", type=Path, help="folder of the manifests (default: services of the playbooks)")
        parser.add_argument("--git-revision", help="kept with each version (default: asked of git)")

    def handle(self, *args: Any, **options: Any) -> None:
        root: Path = options["root"] or settings.PLAYBOOKS_DIR / "services"
        try:
            if options["what"] == "check":
                for manifest in read_all(root):
                    self.stdout.write(f"{manifest.slug} {manifest.version}: valid")
                return
            report = load_manifests(
                root, git_revision=options["git_revision"] or _revision(root), now=now(),
                actor=system("offerings-load"), publish=options["publish"],
            )  # fmt: skip
        except DomainError as error:
            lines = [str(error), *(f"  {place}: {what}" for place, what in error.fields.items())]
            raise CommandError("\n".join(lines)) from error
        for said, names in vars(report).items():
            if names:
                self.stdout.write(f"{said.replace('_', ' ')}: {', '.join(names)}")


def _revision(root: Path) -> str:
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return asked.stdout.strip()
