"""Thirty-two clients order and cancel for a minute against a pool that is nearly full: slices, stacks, whole hosts, ports, loans.

Real processes, the real front door. Nothing is given twice at any instant, nobody meets a deadlock, and at the end the books are
balanced to zero; also when clients are killed in the middle of what they do.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from catalog.stack.bootstrap import ROOT
from tests.fire import HOSTS, KEPT, PLANS, REFUSALS, ZONES
from tests.harness import templates
from tests.harness.postgres import database

# One after the other: 32 clients at a time are enough, and their database has one name.
pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("fire")]

PROCESSES, THREADS, TURNS = 4, 8, 10
SHORT, MINUTE = 0.0, pytest.param(60.0, marks=pytest.mark.long)
FOR_EVER = 10**9
BALANCED = {
    "drift": [], "allocations nobody owns": 0, "allocations": 0, "used": 0, "held": 0, "ports": 0, "loans": 0,
    "hosts": {"available": ZONES * HOSTS},
}  # fmt: skip


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Of processes on a seeded database of their own. Nudges go nowhere: no order of these is to be built."""
    server = os.environ["DATABASE_URL"]
    with database(server, "pumasi_fire", template=templates.on_postgresql(server)) as url:
        given = {**os.environ, "DATABASE_URL": url, "REDIS_URL": "memory://", "PUMASI_LOG_LEVEL": "ERROR"}
        ask(given, "seed")
        yield given


def start(given: dict[str, str], *words: str) -> "subprocess.Popen[str]":
    """A process that has said it is ready."""
    command = [sys.executable, "-m", "tests.fire.client", *words]
    process = subprocess.Popen(
        command, cwd=ROOT, env=given, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def ask(given: dict[str, str], word: str) -> Any:
    """What a process says in its last line."""
    command = [sys.executable, "-m", "tests.fire.client", word]
    done = subprocess.run(command, cwd=ROOT, env=given, text=True, stdout=subprocess.PIPE, check=True, timeout=180)
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None


def result(process: "subprocess.Popen[str]") -> Any:
    """What a process that is told to go on says at its end; it must end well."""
    said, _ = process.communicate("go\n", timeout=240)
    assert process.returncode == 0
    return json.loads(said.splitlines()[-1])


@contextmanager
def clients(given: dict[str, str], *turns: int, seconds: float) -> Iterator[list["subprocess.Popen[str]"]]:
    """Processes of clients; each takes at least so many turns, and goes on for ``seconds``."""
    with ExitStack() as stack:
        running = []
        for number, least in enumerate(turns):
            process = start(given, "fire", str(number), str(THREADS), str(seconds), str(least))
            stack.callback(process.wait)
            stack.callback(process.kill)
            running.append(process)
        yield running


def go(processes: Sequence["subprocess.Popen[str]"]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def met(said: Counter[str]) -> None:
    """The pool was really full and really changing hands: every plan was placed and every limit was met."""
    assert {*PLANS, "cancelled", "no-capacity", "quota-exceeded"} <= set(said)
    assert set(said) <= {*PLANS, "cancelled", *REFUSALS}


@pytest.mark.parametrize("seconds", [SHORT, MINUTE])
def test_claims_hold_under_fire(environment: dict[str, str], seconds: float) -> None:
    watcher = start(environment, "watch")
    with clients(environment, *[TURNS] * PROCESSES, seconds=seconds) as running:
        go(running)
        said = sum((Counter(result(process)) for process in running), Counter[str]())
    looks = result(watcher)
    met(said)
    assert sum(said[plan] for plan in PLANS) == said["cancelled"]
    assert looks > 0
    after = ask(environment, "end")
    assert after == {**BALANCED, "left by the killed": 0, "states": []}
    print(f"{seconds:.0f} s under fire, 32 clients: {dict(said)}; the books were looked at {looks} times")


@pytest.mark.parametrize("seconds", [SHORT, MINUTE])
def test_claims_hold_when_clients_are_killed(environment: dict[str, str], seconds: float) -> None:
    draw = random.Random(7)
    watcher = start(environment, "watch")
    doomed = PROCESSES // 2
    with clients(environment, *[FOR_EVER] * doomed, *[TURNS] * (PROCESSES - doomed), seconds=seconds) as running:
        go(running)
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "under fire\n"
        began = time.monotonic()
        for number, victim in enumerate(running[:doomed], start=1):
            # What a victim is doing at that moment is chance, and is what is tried.
            at = began + max(seconds, 2.0) * (number - draw.random()) / doomed
            while time.monotonic() < at:
                assert victim.poll() is None
                time.sleep(0.01)
            os.kill(victim.pid, signal.SIGKILL)
            assert victim.wait() == -signal.SIGKILL
        said = sum((Counter(result(process)) for process in running[doomed:]), Counter[str]())
    looks = result(watcher)
    assert said["cancelled"] > 0
    assert looks > 0
    after = ask(environment, "end")
    left = after.pop("left by the killed")
    assert 0 < left <= doomed * THREADS * KEPT
    assert after == {**BALANCED, "states": ["dispatched"]}
    print(
        f"{seconds:.0f} s under fire, 16 of 32 clients killed: {dict(said)}; they left {left} orders, all accounted for"
    )
