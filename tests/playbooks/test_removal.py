"""A slice is removed while systemd takes away what belonged to its service: both may come too late for the same file."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from tests.rack.driver import PLAYBOOKS


@pytest.fixture
def remove_path() -> Callable[[Path], None]:
    spec = spec_from_file_location("removal", PLAYBOOKS / "roles/slice/module_utils/pumasi_removal.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    remove: Callable[[Path], None] = module.remove_path
    return remove


def grown(root: Path) -> Path:
    for folder in range(20):
        (root / f"systemd-private-{folder}" / "tmp").mkdir(parents=True)
        for file in range(20):
            (root / f"systemd-private-{folder}" / "tmp" / str(file)).touch()
    return root


def test_two_remove_the_same_and_neither_fails(tmp_path: Path, remove_path: Callable[[Path], None]) -> None:
    for number in range(5):
        root, gate = grown(tmp_path / str(number)), threading.Barrier(4)

        def work(root: Path = root, gate: threading.Barrier = gate) -> None:
            gate.wait(10)
            remove_path(root)

        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(work) for _ in range(4)]:
                done.result()
        assert not root.exists()
    remove_path(tmp_path / "never-there")


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path: Path, remove_path: Callable[[Path], None]) -> None:
    kept = grown(tmp_path / "kept")
    link = tmp_path / "link"
    link.symlink_to(kept)
    remove_path(link)
    assert not link.is_symlink()
    assert (kept / "systemd-private-0" / "tmp" / "0").exists()


def test_what_cannot_be_removed_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remove_path: Callable[[Path], None]
) -> None:
    root = grown(tmp_path / "root")

    def refused(*_: object, **__: object) -> None:
        raise PermissionError("no")

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refused)
        with pytest.raises(PermissionError):
            remove_path(root)
    assert (root / "systemd-private-0" / "tmp" / "0").exists()
