"""roles/fence: what an earlier attempt left at work is ended, everybody else is spared."""

from pathlib import Path

import pytest

from tests.rack.driver import Rack
from tests.rack.plays import play, values_for

pytestmark = [pytest.mark.rack, pytest.mark.xdist_group("rack")]

# Each stands for a module of some run; the second does not listen when it is asked to end.
EARLIER = "PUMASI_RUN={subject}:1 setsid nohup sleep 80001 >/dev/null 2>&1 &"
STUBBORN = "PUMASI_RUN={subject}:2 setsid nohup sh -c 'trap \"\" TERM; while :; do sleep 80002; done' >/dev/null 2>&1 &"
STRANGER = "PUMASI_RUN=somebody-else:1 setsid nohup sleep 80003 >/dev/null 2>&1 &"
UNMARKED = "setsid nohup sleep 80004 >/dev/null 2>&1 &"
ALIKE = "PUMASI_RUN={subject}0:1 setsid nohup sleep 80005 >/dev/null 2>&1 &"
LATER = "PUMASI_RUN={subject}:9 setsid nohup sleep 80006 >/dev/null 2>&1 &"


def sleeping(rack: Rack, host: str) -> set[str]:
    """The lengths of the sleeps that run on a host."""
    look = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -o '^sleep 8000.'; done; true"
    return set(rack.ssh(host, look).split()) - {"sleep"}


def start(rack: Rack, host: str, *lines: str) -> None:
    subject = values_for(rack, host)["run"]["subject"]
    rack.ssh(host, "cd /\n" + "\n".join(line.format(subject=subject) for line in lines))


def test_earlier_attempts_are_ended_and_others_spared(rack: Rack, host: str, tmp_path: Path) -> None:
    start(rack, host, EARLIER, STUBBORN, STRANGER, UNMARKED, ALIKE)
    assert sleeping(rack, host) == {"80001", "80002", "80003", "80004", "80005"}
    played = play(rack, "hosts/inspect.yml", host, values_for(rack, host, attempt=3), tmp_path / "run")
    assert played.code == 0, played.text
    assert sleeping(rack, host) == {"80003", "80004", "80005"}


def test_nothing_to_end_changes_nothing(rack: Rack, host: str, tmp_path: Path) -> None:
    played = play(rack, "hosts/inspect.yml", host, values_for(rack, host, attempt=2), tmp_path / "run")
    assert "changed=0" in played.text


def test_an_attempt_that_comes_too_late_fails_and_ends_nothing(rack: Rack, host: str, tmp_path: Path) -> None:
    start(rack, host, EARLIER, LATER)
    played = play(rack, "hosts/inspect.yml", host, values_for(rack, host, attempt=2), tmp_path / "run")
    assert played.code == 2
    assert "Attempt 9 is at work on this host, so attempt 2 has come too late." in played.text
    assert sleeping(rack, host) == {"80001", "80006"}
