"""Packed modules are kept between runs, and only for the sources they were packed from."""

import stat
from pathlib import Path

from flows.runner.modules import store
from flows.runner.run import Status
from tests.flows.plays import play, playbook

PACKED = "ansible.modules.ping-ZIP_DEFLATED-none"


def test_the_second_run_finds_what_the_first_packed(tmp_path: Path) -> None:
    path = playbook(tmp_path, "    - {name: Answer, ansible.builtin.ping: }\n")
    assert play(path, modules=tmp_path / "kept").status is Status.OK
    (kept,) = (tmp_path / "kept").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    first = (kept / PACKED).stat()
    assert play(path, modules=tmp_path / "kept").status is Status.OK
    again = (kept / PACKED).stat()
    assert (first.st_ino, first.st_mtime_ns) == (again.st_ino, again.st_mtime_ns)
    # And it is this that runs: with a package that is none, nothing does.
    (kept / PACKED).write_bytes(b"no package")
    assert play(path, modules=tmp_path / "kept").status is Status.FAILED


def test_other_sources_have_another_place(tmp_path: Path) -> None:
    playbooks = tmp_path / "playbooks"
    playbooks.mkdir()
    (playbooks / "one.py").write_text("1")
    first = store(tmp_path, playbooks)
    assert store(tmp_path, playbooks) == first
    (playbooks / "one.py").write_text("2")
    second = store(tmp_path, playbooks)
    (playbooks / "one.py").rename(playbooks / "two.py")
    assert len({first, second, store(tmp_path, playbooks)}) == 3
