"""A service of several members on hosts of the rack, run through its playbooks by the runner itself."""

import itertools
import secrets
import tempfile
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from catalog.offerings.folders import digest_of, files_of, packed, unpack
from catalog.offerings.uses import with_used
from flows.runner.events import Entry
from flows.runner.run import Play, Result, Step, run
from flows.runner.workspace import Login, Seat
from tests.playbooks import slices
from tests.playbooks.clients import Access, Client
from tests.rack.driver import PLAYBOOKS, Rack
from tests.rack.plays import MODULES

FOLDERS = tempfile.TemporaryDirectory(prefix="offerings-")
numbers = itertools.count(1)


@dataclass
class Member:
    """One member: where it stands, and under which names."""

    name: str
    role: str
    number: int
    host: str
    size: dict[str, int]
    unit: str = field(default_factory=lambda: "s" + "".join(secrets.choice(slices.ALPHABET) for _ in range(11)))
    port: int = field(default_factory=lambda: next(slices.ports))
    clients: bool = True
    service: str = ""


def folder_of(slug: str, place: Path) -> Path:
    """The folder of an offering as the catalog keeps it, with the roles of those it uses."""
    own = slices.OURS / slug
    _whole, files = with_used(own, slices.manifest(slug), files_of(own))
    folder = place / f"{slug}-{digest_of(files)[:16]}"
    if not folder.is_dir():
        unpack(packed(files), folder)
    return folder


@dataclass
class Stack:
    """A service by one of its plans, one host to a member; every play is a new attempt of one order.

    :param hosts: where its members stand, in the order of the plan's roles.
    """

    rack: Rack
    slug: str
    plan: str
    hosts: list[str]
    parameters: dict[str, Any] = field(default_factory=dict)
    allow_from: list[str] = field(default_factory=list)
    name: str = field(default_factory=lambda: f"stack-{next(numbers)}")
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    order: str = field(default_factory=lambda: str(uuid.uuid4()))
    attempt: int = 0
    entries: list[Entry] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)
    front: str = ""

    def __post_init__(self) -> None:
        said = slices.manifest(self.slug)
        plan = next(each for each in said["plans"] if each["slug"] == self.plan)
        for role in plan["roles"]:
            for number in range(1, role["count"] + 1):
                name = role["name"] if role["count"] == 1 else f"{role['name']}-{number}"
                size = {key.lower(): amount for key, amount in role["resources"].items()}
                host = self.hosts[len(self.members)]
                more = {"clients": role.get("clients", True), "service": role.get("service", "")}
                self.members.append(Member(name, role["name"], number, host, size, **more))
        self.front = self.members[0].name
        given = slices.Slice(self.rack, self.hosts[0], self.slug, self.rack.state, parameters=self.parameters)
        self.credentials = given.credentials
        for name, source in said["credentials"].items():
            if source.get("generate") == "secret":
                self.credentials[name] = secrets.token_hex(16)
        self.all_parameters = given.all_parameters

    def member(self, name: str) -> Member:
        return next(each for each in self.members if each.name == name)

    def address(self, name: str) -> str:
        return self.rack.inventory()[self.member(name).host].address

    @property
    def full_name(self) -> str:
        return f"{self.name}.loan.capital.{self.rack.dns()['domain']}"

    @property
    def client(self) -> Client:
        return slices.CLIENTS[self.slug]

    def query(self, statement: str, at: str = "") -> Any:
        """One statement through the real client, to the member that leads or to another one."""
        place = at or self.front
        return self.client.query(Access(self.address(place), self.member(place).port, self.credentials), statement)

    def values(self, member: Member) -> dict[str, Any]:
        """What a member reads, as the catalog writes it."""
        others = [f"{self.address(each.name)}/32" for each in self.members if each is not member]
        usual = [f"{self.rack.subnet}.1/32", *self.allow_from] if member.clients else []
        leads = {"name": self.full_name} if member.name == self.front else {}
        return {
            "run": {"id": f"{self.order}:{self.attempt}", "subject": self.order, "attempt": self.attempt},
            "instance": {
                "id": self.id, "name": self.name, "unit": member.unit, "tenant": "capital", "project": "loan",
            },
            "front": self.front,
            "name": self.full_name,
            "members": [
                {"name": each.name, "role": each.role, "address": self.address(each.name), "port": each.port}
                for each in self.members
            ],
            "member": {"name": member.name, "role": member.role, "number": member.number},
            "endpoint": leads | {"address": self.address(member.name), "port": member.port},
            "size": member.size,
            "plan": {"slug": self.plan, "topology": "slice"},
            "parameters": self.all_parameters,
            "credentials": self.credentials,
            "residues": slices.manifest(member.service or self.slug)["residues"],
            "access": {"allow_from": usual + others},
            **({"dns": self.rack.dns()} if leads else {}),
        }  # fmt: skip

    def play(self, *steps: str, seconds: float = 480) -> Result:
        """Run playbooks of the service as a flow does."""
        self.attempt += 1
        inventory = self.rack.inventory()
        seats = []
        for each in self.members:
            host = inventory[each.host]
            login = Login(each.name, host.address, host.port, "ops", self.rack.host_key(each.host))
            seats.append(Seat(login, (f"role_{each.role.replace('-', '_')}",), self.values(each)))
        now = datetime.now(UTC)
        self.entries = []
        return run(
            Play(
                run=f"{self.order}:{self.attempt}",
                steps=[Step(name, self._playbook(name)) for name in steps],
                roles=PLAYBOOKS / "roles",
                values=self.values(self.member(self.front)),
                seats=seats,
                ssh_key=self.rack.private_key,
                deadline=now + timedelta(seconds=seconds),
                secrets=tuple(self.credentials.values()),
                modules=Path(MODULES.name),
            ),
            emit=self.entries.append,
            stop=lambda: False,
            now=now,
        )

    def _playbook(self, step: str) -> Any:
        named = {each["name"]: each.get("playbook") for each in slices.manifest(self.slug)["operations"]}
        own = folder_of(self.slug, Path(FOLDERS.name)) / (named.get(step) or f"{step}.yml")
        return own if own.exists() else PLAYBOOKS / "slices" / f"{step}.yml"

    def done(self, *steps: str) -> Result:
        """The same, for what has to succeed."""
        result = self.play(*steps)
        assert result.ok, f"{result.task}: {result.message}"
        return result

    def changed(self) -> set[tuple[str, str]]:
        """The tasks of the last play that changed something, with the member."""
        told = [each.data for each in self.entries if each.kind == "task"]
        return {(each["task"], each["host"]) for each in told if each["status"] == "changed"}
