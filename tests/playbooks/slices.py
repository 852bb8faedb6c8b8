"""One slice of a service on a host of the rack, run through its playbooks as the runner does."""

import itertools
import os
import re
import secrets
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.playbooks.clients import CLIENTS, Access, Client
from tests.rack.driver import PLAYBOOKS, Rack
from tests.rack.plays import Played, play

OURS = PLAYBOOKS / "services"
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
FIRST_PORT = 20100
# Some services bring two hundred packages to a fresh host, and others of the tests may be at work beside them.
SECONDS_OF_A_PLAY = 600
ports = itertools.count(FIRST_PORT)
workspaces = itertools.count()
names = itertools.count(1)


def manifest(slug: str, services: Path = OURS) -> dict[str, Any]:
    """The service's manifest as it stands on disk."""
    document: dict[str, Any] = yaml.safe_load((services / slug / "service.yml").read_text())
    return document


def kinds() -> list[str]:
    """What the check of residues looks at, whatever the service."""
    listed = yaml.safe_load((PLAYBOOKS / "roles" / "slice" / "files" / "residues.yml").read_text())
    return [each["kind"] for each in listed]


def playbook(slug: str, step: str, services: Path = OURS) -> str:
    """The service's playbook of a step, or else the house's."""
    own = services / slug / f"{step}.yml"
    return str(own if own.exists() else PLAYBOOKS / "slices" / f"{step}.yml")


def defaults(slug: str, services: Path = OURS) -> dict[str, Any]:
    properties = manifest(slug, services)["parameters"]["properties"]
    return {name: schema["default"] for name, schema in properties.items()}


@dataclass
class Slice:
    """A slice to be built on `host`; every call of a play is a new attempt in a fresh workspace under `folder`."""

    rack: Rack
    host: str
    slug: str
    folder: Path
    parameters: dict[str, Any] = field(default_factory=dict)
    # Networks that may connect. The machine that runs the tests is the rack's gateway; the other hosts stay outside.
    allow_from: list[str] = field(default_factory=list)
    # Whether the zone has a name server.
    named: bool = True
    tenant: str = "capital"
    # As in a project, no two have one name at a time.
    name: str = field(default_factory=lambda: f"loan-db-{next(names)}")
    services: Path = OURS
    attempt: int = 0
    unit: str = field(default_factory=lambda: "s" + "".join(secrets.choice(ALPHABET) for _ in range(11)))
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    order: str = field(default_factory=lambda: str(uuid.uuid4()))
    port: int = field(default_factory=lambda: next(ports))
    username: str = field(default_factory=lambda: "app_" + "".join(secrets.choice(ALPHABET) for _ in range(8)))
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    made: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return self.rack.inventory()[self.host].address

    @property
    def full_name(self) -> str:
        """What clients know it by."""
        return f"{self.name}.loan.{self.tenant}.{self.rack.dns()['domain']}"

    @property
    def client(self) -> Client:
        return CLIENTS[self.slug]

    @property
    def service(self) -> str:
        """Its systemd unit."""
        return str(manifest(self.slug, self.services)["residues"]["service"].format(unit=self.unit))

    @property
    def all_parameters(self) -> dict[str, Any]:
        return defaults(self.slug, self.services) | self.parameters

    @property
    def credentials(self) -> dict[str, str]:
        """What the catalog would have made, as the manifest says."""
        made = {}
        for name, source in manifest(self.slug, self.services)["credentials"].items():
            if "from_parameter" in source:
                made[name] = self.all_parameters[source["from_parameter"]]
            elif name in ("username", "password"):
                made[name] = getattr(self, name)
            else:
                made[name] = self.made.setdefault(name, source.get("prefix", "") + secrets.token_hex(8))
        return made

    def values(self) -> dict[str, Any]:
        said, parameters = manifest(self.slug, self.services), self.all_parameters
        memory_mb = CLIENTS[self.slug].memory_mb if self.slug in CLIENTS else 256
        names = {"endpoint": {"name": self.full_name}, "dns": self.rack.dns()} if self.named else {"endpoint": {}}
        return {
            **names,
            "run": {"id": f"{self.order}:{self.attempt}", "subject": self.order, "attempt": self.attempt},
            "instance": {"id": self.id, "name": self.name, "unit": self.unit, "tenant": self.tenant, "project": "loan"},
            "front": "main",
            "name": self.full_name if self.named else "",
            "member": {"name": "main", "role": "main", "number": 1},
            "members": [{"name": "main", "role": "main", "address": self.address, "port": self.port}],
            "endpoint": names["endpoint"] | {"address": self.address, "port": self.port},
            "size": {"vcpu": 1, "memory_mb": memory_mb, "disk_gb": 1},
            "plan": {"slug": "shared-small", "topology": "slice"},
            "parameters": parameters,
            "credentials": self.credentials,
            "residues": said["residues"],
            "access": {"allow_from": [f"{self.rack.subnet}.1/32", *self.allow_from]},
        }

    def play(self, name: str, *, verbosity: int = 0) -> Played:
        """Run one of the service's playbooks and return how it ended."""
        self.attempt += 1
        workspace = self.folder / str(next(workspaces))
        own = playbook(self.slug, name, self.services)
        return play(self.rack, own, self.host, self.values(), workspace, seconds=SECONDS_OF_A_PLAY, verbosity=verbosity)

    def done(self, name: str, *, verbosity: int = 0) -> Played:
        """The same, for a playbook that has to succeed."""
        played = self.play(name, verbosity=verbosity)
        assert played.code == 0, played.text
        return played

    def leftovers(self) -> list[dict[str, str]]:
        """What the residue check finds; every kind of the list must have been looked at."""
        report = self.done("residue").outputs["residue"]
        assert report["checked"] == kinds()
        assert report["clean"] is (report["findings"] == [])
        found: list[dict[str, str]] = report["findings"]
        return found

    def query(self, statement: str) -> subprocess.CompletedProcess[str]:
        """One statement through the real client, from this machine, with the delivered credentials."""
        return self.client.query(Access(self.address, self.port, self.credentials), statement)

    def abort(self, reached: Callable[[], bool], *, seconds: float = SECONDS_OF_A_PLAY) -> None:
        """Start the build and kill -9 its playbook the moment `reached` says so; the host gets no warning."""
        self.attempt += 1
        workspace = self.folder / str(next(workspaces))
        provision = playbook(self.slug, "provision", self.services)
        with ThreadPoolExecutor(max_workers=1) as threads:
            ending = threads.submit(
                play, self.rack, provision, self.host, self.values(), workspace, seconds=SECONDS_OF_A_PLAY
            )
            deadline = time.monotonic() + seconds
            while not reached():
                assert not ending.done(), ending.result().text
                assert time.monotonic() < deadline, "the build never got that far"
                time.sleep(0.01)
            for pid in processes_of(workspace):
                os.kill(pid, signal.SIGKILL)
            assert ending.result().code == -signal.SIGKILL

    def on_disk(self, path: str) -> Path:
        """A file of the host, seen from this machine."""
        return self.rack.state / "hosts" / self.host / "root" / path.format(unit=self.unit).lstrip("/")


def processes_of(workspace: Path) -> list[int]:
    """The ansible-playbook processes of one run, the main one and its workers, known by the run's own folder."""
    mark = str(workspace).encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"ansible-playbook" in command and mark in command:
                found.append(int(entry.name))
    return found


def changed(played: Played) -> int:
    """How many tasks changed something, by the play's own recap."""
    return sum(int(count) for count in re.findall(r"changed=(\d+)", played.text))
