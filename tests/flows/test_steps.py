"""Several playbooks in one start of Ansible."""

from pathlib import Path

from flows.runner.run import Status
from tests.flows.plays import Seen, play, playbook


def test_playbooks_of_one_run_are_told_step_by_step_and_their_outputs_come_together(tmp_path: Path) -> None:
    def handing_back(name: str) -> Path:
        task = f"""
    - name: Hand back {name}
      ansible.builtin.set_stats:
        data: {{pumasi_outputs: {{{name}: 1}}}}
        per_host: false
"""
        return playbook(tmp_path, task)

    seen = Seen()
    result = play(handing_back("first"), handing_back("second"), emit=seen)
    assert (result.status, result.step, result.outputs) == (Status.OK, "verify", {"first": 1, "second": 1})
    assert [entry.data.get("phase") or (entry.data["step"], entry.data["task"]) for _, entry in seen.entries] == [
        "provision", ("provision", "Hand back first"), ("provision", "Hand back first"),
        "verify", ("verify", "Hand back second"), ("verify", "Hand back second"),
    ]  # fmt: skip


def test_no_playbook_follows_one_that_failed(tmp_path: Path) -> None:
    seen = Seen()
    falls, never = '    - name: Fall\n      ansible.builtin.command: "false"\n', "    - ansible.builtin.debug:\n"
    result = play(playbook(tmp_path, falls), playbook(tmp_path, never), emit=seen)
    assert (result.status, result.step, result.task) == (Status.FAILED, "provision", "Fall")
    assert seen.told() == [("Fall", "started"), ("Fall", "failed")]
    assert [entry.data["phase"] for _, entry in seen.entries if entry.kind == "phase"] == ["provision"]


def test_a_run_past_its_deadline_is_not_begun(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    path = playbook(tmp_path, f"    - ansible.builtin.file: {{path: {touched}, state: touch}}\n")
    assert play(path, seconds=-1).status is Status.TIMEOUT
    assert not touched.exists()
