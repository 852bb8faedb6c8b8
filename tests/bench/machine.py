"""What the figures were taken on."""

import os
import platform
import subprocess
from pathlib import Path

BUSY = 0.3
"""Load per core above which a machine is not quiet."""


def describe() -> list[str]:
    """Lines about the machine: cores, load, memory, versions; and a warning where others are at work on it."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [
        f"cores {cores}   load average {load[0]:.2f} {load[1]:.2f} {load[2]:.2f}   memory {memory:.0f} GiB   {_processor()}",
        f"Linux {platform.release()}   Python {platform.python_version()}   {_first_line('ansible-playbook', '--version')}",
    ]
    if load[0] / cores > BUSY:
        lines.append("This machine is not quiet: believe the ratios, which were taken in turn, and not the times.")
    return lines


def load() -> str:
    """The load average of the last minute, for the head of a section."""
    return f"load average {os.getloadavg()[0]:.2f}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _first_line(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()[0]
