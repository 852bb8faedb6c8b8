"""Finds and ends what a run left behind, also after a kill -9: processes by a mark in their environment, workspaces by name.

ansible-core's workers open sessions of their own, so neither ansible-runner's kill nor a process group reaches all of them.
Every process of a run inherits ``PUMASI_RUN=<subject>:<attempt>`` and ``PUMASI_OWNER=<pid>-<start>`` of the flow's process.
"""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

RUN, OWNER = "PUMASI_RUN", "PUMASI_OWNER"
RUN_FILE = "run"
"""In each workspace: whose it is, as in ``PUMASI_RUN``."""

_WORKSPACE = re.compile(r"\A(?P<owner>[0-9]+-[0-9]+)-[0-9a-z_]{8}\Z")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Mark:
    """Whose a process is. ``run`` is ``<subject>:<attempt>``."""

    run: str
    owner: str

    @property
    def subject(self) -> str:
        return self.run.rpartition(":")[0]

    @property
    def attempt(self) -> int:
        number = self.run.rpartition(":")[2]
        return int(number) if number.isdigit() else 0


def identity(pid: int | None = None) -> str:
    """``<pid>-<start time>``: names a process for ever, whoever gets its number later. Empty when there is none."""
    pid = os.getpid() if pid is None else pid
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else f"{pid}-{fields[19]}"


def alive(owner: str) -> bool:
    """Whether the process of this :func:`identity` still runs."""
    pid = owner.partition("-")[0]
    return pid.isdigit() and identity(int(pid)) == owner


def end_processes(wanted: Callable[[Mark], bool], *, grace: float = 2.0) -> int:
    """TERM, then after ``grace`` seconds KILL, every marked process that is wanted; returns how many there were.

    Only processes of our own pid namespace: hosts of a rack on this machine show in /proc as well, and what runs in them is
    for the playbooks' fence to end.
    """
    seen: set[int] = set()
    for sent, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        end = time.monotonic() + patience
        pids = _signal(wanted, sent)
        seen |= pids
        while pids:
            if time.monotonic() > end:
                break
            time.sleep(0.05)
            # What was forked in the meantime is signalled too.
            pids = _signal(wanted, sent if sent is signal.SIGKILL else 0)
            seen |= pids
        if not pids:
            return len(seen)
    log.error("leftover processes survived", pids=sorted(pids))
    return len(seen)


def reap(subject: str, *, before: int, root: Path) -> int:
    """End what attempts earlier than ``before`` of this subject left; returns the number of processes ended."""
    ended = end_processes(lambda mark: mark.subject == subject and mark.attempt < before)
    for path, mark in _workspaces(root):
        if mark.subject == subject and mark.attempt < before:
            shutil.rmtree(path, ignore_errors=True)
    if ended:
        log.warning("ended leftovers of an earlier attempt", subject=subject, processes=ended)
    return ended


def reap_orphans(*, root: Path) -> int:
    """End processes and remove workspaces whose flow no longer runs; returns the number of processes ended."""
    ended = end_processes(lambda mark: not alive(mark.owner))
    for path, mark in _workspaces(root):
        if not alive(mark.owner):
            shutil.rmtree(path, ignore_errors=True)
    if ended:
        log.warning("ended processes whose flow is gone", processes=ended)
    return ended


def _workspaces(root: Path) -> Iterator[tuple[Path, Mark]]:
    try:
        paths = list(root.iterdir())
    except FileNotFoundError:
        return
    for path in paths:
        if match := _WORKSPACE.match(path.name):
            try:
                run = (path / RUN_FILE).read_text(encoding="utf-8")
            except OSError:
                run = ""  # its flow died before it wrote the file; only the owner is known
            yield path, Mark(run, match["owner"])


def _signal(wanted: Callable[[Mark], bool], number: int) -> set[int]:
    """Signal every wanted process; returns their pids. Number 0 only looks."""
    namespace = _namespace("self")
    found: set[int] = set()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        pid = int(entry.name)
        if (mark := _mark(pid)) is None or not wanted(mark) or _namespace(entry.name) != namespace:
            continue
        try:
            # A handle on the process, then a second look: its number may have gone to somebody else in between.
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if _mark(pid) == mark:
                found.add(pid)
                if number:
                    signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            found.discard(pid)
        finally:
            os.close(handle)
    return found


def _mark(pid: int) -> Mark | None:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    values = dict(item.split(b"=", 1) for item in environment.split(b"\0") if b"=" in item)
    run = values.get(RUN.encode(), b"").decode("utf-8", "replace")
    owner = values.get(OWNER.encode(), b"").decode("utf-8", "replace")
    return Mark(run, owner) if run and owner else None


def _namespace(pid: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""
