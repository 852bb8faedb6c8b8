"""What an order is about: the document whose hash is approved, and the facts that rules look at."""

import hashlib
import json
from typing import Any

from catalog.approvals.rules import Facts
from catalog.instances.links import links_of
from catalog.offerings.models import Plan
from catalog.orders.errors import IdempotencyKeyReused
from catalog.orders.models import Order
from catalog.orders.states import OrderKind
from catalog.tenancy.models import Environment, Project
from catalog.tenancy.policy import Actor

SUBJECT = "order"


def digest(document: dict[str, Any]) -> str:
    """SHA-256 over the canonical JSON of ``document``."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def shown_to_approver(order: Order) -> str:
    """The hash of exactly what an approver is shown, and so of what is approved."""
    return digest(
        {
            "kind": order.kind,
            "tenant": str(order.tenant_id),
            "project": str(order.project_id),
            "instance": str(order.instance_id),
            "plan": str(order.plan_id),
            "version": str(order.version_id),
            "name": order.name,
            "parameters": order.parameters,
            "lease_seconds": order.lease_seconds,
            "data_class": order.data_class,
            "allow_from": order.allow_from,
            "price_krw_month": order.price_krw_month,
            "zone": str(order.zone_id),
            "reason": order.reason,
            # Left out of the others, so that what waits for an approval stays what it was.
            **({"operation": order.operation} if order.operation else {}),
            **_links(order),
        }
    )


def _links(order: Order) -> dict[str, Any]:
    if order.instance is None or order.kind != OrderKind.CREATE:
        return {}
    used = {link.alias: str(link.provider_id) for link in links_of(order.instance)}
    return {"links": used} if used else {}


def same_request(actor: Actor, key: str | None, request_hash: str) -> Order | None:
    """The order that this idempotency key already placed. Raises IdempotencyKeyReused where it asked for something else."""
    if key is None or actor.user_id is None:
        return None
    earlier = Order.objects.filter(requested_by=actor.user_id, idempotency_key=key).first()
    if earlier is not None and earlier.request_hash != request_hash:
        raise IdempotencyKeyReused()
    return earlier


def facts(
    *, project: Project, plan: Plan, deed: str, zone: str | None, data_class: str, price_krw_month: int | None = None
) -> Facts:
    """What the rules look at."""
    return Facts(
        tenant=project.tenant.slug,
        offering=plan.offering.slug,
        plan=plan.slug,
        price_krw_month=plan.price_krw_month if price_krw_month is None else price_krw_month,
        data_class=data_class,
        zone=zone,
        deed=deed,
        production=project.environment == Environment.PRODUCTION,
    )


def facts_of(order: Order) -> Facts:
    """What the rules look at, of an order. A give-back costs nothing; what counts is the price of what is given back."""
    price = None if order.kind == OrderKind.DECOMMISSION else order.price_krw_month
    return facts(
        project=order.project, plan=order.plan, deed=order.kind, zone=order.zone.slug if order.zone is not None else None,
        data_class=order.data_class, price_krw_month=price,
    )  # fmt: skip


def title_of(order: Order) -> str:
    """An order in names, the same in every language: ``loan-db (postgresql/dedicated, capital/loan)``."""
    return f"{order.name} ({order.plan}, {order.project})"
