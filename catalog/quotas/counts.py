"""Figures that would cost too much to add up in every claim: what zones have, and what is remembered of past use."""

import uuid
from collections import Counter
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Sum

from catalog.common.locks import lock
from catalog.placement.models import Holding
from catalog.pool.models import Inventory
from catalog.pool.states import HostState
from catalog.quotas.models import Capacity, Memory
from catalog.quotas.shares import remembered

COUNT_EVERY = timedelta(seconds=60)

IN_SERVICE = (
    HostState.AVAILABLE,
    HostState.RESERVED,
    HostState.IN_USE,
    HostState.DRAINING,
    HostState.WIPING,
    HostState.VERIFYING,
)
"""Hosts whose capacity is given out, or will be in minutes."""


def counted() -> dict[tuple[uuid.UUID, str], int]:
    """Zone and class → what the zone's hosts in service can hold, used or free. Counts the pool."""
    rows = Inventory.objects.filter(host__state__in=IN_SERVICE).order_by()
    return {
        (row["zone"], row["resource_class"]): row["amount"]
        for row in rows.values("zone", "resource_class").annotate(amount=Sum(F("free") + F("used")))
    }


def count_capacity(now: datetime) -> None:
    """Keep what every zone has of each class for the next claims that borrow."""
    there = counted()
    with transaction.atomic():
        known = {(row.zone_id, row.resource_class) for row in lock(Capacity.objects.all())}
        Capacity.objects.bulk_create(
            (
                Capacity(zone_id=zone, resource_class=name, amount=there.get((zone, name), 0), counted_at=now)
                for zone, name in sorted(known | there.keys())
            ),
            update_conflicts=True,
            unique_fields=("zone", "resource_class"),
            update_fields=("amount", "counted_at"),
        )


def remember(now: datetime) -> None:
    """Bring the memory of every tenant's use forward to ``now``."""
    used: Counter[tuple[uuid.UUID, str]] = Counter()
    for tenant, name, amount in Holding.objects.values_list("tenant", "resource_class", "used"):
        used[tenant, name] += amount
    with transaction.atomic():
        before = {(row.tenant_id, row.resource_class): row for row in lock(Memory.objects.all())}
        Memory.objects.bulk_create(
            (
                Memory(
                    tenant_id=tenant, resource_class=name, written_at=now,
                    amount=remembered(row.amount, used[tenant, name], now - row.written_at) if row else 0.0,
                )
                for tenant, name in sorted(used.keys() | before.keys(), key=str)
                for row in (before.get((tenant, name)),)
            ),
            update_conflicts=True,
            unique_fields=("tenant", "resource_class"),
            update_fields=("amount", "written_at"),
        )  # fmt: skip


def measure(now: datetime) -> bool:
    """Count and remember, unless that was done within :data:`COUNT_EVERY`; returns whether it was."""
    newest = Capacity.objects.order_by("-counted_at").values_list("counted_at", flat=True).first()
    if newest is not None and timedelta(0) <= now - newest < COUNT_EVERY:
        return False
    count_capacity(now)
    remember(now)
    return True
