"""The pool, for those who look after it: zones with their hosts, and one host with everything known of it."""

import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.db.models import Count, F, Sum, Window
from django.db.models.functions import RowNumber
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from catalog.common import clock
from catalog.common.data import in_words
from catalog.common.errors import NotFound
from catalog.ipam.models import Prefix
from catalog.placement.models import Allocation
from catalog.pool import selectors
from catalog.pool.models import Host, Inventory, Zone
from catalog.pool.services import verify_certificate
from catalog.pool.states import HostState
from catalog.pool.workers import silence
from catalog.reclaim import services
from catalog.tenancy.policy import Action, can, require
from catalog.web import badges, progress
from catalog.web.pages import PortalRequest, attempt, portal, show
from catalog.web.words import of_two, rank

SHOWN = 120
"""So many hosts a zone draws; the rest is counted."""

RECENT = 100
_DEEDS: Mapping[str, Callable[..., Host]] = {
    "wipe": services.wipe,
    "resume": services.resume,
    "maintenance": services.maintenance,
    "quarantine": services.quarantine,
    "retire": services.retire,
}
_WITH_REASON = frozenset({"maintenance", "quarantine", "retire"})
_POSSIBLE: Mapping[str, tuple[str, ...]] = {
    HostState.ENROLLED: ("retire",),
    HostState.AVAILABLE: ("maintenance", "wipe", "quarantine", "retire"),
    HostState.RESERVED: ("quarantine",),
    HostState.IN_USE: ("quarantine",),
    HostState.DRAINING: ("wipe", "quarantine"),
    HostState.MAINTENANCE: ("resume", "quarantine", "retire"),
    HostState.QUARANTINED: ("wipe", "retire"),
    HostState.MISSING: ("quarantine", "retire"),
}


def _bars(inventories: Iterable[Inventory]) -> list[dict[str, Any]]:
    """One bar for each of the first three resource classes: percent given out of what may be given."""
    bars = []
    for number, each in enumerate(sorted(inventories, key=lambda row: rank(row.resource_class))[:3]):
        room = each.used + each.free
        bars.append({"name": each.resource_class, "share": 100 * each.used // room if room else 0, "y": 7 * number})
    return bars


@require_safe
@portal
def pool(request: PortalRequest) -> HttpResponse:
    """Every zone: how full it is, and its hosts by state."""
    hosts = selectors.hosts_for(request.actor)
    numbered = hosts.annotate(place=Window(RowNumber(), partition_by=F("zone_id"), order_by=F("name").asc()))
    drawn: dict[uuid.UUID, list[dict[str, Any]]] = {}
    for host in numbered.filter(place__lte=SHOWN).order_by("name"):
        drawn.setdefault(host.zone_id, []).append({"host": host, "bars": _bars(host.inventories.all())})
    counts: dict[uuid.UUID, dict[str, int]] = {}
    for zone_id, state, count in Host.objects.values_list("zone", "state").annotate(Count("pk")).order_by():
        counts.setdefault(zone_id, {})[state] = count
    totals: dict[uuid.UUID, list[dict[str, Any]]] = {}
    sums = Inventory.objects.values("zone", "resource_class").annotate(used_sum=Sum("used"), free_sum=Sum("free"))
    for row in sorted(sums, key=lambda each: rank(each["resource_class"])):
        room = row["used_sum"] + row["free_sum"]
        totals.setdefault(row["zone"], []).append(
            {"name": row["resource_class"], "used": row["used_sum"], "room": room}
        )
    zones = [_zone(each, drawn.get(each.pk, []), counts.get(each.pk, {}), totals.get(each.pk, [])) for each in
             selectors.zones_for(request.actor).prefetch_related("admitted")]  # fmt: skip
    return show(request, "pool.html", "pool", zones=zones, legend=_legend(counts))


def _zone(
    zone: Zone, tiles: list[dict[str, Any]], counts: Mapping[str, int], totals: list[dict[str, Any]]
) -> dict[str, Any]:
    count = sum(counts.values())
    return {
        "zone": zone,
        "tiles": tiles,
        "count": count,
        "more": count - len(tiles),
        "totals": totals,
        "silence": silence(zone) if count else None,
        "data": in_words(each for each in zone.data_classes if zone.holds(each)),
        "who": _who(zone),
    }


def _who(zone: Zone) -> str:
    """To whom a zone is open, in words."""
    guests = [of_two(each, "name") for each in zone.admitted.all()]
    if zone.kind != Zone.Kind.LOCAL and zone.admission == Zone.Admission.ALL:
        return str(Zone.Admission.ALL.label)
    return ", ".join(([of_two(zone.tenant, "name")] if zone.tenant else []) + guests) or _("nobody")


def _legend(counts: Mapping[uuid.UUID, Mapping[str, int]]) -> list[dict[str, Any]]:
    whole: dict[str, int] = {}
    for by_state in counts.values():
        for state, count in by_state.items():
            whole[state] = whole.get(state, 0) + count
    return [
        {"label": state.label, "tone": badges.HOST[state].tone, "count": whole[state]}
        for state in HostState
        if state in whole
    ]


@require_safe
@portal
def host(request: PortalRequest, host_id: uuid.UUID) -> HttpResponse:
    """One host: what it has, who holds what of it, the proof that it was clean, and what happened."""
    found = selectors.host_for(request.actor, host_id)
    held = Allocation.objects.filter(host=found, released_at__isnull=True).select_related(
        "instance__tenant", "instance__plan__offering"
    )
    by_instance: dict[uuid.UUID, dict[str, Any]] = {}
    for each in held.order_by("created_at", "resource_class"):
        by_instance.setdefault(each.instance_id, {"instance": each.instance, "amounts": {}})["amounts"][
            each.resource_class
        ] = each.amount
    certificates = [{"row": each, "valid": verify_certificate(each)} for each in selectors.certificates_of(found)[:20]]
    events = selectors.events_after(found, max(0, found.seq - RECENT), RECENT)
    operates = can(request.actor, Action.OPERATE_POOL)
    return show(
        request,
        "host.html",
        "pool",
        host=found,
        inventories=sorted(found.inventories.all(), key=lambda row: rank(row.resource_class)),
        held=list(by_instance.values()),
        certificates=certificates,
        lines=list(reversed(progress.lines(events))),
        key=found.keys.filter(generation=found.generation).first(),
        deeds=[_deed(name, found) for name in _POSSIBLE.get(found.state, ())] if operates else [],
        networks=list(Prefix.objects.filter(zone=found.zone).values_list("cidr", flat=True)[:10]),
    )


def _deed(name: str, found: Host) -> dict[str, Any]:
    says = {
        "wipe": _("Wipe"),
        "resume": _("Back from maintenance"),
        "maintenance": _("Maintenance"),
        "quarantine": _("Quarantine"),
        "retire": _("Retire"),
    }
    explains = {
        "wipe": _(
            "Everything on it is erased and the host is checked. A quarantined host needs a second operator's word."
        ),
        "resume": _("It is wiped and checked first, since somebody may have touched it."),
        "maintenance": _("Nothing is placed on it until you bring it back."),
        "quarantine": _("Nothing runs on it and nothing leaves it until two operators decide."),
        "retire": _("It leaves the pool for ever."),
    }
    return {"name": name, "label": says[name], "explains": explains[name], "reason": name in _WITH_REASON}


@require_POST
@portal
def operate(request: PortalRequest, host_id: uuid.UUID, deed: str) -> HttpResponse:
    """What an operator does with a host."""
    require(request.actor, Action.OPERATE_POOL)
    found = selectors.host_for(request.actor, host_id)
    act = _DEEDS.get(deed)
    if act is None:
        raise NotFound()
    more = {"reason": request.POST.get("reason", "")[:500]} if deed in _WITH_REASON else {}
    return attempt(
        request,
        lambda: act(request.actor, found, now=clock.now(), **more),
        done=_("Done. The events of the host say what follows."),
        then=reverse("web:host", args=[host_id]),
    )
