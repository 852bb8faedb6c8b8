"""The rack's hosts as the demo needs them: put up, taken into the pool, looked at over ssh."""

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from catalog.stack.client import Api

ENROL_WITHIN = 120.0


class RackError(Exception):
    """The rack refused or failed; the message is what it said."""


@dataclass(frozen=True)
class Place:
    """A host of the rack."""

    name: str
    zone: str
    address: str


@dataclass(frozen=True)
class Names:
    """The rack's name server. The key that may change names lies in a file."""

    domain: str
    server: str
    port: int
    key_name: str
    algorithm: str
    key_file: Path


@dataclass(frozen=True)
class Rack:
    """The rack of one state directory. Name, network and sizes: ``playbooks/rack/rack --help``."""

    state: Path

    def _run(self, *words: str, seconds: float = 600) -> str:
        done = subprocess.run(
            [str(settings.PLAYBOOKS_DIR / "rack" / "rack"), *words],
            env={**os.environ, "RACK_STATE": str(self.state)}, capture_output=True, text=True, check=False,
            timeout=seconds, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode != 0:
            raise RackError(done.stderr.strip() or f"rack {words[0]} failed ({done.returncode}).")
        return done.stdout

    @property
    def private_key(self) -> Path:
        """The key that opens the hosts."""
        return self.state / "ssh" / "id_ed25519"

    @property
    def has_image(self) -> bool:
        """Whether hosts can be made at once."""
        return (Path(os.environ.get("RACK_IMAGE") or self.state / "image") / "digest").exists()

    def build_image(self) -> None:
        """Build the file system hosts start from."""
        self._run("image")

    def up(self, count: int) -> list[Place]:
        """Have ``count`` hosts up and answering; those that exist stay as they are."""
        self._run("up", str(count))
        return self.places()

    def places(self) -> list[Place]:
        """The hosts there are."""
        document = json.loads(self._run("inventory", "--json"))
        return [Place(host["name"], host["zone"], host["address"]) for host in document["hosts"]]

    def names(self) -> Names:
        """Where names of the rack's services are kept."""
        said = json.loads(self._run("inventory", "--json"))["dns"]
        return Names(**{**said, "key_file": Path(said["key_file"])})

    def machine(self) -> str:
        """This machine as the rack's hosts see it, in CIDR notation: the one client that tries what is delivered."""
        words = dict(line.split("=", 1) for line in (self.state / "rack.conf").read_text(encoding="utf-8").splitlines())
        return f"{words['RACK_SUBNET']}.1/32"

    def asking_it(self, words: Sequence[str]) -> list[str]:
        """A command as it runs on a client whose resolver is the rack's name server; nothing of this machine is changed.

        The command gets a mount namespace of its own, in which ``/etc/resolv.conf`` names that server.
        """
        resolver = self.state / "resolv.conf"
        resolver.write_text(f"nameserver {self.names().server}\noptions timeout:2 attempts:1\n", encoding="utf-8")
        inside = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", inside, str(resolver), *words]

    def ask(self, host: Place, command: str) -> str:
        """The output of a shell command run as root on a host, whose key is checked against its disk."""
        known_hosts = self.state / f"known_hosts.{host.name}"
        known_hosts.write_text(f"{host.address} {self._run('hostkey', host.name).strip()}\n", encoding="utf-8")
        options = [
            "BatchMode=yes",
            "ConnectTimeout=5",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={known_hosts}",
        ]
        words = ["ssh", "-F", "none", "-i", str(self.private_key), *(f"-o{option}" for option in options)]
        done = subprocess.run(
            [*words, f"ops@{host.address}", "sudo", "sh", "-s"], input=command, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        if done.returncode != 0:
            raise RackError(f"{host.name}: {done.stderr.strip()}")
        return done.stdout


def enrol(operator: Api, places: Iterable[Place]) -> list[str]:
    """Register hosts of the rack that the pool does not know yet, and wait until all of them are inspected.

    Returns the names of the new ones. Raises :class:`catalog.stack.client.TooSlow` where one cannot be inspected.
    """
    known = {host["name"] for host in operator.every("/hosts")}
    new = [place for place in places if place.name not in known]
    ids = [
        operator.post("/hosts", {"name": place.name, "zone": place.zone, "address": place.address})["id"]
        for place in new
    ]
    for identity in ids:
        operator.until(
            "taking the host into the pool",
            f"/hosts/{identity}",
            lambda host: host["state"] not in {"enrolled", "inspecting"},
            within=ENROL_WITHIN,
        )
    return [place.name for place in new]
