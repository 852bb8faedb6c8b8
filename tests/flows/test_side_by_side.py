"""One playbook played for many at once: each with its own document, none held up by another, nothing left."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.runner.run import Play, Result, Status, Step, run
from flows.runner.workspace import BadTarget, root
from tests.flows.plays import PLAYBOOKS, Seen, new_run, playbook

TASKS = """
    - name: Ask elsewhere
      ansible.builtin.command: "true"
      delegate_to: localhost
      changed_when: false
    - name: Try it
      ansible.builtin.command: {argv: [sh, -c, "{{ pumasi.does }}"]}
      changed_when: false
    - name: Come to the end
      ansible.builtin.assert:
        that: pumasi.name == inventory_hostname
"""


def play(
    folder: Path, each: dict[str, dict[str, Any]], emit: Any, *,
    seconds: float = 60, clock: Callable[[], float] = time.monotonic, **more: Any,
) -> Result:  # fmt: skip
    now = datetime.now(UTC)
    run_id = new_run()
    documents = {name: {"run": {"id": run_id}, "name": name, **said} for name, said in each.items()}
    asked = Play(
        run=run_id, steps=[Step("verify", playbook(folder, TASKS))], roles=PLAYBOOKS / "roles", values={}, seats=[],
        ssh_key=Path("/nonexistent"), deadline=now + timedelta(seconds=seconds), each=documents, **more,
    )  # fmt: skip
    return run(asked, emit=emit, stop=lambda: False, now=now, clock=clock)


def ended(seen: Seen, status: str) -> dict[str, tuple[str, str]]:
    return {
        entry.data["host"]: (entry.data["task"], entry.data["message"])
        for _, entry in seen.tasks()
        if entry.data["status"] == status
    }


def test_each_has_its_own_document_and_a_failure_is_one_s_own(tmp_path: Path) -> None:
    seen = Seen()
    secret = uuid.uuid4().hex
    each = {f"s{number:011}": {"does": "true"} for number in range(10)}
    each["s00000000003"] = {"does": f"echo no {secret} >&2; exit 1"}
    result = play(tmp_path, each, seen, secrets=[secret])
    assert result.status is Status.FAILED, result
    assert result.well == set(each) - {"s00000000003"}
    assert ended(seen, "failed") == {"s00000000003": ("Try it", "non-zero return code\nno ***")}
    assert not [path for path in root().iterdir() if secret in (path / "run").name]


def test_one_that_hangs_holds_up_none_and_is_not_called_well(tmp_path: Path) -> None:
    seen = Seen()
    each = {"s00000000001": {"does": "sleep 600"}, "s00000000002": {"does": "true"}, "s00000000003": {"does": "false"}}

    def clock() -> float:
        """The deadline has passed as soon as the others have come to their ends."""
        through = {host for host, (task, _said) in ended(seen, "ok").items() if task == "Come to the end"}
        others = through | set(ended(seen, "failed"))
        return time.monotonic() + (10_000 if others == {"s00000000002", "s00000000003"} else 0)

    result = play(tmp_path, each, seen, seconds=300, clock=clock)
    # Nobody has counted what came to its end; but what has failed has failed.
    assert (result.status, result.well) == (Status.TIMEOUT, frozenset())
    assert set(ended(seen, "failed")) == {"s00000000003"}


def test_a_name_that_ansible_could_take_for_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTarget):
        play(tmp_path, {"{{ x }}": {"does": "true"}}, Seen())
