#!/usr/bin/python3
"""Collect what helps to understand one slice: its unit, journal, processes, use of the host, sockets, firewall and files.

Reads only, and only what is the slice's own. Every list is cut: lines are of at most 400 characters, lists of at most `lines`
entries, the newest kept. What cannot be read is left empty; nothing of it is a failure. Values are not searched for secrets: who
keeps them does that. Times are UTC, sizes bytes unless named otherwise.
Fails with `unit_invalid` or `residues_invalid`.
"""

from __future__ import annotations

import ipaddress
import os
import struct
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_firewall import NFT, table_of
from ansible.module_utils.pumasi_host import check_unit
from ansible.module_utils.pumasi_residues import OPTIONS, read
from ansible.module_utils.pumasi_traces import (
    LISTENING,
    UNCONNECTED,
    account_uid,
    matching,
    processes_naming,
    read_bytes,
    walk_files,
)

LINE = 400
FILES = 40
SECONDS = 20
SAID_OF_UNIT = (
    "Id,LoadState,ActiveState,SubState,Result,UnitFileState,ActiveEnterTimestamp,InactiveEnterTimestamp,ExecMainCode,"
    "ExecMainStatus,MainPID,NRestarts,TasksCurrent,MemoryCurrent,MemoryPeak,MemoryMax,CPUUsageNSec,CPUQuotaPerSecUSec"
)


def said(module, argv, lines):
    """The last lines a command says, each cut; none where it fails or takes too long."""
    rc, out, _err = module.run_command(
        ["timeout", str(SECONDS), *argv], environ_update={"LC_ALL": "C.UTF-8", "TZ": "UTC"}
    )
    return [line[:LINE] for line in out.splitlines()[-lines:]] if rc == 0 else []


def unit_of(module, service):
    """What systemd says of the service."""
    shown = said(module, ["systemctl", "show", f"--property={SAID_OF_UNIT}", service], 40)
    return dict(line.split("=", 1) for line in shown if "=" in line)


def processes_of(unit, lines):
    """The slice's processes, without their arguments, which may be anything: number, name, memory in KB, threads."""
    found = []
    for each in processes_naming([unit], account_uid(unit))[:lines]:
        text = read_bytes(f"/proc/{each['pid']}/status").decode(errors="replace")
        status = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if status:
            found.append(
                {
                    "pid": each["pid"],
                    "name": status["Name"].strip(),
                    "memory_kb": int(status.get("VmRSS", "0 kB").split()[0]),
                    "threads": int(status.get("Threads", "0")),
                }
            )
    return found


def address_of(coded):
    """An address of /proc/net in the usual form."""
    host, port = coded.split(":")
    words = [int(host[start : start + 8], 16) for start in range(0, len(host), 8)]
    return f"[{ipaddress.ip_address(struct.pack(f'={len(words)}I', *words))}]:{int(port, 16)}"


def sockets_of(pids, port, lines):
    """TCP sockets on which these processes listen, UDP sockets that they have bound, and whoever listens on the lent port."""
    inodes = set()
    for pid in pids:
        for link in matching(f"/proc/{pid}/fd/*"):
            try:
                inodes.add(str(Path(link).readlink()))
            except OSError:
                continue
    found = []
    for table, wanted in (("tcp", LISTENING), ("tcp6", LISTENING), ("udp", UNCONNECTED), ("udp6", UNCONNECTED)):
        for line in read_bytes(f"/proc/net/{table}").decode().splitlines()[1:]:
            fields = line.split()
            lent = int(fields[1].rpartition(":")[2], 16) == port
            if fields[3] == wanted and (lent or f"socket:[{fields[9]}]" in inodes):
                found.append(f"{table} {address_of(fields[1])}")
    return found[:lines]


def disk_of(module, data):
    """What the slice's data takes in MB, and how full the file system is on which it lies."""
    paths = [path for pattern in data for path in matching(pattern)]
    if not paths:
        return {}
    used = said(module, ["du", "-sxm", "-c", "--", *paths], 1)
    try:
        there = os.statvfs(paths[0])
    except OSError:
        return {}
    return {
        "used_mb": int(used[0].split()[0]) if used else None,
        "free_mb": there.f_bavail * there.f_frsize // 2**20,
        "total_mb": there.f_blocks * there.f_frsize // 2**20,
        "free_inodes": there.f_favail,
    }


def files_of(patterns, lines):
    """The newest files under what the build made, with their size and age in seconds; and how many there are."""
    found = []
    for path, is_folder in walk_files(sorted({path for pattern in patterns for path in matching(pattern)})):
        if is_folder or Path(path).is_symlink():
            continue
        try:
            state = Path(path).stat()
        except OSError:
            continue
        found.append((int(time.time() - state.st_mtime), path[:LINE], state.st_size))
    newest = [
        {"path": path, "bytes": size, "age_seconds": age} for age, path, size in sorted(found)[: min(FILES, lines)]
    ]
    return {"count": len(found), "newest": newest}


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "lines": {"type": "int", "default": 200},
            **OPTIONS,
        },
        supports_check_mode=True,
    )
    unit, lines = module.params["unit"], module.params["lines"]
    check_unit(module, unit)
    residues = read(module, unit)
    journal = [
        "journalctl",
        "--quiet",
        "--no-pager",
        "--no-hostname",
        "--output=short-iso",
        *(f"--unit={service}" for service in residues.services),
    ]
    processes = processes_of(unit, lines)
    module.exit_json(
        changed=False,
        diagnosis={
            "collected_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "unit": unit_of(module, residues.services[0]),
            "processes": processes,
            "disk": disk_of(module, residues.data),
            "sockets": sockets_of([each["pid"] for each in processes], module.params["port"], lines),
            "firewall": said(module, [NFT, "list", "table", "inet", table_of(unit)], lines),
            "files": files_of(residues.paths(), lines),
            "journal": said(module, [*journal, f"--lines={lines}"], lines),
        },
    )


if __name__ == "__main__":
    main()
