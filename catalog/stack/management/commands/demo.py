"""``manage.py demo``: the main job for real, told line by line, and everything left running."""

import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from django.conf import settings
from django.core.management import BaseCommand, CommandError

from catalog.stack import launch, sample
from catalog.stack.client import ApiError, TooSlow
from catalog.stack.rack import Rack, RackError, enrol
from catalog.stack.story import Story, StoryFailed, Teller
from catalog.stack.supervisor import StackError

SHORTER = {
    # A demo is watched: look at leases more often than a data centre needs to.
    "PUMASI_RECLAIM_SECONDS": "10",
}
SHOWN = ("minji", "junho", "seoyeon", "doyun", "haeun", "jihun", "sua", "taeho")


class Command(BaseCommand):
    """Order, use, give back, wipe, and hand the host to the next affiliate."""

    help = "Show the whole way of an order on real hosts, and leave everything running."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--hosts", type=int, default=4, help="hosts of the rack (4)")

    def handle(self, *args: Any, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupted)
        state = settings.STATE_DIR.resolve()
        began = time.monotonic()
        try:
            self._show(state, options["hosts"])
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._say("\nInterrupted: everything is being stopped.")
            bootstrap = settings.BASE_DIR / "catalog" / "stack" / "bootstrap.py"
            subprocess.run([sys.executable, "-I", str(bootstrap), "stop"], check=False)
            raise SystemExit(130) from None
        except (StoryFailed, StackError, TooSlow, RackError, ApiError, httpx.TransportError) as error:
            raise CommandError(
                f"{error}\nThe demo failed. Everything is left as it is; the logs are in {state / 'logs'}; `make stop` stops it."
            ) from error
        self.stdout.write(f"\nAll of it took {time.monotonic() - began:.0f} s.")

    @staticmethod
    def _interrupted(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def _say(self, text: str) -> None:
        # Each step as it happens, also where the output is not a terminal.
        self.stdout.write(text)
        self.stdout.flush()

    def _show(self, state: Path, hosts: int) -> None:
        tell = Teller(self._say)
        rack = Rack(state / "rack")
        tell.chapter("0. What the story needs")
        if not rack.has_image:
            rack.build_image()
            tell.step("Built the image that hosts of the rack start from")
        places = rack.up(hosts)
        tell.step(f"{len(places)} hosts are up: {', '.join(place.name for place in places)}")
        given = launch.environment_for(rack, **SHORTER)
        url = launch.start(state, given=given, zones=sorted({place.zone for place in places}))
        tell.step("Redis, Prefect, Celery, the web server and a worker per zone are running")
        launch.manage(state, "sample", "--rack", str(rack.state), given=given)
        tell.step("Affiliates, people, projects and offerings are there")
        operator = launch.sign_in(state, url, "jihun")
        new = enrol(operator, places)
        if new:
            tell.step(f"{len(new)} hosts are taken into the pool: keys learnt, capacity read over ssh, baseline kept")
        a, b = (launch.sign_in(state, url, name) for name in ("minji", "seoyeon"))
        Story(a, b, operator, rack, tell).run(places)
        self._farewell(state, url)

    def _farewell(self, state: Path, url: str) -> None:
        say = self._say
        say("\nEverything is left running:")
        say(f"  portal      {url}")
        say(f"  API         {url}api/v1/docs")
        say(f"  admin       {url}admin/        {sample.ADMIN} / {sample.password_of(state, sample.ADMIN)}")
        say("\nWho can sign in (passwords were made on this machine):")
        for person in sample.PEOPLE:
            if person.username in SHOWN:
                say(f"  {person.username:<9} {sample.password_of(state, person.username)}   {person.says}")
        say("\nTo stop everything: make stop      To remove every trace: make clean")
