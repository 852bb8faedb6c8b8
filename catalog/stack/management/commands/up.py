"""``manage.py up``: the whole stack in one terminal, until Ctrl-C."""

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import connections

from catalog.pool.models import Zone
from catalog.stack.supervisor import StackError, Supervisor


class Command(BaseCommand):
    """Start web, Celery, Prefect and one Prefect worker per zone; restart what dies; stop all on SIGTERM or Ctrl-C."""

    help = "Run the whole stack on this machine until it is told to stop."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--zones", default="", help="comma-separated; without it, every zone of the catalog")

    def handle(self, *args: Any, **options: Any) -> None:
        zones = [zone for zone in options["zones"].split(",") if zone]
        if not zones:
            settings.STATE_DIR.mkdir(parents=True, exist_ok=True)
            call_command("migrate", verbosity=0)
            zones = list(Zone.objects.values_list("slug", flat=True))
            connections.close_all()
        if not zones:
            raise CommandError("There is no zone to run workers for. Add one in the admin, or name it: --zones zone-a")
        try:
            Supervisor(state=settings.STATE_DIR.resolve(), given=dict(os.environ), zones=zones).run()
        except StackError as error:
            raise CommandError(str(error)) from error
