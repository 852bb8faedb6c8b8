"""What a request asks for, in a form that can be compared: sent twice it is one order, and approved is what was shown."""

import hashlib
import json
from typing import Any

from catalog.orders.errors import IdempotencyKeyReused
from catalog.orders.models import Order
from catalog.tenancy.policy import Actor


def digest(document: dict[str, Any]) -> str:
    """The SHA-256 of a document, the same for the same content."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def shown_to_approver(order: Order) -> str:
    """The hash of exactly what an approver is shown, and so of what is approved."""
    return digest(
        {
            "kind": order.kind,
            "tenant": str(order.tenant_id),
            "project": str(order.project_id),
            "plan": str(order.plan_id),
            "version": str(order.version_id),
            "name": order.name,
            "parameters": order.parameters,
            "lease_seconds": order.lease_seconds,
            "data_class": order.data_class,
            "price_krw_month": order.price_krw_month,
            "zone": str(order.zone_id),
            # Left out of the others, so that what waits for an approval stays what it was.
            **({"operation": order.operation} if order.operation else {}),
        }
    )


def same_request(actor: Actor, key: str | None, request_hash: str) -> Order | None:
    """The order that this idempotency key already placed. Raises IdempotencyKeyReused where it asked for something else."""
    if key is None or actor.user_id is None:
        return None
    earlier = Order.objects.filter(requested_by=actor.user_id, idempotency_key=key).first()
    if earlier is not None and earlier.request_hash != request_hash:
        raise IdempotencyKeyReused()
    return earlier
