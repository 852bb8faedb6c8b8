"""The line of those that wait for room: dominant-resource fair share, with memory and ageing."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog.quotas.models import Memory
from catalog.quotas.shares import Use, Waiting, in_line
from catalog.quotas.standings import Standing, standings


@dataclass(frozen=True)
class Request:
    """What an order in line asks for; ``zone`` None: wherever its tenant may stand."""

    key: uuid.UUID
    tenant: uuid.UUID
    wanted: Mapping[str, int]
    since: datetime
    zone: uuid.UUID | None = None


def stand_in_line(requests: Sequence[Request], *, now: datetime) -> list[Waiting]:
    """Who gets what comes free, in order. Costs the same number of queries whatever waits."""
    if not requests:
        return []
    there = standings({name for request in requests for name in request.wanted})
    capacity = {
        name: sum(pool.capacity for pool in standing.pools if not pool.local) for name, standing in there.items()
    }
    used: dict[uuid.UUID, Counter[str]] = defaultdict(Counter)
    for name, standing in there.items():
        for account in standing.book:
            used[account.tenant][name] += account.used
    memory: dict[uuid.UUID, dict[str, float]] = defaultdict(dict)
    for tenant, name, amount in Memory.objects.values_list("tenant", "resource_class", "amount"):
        memory[tenant][name] = amount
    uses = {tenant: Use(dict(used[tenant]), memory[tenant]) for tenant in used.keys() | memory.keys()}
    return in_line([_waiting(request, there) for request in requests], uses, capacity, now)


def _waiting(request: Request, there: Mapping[str, Standing]) -> Waiting:
    own = all(
        any(
            account.used + amount <= account.guaranteed
            for account in there[name].book
            if account.tenant == request.tenant and (request.zone is None or account.zone in {None, request.zone})
        )
        for name, amount in request.wanted.items()
    )
    return Waiting(request.key, request.tenant, request.wanted, request.since, own)
