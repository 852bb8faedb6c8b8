"""What a run is told to do: the document its playbooks read, and the secrets to keep out of sight."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_network
from typing import Any

from catalog.instances import links
from catalog.instances import services as instances
from catalog.instances.models import ServiceInstance
from catalog.ipam import access, names
from catalog.ipam.models import Endpoint
from catalog.ipam.services import endpoints_of
from catalog.offerings.operations import find_operation, playbooks_of
from catalog.offerings.uses import residues_of
from catalog.orders.models import Order
from catalog.orders.states import OrderKind
from catalog.placement.errors import NotPlaced
from catalog.placement.members import Member, members_of
from catalog.placement.selectors import places
from catalog.pool import services as pool
from catalog.pool.models import Host
from catalog.pool.targets import Part, target_of


@dataclass(frozen=True)
class Assignment:
    """One attempt of an order.

    :param undoing: take down what earlier steps built, instead of building.
    :param version_id: the offering version that built the service, whose folder has the playbooks.
    :param playbooks: step (``provision``, ``verify``, ``decommission``, ``residue``, or the name of an operation) → file name
        in the offering's folder; for a step that is not in it, the house has one.
    :param operation: the steps of an operation, in order; empty for the other kinds.
    :param parts: the members of the service, each where it stands with the document it reads there.
    :param front: the member that clients are led to.
    :param before: where an operation changes settings, the parts with those from before it; else None.
    :param secrets: values that must appear in no event and no log.
    :param deadline: when the attempt must have ended.
    """

    order_id: uuid.UUID
    attempt: int
    kind: str
    undoing: bool
    slug: str
    manifest_version: str
    version_id: uuid.UUID
    playbooks: Mapping[str, str]
    operation: tuple[str, ...]
    zone: str
    parts: tuple[Part, ...]
    front: str
    before: tuple[Part, ...] | None
    secrets: tuple[str, ...]
    deadline: datetime

    @property
    def values(self) -> dict[str, Any]:
        """What a playbook reads that works on no host: the document of the front."""
        return next(part.values for part in self.parts if part.values["member"]["name"] == self.front)


def assignment_of(order: Order, deadline: datetime) -> Assignment:
    """The assignment of an order's present attempt.

    :raises HostKeyUnknown: a host's key was never learnt; nothing may connect to it.
    :raises NotPlaced: it holds no host.
    """
    instance = order.instance
    assert instance is not None  # an order that is dispatched has its instance
    binding = instances.current_binding(instance)
    assert binding is not None  # made with the claim, revoked with its release
    secrets = instances.secret_of(binding)
    standing, endpoints = places(instance.pk), endpoints_of(instance)
    if not standing:
        raise NotPlaced(instance=str(instance.pk))
    front = next(name for name, each in endpoints.items() if _leads_to(binding.public, each))
    zone = standing[front].zone
    server = names.name_server(zone) if "name" in binding.public else None
    wanted = find_operation(instance.version.manifest, order.operation) if order.kind == OrderKind.OPERATE else None
    common = _common(order, instance, {**_credentials(binding.public), **secrets}) | {
        "front": front,
        "name": binding.public.get("name", ""),
        "members": [
            {"name": each.name, "role": each.role, **_where(endpoints[each.name])} for each in members_of(order.plan)
        ],
    }
    bindings, theirs = links.bindings_for(instance)
    if bindings:
        common["bindings"] = bindings
    if wanted is not None:
        common["operation"] = {"name": wanted.name, "parameters": order.parameters}
    usual = access.allowed(instance.allow_from, tenant=order.tenant, zone=zone)
    alone = len(standing) == 1
    parts = []
    for member in members_of(order.plan):
        unit = instances.unit_of(instance, member.name, alone=alone)
        leads = {"name": binding.public["name"]} if member.name == front and "name" in binding.public else {}
        own: dict[str, Any] = {
            "instance": {**common["instance"], "unit": unit},
            "member": {"name": member.name, "role": member.role, "number": member.number},
            "endpoint": leads | _where(endpoints[member.name]),
            "size": {name.lower(): amount for name, amount in member.amounts.items()},
            "access": {"allow_from": _allowed(member, usual, endpoints)},
        }
        if residues := residues_of(instance.version.manifest, member.service):
            own["residues"] = residues
        if leads and server:
            own["dns"] = server
        parts.append(_part(member, standing[member.name], common | own, alone=alone))
    before = None
    if wanted is not None and wanted.sets:
        before = tuple(parts)
        changed = {"parameters": {**instance.parameters, **order.parameters}}
        parts = [replace(part, values=part.values | changed) for part in parts]
    return Assignment(
        order_id=order.pk,
        attempt=order.attempt,
        kind=order.kind,
        undoing=order.undoing,
        slug=order.slug,
        manifest_version=order.manifest_version,
        version_id=instance.version_id,
        playbooks=playbooks_of(instance.version.manifest),
        operation=() if wanted is None else (wanted.name, *(("verify",) if wanted.verify else ())),
        zone=zone.slug,
        parts=tuple(parts),
        front=front,
        before=before,
        secrets=(*secrets.values(), *theirs, *((server["key"]["secret"],) if server else ())),
        deadline=deadline,
    )


def _common(order: Order, instance: ServiceInstance, credentials: dict[str, Any]) -> dict[str, Any]:
    """What every member reads."""
    return {
        "run": {
            "id": f"{order.pk}:{order.attempt}",
            "subject": str(order.pk),
            "attempt": order.attempt,
            "outranked": _outranked(order),
        },
        "instance": {
            "id": str(instance.pk),
            "name": instance.name,
            "tenant": order.tenant.slug,
            "project": order.project.slug,
        },
        "plan": {"slug": order.plan.slug, "topology": order.plan.topology},
        "parameters": instance.parameters,
        "credentials": credentials,
    }


def _part(member: Member, host: Host, values: dict[str, Any], *, alone: bool) -> Part:
    group = f"role_{member.role.replace('-', '_')}"
    target = target_of(host, pool.known_key(host).public_key)
    return Part(host.name if alone else member.name, (group,), target, values)


def _allowed(member: Member, usual: Sequence[str], endpoints: Mapping[str, Endpoint]) -> list[str]:
    """Who may connect to a member: those its service is for, unless only the others may; and the others."""
    addresses = {str(each.address.address) for name, each in endpoints.items() if name != member.name}
    others = {str(ip_network(address)) for address in addresses}
    return sorted({*(usual if member.clients else ()), *others})


def _where(endpoint: Endpoint) -> dict[str, Any]:
    return {"address": str(endpoint.address.address), "port": endpoint.port}


def _credentials(public: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in public.items() if key not in instances.WHERE}


def _leads_to(public: Mapping[str, Any], endpoint: Endpoint) -> bool:
    return _where(endpoint) == {"address": public["address"], "port": public["port"]}


def _outranked(order: Order) -> list[str]:
    """Orders that worked on the same service before: what their runs may have left working on the host is ended."""
    others = Order.objects.filter(instance=order.instance_id).exclude(pk=order.pk).order_by("-created_at")
    return [str(pk) for pk in others.values_list("pk", flat=True)[:20]]
