"""What orders found that only look: kept with the order, bounded in size and number."""

import json
from datetime import datetime
from typing import Any

from catalog.common.errors import NotFound
from catalog.orders.models import Order, OrderFinding

LARGEST = 256 * 1024
"""Bytes of JSON. What is larger is not kept; the playbooks of the house stay far below."""

KEPT = 5
"""The findings of so many orders are kept of each service; those of older ones are forgotten."""


def keep(order: Order, content: dict[str, Any], *, now: datetime) -> None:
    """Keep what an order has found, in the caller's transaction.

    :param content: redacted already.
    """
    size = len(json.dumps(content, ensure_ascii=False).encode())
    said = content if size <= LARGEST else {"too_large": size}
    OrderFinding.objects.update_or_create(order=order, defaults={"at": now, "content": said})
    of_service = OrderFinding.objects.filter(order__instance=order.instance_id).order_by("-at")
    newest = list(of_service.values_list("pk", flat=True)[:KEPT])
    OrderFinding.objects.filter(order__instance=order.instance_id).exclude(pk__in=newest).delete()


def finding_of(order: Order) -> OrderFinding:
    """What an order found, for whoever may see the order. Raises NotFound where it found nothing, or it was forgotten."""
    found = OrderFinding.objects.filter(order=order).first()
    if found is None:
        raise NotFound()
    return found


def has_finding(order: Order) -> bool:
    """Whether :func:`finding_of` would find something."""
    return OrderFinding.objects.filter(order=order).exists()
