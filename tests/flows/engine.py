"""A real Prefect server with our worker and a database of their own, for tests."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from catalog.dispatch.prefect import Prefect
from catalog.stack.environment import free_port
from tests.flows import ANSWER
from tests.flows.plays import PLAYBOOKS, until
from tests.harness import templates

REPO = PLAYBOOKS.parent
PATIENCE = 600
"""Seconds after which something that comes up by itself counts as stuck, also where other tests compute beside it."""


class Engine:
    """Server and workers write below ``home`` only. Use as a context; every process started is ended with it.

    :param environment: more of it, such as where the rack's ssh key lies.
    """

    def __init__(self, home: Path, environment: dict[str, str] | None = None) -> None:
        self.home = home
        self.database = home / "catalog.sqlite3"
        self.port = int(os.environ.get("PUMASI_TEST_PREFECT_PORT", "0")) or free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
            "DJANGO_SETTINGS_MODULE": "catalog.settings",
            "DATABASE_URL": f"sqlite:///{self.database}",
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "PUMASI_STATE": str(home),
            "PREFECT_HOME": str(home / "prefect"),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
            "PUMASI_HEARTBEAT_STALE_SECONDS": "6",
            "PUMASI_PICKUP_SECONDS": "10",
            "PUMASI_WORKER_SILENT_SECONDS": "15",
            "PUMASI_WORKER_IDLE_SECONDS": "1",
            # The sweeps' schedules are looked at, not waited for.
            "PUMASI_RECLAIM_SECONDS": "86400",
            "PUMASI_HOST_CHECK_SECONDS": "86400",
            "PUMASI_SWEEP_SECONDS": "86400",
            "PUMASI_HEALTH_LOOK_SECONDS": "86400",
            **(environment or {}),
        }
        self._started: list[subprocess.Popen[bytes]] = []
        self._stage: subprocess.Popen[bytes] | None = None
        self.current_worker: subprocess.Popen[bytes]
        self.host = ""

    def __enter__(self) -> "Engine":
        if template := templates.on_sqlite():
            shutil.copyfile(template, self.database)
        else:
            self.run("manage.py", "migrate", "--verbosity", "0")
        templates.use_prefect(self.home / "prefect")
        try:
            self._serve()
            self.run("-m", "flows.deploy", "--zone", "zone-a")
        except BaseException:
            # Who could not enter does not leave by __exit__.
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # Workers first, as in a stack: they still have something to say to the server.
        for process in sorted(self._started, key=lambda process: process is self._server):
            self.stop(process)

    def _serve(self) -> None:
        words = ["-m", "flows.server", "--host", "127.0.0.1", "--port", str(self.port)]
        self._server = self.start(*words, log="server")
        with self.prefect() as prefect:
            assert until(lambda: prefect.healthy() or self._server.poll() is not None, PATIENCE), self.log("server")
        assert self._server.poll() is None, self.log("server")

    def restart_server(self) -> None:
        """kill -9 the server, and start it again."""
        self._server.kill()
        self._server.wait()
        self._serve()

    def prefect(self) -> Prefect:
        return Prefect(self.url)

    def start(self, *arguments: str, log: str, spoken_to: bool = False) -> subprocess.Popen[bytes]:
        with (self.home / f"{log}.log").open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, *arguments], cwd=REPO, env=self.environment, stdout=file, stderr=file,
                stdin=subprocess.PIPE if spoken_to else subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._started.append(process)
        return process

    def worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a worker of zone-a; returns when it says that it has started."""
        before = self.log("worker").count("worker ready")
        process = self.start("-m", "flows.worker", "--zone", "zone-a", *arguments, log="worker")
        assert until(lambda: self.log("worker").count("worker ready") > before, PATIENCE), self.log("worker")
        self.current_worker = process
        return process

    def kill_worker(self) -> None:
        """kill -9."""
        self.current_worker.kill()
        self.current_worker.wait()

    def kill(self, pid: int) -> None:
        """kill -9 of a run; it must be one of ours, that is, in the tree of a fork server of this engine's environment."""
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert f"PREFECT_HOME={self.home / 'prefect'}".encode() in environment.split(b"\0")
        os.kill(pid, signal.SIGKILL)

    def forked(self) -> list[int]:
        """The runs of the current worker at this moment: what its fork server has forked."""
        parents: dict[int, int] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        return [pid for pid, parent in parents.items() if parents.get(parent) == self.current_worker.pid]

    def stop(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code. Killed if it does not end."""
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(45)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
        return process.returncode

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=REPO, env=self.environment, capture_output=True, text=True, check=False,
            timeout=PATIENCE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def scene(self, scene: str, **given: Any) -> dict[str, Any]:
        """Play one of the scenes; returns its answer. All are played in one process, which takes two seconds to start."""
        if self._stage is None:
            self._stage = self.start("-m", "tests.flows.scenes", log="scenes", spoken_to=True)
        stage, answered = self._stage, self.log("scenes").count(ANSWER)
        assert stage.stdin is not None
        stage.stdin.write(f"{json.dumps([scene, given])}\n".encode())
        stage.stdin.flush()
        assert until(lambda: self.log("scenes").count(ANSWER) > answered or stage.poll() is not None, PATIENCE)
        assert stage.poll() is None, self.log("scenes")
        said: dict[str, Any] = json.loads(self.log("scenes").rpartition(ANSWER)[2].splitlines()[0])
        return said

    def ask(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows from the database."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)) as connection:
            return list(connection.execute(question, values))

    def state(self, table: str, key: str) -> str:
        """The state of an order, host or instance."""
        return str(self.ask(f"SELECT state FROM {table} WHERE id = ?", key.replace("-", ""))[0][0])

    def log(self, name: str) -> str:
        path = self.home / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def lines(self, event: str) -> list[dict[str, Any]]:
        """What workers and runs logged under this name."""
        parsed = [json.loads(line) for line in self.log("worker").splitlines() if line.startswith("{")]
        return [line for line in parsed if line.get("event") == event]
