"""Small playbooks for tests of the runner, and a way to run them as flows do."""

import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flows.runner.events import Entry
from flows.runner.run import Play, Result, Step, run
from flows.runner.workspace import Login, Seat

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"

HEAD = """
- name: Try
  hosts: {hosts}
  gather_facts: false
  environment: {{PUMASI_RUN: "{{{{ pumasi.run.id }}}}"}}
  vars: {{pumasi: "{{{{ lookup('ansible.builtin.file', pumasi_values_file) | from_json }}}}"}}
  tasks:
"""


def playbook(directory: Path, tasks: str, *, hosts: str = "localhost") -> Path:
    """A playbook with these tasks (YAML, indented by four)."""
    path = directory / f"{uuid.uuid4().hex}.yml"
    path.write_text(HEAD.format(hosts=hosts) + tasks, encoding="utf-8")
    return path


class Seen:
    """Collects entries with the time of their arrival."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, Entry]] = []
        self._news = threading.Condition()

    def __call__(self, entry: Entry) -> None:
        with self._news:
            self.entries.append((time.time(), entry))
            self._news.notify_all()

    def wait_for(self, task: str, status: str, seconds: float = 30) -> float:
        """When the task came to this status; fails if it does not in time."""
        with self._news:
            assert self._news.wait_for(lambda: (task, status) in self.told(), seconds), self.told()
        return next(at for at, entry in self.tasks() if (entry.data["task"], entry.data["status"]) == (task, status))

    def told(self) -> list[tuple[str, str]]:
        return [(entry.data["task"], entry.data["status"]) for _, entry in self.tasks()]

    def tasks(self) -> list[tuple[float, Entry]]:
        """The entries about tasks, with their times."""
        return [(at, entry) for at, entry in self.entries if entry.kind == "task"]


def play(
    *paths: Path,
    run_id: str | None = None,
    values: dict[str, Any] | None = None,
    login: Login | None = None,
    ssh_key: Path = Path("/nonexistent"),
    seconds: float = 60,
    secrets: tuple[str, ...] = (),
    emit: Callable[[Entry], None] = lambda entry: None,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    modules: Path | None = None,
) -> Result:
    """Run playbooks as a flow does: the first as the step ``provision``, a second as ``verify``."""
    marked = run_id or new_run()
    steps = [*map(Step, ("provision", "verify"), paths)]
    now = datetime.now(UTC)
    document = {"run": {"id": marked}, **(values or {})}
    return run(
        Play(
            run=marked, steps=steps, roles=PLAYBOOKS / "roles", values=document,
            seats=[Seat(login)] if login else [],
            ssh_key=ssh_key, deadline=now + timedelta(seconds=seconds), secrets=secrets,
            modules=modules,
        ),
        emit=emit,
        stop=stop,
        now=now,
        clock=clock,
    )  # fmt: skip


def new_run(attempt: int = 1) -> str:
    return f"{uuid.uuid4()}:{attempt}"


def until(condition: Callable[[], bool], seconds: float = 15, *, every: float = 0.05) -> bool:
    """Whether the condition came true in time; looked at again after ``every`` seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every)
    return True
