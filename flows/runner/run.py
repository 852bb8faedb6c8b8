"""One run of Ansible, from nothing to its result, with nothing left behind."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import structlog
from ansible_runner import Runner, RunnerConfig

from flows.runner.events import Entry, Watcher
from flows.runner.leftovers import Mark, end_processes
from flows.runner.modules import environment, store
from flows.runner.redact import Redactor
from flows.runner.workspace import Seat, Workspace

log = structlog.get_logger(__name__)

_POLL = 0.1
"""Seconds between two looks at whether the run shall stop."""

# What ansible-runner itself must tell its callback plugin; everything else of its environment is dropped.
_RUNNER_NAMES = (
    "ANSIBLE_CALLBACK_PLUGINS", "ANSIBLE_STDOUT_CALLBACK", "AWX_ISOLATED_DATA_DIR",
    "RUNNER_OMIT_EVENTS", "RUNNER_ONLY_FAILED_EVENTS",
)  # fmt: skip


# None waits for another, and one that hangs fails instead of holding up the end.
_SIDE_BY_SIDE = {"ANSIBLE_STRATEGY": "free", "ANSIBLE_FORKS": "8", "ANSIBLE_TASK_TIMEOUT": "45"}


class Status(StrEnum):
    OK = "ok"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class Result:
    """What became of a run.

    :param step: the last one that was begun.
    :param task: the task that failed, None if none did (or none was begun).
    :param message: why, redacted; empty when all went well.
    :param outputs: what the playbooks handed back as ``pumasi_outputs``; empty unless the status is ok.
    :param seconds: wall time, removal of the workspace included.
    :param well: hosts that came to the end without a failure; none of a run that did not come to its own end.
    """

    status: Status
    step: str = ""
    task: str | None = None
    message: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    well: frozenset[str] = frozenset()

    @property
    def ok(self) -> bool:
        return self.status is Status.OK


@dataclass(frozen=True)
class Step:
    """One playbook of a run.

    :param name: what for, such as ``provision``; stands in the entries.
    :param playbook: absolute path.
    """

    name: str
    playbook: Path


@dataclass(frozen=True)
class Play:
    """What to run.

    :param run: ``<subject uuid>:<attempt>``; marks every process of the run, here and on the host.
    :param steps: one after the other in one start of Ansible, since each start costs a second; none follows one that failed.
    :param roles: directory of roles.
    :param values: the ``pumasi`` document; what users typed is only ever data in it.
    :param seats: the hosts; none if the playbook only works on this machine.
    :param secrets: values that must show nowhere.
    :param deadline: the run is stopped then.
    :param modules: a directory in which packed modules are kept for the next run, see :mod:`flows.runner.modules`.
    :param each: name → a document of its own, instead of ``values``: a playbook for this machine is played for each of them, side
        by side in one start of Ansible. One that fails holds up none of the others.
    """

    run: str
    steps: Sequence[Step]
    roles: Path
    values: Mapping[str, Any]
    seats: Sequence[Seat]
    ssh_key: Path
    deadline: datetime
    secrets: Iterable[str] = ()
    modules: Path | None = None
    each: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def run(
    play: Play, *, emit: Callable[[Entry], None], stop: Callable[[], bool], now: datetime,
    clock: Callable[[], float] = time.monotonic,
) -> Result:  # fmt: skip
    """Run the playbooks and wait for their end, its stop, or its deadline.

    Whatever happens (an exception in this thread included, such as Prefect's on SIGTERM), no process of the run lives on and
    the workspace is gone when this returns.

    :param emit: receives every entry at once, from another thread.
    :param stop: asked ten times a second whether the run shall be cancelled.
    :param now: the present instant, from which the deadline is counted.
    :param clock: seconds that have gone by since some instant; they never go back.
    """
    left = play.deadline - now
    if left <= timedelta(0):
        return Result(Status.TIMEOUT, message="The deadline had passed before the playbook was started.")
    began = clock()
    redactor = Redactor(play.secrets)
    watcher = Watcher([step.name for step in play.steps], redactor, emit)
    with Workspace(play.run, seats=play.seats, values=play.values, ssh_key=play.ssh_key, each=play.each) as workspace:
        process = _Process(_configuration(play, workspace), watcher)
        try:
            stopped = process.wait(stop, lambda: clock() - began >= left.total_seconds())
        finally:
            process.end(Mark(play.run, workspace.owner))
    return _result(process, watcher, stopped, round(clock() - began, 2))


class _Process:
    """ansible-runner in a thread of its own, so that a signal reaches the main thread at once."""

    def __init__(self, configuration: RunnerConfig, watcher: Watcher) -> None:
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._runner = Runner(configuration, event_handler=watcher, cancel_callback=self._stopping.is_set)
        self._thread = threading.Thread(target=self._go, name="ansible", daemon=True)
        self._thread.start()

    def wait(self, stop: Callable[[], bool], late: Callable[[], bool]) -> Status | None:
        """Wait for the end; returns why it was stopped early, if it was."""
        while self._thread.is_alive():
            if stop():
                return Status.CANCELLED
            if late():
                return Status.TIMEOUT
            self._thread.join(_POLL)
        return None

    def end(self, mark: Mark) -> None:
        """Make sure that nothing of the run goes on: processes first, since their end is what the thread waits for."""
        self._stopping.set()
        # A kept ssh connection is a process of the run, too, so this is not only for runs that were stopped.
        end_processes(lambda found: found == mark)
        self._thread.join(15)
        if self._thread.is_alive():
            log.error("ansible-runner did not end", run=mark.run)
        end_processes(lambda found: found == mark)

    @property
    def rc(self) -> int | None:
        """Exit code of ansible-playbook; None if it did not exit by itself. Raises what broke ansible-runner."""
        if self._error is not None:
            raise self._error
        return self._runner.rc if self._runner.status in {"successful", "failed"} else None

    def _go(self) -> None:
        try:
            self._runner.run()
        except BaseException as error:  # noqa: BLE001  # carried over to the waiting thread, which raises it
            self._error = error


def _configuration(play: Play, workspace: Workspace) -> RunnerConfig:
    configuration = RunnerConfig(
        private_data_dir=str(workspace.path),
        project_dir=str(workspace.path / "home"),
        playbook=str(play.steps[0].playbook),
        inventory=str(workspace.inventory),
        fact_cache_type="memory",
        quiet=True,
        suppress_output_file=True,
    )
    configuration.prepare()
    # ansible-playbook takes several, ansible-runner names one; it stands last.
    configuration.command.extend(str(step.playbook) for step in play.steps[1:])
    configuration.pexpect_timeout = 0.2
    # ansible-runner starts from a copy of our own environment, with every secret in it.
    given = workspace.environment(play.roles)
    configuration.env = {**{name: configuration.env[name] for name in _RUNNER_NAMES}, **given}
    if play.each:
        configuration.env.update(_SIDE_BY_SIDE)
    if play.modules is not None:
        theirs = configuration.env["ANSIBLE_CALLBACK_PLUGINS"]
        sources = sorted({step.playbook.parent for step in play.steps})
        configuration.env.update(environment(store(play.modules, play.roles, *sources), theirs))
    return configuration


def _result(process: _Process, watcher: Watcher, stopped: Status | None, seconds: float) -> Result:
    if stopped is not None:
        with suppress(OSError):  # what killing its processes did to ansible-runner is of no interest
            _ = process.rc
        reason = "The run was cancelled." if stopped is Status.CANCELLED else "The deadline passed."
        return Result(stopped, watcher.step, task=watcher.current_task, message=reason, seconds=seconds)
    if process.rc == 0:
        return Result(Status.OK, watcher.step, outputs=watcher.outputs, seconds=seconds, well=watcher.well)
    status = Status.UNREACHABLE if watcher.unreachable else Status.FAILED
    message = watcher.failure or watcher.last_words() or "Ansible ended without saying why."
    return Result(status, watcher.step, task=watcher.failed_task, message=message, seconds=seconds, well=watcher.well)
