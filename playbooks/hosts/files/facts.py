"""What a host is: capacity, system and traits, as one JSON object. Standard library only; runs on the host, changes nothing.

{"facts": {"vcpu", "memory_mb" (MiB), "disk_gb" (GiB), "os", "kernel", "arch", "machine_id", "hostname"}, "traits": ["…"]}
"""

import json
import os
import platform
import re
import subprocess
from pathlib import Path


def read(path, default=""):
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return default


def usable_cpus():
    """Whole CPUs this host may use: a container sees all of the outer machine, its cgroup says how much is its own."""
    count = len(os.sched_getaffinity(0))
    quota, period = (read("/sys/fs/cgroup/cpu.max").split() or ["max", "100000"])[:2]
    if quota == "max":
        quota = read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1").strip()
        period = read("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000").strip()
    return max(1, min(count, int(quota) // int(period))) if int(quota) > 0 else count


def usable_memory_mb():
    """MiB this host may use, bounded by its cgroup as the CPUs are."""
    total = int(re.search(r"^MemTotal:\s+(\d+) kB", read("/proc/meminfo"), re.M).group(1)) * 1024
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = read(path).strip()
        if limit.isdigit():
            total = min(total, int(limit))
    return total // 2**20


def facts():
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', read("/etc/os-release"), re.M))
    disk = os.statvfs("/")
    found = {
        "vcpu": usable_cpus(),
        "memory_mb": usable_memory_mb(),
        "disk_gb": disk.f_blocks * disk.f_frsize // 2**30,
        "os": release.get("PRETTY_NAME", "unknown"),
        "kernel": platform.release(),
        "arch": platform.machine(),
        "machine_id": read("/etc/machine-id").strip(),
        "hostname": platform.node(),
    }
    system = f"os-{release.get('ID', 'unknown')}-{release.get('VERSION_ID', '0')}"
    traits = {system, f"arch-{found['arch']}".replace("_", "-")}
    # the exit code only says whether it is virtual
    virtual = subprocess.run(
        ["systemd-detect-virt"], capture_output=True, text=True, timeout=10, check=False
    ).stdout.strip()
    traits.add("bare-metal" if virtual == "none" else f"virt-{virtual}")
    if read(disk_queue() / "rotational").strip() == "0":
        traits.add("ssd")
    return {"facts": found, "traits": sorted(traits)}


def disk_queue():
    """The kernel's directory about the disk below /, which a partition keeps one level up."""
    device = Path("/").stat().st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    return place / "queue" if (place / "queue").is_dir() else place.parent / "queue"


print(json.dumps(facts()))
