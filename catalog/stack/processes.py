"""Finding and ending the processes of one stack. Standard library only: the bootstrap runs this file before a venv exists.

Every process a stack starts carries ``PUMASI_STACK=<mark>`` in its environment, and its children inherit it. That is how a new
supervisor, or ``make stop``, finds what an earlier one left behind after a kill -9, and never touches anybody else's process.
"""

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

MARK = "PUMASI_STACK"


class Process(NamedTuple):
    """A process and the tick it started at, which tells it from a later one with the same number."""

    pid: int
    started: int


def mark_of(state: Path) -> str:
    """The mark of the stack whose state directory this is."""
    return hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:16]


def started(pid: int) -> int | None:
    """Clock ticks from boot to the start of ``pid``; None when there is no such process, or only its zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def alive(process: Process) -> bool:
    """Whether that very process still runs."""
    return started(process.pid) == process.started


def _own_line() -> set[int]:
    line, pid = set(), os.getpid()
    while pid > 1:
        line.add(pid)
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            break
        pid = int(stat.rpartition(")")[2].split()[1])
    return line


def marked(mark: str, *, variable: str = MARK) -> list[Process]:
    """Every process that carries this mark, except the caller and its own parents."""
    wanted, line, found = f"{variable}={mark}".encode(), _own_line(), []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in line:
            continue
        try:
            words = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        began = started(int(entry.name))
        if wanted in words and began is not None:
            found.append(Process(int(entry.name), began))
    return found


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal to that very process; one that has gone is no error."""
    if alive(process):
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return


def end_marked(mark: str, *, variable: str = MARK, grace: float = 5.0) -> int:
    """End every process with this mark: first politely, after ``grace`` seconds by force. Returns how many there were.

    Looks again until none is left, because a process may fork while it is being ended.
    """
    ended: set[Process] = set()
    force_at = time.monotonic() + grace
    asked: set[Process] = set()
    while left := marked(mark, variable=variable):
        number = signal.SIGKILL if time.monotonic() >= force_at else signal.SIGTERM
        for process in left:
            if number is signal.SIGKILL or process not in asked:
                send(process, number)
                asked.add(process)
        ended.update(left)
        time.sleep(0.05)
    return len(ended)
