"""Questions to the books: where is there room, and why is there none."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from catalog.placement.choice import Candidate
from catalog.pool.models import ANYONE, Host, Inventory, Zone
from catalog.pool.states import HostState
from catalog.tenancy.models import Tenant

Filters = list[dict[str, int | str]]


def zones_for(tenant: Tenant, zone: Zone | None) -> list[Zone]:
    """Where a tenant may be placed: its own local zones first, then the shared ones, each by name; or only ``zone``."""
    open_zones = Zone.objects.filter(Q(kind=Zone.Kind.LOCAL, tenant=tenant) | Q(kind=Zone.Kind.SHARED))
    if zone is not None:
        open_zones = open_zones.filter(pk=zone.pk)
    return sorted(open_zones, key=lambda each: (each.kind != Zone.Kind.LOCAL, each.slug))


def has_traits(queryset: "QuerySet[Inventory]", traits: Sequence[str]) -> "QuerySet[Inventory]":
    """Only inventories of hosts that have every trait."""
    for name in sorted(set(traits)):
        queryset = queryset.filter(
            Exists(Host.traits.through.objects.filter(host_id=OuterRef("host_id"), trait__name=name))
        )
    return queryset


def reachable(queryset: "QuerySet[Inventory]", tenant: Tenant, zones: Sequence[Zone]) -> "QuerySet[Inventory]":
    """Only inventories of hosts whose addresses are not kept for the services of another affiliate.

    Most zones keep no network for anybody; asking for that first is cheaper than looking at every candidate's address.
    """
    if not Zone.objects.filter(pk__in=[zone.pk for zone in zones], prefixes__tenant__isnull=False).exists():
        return queryset
    others = Tenant.objects.exclude(pk=tenant.pk)
    return queryset.exclude(
        Exists(Host.objects.filter(pk=OuterRef("host_id"), addresses__prefix__tenant__in=others))
    )  # fmt: skip


def candidates(
    *,
    tenant: Tenant,
    zone: Zone,
    opens_to: uuid.UUID,
    wanted: Mapping[str, int],
    traits: Sequence[str],
    whole: bool,
    besides: frozenset[uuid.UUID],
    limit: int,
) -> list[Candidate]:
    """Hosts of a zone with room for ``wanted``, those with the least free of the first class first; at most ``limit``.

    The first class leads through the index ``inventory_best_fit``; the others are looked up host by host, so what this costs
    does not grow with the pool.

    :param opens_to: the value of ``Inventory.open_to`` to look for.
    :param whole: only hosts nothing is claimed of.
    :param besides: hosts to leave out.
    """
    lead, *others = sorted(wanted)
    rows = Inventory.objects.filter(
        zone=zone, open_to=opens_to, resource_class=lead, free__gte=wanted[lead]
    )  # fmt: skip
    if whole:
        rows = rows.filter(used=0)
    if besides:
        rows = rows.exclude(host_id__in=besides)
    for number, resource_class in enumerate(others):
        same_host = Inventory.objects.filter(host_id=OuterRef("host_id"), resource_class=resource_class)
        rows = rows.annotate(**{f"free_{number}": Subquery(same_host.values("free")[:1])}).filter(
            **{f"free_{number}__gte": wanted[resource_class]}
        )
    rows = reachable(has_traits(rows, traits), tenant, [zone]).order_by("free")
    columns = [f"free_{number}" for number in range(len(others))]
    return [
        Candidate(host_id, dict(zip([lead, *others], free, strict=True)))
        for host_id, *free in rows.values_list("host_id", "free", *columns)[:limit]
    ]


def why_not(
    *, tenant: Tenant, zones: Sequence[Zone], wanted: Mapping[str, int], traits: Sequence[str], exclusive: bool
) -> Filters:
    """The filters a claim passes, each with how many hosts it left. Counts the pool: only for a refusal."""
    opens = Q(open_to=ANYONE) if exclusive else Q(open_to__in=(ANYONE, tenant.pk))
    lead, *others = sorted(wanted)
    hosts = Host.objects.filter(zone__in=zones).exclude(state=HostState.RETIRED)
    filters: Filters = [{"filter": _("in the zone"), "left": hosts.count()}]
    rows = Inventory.objects.filter(opens, zone__in=zones, resource_class=lead)
    filters.append({"filter": _("free to take, or used by your affiliate"), "left": rows.count()})
    rows = reachable(rows, tenant, zones)
    if (left := rows.count()) != filters[-1]["left"]:  # most pools keep no network for anybody
        filters.append({"filter": _("not in a network kept for another affiliate"), "left": left})
    if traits:
        rows = has_traits(rows, traits)
        filters.append({"filter": _("has the traits %s") % ", ".join(sorted(set(traits))), "left": rows.count()})
    rows = rows.filter(free__gte=wanted[lead])
    filters.append({"filter": f"{lead} ≥ {wanted[lead]}", "left": rows.count()})
    for resource_class in others:
        room = Inventory.objects.filter(
            host_id=OuterRef("host_id"), resource_class=resource_class, free__gte=wanted[resource_class]
        )
        rows = rows.filter(Exists(room))
        filters.append({"filter": f"{resource_class} ≥ {wanted[resource_class]}", "left": rows.count()})
    return filters


def in_words(filters: Filters, room_from: datetime | None) -> str:
    """Which filter left nothing, for the person who asked."""
    before: dict[str, int | str] | None = None
    said = _("The pool has no room for this now.")
    for each in filters:
        if each["left"] == 0:
            if before is None:
                said = _("No host stands in the zones your affiliate may use.")
            else:
                said = _("Of %(count)d hosts (%(before)s) none passes: %(filter)s.") % {
                    "count": before["left"], "before": before["filter"], "filter": each["filter"],
                }  # fmt: skip
            break
        before = each
    else:
        said = _("Others took the last room while this was being decided.")
    if room_from is not None:
        said += " " + _("Room may come on %s, when a lease ends.") % f"{localtime(room_from):%F %R %Z}"
    else:
        said += " " + _("Choose a smaller plan or another zone, or try again later.")
    return said


def locate_rows(instance_id: uuid.UUID) -> "QuerySet[Host]":
    """Hosts with an open allocation of the instance."""
    return Host.objects.filter(
        allocations__instance_id=instance_id, allocations__released_at__isnull=True
    ).distinct()  # fmt: skip
