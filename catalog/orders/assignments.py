"""What a run is told to do: the document its playbooks read, and the secrets to keep out of sight."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catalog.instances import services as instances
from catalog.ipam import access, names
from catalog.offerings.operations import find_operation, playbooks_of
from catalog.orders.models import Order
from catalog.orders.states import OrderKind
from catalog.placement.services import locate
from catalog.pool import services as pool
from catalog.pool.targets import Target, target_of


@dataclass(frozen=True)
class Assignment:
    """One attempt of an order.

    :param undoing: take down what earlier steps built, instead of building.
    :param version_id: the offering version that built the service, whose folder has the playbooks.
    :param playbooks: step (``provision``, ``verify``, ``decommission``, ``residue``, or the name of an operation) → file name
        in the offering's folder; for a step that is not in it, the house has one.
    :param operation: the steps of an operation, in order; empty for the other kinds.
    :param values: the document the playbooks read; holds secrets.
    :param before: where an operation changes settings, the document with those from before it; else None.
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
    target: Target
    values: dict[str, Any]
    before: dict[str, Any] | None
    secrets: tuple[str, ...]
    deadline: datetime


def assignment_of(order: Order, deadline: datetime) -> Assignment:
    """The assignment of an order's present attempt.

    :raises HostKeyUnknown: the host's key was never learnt; nothing may connect to it.
    """
    instance = order.instance
    assert instance is not None  # an order that is dispatched has its instance
    host = locate(instance)
    binding = instances.current_binding(instance)
    assert binding is not None  # made with the claim, revoked with its release
    secrets = instances.secret_of(binding)
    where = {key: value for key, value in binding.public.items() if key in instances.WHERE}
    credentials = {key: value for key, value in binding.public.items() if key not in instances.WHERE} | secrets
    hidden = tuple(secrets.values())
    values: dict[str, Any] = {
        "run": {
            "id": f"{order.pk}:{order.attempt}",
            "subject": str(order.pk),
            "attempt": order.attempt,
            "outranked": _outranked(order),
        },
        "instance": {
            "id": str(instance.pk),
            "name": instance.name,
            "unit": instance.unit,
            "tenant": order.tenant.slug,
            "project": order.project.slug,
        },
        "endpoint": where,
        "size": {name.lower(): amount for name, amount in order.plan.resources.items()},
        "plan": {"slug": order.plan.slug, "topology": order.plan.topology},
        "parameters": instance.parameters,
        "credentials": credentials,
        "access": {"allow_from": access.allowed(instance.allow_from, tenant=order.tenant, zone=host.zone)},
    }
    manifest = instance.version.manifest
    if residues := manifest.get("residues"):
        values["residues"] = residues
    if "name" in where and (server := names.name_server(host.zone)):
        values["dns"] = server
        hidden += (server["key"]["secret"],)
    wanted = find_operation(manifest, order.operation) if order.kind == OrderKind.OPERATE else None
    if wanted is not None:
        values["operation"] = {"name": wanted.name, "parameters": order.parameters}
    before = None
    if wanted is not None and wanted.sets:
        before = values
        values = {**values, "parameters": {**instance.parameters, **order.parameters}}
    return Assignment(
        order_id=order.pk,
        attempt=order.attempt,
        kind=order.kind,
        undoing=order.undoing,
        slug=order.slug,
        manifest_version=order.manifest_version,
        version_id=instance.version_id,
        playbooks=playbooks_of(manifest),
        operation=() if wanted is None else (wanted.name, *(("verify",) if wanted.verify else ())),
        zone=host.zone.slug,
        target=target_of(host, pool.known_key(host).public_key),
        values=values,
        before=before,
        secrets=hidden,
        deadline=deadline,
    )


def _outranked(order: Order) -> list[str]:
    """Orders that worked on the same service before: what their runs may have left working on the host is ended."""
    others = Order.objects.filter(instance=order.instance_id).exclude(pk=order.pk).order_by("-created_at")
    return [str(pk) for pk in others.values_list("pk", flat=True)[:20]]
