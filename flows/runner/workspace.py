"""The one directory a run may write to: 0700, in memory where there is such a place, and always removed."""

import ipaddress
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flows.runner.leftovers import OWNER, RUN, RUN_FILE, identity

_HOST = re.compile(r"\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_GROUP = re.compile(r"\A[a-z][a-z0-9_]{0,60}\Z")
_USER = re.compile(r"\A[a-z_][a-z0-9_-]{0,31}\Z")
_KEY = re.compile(r"\A(ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa) ([A-Za-z0-9+/]+={0,2})\Z")
_RUN = re.compile(r"\A[0-9a-f-]{36}:[0-9]{1,9}\Z")
STACK_MARKS = ("PUMASI_STACK", "PUMASI_TESTS")
# A Unix socket's path may have 107 bytes, of which ssh takes 17 while it opens its control socket.
_SOCKET_LENGTH = 107 - 17


class BadTarget(ValueError):
    """What the pool says about the host cannot be handed to ssh and Ansible safely. Names the field."""


@dataclass(frozen=True)
class Login:
    """How to reach the host of a run.

    :param known_key: the only host key that is accepted, as in known_hosts without the name: ``ssh-ed25519 AAAA…``.
    :raises BadTarget: a field is malformed; Ansible would take some of them for templates or options.
    """

    name: str
    address: str
    ssh_port: int
    ssh_user: str
    known_key: str

    def __post_init__(self) -> None:
        if not _HOST.match(self.name):
            raise BadTarget(f"name {self.name!r}")
        if not _USER.match(self.ssh_user):
            raise BadTarget(f"ssh_user {self.ssh_user!r}")
        if not 1 <= self.ssh_port <= 65535:
            raise BadTarget(f"ssh_port {self.ssh_port!r}")
        if not _KEY.match(self.known_key):
            raise BadTarget("known_key is not one public key")
        try:
            ipaddress.ip_address(self.address)
        except ValueError as error:
            raise BadTarget(f"address {self.address!r}") from error


@dataclass(frozen=True)
class Seat:
    """Where one member of a service stands. Two members may share a host: each has a name of its own in the inventory.

    :param login: how to reach it, under its name in the inventory.
    :param groups: groups of the inventory it is in, beside ``target``.
    :param values: the document it reads under ``pumasi``; None: that of the run.
    """

    login: Login
    groups: tuple[str, ...] = ()
    values: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for group in self.groups:
            if not _GROUP.match(group):
                raise BadTarget(f"group {group!r}")


def root() -> Path:
    """Where workspaces lie: a directory of ours alone, on a memory file system if this machine has one.

    :raises PermissionError: somebody else made the directory, or others may enter it.
    """
    shared = Path("/dev/shm")  # noqa: S108  # only its parent: the directory itself is ours, checked below
    parent = shared if os.access(shared, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    path = parent / f"pumasi-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
        raise PermissionError(f"{path} must be a directory of this user with mode 0700; remove it and start again.")
    return path


class Workspace:
    """A fresh directory with all that one run reads: inventory, known_hosts, values. Gone when the ``with`` block ends.

    :param run: ``<subject uuid>:<attempt>``.
    :param seats: the hosts; none for a playbook that only runs on this machine.
    :param values: the document under ``pumasi``; user values in it are data and reach Ansible only through its file.
    :param each: instead, names → a document for each: a playbook for ``localhost`` is then played for every one of them.
    :raises BadTarget: two seats have the same name.
    """

    def __init__(
        self,
        run: str,
        *,
        seats: Sequence[Seat],
        values: Mapping[str, Any],
        ssh_key: Path,
        each: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if not _RUN.match(run):
            raise ValueError(f"a run is named <uuid>:<attempt>, not {run!r}")
        if len({seat.login.name for seat in seats}) < len(seats):
            raise BadTarget("two members of one name")
        self.run = run
        self._seats = tuple(seats)
        self._values = values
        self._each = each or {}
        self._ssh_key = ssh_key
        self.owner = identity()
        self.path = Path()

    def __enter__(self) -> Self:
        self.path = Path(tempfile.mkdtemp(prefix=f"{self.owner}-", dir=root()))
        try:
            self._fill()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Take the directory away. A process that writes while we remove makes it fail, so it is tried again."""
        for _ in range(3):
            shutil.rmtree(self.path, ignore_errors=True)
            if not self.path.exists():
                return

    @property
    def values_file(self) -> Path:
        return self.path / "values.json"

    @property
    def inventory(self) -> Path:
        return self.path / "inventory.json"

    def environment(self, roles: Path) -> dict[str, str]:
        """All that Ansible's processes get: nothing of ours but what is named here."""
        home = self.path / "home"
        return {
            # Whose stack it is: stopping that ends also what its runs left.
            **{name: os.environ[name] for name in STACK_MARKS if name in os.environ},
            RUN: self.run,
            OWNER: self.owner,
            "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(home),
            "TMPDIR": str(self.path / "tmp"),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            "PYTHONUNBUFFERED": "1",
            "ANSIBLE_CONFIG": str(self.path / "ansible.cfg"),
            "ANSIBLE_HOME": str(home / ".ansible"),
            "ANSIBLE_LOCAL_TEMP": str(self.path / "tmp"),
            "ANSIBLE_ROLES_PATH": str(roles),
            "ANSIBLE_CACHE_PLUGIN": "memory",
            "ANSIBLE_GATHERING": "explicit",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_TIMEOUT": "10",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            "ANSIBLE_HOST_KEY_CHECKING": "1",
            "ANSIBLE_RETRY_FILES_ENABLED": "0",
            "ANSIBLE_INVENTORY_ENABLED": "ansible.builtin.yaml",
            "ANSIBLE_SSH_RETRIES": "0",
            "ANSIBLE_SSH_ARGS": " ".join(self._ssh_options()),
        }

    def _fill(self) -> None:
        self._write(self.path / RUN_FILE, self.run)
        for name in ("home", "tmp"):
            (self.path / name).mkdir(mode=0o700)
        self._write(self.values_file, json.dumps(self._values, ensure_ascii=True))
        # Ours, and empty: neither a file beside a playbook nor one of the machine may change how a run behaves.
        self._write(self.path / "ansible.cfg", "")
        self._write(self.path / "known_hosts", "".join(sorted({_known_host(seat.login) for seat in self._seats})))
        self._write(self.inventory, json.dumps(self._inventory()))

    def _side_by_side(self) -> dict[str, Any]:
        """A group that bears the name of this machine: a playbook written for the one is played for each of its members."""
        members = {}
        for name, values in self._each.items():
            if not _HOST.match(name):
                raise BadTarget(f"name {name!r}")
            path = self.path / f"values-{name}.json"
            self._write(path, json.dumps(values, ensure_ascii=True))
            members[name] = {"ansible_connection": "local", "pumasi_values_file": str(path)}
        return {"localhost": {"hosts": members}} if members else {}

    def _inventory(self) -> dict[str, Any]:
        """All seats in ``target``, and each in its groups. What is said for ``all`` holds for this machine too."""
        hosts = {seat.login.name: self._variables(number, seat) for number, seat in enumerate(self._seats)}
        groups: dict[str, Any] = {"target": {"hosts": hosts}}
        for seat in self._seats:
            for group in seat.groups:
                groups.setdefault(group, {"hosts": {}})["hosts"][seat.login.name] = {}
        children = groups | self._side_by_side()
        return {"all": {"vars": {"pumasi_values_file": str(self.values_file)}, "children": children}}

    def _variables(self, number: int, seat: Seat) -> dict[str, Any]:
        socket = self.path / f"cm{number}"
        if len(os.fsencode(socket)) > _SOCKET_LENGTH:
            raise ValueError(f"{socket} is too long for a control socket")
        own = {}
        if seat.values is not None:
            path = self.path / f"values-{number}.json"
            self._write(path, json.dumps(seat.values, ensure_ascii=True))
            own["pumasi_values_file"] = str(path)
        return own | {
            "ansible_host": seat.login.address,
            "ansible_port": seat.login.ssh_port,
            "ansible_user": seat.login.ssh_user,
            "ansible_ssh_private_key_file": str(self._ssh_key),
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_control_path": str(socket),
        }

    def _ssh_options(self) -> list[str]:
        settings = {
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(self.path / "known_hosts"),
            "GlobalKnownHostsFile": os.devnull,
            "UpdateHostKeys": "no",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "ForwardAgent": "no",
            "ControlMaster": "auto",
            "ControlPersist": "60s",
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
        }
        return ["-F", os.devnull, *(part for name, value in settings.items() for part in ("-o", f"{name}={value}"))]

    def _write(self, path: Path, text: str) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)


def _known_host(login: Login) -> str:
    name = login.address if login.ssh_port == 22 else f"[{login.address}]:{login.ssh_port}"
    return f"{name} {login.known_key}\n"
