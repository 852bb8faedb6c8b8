"""``manage.py audit verify|head|seal``: the hash chain of the record."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.audit.services import head, parse_head, seal, verify, verify_head
from catalog.common.clock import now


class Command(BaseCommand):
    help = "verify: check the whole chain (exit status 1 if it does not hold). head: print its last link. seal: chain what waits."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["verify", "head", "seal"])
        parser.add_argument(
            "--head", help="a link printed earlier by `audit head`; proves that nothing was cut off since"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["what"] == "seal":
            self.stdout.write(f"{seal(now())} entries sealed.")
        elif options["what"] == "head":
            last = head()
            self.stdout.write("The chain is empty." if last is None else f"{last[0]}:{last[1]}:{last[2]}")
        else:
            self._verify(options["head"])

    def _verify(self, link: str | None) -> None:
        breaches = verify()
        if link is not None:
            try:
                breaches += verify_head(*parse_head(link))
            except ValueError as error:
                raise CommandError("--head takes a link as `audit head` prints it: day:number:digest.") from error
        for breach in breaches:
            self.stdout.write(f"{breach.day} no. {breach.seq}: {breach.what}")
        if breaches:
            self.stdout.write(f"The chain does not hold: {len(breaches)} breaches.")
            sys.exit(1)
        self.stdout.write("The chain holds.")
