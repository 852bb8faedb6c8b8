"""Running what an owner brought: as the slice's user, within the slice's limits, with nothing to write to but what is named.

systemd runs it in a unit of its own that is gone when it ended. It bears the mark of the run, so that the next attempt ends
what a killed one left working.
"""

from __future__ import annotations

import json
import os

from ansible.module_utils.pumasi_host import run

SCRATCH = "pumasi-release"
"""Below /run, a folder for each slice: there as long as something runs in its sandbox."""

PROPERTIES = (
    "CapabilityBoundingSet=",
    "IPAddressAllow=127.0.0.53 127.0.0.54",
    # The host itself, link-local and multicast, which systemd-run does not know by these words.
    "IPAddressDeny=127.0.0.0/8 ::1/128 169.254.0.0/16 fe80::/64 224.0.0.0/4 ff00::/8",
    "LimitCORE=0",
    "LimitFSIZE=1G",
    "LockPersonality=yes",
    "NoNewPrivileges=yes",
    "PrivateDevices=yes",
    "PrivateTmp=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHome=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectSystem=strict",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
    "TasksMax=256",
    "TimeoutStopSec=5",
    "UMask=0022",
)


def sandboxed(module, argv, data=None, seconds=60, writable=()):
    """Run a command as the slice's user. Returns (rc, stdout, stderr).

    :param module: its arguments tell `unit`, `vcpu` and `memory_mb`.
    :param seconds: after these it is ended.
    :param writable: folders it may write to, beside a /tmp and a folder in /run of its own.
    """
    given = module.params
    limits = [f"MemoryMax={given['memory_mb']}M", f"CPUQuota={100 * given['vcpu']}%", f"RuntimeMaxSec={seconds}"]
    words = [
        "systemd-run",
        "--quiet",
        "--pipe",
        "--wait",
        "--collect",
        f"--unit=pumasi-release-{given['unit']}.service",
    ]
    words += [
        f"--uid={given['unit']}",
        f"--gid={given['unit']}",
        f"--setenv=PUMASI_RUN={os.environ.get('PUMASI_RUN', '')}",
    ]
    limits += [f"RuntimeDirectory={SCRATCH}/{given['unit']}", "RuntimeDirectoryMode=0700"]
    for each in (*PROPERTIES, *limits, *(f"ReadWritePaths={path}" for path in writable)):
        words += ["--property", each]
    return run(module, [*words, *argv], data=data, check=False)


def reported(module, argv, asked, **limits):
    """The same, for a script that reads a JSON object and prints one; fails the module with what it was refused for."""
    rc, out, _err = sandboxed(module, argv, data=json.dumps(asked), **limits)
    try:
        report = json.loads(out)
    except ValueError:
        report = {
            "code": "release_broken_off",
            "msg": f"Preparing the source was broken off ({rc}): too long, or out of memory.",
        }
    if report.get("code"):
        module.fail_json(**report)
    return report
