"""The same work without Pumasi: the same playbooks with ``ansible-playbook``, and a shell script over ssh."""

import os
import shlex
import subprocess
import time
from itertools import count
from pathlib import Path
from typing import Any

from tests.bench.stage import BenchFailed
from tests.playbooks.slices import Slice, changed
from tests.rack.driver import Rack
from tests.rack.plays import outputs_of, play, prepare, values_for

SCRIPTS = Path(__file__).parent / "scripts"


class Hand:
    """Somebody who works by hand on one host of the rack that the pool does not know.

    Everything that is looked up beforehand (address, host key, inventory) is not timed.
    """

    def __init__(self, rack: Rack, host: str, folder: Path) -> None:
        self.rack, self.host, self.folder = rack, host, folder / host
        self.folder.mkdir()
        self._numbers = count()
        self._baseline: dict[str, Any] | None = None

    def new(self, slug: str) -> Slice:
        """A slice to be built here, small, with the defaults of the service's parameters."""
        return Slice(self.rack, self.host, slug, self.folder / "slices")

    def wipe(self) -> None:
        """Make the host pristine. Not timed."""
        self.rack.wipe(self.host)

    # ---- with ansible-playbook

    def build(self, one: Slice) -> float:
        """Build and verify with one call of ``ansible-playbook``; returns seconds."""
        return self._ansible(one, "provision", "verify")[0]

    def give_back(self, one: Slice) -> float:
        """Take down, look for residues, wipe the host and check it: the playbooks of a give-back; returns seconds."""
        taken_down, said = self._ansible(one, "decommission", "residue")
        if not outputs_of(said)["residue"]["clean"]:
            raise BenchFailed(f"By hand, something was left: {said[-2000:]}")
        wiped = self._hosts_play("wipe")
        return taken_down + wiped + self._hosts_play("verify", baseline=self.baseline, tenant_words=[one.unit])

    @property
    def baseline(self) -> dict[str, Any]:
        """The baseline of this host, read once, while it is fresh."""
        if self._baseline is None:
            values = values_for(self.rack, self.host)
            inspected = play(self.rack, "hosts/inspect.yml", self.host, values, self._workspace())
            self._baseline = inspected.outputs["baseline"]
        return self._baseline

    def _hosts_play(self, name: str, **more: Any) -> float:
        values = values_for(self.rack, self.host, **more)
        seconds, said = self._timed(*prepare(self.rack, [f"hosts/{name}.yml"], self.host, values, self._workspace()))
        if name == "verify" and not outputs_of(said)["verify"]["clean"]:
            raise BenchFailed(f"By hand, the wiped host is not clean: {said[-2000:]}")
        return seconds

    def _ansible(self, one: Slice, *steps: str) -> tuple[float, str]:
        one.attempt += 1
        playbooks = [f"services/{one.slug}/{step}.yml" for step in steps]
        return self._timed(*prepare(self.rack, playbooks, self.host, one.values(), self._workspace()))

    def _workspace(self) -> Path:
        return self.folder / f"w{next(self._numbers)}"

    # ---- with a shell script

    def shell(self, one: Slice) -> float:
        """Build with the hand-written script over one ssh connection, then use it with the real client; returns seconds."""
        values = one.values()
        given = {
            "UNIT": one.unit, "ADDRESS": one.address, "PORT": one.port, "NETWORK": f"{self.rack.subnet}.1/32",
            "VCPU": values["size"]["vcpu"], "MEMORY_MB": values["size"]["memory_mb"], "DISK_GB": values["size"]["disk_gb"],
            "USERNAME": one.username, "PASSWORD": one.password, "DATABASE": values["credentials"].get("database", ""),
        }  # fmt: skip
        head = "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in given.items())
        known_hosts = self.folder / "known_hosts"
        known_hosts.write_text(f"{one.address} {self.rack.host_key(self.host)}\n", encoding="utf-8")
        options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={known_hosts}"]
        ssh = ["ssh", "-F", "none", "-i", str(self.rack.private_key), *(f"-o{option}" for option in options)]
        words = [*ssh, f"ops@{one.address}", "sudo", "sh", "-s"]
        built, _ = self._timed(words, dict(os.environ), head + (SCRIPTS / f"{one.slug}.sh").read_text(encoding="utf-8"))
        check = (SCRIPTS / f"{one.slug}-check.sh").read_text(encoding="utf-8")
        used, _ = self._timed(["sh", "-s"], dict(os.environ), head + check)
        return built + used

    def prove(self, one: Slice) -> None:
        """The script did the same work: the playbook finds nothing to change, and the check of the delivery passes."""
        again = one.done("provision")
        if changed(again):
            raise BenchFailed(
                f"The script for {one.slug} leaves another state than the playbook:\n{again.text[-3000:]}"
            )
        one.done("verify")

    @staticmethod
    def _timed(words: list[str], environment: dict[str, str], typed: str = "") -> tuple[float, str]:
        began = time.monotonic()
        done = subprocess.run(
            words, env=environment, input=typed, capture_output=True, text=True, check=False, timeout=300
        )
        seconds = time.monotonic() - began
        if done.returncode != 0:
            raise BenchFailed(f"{words[0]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
        return seconds, done.stdout
