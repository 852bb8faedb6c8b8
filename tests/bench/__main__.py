"""``python -m tests.bench [--only NAME …]``: measure side by side, print tables, leave nothing behind.

Sections: ``claims`` (claims a second on PostgreSQL), ``build`` (order → active and give-back → available, against the same by
hand), ``first-task`` (order accepted → first task, idle), ``queued`` (the same with many orders at once).
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalog.settings")
django.setup()

from django.conf import settings  # noqa: E402  # only after setup

from catalog.stack.client import ApiError, TooSlow  # noqa: E402
from catalog.stack.supervisor import StackError  # noqa: E402
from tests.bench import machine  # noqa: E402
from tests.bench.builds import builds  # noqa: E402
from tests.bench.orders import first_task, queued  # noqa: E402
from tests.bench.pool import claims  # noqa: E402
from tests.bench.stage import BenchFailed, Stage, stage  # noqa: E402
from tests.harness.postgres import Postgres, PostgresMissing  # noqa: E402
from tests.rack.driver import RackError  # noqa: E402

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NAMES = ("claims", "build", "first-task", "queued")
TITLES = {
    "claims": "Claims per second on PostgreSQL",
    "build": "Order → active, and give-back → available, on real hosts",
    "first-task": "Order accepted → first task of its playbook, idle system",
    "queued": "Order accepted → first task of its playbook, many orders at once",
}


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def section(name: str, measure: Callable[[], None]) -> None:
    """One heading, one measurement."""
    say(f"\n== {TITLES[name]} ==   {machine.load()}\n")
    began = time.monotonic()
    measure()
    say(f"(took {time.monotonic() - began:.0f} s)")


def on_hosts(wanted: list[str], given: argparse.Namespace, on: Stage) -> None:
    """The sections that need the stack, each on an idle system with an empty pool."""
    measures = {
        "build": partial(builds, on, rounds=given.rounds, say=say),
        "first-task": partial(first_task, on, orders=given.orders, say=say),
        "queued": partial(queued, on, orders=given.burst, say=say),
    }
    for name in NAMES:
        if name in wanted and name in measures:
            section(name, measures[name])
            on.clear()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=NAMES, action="append", help="only this section; may be given several times")
    parser.add_argument("--orders", type=int, default=10, help="orders one after the other on an idle system (10)")
    parser.add_argument("--burst", type=int, default=50, help="orders at once, at most 60 (50)")
    parser.add_argument("--rounds", type=int, default=3, help="builds of each kind (3)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long clients claim (10)")
    parser.add_argument(
        "--quick", action="store_true", help="as little as shows that everything works: no figures to quote"
    )
    given = parser.parse_args()
    if given.quick:
        given.orders, given.burst, given.rounds, given.seconds = 1, 3, 1, 1.0
    if min(given.orders, given.burst, given.rounds, given.seconds) <= 0 or given.burst > 60:
        parser.error("the numbers must be above 0, and a burst at most 60 orders: the rack has room for no more")
    return given


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    # Once is enough: a second one would cut the clearing up short.
    for each in STOPPING:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Measure what was asked for. 0: done; 1: something did not work; 130: interrupted. Whatever it is, nothing is left."""
    given = _arguments()
    wanted = given.only or list(NAMES)
    for each in STOPPING:
        signal.signal(each, _stop)
    home = Path(settings.STATE_DIR).resolve() / "bench"
    home.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    say(f"Pumasi bench, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC{'   QUICK: no figures to quote' if given.quick else ''}")
    for line in machine.describe():
        say(line)
    try:
        with Postgres(home, durable=True) as postgres:
            server = postgres.url("postgres")
            if "claims" in wanted:
                sizes, clients = ([100, 1_000], [1, 8]) if given.quick else ([1_000, 10_000, 100_000], [1, 8, 32])
                section("claims", partial(claims, server, hosts=sizes, clients=clients, seconds=given.seconds, say=say))
            if set(wanted) - {"claims"}:
                say("\nStarting the rack and the stack …")
                with stage(home, server) as on:
                    on_hosts(wanted, given, on)
    except KeyboardInterrupt:
        say("Interrupted; everything that was started has been stopped.")
        return 130
    except (BenchFailed, PostgresMissing, StackError, RackError, ApiError, TooSlow) as error:
        print(
            f"{error}\nThe bench failed; logs of its stack, if it came so far, are in {home / 'logs'}.", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
