"""What can be done to a service that stands, as its manifest says: one playbook each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog.offerings.schemas import Schema

STOP = "stop"
START = "start"
"""The operations the platform itself orders: a lease in grace is stopped, one that is extended again is started."""
ENDS_OF = {STOP: "stopped", START: "active"}
SAME = "same"
"""Where an operation ends that only looks: the service stays in the state it is in, throughout."""
HOUSE = frozenset({STOP, START, "restart", "diagnostics", "decommission", "residue"})
"""Steps that the house has a playbook for, which is the same for every service: ``playbooks/slices``."""

NO_PARAMETERS: Schema = {"type": "object", "additionalProperties": False, "properties": {}}


@dataclass(frozen=True)
class Operation:
    """One operation of a manifest.

    :param title: language (``en``, ``ko``) → its name on a button.
    :param about: language → what it does, in a sentence.
    :param playbook: file name beside the manifest; empty: the house's own.
    :param verify: whether the service is tried as a client afterwards, as after a build.
    :param begins: states of an instance in which it may be ordered; one that is tainted always may.
    :param ends: the state of an instance after it went well, or ``SAME``.
    :param seconds: how long it usually takes.
    :param parameters: JSON Schema of what may be chosen; of one that ``sets``, see :func:`catalog.offerings.services.changeable`.
    :param sets: it changes parameters of the service itself, and puts the former ones back where that does not go well.
    :param plans: the plans whose services have it; empty: all.
    """

    name: str
    title: Mapping[str, str]
    about: Mapping[str, str]
    playbook: str
    verify: bool
    begins: frozenset[str]
    ends: str
    seconds: int
    parameters: Schema
    sets: bool
    plans: frozenset[str]

    @property
    def looks(self) -> bool:
        """Whether it only looks: what it hands back belongs to its order, and the service is left as it is."""
        return self.ends == SAME


def operations_of(manifest: Mapping[str, Any], plan: str | None = None) -> list[Operation]:
    """The operations of a manifest, in its order; a manifest from before there were any has none.

    :param plan: only those that services of this plan have.
    """
    every = [
        Operation(
            name=said["name"],
            title=said["title"],
            about=said["about"],
            playbook=said.get("playbook", ""),
            verify=said.get("verify", False),
            begins=frozenset(said["from"]),
            ends=said["to"],
            seconds=said["seconds"],
            parameters=said.get("parameters", NO_PARAMETERS),
            sets="sets" in said,
            plans=frozenset(said.get("plans", ())),
        )
        for said in manifest.get("operations", ())
    ]
    return [each for each in every if plan is None or not each.plans or plan in each.plans]


def playbooks_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Step, or name of an operation → its file beside the manifest. What is not in it is the house's own."""
    named = {each.name: each.playbook for each in operations_of(manifest) if each.playbook}
    return {**manifest["playbooks"], **named}


def find_operation(manifest: Mapping[str, Any], name: str, plan: str | None = None) -> Operation | None:
    """The operation of that name, if the manifest has it (for services of this plan)."""
    return next((each for each in operations_of(manifest, plan) if each.name == name), None)
