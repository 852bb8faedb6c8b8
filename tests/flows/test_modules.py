"""Packed modules are kept between runs, and only for the sources they were packed from."""

import base64
import io
import stat
import zipfile
from dataclasses import replace
from importlib import util
from importlib._bootstrap_external import _code_to_hash_pyc  # type: ignore[attr-defined]  # what py_compile itself uses
from pathlib import Path

import pytest
from ansible.executor.module_common import _CachedModule

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


def repacked(package: Path, change: dict[str, bytes]) -> None:
    """Put other files into a package in the place of those of these names."""
    module = _CachedModule.load(str(package))
    new = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(module.zip_data))) as old, zipfile.ZipFile(new, "w") as archive:
        assert change.keys() <= set(old.namelist())
        for name in old.namelist():
            archive.writestr(name, change.get(name) or old.read(name))
    replace(module, zip_data=base64.b64encode(new.getvalue())).dump(str(package))


@pytest.mark.parametrize(("magic", "runs"), [(util.MAGIC_NUMBER, "byte code"), (b"\x00\x00\r\n", "source")])
def test_a_kept_module_runs_as_byte_code_where_the_python_is_the_same(tmp_path: Path, magic: bytes, runs: str) -> None:
    """Compiling what a module imports was half of what a task cost on the host."""
    path = playbook(tmp_path, "    - {name: Answer, ansible.builtin.ping: , register: answer}\n"
                    "    - {name: Say, ansible.builtin.assert: {that: answer.ping == 'byte code'}}\n")  # fmt: skip
    play(path, modules=tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(_CachedModule.load(str(kept / PACKED)).zip_data))) as archive:
        names = archive.namelist()
        source = archive.read("ansible/modules/ping.py").replace(b"default='pong'", b"default='byte code'")
    assert sorted(name for name in names if name.endswith(".pyc")) == sorted(
        f"{name}c" for name in names if name.endswith(".py")
    )
    code = compile(source, "ping.py", "exec", dont_inherit=True)
    other = magic + _code_to_hash_pyc(code, util.source_hash(b"other"), checked=False)[4:]
    repacked(kept / PACKED, {"ansible/modules/ping.pyc": other})
    done = play(path, modules=tmp_path / "kept")
    assert done.status is (Status.OK if runs == "byte code" else Status.FAILED)


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
