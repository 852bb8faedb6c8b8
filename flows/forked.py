"""Prefect's process worker with one difference: a run is forked from a process that has imported everything already.

Importing Prefect, Django and Ansible's runner costs about two CPU-seconds, which is most of the delay between an order and its
first task. This uses modules that Prefect does not promise to keep; ``tests/flows/test_forked.py`` fails when they change, and
``prefect worker start --type process`` on a pool of that type is what works without them (see ``flows.worker``).
"""

import contextlib
import importlib
import math
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from multiprocessing.context import ForkServerContext
from typing import Any
from uuid import UUID

import anyio
import anyio.abc
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from prefect._flow_run_suspension import FlowRunSuspensionRequest
from prefect._internal.control_listener import configure_from_env
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse, WorkerFlowRunResponse
from prefect.context import SyncClientContext
from prefect.engine import handle_engine_signals
from prefect.flow_engine import FlowRunEngine
from prefect.flows import Flow
from prefect.runner._control_channel import ControlChannel
from prefect.runner._flow_run_executor import FlowRunExecutionResult, FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle, create_isolated_termination_scope
from prefect.settings.context import get_current_settings
from prefect.states import Cancelled, Completed
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

import flows
from catalog.common.clock import now
from catalog.dispatch.selectors import sent_to
from catalog.health import selectors as health
from catalog.orders import sweeps

PRELOAD = "flows.preload"
FLOWS = ("provision", "operate", "decommission", "enrol", "wipe", "reclaim", "host_check", "sweep", "health_check")
LOOKS: dict[str, Callable[[str, datetime], bool]] = {
    "flows.reclaim.reclaim": sweeps.anything_to_reclaim,
    "flows.sweep.sweep": lambda _zone, at: sweeps.anything_stuck(at),
    "flows.health_check.health_check": health.anything_due,
}
"""Entrypoint → whether its scheduled run would find something to do in a zone, by the rules of that run."""


def fork_server() -> ForkServerContext:
    """Start the process that runs are forked from; it imports while the caller goes on.

    The working directory must be the one that holds ``flows``: a fork server looks for its modules there.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOAD])
    multiprocessing.forkserver.ensure_running()  # type: ignore[attr-defined]  # typeshed leaves the submodule out
    return context


def flow_of(entrypoint: str) -> "Flow[..., Any]":
    """The flow that a deployment's entrypoint (``flows.<name>.<name>``) names.

    :raises LookupError: it is none of ours.
    """
    module, _, name = entrypoint.rpartition(".")
    if name not in FLOWS or module != f"{flows.__name__}.{name}":
        raise LookupError(f"{entrypoint} is no flow of this package")
    found: Flow[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _child(flow_run_id: str, entrypoint: str, environment: dict[str, str | None], directory: str) -> None:
    """The life of one run, in a fresh fork."""
    os.setsid()
    os.chdir(directory)
    # The fork server ignores SIGINT, and its children would too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if PRELOAD not in sys.modules:
        raise RuntimeError(f"{PRELOAD} was not imported by the fork server; see its standard error")
    configure_from_env()
    run_id = UUID(flow_run_id)
    # All that the run says to Prefect goes through this one: the engine takes the client it finds.
    with handle_engine_signals(run_id), own_client() as opened:
        run = opened.client.read_flow_run(run_id)
        engine = _Engine(flow=flow_of(entrypoint), parameters=run.parameters, flow_run=run)
        with engine.start():
            while engine.is_running():
                with engine.run_context():
                    engine.call_flow_fn()
        engine.result()


@cache
def own_client() -> SyncClientContext:
    """The client of a run, not opened yet. Making it costs 70 ms of CPU: the fork server does, and each run opens its copy."""
    return SyncClientContext()


class _Engine(FlowRunEngine[Any, Any]):
    """Prefect's engine without what costs each run a websocket and a dozen requests and is of no use to ours.

    They cannot be suspended, and whether they live is told by the heartbeat in the catalog, which alone decides.
    """

    @contextlib.contextmanager
    def setup_flow_run_suspension_request(self) -> Iterator[FlowRunSuspensionRequest]:
        """Nobody suspends our runs, so nothing is watched."""
        yield self._get_flow_run_suspension_request()

    @property
    def heartbeat_seconds(self) -> None:
        """No heartbeats to Prefect."""
        return


class ForkStarter:
    """Starts one run as a fork and waits for its end (Prefect's ``ProcessStarter`` protocol)."""

    def __init__(
        self,
        context: ForkServerContext,
        entrypoint: str,
        environment: dict[str, str | None],
        directory: str,
        channel: ControlChannel,
    ) -> None:
        self._context = context
        self._entrypoint = entrypoint
        self._environment = environment
        self._directory = directory
        self._channel = channel

    async def start(
        self, flow_run: FlowRun, task_status: anyio.abc.TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        environment = dict(self._environment)
        # Without the channel Prefect falls back to plain signals, as its own starter does.
        with contextlib.suppress(RuntimeError):
            port, token = self._channel.register(flow_run.id)
            environment |= {"PREFECT__CONTROL_PORT": str(port), "PREFECT__CONTROL_TOKEN": token}
        process = self._context.Process(
            target=_child, args=(str(flow_run.id), self._entrypoint, environment, self._directory)
        )
        await anyio.to_thread.run_sync(process.start)
        assert process.pid is not None  # a started process has one
        handle = ProcessHandle(process, termination_scope=create_isolated_termination_scope(process.pid))  # type: ignore[arg-type]  # a forked process has the interface of a spawned one
        task_status.started(handle)
        await anyio.to_thread.run_sync(process.join, abandon_on_cancel=True)


class ForkWorker(ProcessWorker):
    """A worker of pools of type ``pumasi-fork``."""

    type = "pumasi-fork"
    _display_name = "Pumasi fork"
    _description = "Runs flows forked from a process that has imported them already."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._schedules_at_work: set[UUID] = set()
        self._deployments: dict[UUID, DeploymentResponse] = {}
        self._asked_at = -math.inf

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Ask Prefect for runs where the catalog has sent any, and else only every ``WORKER_IDLE_SECONDS``."""
        if time.monotonic() < self._asked_at + settings.WORKER_IDLE_SECONDS and not await _found(
            lambda: sent_to(self._work_pool_name)
        ):
            return []
        self._asked_at = time.monotonic()
        return await super().get_and_submit_flow_runs()

    async def _submit_scheduled_flow_runs(self, flow_run_response: list[WorkerFlowRunResponse]) -> list[FlowRun]:
        """Of the runs that one schedule has made, take up only the newest that is due, and none while another is at work.

        Prefect's own limit on a deployment is not used for this: a place it has given out is lost when the server is killed
        before it is given back, and then the sweep never runs again.
        """
        asked = [entry for entry in flow_run_response if not entry.flow_run.auto_scheduled]
        due: dict[UUID | None, WorkerFlowRunResponse] = {}
        superseded: list[FlowRun] = []
        for entry in sorted(flow_run_response, key=lambda entry: _due_at(entry.flow_run)):
            run = entry.flow_run
            if not run.auto_scheduled or _due_at(run) > datetime.now(UTC):
                continue
            if run.deployment_id in due:
                superseded.append(due[run.deployment_id].flow_run)
            due[run.deployment_id] = entry
        for deployment_id in self._schedules_at_work & due.keys():
            superseded.append(due.pop(deployment_id).flow_run)
        for run in superseded:
            await self.client.set_flow_run_state(run.id, Cancelled(message="Another run does its work."), force=True)
        for entry in list(due.values()):
            run = entry.flow_run
            if run.deployment_id and not await self._anything_to_do(run.deployment_id):
                del due[run.deployment_id]
                await self.client.set_flow_run_state(run.id, Completed(message="There was nothing to do."), force=True)
        return await super()._submit_scheduled_flow_runs([*asked, *due.values()])

    async def _anything_to_do(self, deployment_id: UUID) -> bool:
        """Whether a scheduled run would find something. A look costs a few milliseconds, a run of a flow a CPU-second or two."""
        look = LOOKS.get((await self._deployment(deployment_id)).entrypoint or "")
        return look is None or await _found(lambda: look(self._work_pool_name, now()))

    async def _deployment(self, deployment_id: UUID) -> DeploymentResponse:
        """As it was when this worker first had a run of it: deploying again changes only what its server looks at."""
        if deployment_id not in self._deployments:
            self._deployments[deployment_id] = await self.client.read_deployment(deployment_id)
        return self._deployments[deployment_id]

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """Run one flow to its end. Prefect calls this for each run it hands to the worker."""
        if flow_run.deployment_id is None:
            raise LookupError("only deployed flows run here")
        if not flow_run.auto_scheduled:
            return await self._fork(flow_run, flow_run.deployment_id, configuration, task_status)
        self._schedules_at_work.add(flow_run.deployment_id)
        try:
            return await self._fork(flow_run, flow_run.deployment_id, configuration, task_status)
        finally:
            self._schedules_at_work.discard(flow_run.deployment_id)

    async def _fork(
        self,
        flow_run: FlowRun,
        deployment_id: UUID,
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None,
    ) -> ProcessWorkerResult:
        status = task_status or anyio.TASK_STATUS_IGNORED
        deployment = await self._deployment(deployment_id)
        # The fork has our environment already; only what differs is handed over.
        environment = {name: value for name, value in configuration.env.items() if os.environ.get(name) != value}
        environment |= get_current_settings().to_environment_variables(exclude_unset=True)
        environment |= {
            "PREFECT__FLOW_RUN_ID": str(flow_run.id),
            "PREFECT__DEPLOYMENT_NAME": deployment.name,
            "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",
        }
        execution: FlowRunExecutionResult | None = None
        with tempfile.TemporaryDirectory(prefix="pumasi-run-") as directory:
            async with FlowRunExecutorContext() as context:
                starter = ForkStarter(
                    fork_server(), deployment.entrypoint or "", environment, directory, context.control_channel
                )
                executor = context.create_executor(
                    flow_run, starter, resolve_flow=_resolve(deployment.entrypoint or ""), propose_submitting=False
                )

                async def execute(
                    *, task_status: anyio.abc.TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
                ) -> None:
                    nonlocal execution
                    execution = await executor.submit(task_status=task_status)

                async with anyio.create_task_group() as group:
                    handle = await group.start(execute)
                    status.started(handle.pid)
        if execution is None or execution.status_code is None:
            raise RuntimeError("the run could not be started")
        return ProcessWorkerResult(status_code=execution.status_code, identifier=str(handle.pid))


async def _found(look: Callable[[], bool]) -> bool:
    """What a look at the catalog finds; where the catalog does not answer there may be something."""

    def answer() -> bool:
        try:
            return look()
        except DatabaseError:
            close_old_connections()
            return True

    return await sync_to_async(answer)()


def _due_at(run: FlowRun) -> datetime:
    return run.expected_start_time or datetime.max.replace(tzinfo=UTC)


def _resolve(entrypoint: str) -> Any:
    async def resolve(_: FlowRun) -> "Flow[..., Any]":
        return flow_of(entrypoint)

    return resolve
