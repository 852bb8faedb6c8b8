"""``manage.py audit verify|head|export|seal``: the hash chain of the record."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.audit.services import export_head, head, parse_head, read_head, seal, verify, verify_head
from catalog.common.clock import now


class Command(BaseCommand):
    help = (
        "verify: check the whole chain (exit status 1 if it does not hold). head: print its last link. export: print it as a "
        "signed document, to be kept elsewhere. seal: chain what waits."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["verify", "head", "export", "seal"])
        parser.add_argument("--head", help="a link printed earlier by `audit head`: nothing was cut off since")
        parser.add_argument("--head-file", type=Path, action="append", default=[], help="the same, from `audit export`")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["what"] == "seal":
            self.stdout.write(f"{seal(now())} entries sealed.")
        elif options["what"] == "head":
            last = head()
            self.stdout.write("The chain is empty." if last is None else f"{last[0]}:{last[1]}:{last[2]}")
        elif options["what"] == "export":
            self._export()
        else:
            self._verify(options["head"], options["head_file"])

    def _export(self) -> None:
        document = export_head(now())
        if document is None:
            raise CommandError("The chain is empty; there is no link to export yet.")
        self.stdout.write(json.dumps(document, indent=2))

    def _verify(self, link: str | None, files: list[Path]) -> None:
        kept = []
        try:
            kept += [parse_head(link)] if link is not None else []
        except ValueError as error:
            raise CommandError("--head takes a link as `audit head` prints it: day:number:digest.") from error
        for file in files:
            try:
                kept.append(read_head(file.read_text(encoding="utf-8")))
            except (OSError, ValueError, KeyError) as error:
                raise CommandError(f"{file} is no link that this installation exported: {error}") from error
        breaches = verify()
        for each in kept:
            breaches += verify_head(*each)
        for breach in breaches:
            self.stdout.write(f"{breach.day} no. {breach.seq}: {breach.what}")
        if breaches:
            self.stdout.write(f"The chain does not hold: {len(breaches)} breaches.")
            sys.exit(1)
        self.stdout.write("The chain holds.")
