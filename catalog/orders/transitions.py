"""Moving orders through their table."""

from datetime import datetime
from typing import Any

from django.db.models import Q

from catalog.audit.gate import move
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import ORDER
from catalog.tenancy.policy import Actor, system

FLOW = system("flow")
ENDS = ORDER.final | {"failed"}


def move_order(
    order: Order, to: str, *, actor: Actor, now: datetime, data: dict[str, Any] | None = None, **changes: Any
) -> None:
    """Move an order; one that ends gets ``ended_at``. Fenced by the attempt the caller knows. Raises StateConflict."""
    if to in ENDS:
        changes.setdefault("ended_at", now)
    move(
        order,
        to,
        table=ORDER,
        event_model=OrderEvent,
        actor=actor,
        now=now,
        tenant_id=order.tenant_id,
        data=data,
        guard=Q(attempt=order.attempt),
        **changes,
    )
