"""What room is worth, made anew every few minutes from the whole pool, and read by every claim."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db.models import Avg, Count, ExpressionWrapper, F, Max
from django.db.models.fields import DurationField

from catalog.common.isolation import Isolation
from catalog.common.statements import Statement
from catalog.instances.models import ServiceInstance
from catalog.offerings.models import Plan, Publication
from catalog.placement.members import members_of
from catalog.placement.models import Allocation, PriceList
from catalog.placement.prices import NO_PRICES, Demand, Prices, Room, Shape, priced
from catalog.pool.models import Host, Inventory

REMEMBERED = timedelta(days=30)
"""So long an order counts as demand."""

THE_LIST = 1
"""The key of the only price list."""


def current() -> Prices:
    """The prices that hold now; :data:`NO_PRICES` before the first were made. A small query, and another one after a change."""
    made = _EDITION.ask()
    return _read(made[0][0]) if made else NO_PRICES


_EDITION = Statement(lambda: PriceList.objects.filter(pk=THE_LIST).values_list("edition", "made_at"))


@lru_cache(maxsize=2)
def _read(edition: uuid.UUID) -> Prices:
    # A newer edition may be there by now; that is the better one.
    document = PriceList.objects.values_list("document", flat=True).get(pk=THE_LIST)
    return Prices(
        tuple(Shape(tuple((name, amount) for name, amount in amounts), whole) for amounts, whole in document["shapes"]),
        {
            uuid.UUID(zone): [(frozenset(traits), tuple(prices)) for traits, prices in rows]
            for zone, rows in document["by_zone"].items()
        },
        document["slack"],
        document["stay"],
    )


def reprice(now: datetime) -> Prices:
    """Make the prices anew from what plans and the orders of the last 30 days ask for, and from what the pool has left.

    Reads the whole pool; nothing is locked, and claims go on meanwhile with the prices before.
    """
    since = now - REMEMBERED
    prices = priced(
        list(_demands(since)), _rooms(now), standing=_standing(), stay=max(1.0, _usual_stay(since).total_seconds())
    )
    document = {
        "shapes": [(shape.amounts, shape.whole) for shape in prices.shapes],
        "by_zone": {
            str(zone): [(sorted(traits), each) for traits, each in rows]
            for zone, rows in (prices.by_zone or {}).items()
            if rows
        },
        "slack": prices.slack,
        "stay": prices.stay,
    }
    PriceList.objects.update_or_create(
        pk=THE_LIST, defaults={"edition": uuid.uuid4(), "made_at": now, "document": document}
    )
    return prices


def _demands(since: datetime) -> Iterator[Demand]:
    """Every published plan counts as asked for once: what was never ordered may be ordered next."""
    asked = dict(
        ServiceInstance.objects.filter(created_at__gte=since).order_by().values_list("plan").annotate(Count("pk"))
    )
    for plan in Plan.objects.all():
        weight = asked.get(plan.pk, 0) + (plan.publication == Publication.PUBLISHED)
        if weight:
            for member in members_of(plan):
                shape = Shape(tuple(sorted(member.amounts.items())), plan.isolation == Isolation.DEDICATED)
                yield Demand(shape, member.traits, float(weight))


def _standing() -> int:
    return Allocation.objects.filter(released_at__isnull=True).values("instance", "member").distinct().count()


def _usual_stay(since: datetime) -> timedelta:
    length = ExpressionWrapper(F("lease__ends_at") - F("lease__starts_at"), output_field=DurationField())
    usual = ServiceInstance.objects.filter(created_at__gte=since).aggregate(usual=Avg(length))["usual"]
    return usual if usual is not None else timedelta(seconds=settings.LEASE_DEFAULT_SECONDS)


def _rooms(now: datetime) -> Iterator[Room]:
    """Hosts that can be placed on, those that are alike together; and hosts held as a whole, for when their leases end."""
    traits = _traits()
    alike: Counter[tuple[Any, ...]] = Counter()
    for host, zone, rows in _hosts(Inventory.objects.filter(open_to__isnull=False)):
        alike[zone, traits.get(host, frozenset()), tuple(rows)] += 1
    for (zone, has, rows), hosts in alike.items():
        free, total = {name: left for name, left, _ in rows}, {name: left + used for name, left, used in rows}
        yield Room(zone, has, free, total, hosts)
    held = Allocation.objects.filter(host__exclusive=True, released_at__isnull=True).order_by()
    ends = dict(held.values("host").annotate(ends=Max("instance__lease__ends_at")).values_list("host", "ends"))
    for host, zone, rows in _hosts(Inventory.objects.filter(open_to__isnull=True, host__exclusive=True)):
        if (end := ends.get(host)) is not None:
            total = {name: left + used for name, left, used in rows}
            ends_in = max(0.0, (end - now).total_seconds())
            yield Room(zone, traits.get(host, frozenset()), total, total, ends_in=ends_in)


def _hosts(rows: Any) -> Iterator[tuple[uuid.UUID, uuid.UUID, list[tuple[str, int, int]]]]:
    """(host, zone, (class, free, used) of each class) for each host of these inventories."""
    columns = rows.order_by("host", "resource_class").values_list("host", "zone", "resource_class", "free", "used")
    before: uuid.UUID | None = None
    zone: uuid.UUID | None = None
    found: list[tuple[str, int, int]] = []
    for host, its_zone, *amounts in columns.iterator(chunk_size=5000):
        if host != before:
            if before is not None and zone is not None:
                yield before, zone, found
            before, zone, found = host, its_zone, []
        found.append((amounts[0], amounts[1], amounts[2]))
    if before is not None and zone is not None:
        yield before, zone, found


def _traits() -> dict[uuid.UUID, frozenset[str]]:
    by_host: dict[uuid.UUID, list[str]] = defaultdict(list)
    rows = Host.traits.through.objects.values_list("host", "trait__name")
    for host, name in rows.iterator(chunk_size=5000):
        by_host[host].append(name)
    known: dict[tuple[str, ...], frozenset[str]] = {}
    return {host: known.setdefault(tuple(sorted(names)), frozenset(names)) for host, names in by_host.items()}
