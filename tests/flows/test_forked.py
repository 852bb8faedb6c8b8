"""The worker that forks its runs: it works on a real server, and it fails loudly when Prefect changes underneath."""

import inspect
import os
import signal
import statistics
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError
from prefect._internal import control_listener
from prefect.engine import handle_engine_signals
from prefect.flow_engine import FlowRunEngine, run_flow_sync
from prefect.runner._control_channel import ControlChannel
from prefect.runner._flow_run_executor import FlowRunExecutor, FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle, create_isolated_termination_scope
from prefect.workers.process import ProcessWorker
from pytest_django.fixtures import Settings

from catalog.dispatch.errors import PrefectUnavailable
from catalog.dispatch.models import Job, JobState
from flows import forked
from flows.forked import FLOWS, ForkWorker, flow_of
from tests.factories import NOW
from tests.flows.engine import Engine
from tests.flows.plays import until


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_prefects_private_parts_are_as_we_use_them() -> None:
    """Whoever raises Prefect's version meets this first: compare flows/forked.py with Prefect's own process worker again."""
    assert version("prefect") == "3.8.8"
    assert parameters(FlowRunExecutorContext.create_executor) == [
        "self", "flow_run", "starter", "resolve_flow", "propose_submitting", "hook_runner",
    ]  # fmt: skip
    assert parameters(FlowRunExecutor.submit) == ["self", "task_status"]
    assert parameters(ControlChannel.register) == ["self", "flow_run_id"]
    assert parameters(ProcessHandle) == ["_process", "termination_scope"]
    assert parameters(create_isolated_termination_scope) == ["pid"]
    assert parameters(ProcessWorker.run) == ["self", "flow_run", "configuration", "task_status"]
    assert parameters(handle_engine_signals) == ["flow_run_id"]
    assert parameters(FlowRunEngine)[:3] == ["flow", "parameters", "flow_run"]
    assert parameters(FlowRunEngine.setup_flow_run_suspension_request) == ["self"]
    assert parameters(FlowRunEngine._get_flow_run_suspension_request) == ["self"]
    assert isinstance(FlowRunEngine.heartbeat_seconds, property)
    assert parameters(control_listener.configure_from_env) == []
    loop = inspect.getsource(run_flow_sync)
    for used in (
        "with engine.start():",
        "while engine.is_running():",
        "with engine.run_context():",
        "engine.call_flow_fn()",
    ):
        assert used in loop
    source = inspect.getsource(ProcessWorker.run)
    for used in (
        "FlowRunExecutorContext()",
        "ctx.create_executor(",
        "propose_submitting=False",
        "task_group.start(execute)",
    ):
        assert used in source


def test_every_flow_is_found_by_its_entrypoint_and_nothing_else_is() -> None:
    for name in FLOWS:
        assert flow_of(f"flows.{name}.{name}").name == name
    for other in ("os.system", "flows.provision.conduct", "flows.worker.main", "flows/provision.py:provision", ""):
        with pytest.raises(LookupError):
            flow_of(other)


def test_flows_take_ids_and_nothing_else() -> None:
    taken = {name: parameters(flow_of(f"flows.{name}.{name}").fn) for name in FLOWS}
    assert taken == {
        "provision": ["order_id", "attempt"],
        "operate": ["order_id", "attempt"],
        "decommission": ["order_id", "attempt"],
        "enrol": ["host_id", "attempt"],
        "wipe": ["host_id", "attempt"],
        "reclaim": ["zone"],
        "host_check": ["zone"],
        "sweep": ["zone"],
        "health_check": ["zone"],
    }


def test_the_worker_is_a_process_worker_of_its_own_type() -> None:
    assert ForkWorker.type == "pumasi-fork"
    assert ForkWorker.get_default_base_job_template() == ProcessWorker.get_default_base_job_template()


@pytest.mark.django_db
def test_prefect_is_asked_when_the_catalog_has_sent_something_and_else_rarely(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """Two looks a second of one idle worker had cost the server a seventh of a core."""
    asked: list[str] = []

    async def ask(worker: ProcessWorker) -> list[object]:
        asked.append(worker.name)
        return []

    monkeypatch.setattr(ProcessWorker, "get_and_submit_flow_runs", ask)
    settings.WORKER_IDLE_SECONDS = 86_400
    worker = ForkWorker(work_pool_name="zone-a", name="me")

    def look() -> int:
        asked.clear()
        async_to_sync(worker.get_and_submit_flow_runs)()
        return len(asked)

    def job(zone: str, state: JobState) -> Job:
        subject = uuid.uuid4()
        return Job.objects.create(
            key=str(subject), flow="wipe", zone=zone, subject_type="host", subject_id=subject, attempt=1, state=state,
            created_at=NOW,
        )  # fmt: skip

    assert look() == 1, "it has just been started"
    assert look() == 0
    job("zone-b", JobState.SENT)
    job("zone-a", JobState.QUEUED)
    assert look() == 0
    mine = job("zone-a", JobState.SENT)
    assert (look(), look()) == (1, 1)
    Job.objects.filter(pk=mine.pk).update(state=JobState.RUNNING)
    assert look() == 0
    settings.WORKER_IDLE_SECONDS = 0
    assert look() == 1
    settings.WORKER_IDLE_SECONDS = 86_400

    def lost(zone: str) -> bool:
        raise OperationalError("no route to the database")

    monkeypatch.setattr(forked, "sent_to", lost)
    assert look() == 1


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("engine")) as running:
        yield running


def state_of(engine: Engine, run: uuid.UUID) -> str:
    with engine.prefect() as prefect:
        return prefect.states([run])[run].type


def start(engine: Engine, flow: str = "enrol") -> uuid.UUID:
    """A run for a host nobody knows: it begins, sees that there is nothing to do, and ends."""
    given = {"host_id": str(uuid.uuid4()), "attempt": 1}
    key = str(uuid.uuid4())
    end = time.monotonic() + 30
    with engine.prefect() as prefect:
        while True:
            try:
                return prefect.start(f"{flow}/zone-a", parameters=given, key=key, tags=[])
            except PrefectUnavailable:  # its SQLite is locked now and then; the relay tries again, too
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)


def test_deploying_again_changes_nothing(engine: Engine) -> None:
    def deployed() -> dict[str, object]:
        with engine.prefect() as prefect:
            found = prefect._ok("POST", "/deployments/filter", {})
        return {
            one["name"] + "/" + one["entrypoint"]: (
                one["id"], one["parameters"], one["work_pool_name"], one["global_concurrency_limit"],
                [schedule["schedule"]["interval"] for schedule in one["schedules"]], one["path"],
            )
            for one in found
        }  # fmt: skip

    before = deployed()
    engine.run("-m", "flows.deploy", "--zone", "zone-a")
    assert deployed() == before
    assert set(before) == {f"zone-a/flows.{name}.{name}" for name in FLOWS}
    reclaim = before["zone-a/flows.reclaim.reclaim"]
    assert isinstance(reclaim, tuple)
    assert reclaim[1:5] == ({"zone": "zone-a"}, "zone-a", None, [86400.0])


def test_a_zone_needs_a_plain_name(engine: Engine) -> None:
    with pytest.raises(AssertionError, match="is not the name of a zone"):
        engine.run("-m", "flows.deploy", "--zone", "{{ x }}")


def test_runs_are_forked_quickly_and_end(engine: Engine) -> None:
    """Prints how long it took from the request to the first line of flow code, and what a run cost."""
    worker = engine.worker()
    ready = [start(engine)]
    assert until(lambda: state_of(engine, ready[0]) == "COMPLETED", 60), engine.log("worker")
    asked: dict[str, float] = {}
    before = os.times()
    for _ in range(10):
        at = time.time()
        run = start(engine)
        asked[str(run)] = at
        assert until(lambda run=run: state_of(engine, run) == "COMPLETED", 60), engine.log("worker")  # type: ignore[misc]
    lines = {line["flow_run_id"]: line for line in engine.lines("attempt begins") if line.get("flow_run_id") in asked}
    assert set(lines) == set(asked)
    delays = sorted(datetime.fromisoformat(lines[run]["timestamp"]).timestamp() - at for run, at in asked.items())
    print(
        f"\nasked → first line of flow code: p50 {statistics.median(delays):.2f} s, p95 {delays[-1]:.2f} s"
        f" ({len(delays)} runs; cpu of this process {os.times().user - before.user:.2f} s)"
    )
    assert {line["pid"] for line in lines.values()}.isdisjoint({worker.pid})
    assert len({line["pid"] for line in lines.values()}) == 10
    assert engine.stop(worker) == 0


def test_a_worker_started_with_sigint_ignored_still_ends_when_told(engine: Engine) -> None:
    held = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        worker = engine.worker()
    finally:
        signal.signal(signal.SIGINT, held)
    assert engine.stop(worker, signal.SIGTERM) == 0


def test_a_worker_told_to_stop_does_not_wait_for_a_run_that_hangs(engine: Engine) -> None:
    """Found when Prefect was gone: its runs tried for 78 s to tell it that they end."""
    worker = engine.worker()
    for _ in range(5):
        start(engine)
    assert until(lambda: bool(engine.forked()), 60), engine.log("worker")
    hanging = set(engine.forked())
    for run in hanging:
        os.kill(run, signal.SIGSTOP)
    assert engine.stop(worker) == 0
    assert {run for run in hanging if Path(f"/proc/{run}").exists()} == set()
    assert {line["pid"] for line in engine.lines("run ended by force")} >= hanging


def test_a_run_asked_for_while_no_worker_is_there_waits_for_one(engine: Engine) -> None:
    run = start(engine)
    assert state_of(engine, run) == "SCHEDULED"
    worker = engine.worker()
    assert until(lambda: state_of(engine, run) == "COMPLETED", 60), engine.log("worker")
    assert engine.stop(worker, signal.SIGINT) == 0


def test_a_zone_is_silent_once_its_worker_was_killed_and_its_runs_go_on_with_the_next(engine: Engine) -> None:
    engine.scene("found", subnet="10.99.9", rack="/nonexistent")
    engine.worker()
    assert until(lambda: engine.scene("look")["worker"] == "live", 60), engine.log("worker")
    assert engine.scene("look")["zone_says"] is None
    engine.kill_worker()
    assert until(lambda: engine.scene("look")["worker"] == "silent", 120)
    assert engine.scene("look")["zone_says"].endswith("부터 존의 워커가 응답하지 않습니다."), "scenes speak Korean"
    run = start(engine)
    assert state_of(engine, run) == "SCHEDULED"
    worker = engine.worker()
    assert until(lambda: state_of(engine, run) == "COMPLETED", 60), engine.log("worker")
    assert until(lambda: engine.scene("look")["worker"] == "live", 60)
    assert engine.stop(worker) == 0


def test_nothing_calls_home(engine: Engine) -> None:
    code = (
        "import flows, prefect.settings as s; c = s.get_current_settings(); server = c.server;"
        "print(server.analytics_enabled, server.ephemeral.enabled, c.logging.to_api.enabled, c.api.url)"
    )
    given = engine.run("-c", code)
    assert given.split() == ["False", "False", "False", engine.url]


def test_the_preload_opens_nothing() -> None:
    """Neither threads nor connections survive a fork."""
    code = (
        "import threading, flows.preload; from django.db import connections;"
        "print(threading.active_count(), [c.connection for c in connections.all(initialized_only=True)])"
    )
    here = {"PUMASI_STATE": os.environ["PUMASI_STATE"]} if "PUMASI_STATE" in os.environ else {}
    assert Engine(Path("/nonexistent"), here).run("-c", code).split() == ["1", "[None]"]
