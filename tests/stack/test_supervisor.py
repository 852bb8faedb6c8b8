"""The supervisor with everything it runs: what dies comes back, and nothing is left when it ends, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from catalog.stack import environment, launch, supervisor
from catalog.stack.processes import Process, mark_of, marked, started
from tests.harness.stack import until

pytestmark = [pytest.mark.stack, pytest.mark.long]

PARTS = {"redis", "prefect", "celery", "beat", "web", "worker-zone-a"}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a stack without hosts, on SQLite."""
    state = tmp_path_factory.mktemp("stack")
    ours = ("PUMASI_", "PREFECT_", "DATABASE_URL", "REDIS_URL", "DJANGO_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours) or name == "PUMASI_TESTS"}
    ports = {f"PUMASI_{name}_PORT": str(environment.free_port()) for name in ("WEB", "PREFECT", "REDIS")}
    yield {**kept, **ports, "PUMASI_STATE": str(state), "PUMASI_SECRET_KEY": "only-for-tests-0123456789abcdef"}
    supervisor.stop(state)


def processes(state: Path) -> dict[str, Process]:
    known = environment.read(state)["processes"]
    return {name: Process(one["pid"], one["started"]) for name, one in known.items()}


def running(process: Process) -> bool:
    return started(process.pid) == process.started


def test_what_dies_comes_back_and_nothing_outlives_it(given: dict[str, str]) -> None:
    state = Path(given["PUMASI_STATE"])
    url = launch.start(state, given=given, zones=["zone-a"])
    first = processes(state)
    assert set(first) == PARTS
    assert all(running(process) for process in first.values())
    assert httpx.get(f"{url}healthz").status_code == 200

    # A second one refuses, and disturbs nothing.
    words = [sys.executable, str(settings.BASE_DIR / "manage.py"), "up", "--zones", "zone-a"]
    second = subprocess.run(words, env=given, capture_output=True, text=True, check=False, timeout=120)
    assert second.returncode == 1
    assert "This stack is already running" in second.stderr
    assert processes(state) == first

    os.kill(first["redis"].pid, signal.SIGKILL)
    until("another Redis", lambda: processes(state)["redis"] != first["redis"], within=30)
    assert {name for name, process in processes(state).items() if process != first[name]} == {"redis"}

    # The supervisor itself is killed: its children live on, and the next one ends them before it starts its own.
    before = processes(state)
    boss = supervisor.supervisor_of(state)
    assert boss is not None
    os.kill(boss.pid, signal.SIGKILL)
    until("the supervisor's end", lambda: supervisor.supervisor_of(state) is None, within=10)
    assert running(before["web"])
    assert launch.start(state, given=given, zones=["zone-a"]) == url
    assert not any(running(process) for process in before.values())
    assert all(running(process) for process in processes(state).values())

    # Asked to stop, it leaves nothing at all, neither processes nor what they keep among the temporary files.
    assert any(environment.temporary(state).iterdir())
    assert supervisor.stop(state) == 0
    assert not environment.temporary(state).exists()
    assert marked(mark_of(state)) == []
    assert supervisor.supervisor_of(state) is None


def test_a_step_that_fails_stops_the_start_and_says_where_to_look(given: dict[str, str]) -> None:
    state = Path(given["PUMASI_STATE"]) / "broken"
    broken = {**given, "PUMASI_STATE": str(state), "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
    with pytest.raises(launch.StackError, match=r"The step migrate failed; see .*/logs/migrate\.log"):
        launch.start(state, given=broken, zones=["zone-a"])
    assert marked(mark_of(state)) == []
