"""What would make room for an order that found none, and when some may come by itself. Reads only, and only for a refusal."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db.models import F, Q, QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from catalog.common.isolation import Isolation
from catalog.dispatch.selectors import usual_wipe
from catalog.leases.models import Lease
from catalog.leases.services import frees_at
from catalog.offerings.models import Plan, Publication
from catalog.orders.models import Order
from catalog.placement.choice import Candidate, Wanted, fits
from catalog.placement.errors import NoCapacity
from catalog.placement.filters import opens
from catalog.placement.members import members_of
from catalog.placement.models import Allocation
from catalog.placement.selectors import has_traits, looked_at, zones_for
from catalog.placement.services import would_fit
from catalog.placement.words import why_not_said
from catalog.pool.models import Host, Inventory, Zone
from catalog.pool.states import HostState

SHOWN = 3
"""At most so many zones, plans or services are named."""

HOSTS_COMPARED = 100
LEASES_AT_ONCE, LOOKS = 200, 5
"""Leases are looked through in the order of their ends, so many at once, so often at most."""

_BEING_WIPED = (HostState.DRAINING, HostState.WIPING, HostState.VERIFYING)
_USED = (HostState.RESERVED, HostState.IN_USE)


@dataclass(frozen=True)
class Outlook:
    """What would help.

    :param expected_at: when room may come by itself, ISO 8601 to the minute; None where no lease and no wipe tells.
    :param wipe_seconds: how much of the wait until then is for wiping the host.
    :param zones: other zones that have room for it now, by slug.
    :param plans: smaller plans of the offering that there is room for now, the largest first, by slug.
    :param give_back: names of the affiliate's own services that together would make room, as few as possible.
    """

    expected_at: str | None = None
    wipe_seconds: int = 0
    zones: tuple[str, ...] = ()
    plans: tuple[str, ...] = ()
    give_back: tuple[str, ...] = ()


def explained(order: Order, refusal: NoCapacity, *, now: datetime) -> NoCapacity:
    """The same refusal, with what would make room, and when some may come; untouched where it gives no reason."""
    if "filters" not in refusal.context:
        return refusal
    outlook = look(order, refusal.context["wanted"], now=now)
    explanation = {
        "filters": refusal.context["filters"], "member": refusal.context["member"],
        "outlook": {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(outlook).items()},
    }  # fmt: skip
    told = NoCapacity(said(explanation), **refusal.context)
    told.explanation = explanation
    return told


def said(explanation: Mapping[str, Any]) -> str:
    """Why there is no room, and what would make some, in the reader's language."""
    lines = [why_not_said(explanation["filters"])]
    outlook = explanation["outlook"]
    if outlook["zones"]:
        lines.append(_("There is room in: %s.") % ", ".join(outlook["zones"]))
    if outlook["plans"]:
        lines.append(_("A smaller plan fits now: %s.") % ", ".join(outlook["plans"]))
    if names := outlook["give_back"]:
        lines.append(
            ngettext(
                "Giving back %(names)s of your own would make room.",
                "Giving back %(count)d services of your own would make room: %(names)s.",
                len(names),
            )
            % {"count": len(names), "names": ", ".join(names)}
        )
    when = parse_datetime(outlook["expected_at"]) if outlook["expected_at"] else None
    if when is not None and outlook["wipe_seconds"]:
        lines.append(
            _("Room may come on %(when)s: a lease ends, and wiping the host takes about %(minutes)d min.")
            % {"when": f"{localtime(when):%F %R %Z}", "minutes": max(1, round(outlook["wipe_seconds"] / 60))}
        )
    elif when is not None:
        lines.append(_("Room may come on %s, when a lease ends.") % f"{localtime(when):%F %R %Z}")
    if len(lines) == 1:
        lines.append(_("Choose a smaller plan or another zone, or try again later."))
    return " ".join(lines)


def look(order: Order, wanted: Wanted, *, now: datetime) -> Outlook:
    """What would make room for ``wanted``, the part of the order that found none."""
    zones = zones_for(order.tenant, order.zone, order.data_class)
    when, wipe = _expected(order, wanted, zones, now)
    return Outlook(
        expected_at=when.replace(second=0, microsecond=0).isoformat() if when else None,
        wipe_seconds=int(wipe.total_seconds()),
        zones=tuple(islice(_other_zones(order, now), SHOWN)),
        plans=tuple(islice(_smaller_plans(order, now), SHOWN)),
        give_back=_own_services(order, wanted, zones),
    )


def _fits(order: Order, plan: Plan, zone: Zone | None, now: datetime) -> bool:
    return would_fit(
        members_of(plan), isolation=plan.isolation, tenant=order.tenant, zone=zone, data_class=order.data_class, now=now
    )


def _other_zones(order: Order, now: datetime) -> Iterator[str]:
    if order.zone is not None:
        for zone in zones_for(order.tenant, None, order.data_class):
            if zone.pk != order.zone_id and _fits(order, order.plan, zone, now):
                yield zone.slug


def _smaller_plans(order: Order, now: datetime) -> Iterator[str]:
    mine = order.plan
    others = Plan.objects.filter(offering=mine.offering_id, publication=Publication.PUBLISHED).exclude(pk=mine.pk)
    smaller = [plan for plan in others if plan.resources != mine.resources and fits(mine.resources, plan.resources)]
    for plan in sorted(smaller, key=lambda plan: sorted(plan.resources.items()), reverse=True):
        if _fits(order, plan, order.zone, now):
            yield plan.slug


def _suitable(hosts: "QuerySet[Host]", wanted: Wanted) -> "QuerySet[Host]":
    """Hosts that would do if they were clean."""
    for name, amount in sorted(wanted.amounts.items()):
        enough = Inventory.objects.filter(resource_class=name).alias(all=F("free") + F("used")).filter(all__gte=amount)
        hosts = hosts.filter(pk__in=has_traits(enough, sorted(wanted.traits)).values("host"))
    return hosts


def _own_services(order: Order, wanted: Wanted, zones: Sequence[Zone]) -> tuple[str, ...]:
    """The fewest own services on one host that would leave enough room; a whole host needs all of them to go."""
    group = order.plan.isolation == Isolation.GROUP
    own = Allocation.objects.filter(instance__tenant=order.tenant, released_at__isnull=True)
    mine = Host.objects.filter(zone__in=zones, state__in=_USED).filter(
        Q(sharing=Isolation.GROUP, pk__in=own.values("host")) if group else Q(holder=order.tenant)
    )
    best: tuple[str, ...] = ()
    for host in looked_at(list(_suitable(mine, wanted).order_by("pk").values_list("pk", flat=True)[:HOSTS_COMPARED])):
        shared = host.open_to in opens(order.plan.isolation, order.tenant_id)
        names = _fewest(host, own, wanted if shared and not wanted.whole else None)
        if names and (not best or len(names) < len(best)):
            best = names
    return best if len(best) <= SHOWN else ()


def _fewest(host: Candidate, own: "QuerySet[Allocation]", wanted: Wanted | None) -> tuple[str, ...]:
    """Names of services whose end leaves ``wanted`` free on the host, the largest first; None: all of them."""
    held: dict[str, Counter[str]] = defaultdict(Counter)
    rows = own.filter(host=host.host_id)
    for name, resource_class, amount in rows.values_list("instance__name", "resource_class", "amount"):
        held[name][resource_class] += amount
    if wanted is None:
        return tuple(sorted(held))
    free, gone = Counter(dict(host.free)), []
    lacking = [name for name, amount in wanted.amounts.items() if free[name] < amount]
    for name in sorted(held, key=lambda each: (-sum(held[each][lack] for lack in lacking), each)):
        if fits(free, wanted.amounts):
            break
        free.update(held[name])
        gone.append(name)
    return tuple(gone) if fits(free, wanted.amounts) else ()


def _expected(order: Order, wanted: Wanted, zones: Sequence[Zone], now: datetime) -> tuple[datetime | None, timedelta]:
    """The first moment at which a suitable host is clean, or has enough room beside what may share it; and the wipe before it."""
    wipes = {zone.pk: usual_wipe(zone.slug) for zone in zones}
    moments = [*_being_wiped(wanted, wipes, now), *_leases_end(order, wanted, wipes, now)]
    return min(moments, default=(None, timedelta()))


def _being_wiped(
    wanted: Wanted, wipes: Mapping[uuid.UUID, timedelta], now: datetime
) -> Iterator[tuple[datetime, timedelta]]:
    hosts = _suitable(Host.objects.filter(zone__in=list(wipes), state__in=_BEING_WIPED), wanted)
    for zone, state, since in hosts.order_by("state_since").values_list("zone", "state", "state_since")[
        :HOSTS_COMPARED
    ]:
        rest = wipes[zone] if state == HostState.DRAINING else wipes[zone] / 2
        yield max(since + rest, now), rest


def _leases_end(
    order: Order, wanted: Wanted, wipes: Mapping[uuid.UUID, timedelta], now: datetime
) -> Iterator[tuple[datetime, timedelta]]:
    """What the leases that end soonest set free, until a later one cannot do better."""
    whom = opens(order.plan.isolation, order.tenant_id)
    standing = Allocation.objects.filter(released_at__isnull=True, host__zone__in=list(wipes), host__state__in=_USED)
    known: set[uuid.UUID] = set()
    best: datetime | None = None
    ending = standing.filter(instance__lease__isnull=False).annotate(frees=frees_at("instance__lease__"))
    ending = ending.order_by("frees", "pk")
    for look_ in range(LOOKS):
        batch = list(ending.values_list("host", "frees")[look_ * LEASES_AT_ONCE : (look_ + 1) * LEASES_AT_ONCE])
        new = {host for host, _end in batch} - known
        known |= new
        suitable = _suitable(Host.objects.filter(pk__in=new), wanted).values_list("pk", flat=True)
        for candidate in looked_at(list(suitable)):
            found = _on_host(candidate, wanted, wipes, now, shared=candidate.open_to in whom and not wanted.whole)
            if found is not None:
                best = min(best or found[0], found[0])
                yield found
        if len(batch) < LEASES_AT_ONCE or (best is not None and batch[-1][1] > best):
            return


def _on_host(
    host: Candidate, wanted: Wanted, wipes: Mapping[uuid.UUID, timedelta], now: datetime, *, shared: bool
) -> tuple[datetime, timedelta] | None:
    """When the host has room: once enough of what may share it has gone, or once all has gone and it was wiped."""
    assert host.zone_id is not None  # it was read from the books
    rows = Allocation.objects.filter(host=host.host_id, released_at__isnull=True).values_list(
        "instance", "resource_class", "amount"
    )
    held: dict[uuid.UUID, Counter[str]] = defaultdict(Counter)
    for instance, name, amount in rows:
        held[instance][name] += amount
    ends = {lease.instance_id: _end_of(lease, now) for lease in Lease.objects.filter(instance__in=held)}
    leaving = sorted((end, instance) for instance in held if (end := ends.get(instance)) is not None)
    free = Counter(dict(host.free))
    for end, instance in leaving if shared else ():
        free.update(held[instance])
        if fits(free, wanted.amounts):
            return max(end, now), timedelta()
    if len(leaving) < len(held) or not leaving:
        return None
    wipe = wipes[host.zone_id]
    return max(leaving[-1][0], now) + wipe, wipe


def _end_of(lease: Lease, now: datetime) -> datetime | None:
    """When it lets go of what it holds, its grace included, as far as a legal hold lets anybody tell."""
    frees = lease.grace_ends_at or lease.ends_at
    if not lease.is_held(now):
        return frees
    return max(frees, lease.held_until) if lease.held_until else None
