"""Scheduled sweeps: one at a time, the newest only, and for ever, whatever is killed."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from catalog.dispatch.errors import PrefectUnavailable
from tests.flows.engine import Engine
from tests.flows.plays import until


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    every = {"PUMASI_SWEEP_SECONDS": "3", "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "10"}
    with Engine(tmp_path_factory.mktemp("sweeps"), every) as running:
        yield running


def states(engine: Engine) -> Counter[str]:
    """How many runs of the sweep that were due are in which state."""
    runs: list[dict[str, Any]] = []

    def answered() -> bool:
        try:
            with engine.prefect() as prefect:
                asked = {"flows": {"name": {"any_": ["sweep"]}}, "limit": 200}
                runs[:] = prefect._ok("POST", "/flow_runs/filter", asked)
        except PrefectUnavailable:  # its SQLite is locked now and then; the relay tries again, too
            return False
        return True

    assert until(answered, 60), engine.log("server")
    return Counter(
        run["state_type"]
        for run in runs
        if run["expected_start_time"][:19] < time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    )


def test_sweeps_go_on_after_worker_and_server_were_killed(engine: Engine) -> None:
    engine.worker()
    assert until(lambda: states(engine)["COMPLETED"] >= 2, 90), engine.log("worker")
    engine.kill_worker()
    before = states(engine)
    # What became due meanwhile is one look's work, not many.
    assert until(lambda: states(engine)["SCHEDULED"] >= before["SCHEDULED"] + 4, 60)
    engine.worker()
    assert until(lambda: states(engine)["CANCELLED"] >= before["CANCELLED"] + 3, 60), states(engine)

    engine.restart_server()
    done = states(engine)["COMPLETED"]
    assert until(lambda: states(engine)["COMPLETED"] >= done + 2, 120), states(engine)

    # So far there was nothing to do, and no run was started for it.
    assert not engine.lines("swept")
    engine.scene("overdue")
    assert until(lambda: bool(engine.lines("swept")), 60), engine.log("worker")
    assert engine.lines("swept")[0]["zone"] == "zone-a"
