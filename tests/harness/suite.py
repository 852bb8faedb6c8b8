"""``python -m tests.harness.suite test|test-rack|check``: the suite, from an installed environment to pytest's closing line.

``check`` is everything that needs neither root nor hosts, on SQLite, with the linters. ``test`` is that, and beside it everything
on PostgreSQL, with real hosts and whole stacks. Whatever happens, nothing is left running.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from catalog.stack import bootstrap
from tests.harness import templates
from tests.harness.grouping import whose_turn
from tests.harness.postgres import Postgres

STATE = bootstrap.STATE
SETTINGS = ("PUMASI_", "PREFECT_", "RACK_", "DATABASE_URL", "REDIS_URL", "DJANGO_")
WITHOUT_HOSTS = "not rack and not stack and not postgresql"
OTHERWISE_CHECKED = "tests/architecture"
"""The linters and the rules of the house say the same on every database."""
MADE_OF_PAGES = "tests/api/test_schema.py"
"""Which tests it holds it learns by putting the whole API together; where pages are left out, that would be for nothing."""
WORKERS = 4
"""Twice the cores of a small machine: tests of hosts wait more than they compute."""
COMPUTING = 2
"""Workers of tests without hosts, beside those."""
WHOLE_STACK = "tests/e2e"
"""A stack computes also while its tests wait. So these go before others of hosts, and it is gone when those begin."""


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def environment(**more: str) -> dict[str, str]:
    """The caller's environment without its settings of the product, and with every temporary file in one known place."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    return {
        **kept,
        "TMPDIR": str(bootstrap.test_directory()),
        bootstrap.TESTS: bootstrap.tests_mark(),
        **more,
    }


class Suite:
    """The commands of one run, each in a session of its own, so that it can be ended with everything it started."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, words: Sequence[str], *, log: Path | None = None, **more: str) -> "subprocess.Popen[bytes]":
        """Start a command in the checkout; with a ``log`` it speaks there, and gives way to what people wait for."""
        output = log.open("wb") if log else None
        try:
            process = subprocess.Popen(
                ["nice", *words] if log else list(words), cwd=bootstrap.ROOT, env=environment(**more),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        finally:
            if output:
                output.close()
        self.running.append(process)
        return process

    def pytest(
        self, *words: str, workers: int = WORKERS, log: Path | None = None, **more: str
    ) -> "subprocess.Popen[bytes]":
        """Start pytest with tests side by side."""
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.harness.grouping", "-n", str(workers)]
        return self.start([*command, "--dist", "loadgroup", "--no-loadscope-reorder", *words], log=log, **more)

    def end(self) -> None:
        """End everything that is still running, hosts and networks too."""
        for process in self.running:
            if process.poll() is None:
                process.terminate()
        bootstrap.sweep_tests()
        for process in self.running:
            process.wait()


def without_hosts(suite: Suite, *words: str, **how: Any) -> "subprocess.Popen[bytes]":
    """Start the linters, and every test that needs neither root nor hosts, on SQLite, unless ``words`` choose."""
    template = templates.sqlite_template(bootstrap.test_directory(), environment())
    made = {templates.VARIABLE: template, templates.PREFECT: _prefect()}
    return suite.pytest("-m", WITHOUT_HOSTS, *words, **how, **made)


def _prefect() -> str:
    return templates.prefect_template(bootstrap.test_directory(), environment())


def check(suite: Suite) -> int:
    """Linters, and every test that needs neither root nor hosts, on SQLite."""
    return without_hosts(suite).wait()


def everything(suite: Suite) -> int:
    """Everything but the long stories: on PostgreSQL, with real hosts and whole stacks, and all but the pages on SQLite too.

    Tests of hosts mostly wait, those without hosts compute: so both run at once, and what has deadlines goes first.
    """
    log = bootstrap.test_directory() / "without-hosts.log"
    faceless = ("--without-pages", f"--ignore={MADE_OF_PAGES}")
    computing = without_hosts(suite, *faceless, log=log, workers=COMPUTING)
    turn = datetime.now(UTC).toordinal()
    say(f"Tests that build every service on hosts: the turn of {whose_turn(turn)} today; `make test-rack` runs all.")
    failed = on_postgresql(suite, "-m", "not long", "--another-database", f"--turn={turn}")
    failed = computing.wait() or failed
    say("\n== on SQLite, without hosts ==")
    say(log.read_text(encoding="utf-8", errors="replace"))
    return failed


def on_postgresql(suite: Suite, *words: str) -> int:
    """Tests on PostgreSQL with real hosts: every test there is, unless ``words`` choose."""
    rack = bootstrap.STATE / "rack"
    if not (rack / "image" / "digest").exists():
        image = suite.start([str(bootstrap.RACK / "rack"), "image"], RACK_STATE=str(rack))
        if image.wait() != 0:
            say("The image of the rack's hosts could not be built; see above.")
            return image.returncode
    with Postgres(bootstrap.test_directory()) as postgres:
        say("\n== on PostgreSQL, with real hosts and whole stacks ==")
        url = postgres.url("pumasi")
        template = templates.postgresql_template(url, environment())
        more = {
            "DATABASE_URL": url,
            templates.VARIABLE: template,
            templates.PREFECT: _prefect(),
            "RACK_IMAGE": str(rack / "image"),
        }
        failed = suite.pytest(WHOLE_STACK, *words, workers=0, **more).wait()
        rest = [f"--ignore={OTHERWISE_CHECKED}", f"--ignore={WHOLE_STACK}"]
        return suite.pytest(*rest, *words, **more).wait() or failed


def main() -> int:
    """Run what the one argument names; the exit code says whether all passed."""
    goals = {"check": check, "test": everything, "test-rack": on_postgresql}
    goal = goals.get(sys.argv[1] if len(sys.argv) == 2 else "")
    if goal is None:
        raise SystemExit("usage: python -m tests.harness.suite test|test-rack|check")

    def interrupted(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    began = time.monotonic()
    bootstrap.sweep_tests()
    bootstrap.test_directory().mkdir(mode=0o755, exist_ok=True)
    suite = Suite()
    code = 1
    try:
        code = goal(suite)
    except KeyboardInterrupt:
        code = 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        suite.end()
        took = time.monotonic() - began
    # After pytest's closing line nobody wants another; a failure of the other part must be said all the same.
    if code != 0 or took > 900:
        say(f"\nmake {sys.argv[1]}: exit code {code} after {took:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
