"""Whether a host is fit to be used, as one JSON object. Standard library only; runs on the host, changes nothing.

Standard input: {"now": seconds since 1970 on the controller}. Standard output:

    {"health": {"healthy": bool, "problems": ["…"], "disk_free_mb": MiB, "disk_free_percent": 0-100,
                "failed_units": ["…"], "clock_offset_s": seconds ahead of the controller, "uptime_s": seconds}}
"""

import json
import os
import subprocess
import sys
import time

DISK_FREE_PERCENT = 5
CLOCK_OFFSET_SECONDS = 30  # the round trip over a slow link is part of what is measured

disk = os.statvfs("/")
free_percent = 100 * disk.f_bavail // max(1, disk.f_blocks)
offset = time.time() - json.load(sys.stdin)["now"]
listing = subprocess.run(
    ["systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "--no-pager"],
    capture_output=True, text=True, timeout=10, check=True,
)  # fmt: skip
failed = [row.split()[0] for row in listing.stdout.splitlines()]

problems = []
if free_percent < DISK_FREE_PERCENT:
    problems.append(f"only {free_percent} % of the disk is free")
if failed:
    problems.append(f"units have failed: {', '.join(failed)}")
if abs(offset) > CLOCK_OFFSET_SECONDS:
    problems.append(f"the clock is {offset:+.0f} s off")

health = {
    "healthy": not problems,
    "problems": problems,
    "disk_free_mb": disk.f_bavail * disk.f_frsize // 2**20,
    "disk_free_percent": free_percent,
    "failed_units": failed,
    "clock_offset_s": round(offset, 1),
    "uptime_s": int(time.clock_gettime(time.CLOCK_BOOTTIME)),
}
print(json.dumps({"health": health}))
