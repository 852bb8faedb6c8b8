"""Can this machine do it? Standard library only, and no import of the package: it runs before there is a virtual environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NEEDED_MB = 2000


def _is_debian() -> bool:
    release = Path("/etc/os-release")
    lines = release.read_text(encoding="utf-8").splitlines() if release.exists() else []
    words = dict(line.split("=", 1) for line in lines if "=" in line)
    family = f"{words.get('ID', '')} {words.get('ID_LIKE', '')}".replace('"', "").split()
    version = words.get("VERSION_ID", "").strip('"')
    return "debian" in family and (words.get("ID") != "debian" or not version.isdigit() or int(version) >= 12)


def _has_namespaces() -> bool:
    words = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "true"]
    try:
        return subprocess.run(words, stderr=subprocess.DEVNULL, check=False, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _memory_mb() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines() if Path("/proc/meminfo").exists() else []
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:")), 0)


def lacks(*, hosts: bool, place: Path, gigabytes: int) -> list[str]:
    """What this machine lacks, in sentences; empty when nothing. Changes nothing.

    :param hosts: the rack is wanted.
    :param place: where files will lie.
    :param gigabytes: free disk needed there; 0 where what is needed lies there already.
    """
    missing = []
    if sys.version_info < (3, 11):  # noqa: UP036  # it may well be started by an older one
        missing.append(f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}.")
    free = shutil.disk_usage(place).free // 10**9
    if free < gigabytes:
        missing.append(f"{gigabytes} GB of free disk are needed at {place}; there are {free}.")
    if not hosts:
        return missing
    if os.geteuid() != 0:
        missing.append("Root is needed: the rack mounts disks and makes links, and Debian packages are installed.")
    if not _is_debian():
        missing.append("Debian 12 or newer is needed: hosts of the rack are made from its packages.")
    elif os.geteuid() == 0 and not _has_namespaces():
        missing.append("This machine does not let root make namespaces, so it cannot carry the rack's hosts.")
    if _memory_mb() < NEEDED_MB:
        missing.append(f"{NEEDED_MB} MB of free memory are needed; there are {_memory_mb()}.")
    return missing
