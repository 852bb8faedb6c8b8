#!/usr/bin/python3
"""Ansible module: end the processes that an earlier attempt of the same run left on this host."""

import contextlib
import os
import re
import select
import signal
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: pumasi_fence
short_description: End what an earlier attempt of a run left working on the host
description:
  - Finds processes whose environment carries C(PUMASI_RUN) of the same subject with a lower attempt, asks them to end, kills
    those that do not, and fails unless all are gone.
  - Treats every attempt of the subjects in I(outranked) like an earlier attempt of its own.
  - Fails without touching anything where a higher attempt is at work.
options:
  run:
    description: The run that begins, C(<subject>:<attempt>).
    type: str
    required: true
  outranked:
    description: Other subjects that worked on the same service before, and must not any more.
    type: list
    elements: str
    default: []
  patience:
    description: Seconds between asking and killing, and again between killing and giving up.
    type: int
    default: 5
author: Pumasi
"""

MARK = b"PUMASI_RUN="


def split(run):
    """(subject, attempt) of C(<subject>:<attempt>), or None where the text is no such thing."""
    found = re.fullmatch(r"(\S+):(\d{1,9})", run)
    return (found[1], int(found[2])) if found else None


def marked():
    """Yield (pid, handle, subject, attempt) of every marked process but this one.

    The handle (a pidfd) is taken before the environment is read, so that a number the kernel gives away again in between
    can never be signalled.
    """
    for name in (entry.name for entry in Path("/proc").iterdir()):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            handle = os.pidfd_open(int(name))
        except OSError:  # it ended
            continue
        try:
            environment = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
        except OSError:  # it ended
            environment = []
        for entry in environment:
            run = split(entry[len(MARK) :].decode(errors="replace")) if entry.startswith(MARK) else None
            if run:
                yield int(name), handle, *run
                break
        else:
            os.close(handle)


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a process that has ended"


def end(handles, patience):
    """Ask, wait, kill, wait. Return the handles of the processes that are still there."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for handle in handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
        deadline = time.monotonic() + patience
        while handles and time.monotonic() < deadline:
            gone, _, _ = select.select(handles, [], [], deadline - time.monotonic())
            handles = [handle for handle in handles if handle not in gone]
        if not handles:
            break
    return handles


def main():
    module = AnsibleModule(
        argument_spec={
            "run": {"type": "str", "required": True},
            "outranked": {"type": "list", "elements": "str", "default": []},
            "patience": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    run = split(module.params["run"])
    if run is None:
        module.fail_json(msg=f"The run must read <subject>:<attempt>, not {module.params['run']!r}.")
    subject, attempt = run
    outranked = set(module.params["outranked"]) - {subject}
    ended = []
    # More than one round: a process may have started another while it was being ended.
    for _ in range(5):
        found = [
            (pid, handle, of, number)
            for pid, handle, of, number in marked()
            if of in outranked or (of == subject and number != attempt)
        ]
        later = [number for _pid, _handle, of, number in found if of == subject and number > attempt]
        if later:
            module.fail_json(
                msg=f"Attempt {max(later)} is at work on this host, so attempt {attempt} has come too late."
            )
        if not found:
            module.exit_json(changed=bool(ended), ended=ended)
        ended += [f"{command_of(pid)} (attempt {number})" for pid, _handle, _of, number in found]
        if module.check_mode:
            module.exit_json(changed=True, ended=ended)
        stubborn = end([handle for _pid, handle, _of, _number in found], module.params["patience"])
        if stubborn:
            module.fail_json(
                msg="An earlier attempt still has processes on this host that cannot be ended.", ended=ended
            )
    module.fail_json(msg="An earlier attempt starts processes on this host faster than they can be ended.", ended=ended)


if __name__ == "__main__":
    main()
