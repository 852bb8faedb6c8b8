"""``manage.py sample``: the affiliates, people, zones and offerings that the demo and the tests work with."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand

from catalog.common.clock import now
from catalog.stack import sample
from catalog.stack.rack import Rack


class Command(BaseCommand):
    """Make sample data; what is there already stays as it is."""

    help = "Make sample affiliates, people, projects, quotas and zones, and publish the offerings."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--rack", type=Path, help="state directory of a rack that is up; its hosts' addresses are entered"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        rack = options["rack"].resolve() if options["rack"] else None
        places = Rack(rack).places() if rack else []
        names = Rack(rack).names() if rack else None
        sample.load(settings.STATE_DIR.resolve(), rack_state=rack, places=places, names=names, now=now())
        self.stdout.write(
            f"{len(sample.PEOPLE) + 1} people, {len(sample.TENANTS)} affiliates, {len(sample.ZONES)} zones."
        )
