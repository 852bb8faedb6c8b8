"""From ansible-runner's events to what an order's reader sees: one entry when a task starts, one when it ends."""

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.runner.redact import Redactor

MESSAGE_LENGTH = 1000
HIDDEN = "The output of this task is hidden, because it handles secrets."

_STATUS = {
    "runner_on_start": "started",
    "runner_on_ok": "ok",
    "runner_on_skipped": "skipped",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
}
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Entry:
    """One thing worth telling, already redacted.

    :param kind: ``task``, ``log``, ``phase`` or ``problem``.
    :param data: for a task: play, task, host, status (started|ok|changed|skipped|failed|unreachable), seconds, message, step.
    """

    kind: str
    data: dict[str, Any] = field(default_factory=dict)


class Watcher:
    """Listens to one run: hands entries on at once, and remembers what the result is made of.

    :param steps: what each playbook of the run is for, such as ``provision``, in their order. Each step is told when it begins
        (the first at once), and its name stands in the entries of its tasks.
    :param emit: receives each entry in the order of happening; must return quickly and not raise.
    """

    def __init__(self, steps: Sequence[str], redactor: Redactor, emit: Callable[[Entry], None]) -> None:
        self._following = deque(steps)
        self._playbooks = 0
        self._redactor = redactor
        self._emit = emit
        self._said: deque[str] = deque(maxlen=20)
        self._enter()
        self.outputs: dict[str, Any] = {}
        self.well: frozenset[str] = frozenset()
        self.failed_task: str | None = None
        self.failure: str | None = None
        self.unreachable = False
        self.current_task: str | None = None

    def __call__(self, event: Mapping[str, Any]) -> bool:
        """ansible-runner's ``event_handler``. False: the event is not to be written to a file."""
        kind = event.get("event", "")
        data = event.get("event_data") or {}
        if kind in _STATUS:
            self._task(_STATUS[kind], data)
        elif kind == "playbook_on_start":
            self._playbooks += 1
            if self._playbooks > 1:
                self._enter()
        elif kind == "playbook_on_stats":
            outputs = (data.get("artifact_data") or {}).get("pumasi_outputs")
            self.outputs = outputs if isinstance(outputs, dict) else {}
            self.unreachable = self.unreachable or bool(data.get("dark"))
            self.well = frozenset(data.get("processed") or ()) - {
                *(data.get("failures") or ()),
                *(data.get("dark") or ()),
            }
        elif kind in {"verbose", "error", "warning", "deprecated"}:
            said = _ANSI.sub("", event.get("stdout") or "").strip()
            if said:
                self._said.append(said)
        return False

    def _enter(self) -> None:
        """The next step begins."""
        self.step = self._following.popleft()
        self._emit(Entry("phase", {"phase": self.step}))

    def last_words(self) -> str:
        """What Ansible said outside of any task: why it could not even begin."""
        return self._short("\n".join(self._said))

    def _task(self, status: str, data: Mapping[str, Any]) -> None:
        result = data.get("res") or {}
        if status == "failed" and data.get("ignore_errors"):
            status = "ok"
        elif status == "ok" and result.get("changed"):
            status = "changed"
        task = self._redactor.text(str(data.get("task") or ""))
        message = self._message(result) if status in {"failed", "unreachable"} else None
        self.current_task = task
        if status in {"failed", "unreachable"}:
            self.failed_task, self.failure = task, message
            self.unreachable = self.unreachable or status == "unreachable"
        seconds = data.get("duration")
        self._emit(
            Entry(
                "task",
                {
                    "step": self.step,
                    "play": self._redactor.text(str(data.get("play") or "")),
                    "task": task,
                    "host": self._redactor.text(str(data.get("host") or "")),
                    "status": status,
                    "seconds": round(seconds, 2) if isinstance(seconds, int | float) and status != "started" else None,
                    "message": message,
                },
            )
        )

    def _message(self, result: Mapping[str, Any]) -> str:
        if result.get("_ansible_no_log") or "censored" in result:
            return HIDDEN
        parts = [str(result.get("msg") or "").strip()]
        for name in ("stderr", "module_stderr", "stdout"):
            said = str(result.get(name) or "").strip()
            if said and said not in parts[0]:
                parts.append(said)
                break
        return self._short("\n".join(part for part in parts if part) or "The task failed without saying why.")

    def _short(self, text: str) -> str:
        # Redacted before it is cut: half a secret would not be found.
        text = self._redactor.text(_ANSI.sub("", text).replace("\0", ""))
        return text if len(text) <= MESSAGE_LENGTH else "…" + text[-(MESSAGE_LENGTH - 1) :]
