"""Run one playbook by hand, by the contract of the runner: one values file, one target, a pinned key, a fresh directory."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.runner import modules
from tests.rack.driver import PLAYBOOKS, Rack

# Not in a run's workspace: ssh refuses control sockets whose path has more than 107 characters.
MODULES = tempfile.TemporaryDirectory(prefix="modules-")
SOCKETS = tempfile.TemporaryDirectory(prefix="cp-", dir="/tmp")


@dataclass(frozen=True)
class Played:
    """How a play ended: ansible-playbook's exit code, what it said, and its outputs."""

    code: int
    text: str
    outputs: dict[str, Any]


def play(
    rack: Rack,
    playbook: str,
    host: str,
    values: dict[str, Any],
    workspace: Path,
    *,
    seconds: float = 300,
    verbosity: int = 0,
) -> Played:
    """Run playbooks/<playbook> on one host of the rack with `values` as `pumasi`; `verbosity` counts the v of -vvv."""
    words, environment = prepare(rack, [playbook], host, values, workspace)
    environment |= modules.environment(modules.store(Path(MODULES.name), PLAYBOOKS))
    environment["ANSIBLE_VERBOSITY"] = str(verbosity)
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL
    )
    return Played(done.returncode, done.stdout + done.stderr, outputs_of(done.stdout))


def prepare(
    rack: Rack, playbooks: Sequence[str], host: str, values: dict[str, Any], workspace: Path
) -> tuple[list[str], dict[str, str]]:
    """Make the workspace of a run; returns the command line that runs the playbooks in it, and its environment.

    Nothing is in it of how the runner makes Ansible faster.
    """
    workspace.mkdir(mode=0o700, parents=True)
    target = rack.inventory()[host]
    variables = {
        "ansible_host": target.address,
        "ansible_port": target.port,
        "ansible_user": "ops",
        "ansible_ssh_private_key_file": str(rack.private_key),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    (workspace / "inventory.json").write_text(json.dumps({"target": {"hosts": {host: variables}}}))
    key = rack.run("hostkey", host).strip() if (rack.state / "hosts" / host / "root" / "etc").exists() else ""
    (workspace / "known_hosts").write_text(f"{target.address} {key}\n")
    (workspace / "values.json").write_text(json.dumps(values))
    ssh = (
        f"-o StrictHostKeyChecking=yes -o UserKnownHostsFile={workspace}/known_hosts -o ControlMaster=auto "
        f"-o ControlPersist=10s -o ServerAliveInterval=5 -o ServerAliveCountMax=3"
    )
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(workspace),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_LOCAL_TEMP": f"{workspace}/tmp",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_TIMEOUT": "10",
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_ROLES_PATH": str(PLAYBOOKS / "roles"),
        "ANSIBLE_SSH_ARGS": ssh,
        "ANSIBLE_SSH_CONTROL_PATH_DIR": tempfile.mkdtemp(dir=SOCKETS.name),
        "ANSIBLE_SHOW_CUSTOM_STATS": "1",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_NOCOLOR": "1",
    }
    inventory, values_file = workspace / "inventory.json", workspace / "values.json"
    words = ["ansible-playbook", "-i", str(inventory), "-e", f"pumasi_values_file={values_file}"]
    return words + [str(PLAYBOOKS / playbook) for playbook in playbooks], environment


def outputs_of(text: str) -> dict[str, Any]:
    """What the play handed back by set_stats, from the custom stats that ansible-playbook prints at the end."""
    _, mark, stats = text.partition("CUSTOM STATS: ")
    if not mark:
        return {}
    start = stats.index("RUN: ") + len("RUN: ")
    document, _ = json.JSONDecoder().raw_decode(stats[start:])
    outputs: dict[str, Any] = document["pumasi_outputs"]
    return outputs


def values_for(rack: Rack, host: str, *, attempt: int = 1, **more: Any) -> dict[str, Any]:
    """The `pumasi` document of a play under hosts/."""
    subject = f"wipe-{host}"
    target = rack.inventory()[host]
    return {
        "run": {"id": f"{subject}:{attempt}", "subject": subject, "attempt": attempt},
        "host": {"name": host, "zone": target.zone, "address": target.address},
        "driver": {"name": "rack", "state": str(rack.state)},
    } | more
