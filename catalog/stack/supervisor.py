"""The supervisor: starts a whole stack on one machine, restarts what dies, and stops all of it."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import structlog
from django.conf import settings

from catalog.stack import environment as environments
from catalog.stack import parts
from catalog.stack.parts import Service, Step
from catalog.stack.processes import Process, alive, end_marked, mark_of, send, started

log = structlog.get_logger(__name__)

LOOK_EVERY = 0.2
BACKOFF_FIRST, BACKOFF_MOST = 0.5, 30.0
STEADY_AFTER = 30.0
READY_WITHIN = 120.0
PROBE_EVERY, PROBE_PATIENCE = 5.0, 30.0
SILENT_MOST = 180.0
"""A service that has not answered its probe for so many seconds is ended and started again."""
LOG_BYTES = 20_000_000


class StackError(Exception):
    """The stack cannot be started; the message says why and what to do."""


@dataclass
class Running:
    """A service and its present process; ``start_at`` is set while it waits for its restart, ``heard`` when it last answered."""

    service: Service
    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    heard: float = 0.0
    start_at: float | None = None
    backoff: float = BACKOFF_FIRST
    restarts: int = 0


@dataclass
class Supervisor:
    """Runs the stack of one state directory; :meth:`run` returns after a SIGTERM or Ctrl-C, with nothing left alive.

    :param given: the operator's environment.
    :param zones: zones to run a Prefect worker for.
    """

    state: Path
    given: Mapping[str, str]
    zones: Sequence[str]
    running: dict[str, Running] = field(default_factory=dict)
    stopping: bool = False
    ready: bool = False
    ports: dict[str, int] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Start everything, keep it running, stop everything.

        :raises StackError: another supervisor runs this state directory, or a step of the start failed.
        """
        environments.private_dir(self.state)
        (self.state / "logs").mkdir(exist_ok=True)
        with (self.state / "supervisor.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StackError(
                    "This stack is already running; stop it first (make stop, or manage.py down)."
                ) from error
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, self._asked_to_stop)
            leftovers = end_marked(mark_of(self.state))
            if leftovers:
                log.warning("leftovers_ended", count=leftovers)
            threading.Thread(target=self._listen, name="probes", daemon=True).start()
            try:
                self._start()
                while not self.stopping:
                    self._tend()
            finally:
                self._stop()

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    # ---- starting

    def _start(self) -> None:
        self.ports = environments.choose_ports(self.given, environments.read(self.state).get("ports", {}))
        self.environment = environments.compose(self.state, self.given, self.ports)
        environments.write_shell_file(self.state, self.environment)
        self._remember()
        if parts.embedded(self.given, "REDIS_URL"):
            self._add(parts.redis(self.state, self.ports["redis"], environments.secret(self.state, "redis")))
        if parts.embedded(self.given, "PREFECT_API_URL"):
            self._add(parts.prefect(self.ports["prefect"]))
        self._do([parts.MIGRATE, parts.STATIC])
        for service in parts.celery():
            self._add(service)
        host = self.given.get("PUMASI_WEB_HOST", "127.0.0.1")
        self._add(parts.web(self.state, host, self.ports["web"]))
        self._wait("prefect", self._prefect_answers)
        self._do([parts.deploy(self.zones)])
        for zone in self.zones:
            self._add(parts.worker(zone))
        self._wait("web", self._web_listens)
        if not self.stopping:
            self.ready = True
            self._remember()
            log.info("stack_ready", web=self.url, zones=list(self.zones))

    @property
    def url(self) -> str:
        """Where the portal is."""
        return f"http://127.0.0.1:{self.ports['web']}/"

    def _prefect_answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.environment['PREFECT_API_URL']}/health", timeout=2).is_success
        return False

    def _web_listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.ports["web"]), timeout=2):
            return True
        return False

    def _wait(self, what: str, answers: Any) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not self.stopping and not answers():
            if time.monotonic() > deadline:
                raise StackError(
                    f"{what} did not answer within {READY_WITHIN:.0f} s; see {self.state}/logs/{what}.log."
                )
            self._tend()

    def _do(self, steps: Sequence[Step]) -> None:
        """Run steps side by side and wait for all of them."""
        started_steps = [(step, self._spawn(step.name, step.argv)) for step in steps if not self.stopping]
        for step, process in started_steps:
            while process.poll() is None and not self.stopping:
                self._tend()
            if not self.stopping and process.returncode != 0:
                raise StackError(f"The step {step.name} failed; see {self.state}/logs/{step.name}.log.")

    # ---- keeping it running

    def _spawn(self, name: str, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        path = self.state / "logs" / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as output:
            # A process that inherited SIGINT as ignored (a shell's `&`) would ignore SIGTERM too when it is a Prefect worker.
            return subprocess.Popen(
                ["/usr/bin/env", "--default-signal=INT,TERM,HUP", *argv],
                env=self.environment, cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def _add(self, service: Service) -> None:
        if self.stopping:
            return
        self.running[service.name] = running = Running(service)
        self._launch(running)

    def _launch(self, running: Running) -> None:
        running.process = self._spawn(running.service.name, running.service.argv)
        running.since = running.heard = time.monotonic()
        running.start_at = None
        log.info("service_started", service=running.service.name, pid=running.process.pid)
        self._remember()

    def _tend(self) -> None:
        """One look at everything: what died is started again, at once the first time, then less and less often."""
        for running in list(self.running.values()):
            at = time.monotonic()
            if running.start_at is not None:
                if at >= running.start_at and not self.stopping:
                    running.restarts += 1
                    self._launch(running)
            elif running.process is not None and running.process.poll() is None:
                # Until its first answer it is starting: that takes long on a busy machine and must not be cut short.
                patience = SILENT_MOST if running.heard > running.since else READY_WITHIN
                if running.service.probe and at - running.heard > patience:
                    log.warning("service_silent", service=running.service.name, seconds=round(at - running.heard))
                    self._kill_session(running.process)
            elif running.process is not None:
                steady = at - running.since > STEADY_AFTER
                running.backoff = BACKOFF_FIRST if steady else min(BACKOFF_MOST, running.backoff * 2)
                running.start_at = at + (BACKOFF_FIRST if running.restarts == 0 or steady else running.backoff)
                log.warning(
                    "service_died", service=running.service.name, code=running.process.returncode,
                    restart_in=round(running.start_at - at, 1),
                )  # fmt: skip
        time.sleep(LOOK_EVERY)

    def _listen(self) -> None:
        """In a thread of its own: note when each service last answered."""
        while not self.stopping:
            for running in list(self.running.values()):
                if running.service.probe:
                    with contextlib.suppress(httpx.HTTPError):
                        if not httpx.get(
                            running.service.probe, timeout=PROBE_PATIENCE, trust_env=False
                        ).is_server_error:
                            running.heard = time.monotonic()
            time.sleep(PROBE_EVERY)

    def _remember(self) -> None:
        processes = {
            name: {"pid": running.process.pid, "started": started(running.process.pid), "restarts": running.restarts}
            for name, running in self.running.items()
            if running.process is not None
        }
        own = {"pid": os.getpid(), "started": started(os.getpid())}
        known = {
            "ports": self.ports, "url": self.url, "zones": list(self.zones), "ready": self.ready, "supervisor": own,
            "processes": processes,
        }  # fmt: skip
        environments.write(self.state, known)

    # ---- stopping

    def _stop(self) -> None:
        self.stopping = True
        for tier in parts.tiers(running.service for running in self.running.values()):
            members = [self.running[service.name] for service in tier]
            for running in members:
                if running.process is not None and running.process.poll() is None:
                    running.process.terminate()
            until = time.monotonic() + max(service.grace for service in tier)
            for running in members:
                if running.process is None:
                    continue
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.process.wait(max(0.0, until - time.monotonic()))
                self._kill_session(running.process)
        end_marked(mark_of(self.state))
        shutil.rmtree(environments.temporary(self.state), ignore_errors=True)
        self.ready = False
        environments.write(self.state, {"ports": self.ports, "url": self.url if self.ports else "", "ready": False})
        log.info("stack_stopped")

    @staticmethod
    def _kill_session(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def supervisor_of(state: Path) -> Process | None:
    """The supervisor that runs this state directory now, if any."""
    known = environments.read(state).get("supervisor")
    process = Process(known["pid"], known["started"]) if known else None
    return process if process is not None and alive(process) else None


def stop(state: Path, *, within: float = 60.0) -> int:
    """Stop the stack of this state directory and everything it left. Returns how many processes had to be ended by mark."""
    process = supervisor_of(state)
    if process is not None:
        send(process, signal.SIGTERM)
        pause = threading.Event()
        deadline = time.monotonic() + within
        while alive(process) and time.monotonic() < deadline:
            pause.wait(LOOK_EVERY)
        send(process, signal.SIGKILL)
    left = end_marked(mark_of(state))
    shutil.rmtree(environments.temporary(state), ignore_errors=True)
    return left
