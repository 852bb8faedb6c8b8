"""How a run reaches a host."""

import uuid
from dataclasses import dataclass
from typing import Any

from catalog.pool.models import Host


@dataclass(frozen=True)
class Target:
    """A host as the runner addresses it. ``known_key`` is empty before enrolment has learnt it."""

    host_id: uuid.UUID
    name: str
    address: str
    ssh_port: int
    ssh_user: str
    known_key: str


def target_of(host: Host, known_key: str) -> Target:
    """The target of ``host`` with the key that is pinned now."""
    return Target(host.pk, host.name, str(host.address), host.ssh_port, host.ssh_user, known_key)


@dataclass(frozen=True)
class Part:
    """One machine of a run, and what its playbooks read there.

    :param name: unique in the run: the member that stands there, or the machine's own.
    :param groups: groups of the inventory beside ``target``.
    :param values: the document under ``pumasi``; holds secrets.
    """

    name: str
    groups: tuple[str, ...]
    target: Target
    values: dict[str, Any]
