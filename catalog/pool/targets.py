"""How a run reaches a host."""

import uuid
from dataclasses import dataclass

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
