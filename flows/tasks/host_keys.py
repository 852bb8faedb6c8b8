"""Asks hosts for their ssh keys: to learn one, and to see that a host still is who it was."""

import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from catalog.pool.targets import Target

AT_ONCE = 32
"""Handshakes side by side. Each is one short process that mostly waits."""


def scan(target: Target, *, timeout: int = 5) -> str | None:
    """The host's Ed25519 key as ``ssh-ed25519 AAAA…``; None when it does not answer within ``timeout`` seconds."""
    done = subprocess.run(
        ["ssh-keyscan", "-t", "ed25519", "-T", str(timeout), "-p", str(target.ssh_port), "--", target.address],
        capture_output=True,
        text=True,
        timeout=timeout + 10,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    for line in done.stdout.splitlines():
        if not line.startswith("#") and len(parts := line.split()) == 3:
            return f"{parts[1]} {parts[2]}"
    return None


def answering(targets: Iterable[Target]) -> dict[Target, bool]:
    """Which hosts answer with the key that is pinned for them. Another key counts as no answer."""
    wanted = list(targets)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="host-check") as pool:
        seen = pool.map(scan, wanted)
        return {target: key == target.known_key for target, key in zip(wanted, seen, strict=True)}
