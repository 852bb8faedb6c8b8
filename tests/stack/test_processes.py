"""Ending the processes of one stack, and of no other."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.stack import processes
from tests.harness.stack import until

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"


def _start(code: str, mark: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, processes.MARK: mark}, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "on\n"
    return process


def test_the_mark_is_the_same_for_the_same_directory_and_differs_for_others(tmp_path: Path) -> None:
    assert processes.mark_of(tmp_path) == processes.mark_of(tmp_path / "x" / "..")
    assert processes.mark_of(tmp_path) != processes.mark_of(tmp_path / "x")


def test_ends_its_own_also_when_they_refuse_and_leaves_others_alone(tmp_path: Path) -> None:
    own, other = processes.mark_of(tmp_path / "own"), processes.mark_of(tmp_path / "other")
    gentle = _start("import time; print('on', flush=True); time.sleep(60)", own)
    stubborn = _start(STUBBORN, own)
    neighbour = _start("import time; print('on', flush=True); time.sleep(60)", other)
    try:
        assert processes.end_marked(own, grace=0.5) == 2
        assert (gentle.wait(5), stubborn.wait(5)) == (-signal.SIGTERM, -signal.SIGKILL)
        assert neighbour.poll() is None
        assert processes.end_marked(own) == 0
    finally:
        for process in (gentle, stubborn, neighbour):
            process.kill()
            process.wait()


def test_ends_children_that_left_the_session(tmp_path: Path) -> None:
    mark = processes.mark_of(tmp_path)
    parent = _start(
        "import subprocess, sys; subprocess.Popen(['sleep', '60'], start_new_session=True); print('on', flush=True)",
        mark,
    )
    parent.wait(5)
    assert [Path(f"/proc/{each.pid}/comm").read_text() for each in processes.marked(mark)] == ["sleep\n"]
    assert processes.end_marked(mark) == 1
    assert processes.marked(mark) == []


def test_never_ends_the_caller_or_its_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = processes.mark_of(tmp_path)
    code = (
        "import os, subprocess, sys\n"
        f"sys.path.insert(0, {str(Path(processes.__file__).parent)!r})\n"
        "import processes\n"
        f"print('on', flush=True); print(processes.end_marked({mark!r}), os.getppid() > 1, flush=True)"
    )
    process = _start(code, mark)
    assert process.stdout is not None
    assert process.stdout.readline() == "0 True\n"
    assert process.wait(5) == 0


def test_a_process_number_used_again_is_another_process() -> None:
    child = subprocess.Popen(["sleep", "60"])
    began = processes.started(child.pid)
    assert began is not None
    assert processes.alive(processes.Process(child.pid, began))
    impostor = processes.Process(child.pid, began + 1)
    assert not processes.alive(impostor)
    processes.send(impostor, signal.SIGKILL)
    assert child.poll() is None
    processes.send(processes.Process(child.pid, began), signal.SIGKILL)
    until("the child gone", lambda: child.poll() is not None, within=5)
    assert processes.started(child.pid) is None
