#!/usr/bin/python3
"""Take one slice off the host, whatever state its build stopped in; doing it again changes nothing.

Ends what runs, then removes what the residue list names, the firewall table, its unix users, and the
lines that name it in logs and in the old copies of the account files.
The system journal cannot forget single lines: when it names the slice, its closed files go as a whole.
Fails with `unit_invalid`, `residues_invalid`, `still_running` or `command_failed`.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_firewall import remove as remove_firewall
from ansible.module_utils.pumasi_host import check_unit, group_of, run
from ansible.module_utils.pumasi_removal import remove_path
from ansible.module_utils.pumasi_residues import OPTIONS, read
from ansible.module_utils.pumasi_traces import account_uid, journal_lines, matching, naming_files, processes_naming

SECONDS_TO_END = 10
JOURNAL_ATTEMPTS = 5
# userdel and groupdel keep what each file said before.
OLD_ACCOUNTS = [f"/etc/{name}-" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")]


def stop_services(module, services):
    """Stop the units, and with them the group that holds their limits; one that was never there is already stopped."""
    stopped = []
    for name in services:
        state = run(module, ["systemctl", "show", "--property=ActiveState", "--value", name])[1].strip()
        if state not in ("inactive", "failed"):
            run(module, ["systemctl", "stop", name], check=False)
            stopped.append(f"unit {name}")
    return stopped


def end_processes(module, unit):
    """TERM, then KILL, everything that still belongs to the slice; fails when something outlives both."""
    ended = sorted({process["what"] for process in processes_naming([unit], account_uid(unit))})
    for signal in (15, 9):
        deadline = time.monotonic() + SECONDS_TO_END
        while (left := processes_naming([unit], account_uid(unit))) and time.monotonic() < deadline:
            for process in left:
                try:
                    os.kill(process["pid"], signal)
                except ProcessLookupError:
                    continue
            time.sleep(0.1)
    if left:
        module.fail_json(
            msg="Processes of the slice could not be ended.",
            code="still_running",
            processes=[process["what"] for process in left],
        )
    return [f"process {what}" for what in ended]


def remove_paths(patterns):
    """Delete every path the patterns name; links are removed, never followed."""
    removed = []
    for pattern in patterns:
        for path in map(Path, matching(pattern)):
            remove_path(path)
            removed.append(f"path {path}")
    return removed


def remove_accounts(module, unit):
    """Remove the slice's own unix users and groups, if the service made any: those of its name, and of its name and a dash."""
    removed = []
    for kind, tool in (("user", "userdel"), ("group", "groupdel")):
        names = (
            [entry.pw_name for entry in pwd.getpwall()]
            if kind == "user"
            else [entry.gr_name for entry in grp.getgrall()]
        )
        for name in sorted(names):
            if name == unit or name.startswith(f"{unit}-"):
                run(module, [f"/usr/sbin/{tool}", name])
                removed.append(f"{kind} {name}")
    return removed


def forget_in_texts(roots, words):
    """Drop the lines that name the slice, in place, so that a logger keeps its open file."""
    wanted = re.compile("|".join(re.escape(word) for word in words).encode())
    cleaned = []
    for path in naming_files(roots, words):
        with Path(path).open("r+b") as text:
            kept = [line for line in text if not wanted.search(line)]
            text.seek(0)
            text.writelines(kept)
            text.truncate()
        cleaned.append(f"lines in {path}")
    return cleaned


def forget_in_journal(module, words):
    """Close and drop the journal's files until none names the slice; new lines may still arrive while we look."""
    if not journal_lines(module, words):
        return []
    for _ in range(JOURNAL_ATTEMPTS):
        run(module, ["journalctl", "--sync"])
        run(module, ["journalctl", "--rotate"])
        # Vacuuming counts in whole seconds: a file closed within this one is kept.
        time.sleep(1.1)
        run(module, ["journalctl", "--quiet", "--vacuum-time=1s"])
        if not journal_lines(module, words):
            break
    return ["journal"]


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "instance_id": {"type": "str", "required": True},
            **OPTIONS,
        }
    )
    unit = module.params["unit"]
    check_unit(module, unit)
    residues = read(module, unit)
    units = [*residues.services, group_of(unit)]
    removed = stop_services(module, units)
    removed += end_processes(module, unit)
    paths = remove_paths(residues.paths())
    removed += paths
    removed += remove_accounts(module, unit)
    removed += ["firewall table"] if remove_firewall(module, unit) else []
    if paths:
        run(module, ["systemctl", "daemon-reload"])
    for name in units:
        run(module, ["systemctl", "reset-failed", name], check=False)
    words = [unit, module.params["instance_id"]]
    removed += forget_in_texts(["/var/log", *OLD_ACCOUNTS], words)
    removed += forget_in_journal(module, words)
    module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()
