"""Questions to the books: where is there room, who stands where, and why is there none."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from django.db import connection
from django.db.models import Min, QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from catalog.common.data import DataClass
from catalog.common.statements import Statement
from catalog.instances.models import ServiceInstance
from catalog.placement.choice import Candidate, Stay, Wanted
from catalog.placement.filters import (
    AskedFor,
    HasTraits,
    HostRule,
    Isolated,
    MayHold,
    OpenToAffiliate,
    Reachable,
    TakesNew,
    ZoneRule,
    described,
    place_of,
    room_rules,
)
from catalog.placement.models import Allocation
from catalog.pool.errors import ZoneClosed, ZoneDataClass, ZoneNotOpen, ZoneRefused
from catalog.pool.models import Host, Inventory, WorkerState, Zone
from catalog.pool.selectors import admitting
from catalog.pool.states import HostState
from catalog.tenancy.models import Tenant

Filters = list[dict[str, Any]]


def zone_rules(zone: Zone | None, data_class: str | None, *, admitted: Iterable[Zone]) -> list[ZoneRule]:
    """What a zone must be for a tenant's service; without ``zone`` any may be asked for.

    :param admitted: the zones that admit the tenant.
    """
    of_tenant = OpenToAffiliate(frozenset(each.pk for each in admitted))
    rules: list[ZoneRule] = [AskedFor(zone.slug if zone else None), of_tenant, TakesNew()]
    return rules if data_class is None else [*rules, MayHold(data_class)]


def zones_for(tenant: Tenant, zone: Zone | None, data_class: str | None = None) -> list[Zone]:
    """Where a tenant may place what holds such data, the best first; empty where nowhere: :func:`why_no_zone` says why.

    Zones where somebody works come first, then local ones, then by name. Only ``zone`` where one is named; an external zone only
    where it is named.
    """
    admitted = list(admitting([tenant.pk]))
    rules = zone_rules(zone, data_class, admitted=admitted)
    left = [each for each in admitted if all(rule.passes(place_of(each)) for rule in rules)]
    return sorted(left, key=lambda each: (tier(each), each.slug))


def tier(zone: Zone) -> int:
    """Zones of a lower tier are filled first, those in which nobody works last; those of one tier are compared host by host."""
    return 2 * int(zone.worker_state == WorkerState.SILENT) + int(zone.kind != Zone.Kind.LOCAL)


def why_no_zone(tenant: Tenant, zone: Zone | None, data_class: str) -> ZoneRefused | None:
    """Why :func:`zones_for` finds none, and what to do about it; None where it does find one."""
    admitted = sorted(admitting([tenant.pk]), key=lambda each: each.slug)
    near = [each for each in admitted if (each.kind != Zone.Kind.EXTERNAL if zone is None else each.pk == zone.pk)]
    if not near:
        none = _("No zone is open to your affiliate. Ask a pool operator to admit it.")
        return _about(zone, ZoneNotOpen, none if zone is None else str(ZoneNotOpen.title))
    holding = [each for each in near if each.holds(data_class)]
    kind = DataClass(data_class).label
    if not holding:
        elsewhere = ", ".join(each.slug for each in admitted if each.closed_at is None and each.holds(data_class))
        said = (
            _("The zone %(zone)s may not hold %(data)s.") % {"zone": zone.slug, "data": kind}
            if zone
            else _("No zone of the group that is open to your affiliate may hold %(data)s.") % {"data": kind}
        )
        todo = (
            _("These may, if the order names one: %s.") % elsewhere
            if elsewhere
            else _("Ask a pool operator for a zone that may, or order it for less protected data.")
        )
        return _about(zone, ZoneDataClass, f"{said} {todo}")
    if all(each.closed_at is not None for each in holding):
        reasons = " ".join(f"{each.slug}: {each.closed_reason}" for each in holding)
        said = _("Nothing new is placed there for now (%s). Choose another zone, or let the order wait.") % reasons
        return _about(zone, ZoneClosed, said)
    return None


def _about(zone: Zone | None, refusal: type[ZoneRefused], said: str) -> ZoneRefused:
    """The refusal, beside the field that a person would change."""
    return refusal(said, fields={"zone" if zone else "data_class": said} if refusal is ZoneDataClass or zone else {})


def has_traits(queryset: "QuerySet[Inventory]", traits: Sequence[str]) -> "QuerySet[Inventory]":
    """Only inventories of hosts that have every trait."""
    return HasTraits(tuple(sorted(set(traits)))).narrow(queryset)


def candidates(
    wanted: Wanted,
    *,
    zones: Sequence[Zone],
    open_to: Iterable[uuid.UUID],
    tenant_id: uuid.UUID,
    besides: frozenset[uuid.UUID] = frozenset(),
    limit: int,
) -> list[Candidate]:
    """Hosts with room for ``wanted``: from each zone, for each value of ``open_to``, those with the least free of one class.

    That class leads through the index ``inventory_best_fit``; everything else is looked up host by host, so what this costs
    does not grow with the pool.

    :param open_to: values of ``Inventory.open_to`` to look for.
    :param besides: hosts to leave out.
    :param limit: at most so many of each zone and value.
    """
    asked = _Asked(
        tuple(sorted(wanted.amounts.items())), tuple(sorted(wanted.traits)), wanted.whole,
        tuple(zone.pk for zone in zones), tuple(open_to), limit, tenant_id if _keeps_networks(zones) else None,
    )  # fmt: skip
    if besides or not connection.features.supports_slicing_ordering_in_compound:
        found = [host for part in asked.parts(besides) for host in part]
    elif asked.zones:
        with connection.cursor() as cursor:
            cursor.execute(*_statement(asked))
            found = [host for (host,) in cursor.fetchall()]
    else:
        found = []
    # Between the two questions somebody may have taken a host; what it was found as no longer holds.
    return [each for each in looked_at(found) if each.open_to in asked.whom and each.zone_id in asked.zones]


def _keeps_networks(zones: Sequence[Zone]) -> bool:
    """Whether one of these zones keeps a network for an affiliate. Most do not, and nobody's address need be looked at."""
    return bool(_KEEPING.ask([zone.pk for zone in zones]))


_KEEPING = Statement(
    lambda zones: Zone.objects.filter(pk__in=zones, prefixes__tenant__isnull=False).values_list("pk", "slug")[:1]
)


@dataclass(frozen=True)
class _Asked:
    """What :func:`candidates` is asked, but for hosts to leave out."""

    amounts: tuple[tuple[str, int], ...]
    traits: tuple[str, ...]
    whole: bool
    zones: tuple[uuid.UUID, ...]
    whom: tuple[uuid.UUID, ...]
    limit: int
    tenant_id: uuid.UUID | None

    def parts(self, besides: frozenset[uuid.UUID]) -> "list[QuerySet[Inventory, uuid.UUID]]":
        """One query for each zone and each value of ``open_to``."""
        (lead, least), *others = self.amounts
        rules = room_rules(dict(others), self.traits, whole=self.whole)
        if self.tenant_id is not None:
            rules = [Reachable(self.tenant_id), *rules]
        parts = []
        for zone, who in product(self.zones, self.whom):
            rows = Inventory.objects.filter(zone=zone, open_to=who, resource_class=lead, free__gte=least)
            if besides:
                rows = rows.exclude(host_id__in=besides)
            for rule in rules:
                rows = rule.narrow(rows)
            parts.append(rows.order_by("free").values_list("host_id", flat=True)[: self.limit])
        return parts


@lru_cache(maxsize=2000)
def _statement(asked: _Asked) -> tuple[str, tuple[Any, ...]]:
    """All parts in one. Putting it together costs more than asking it, and plans, zones and affiliates are few."""
    first, *rest = asked.parts(frozenset())
    return (first.union(*rest, all=True) if rest else first).query.sql_with_params()


def looked_at(hosts: Sequence[uuid.UUID]) -> list[Candidate]:
    """What rules need to know of these hosts, in the same order."""
    if not hosts:
        return []
    free: dict[uuid.UUID, dict[str, int]] = defaultdict(dict)
    total: dict[uuid.UUID, dict[str, int]] = defaultdict(dict)
    about: dict[uuid.UUID, tuple[Any, ...]] = {}
    for host, name, left, used, *rest in _INVENTORIES.ask(hosts, hosts):
        free[host][name], total[host][name] = left, left + used
        about[host] = tuple(rest)
    traits: dict[uuid.UUID, set[str]] = defaultdict(set)
    for host, name in _TRAITS.ask(hosts):
        traits[host].add(name)
    busy = [host for host in about if free[host] != total[host]]
    stays = _stays(busy, total) if busy else {}
    found = []
    for host in hosts:
        if host in about:
            open_to, zone, name, failures, failed_at, unanswered, seen_at = about[host]
            found.append(
                Candidate(
                    host, free[host], total[host], name, zone, open_to, frozenset(traits[host]),
                    empty=free[host] == total[host], stays=tuple(stays.get(host, ())), failures=failures, failed_at=failed_at,
                    unanswered=unanswered, seen_at=seen_at,
                )
            )  # fmt: skip
    return found


# Each table is asked by keys of its own: with the keys of one alone, PostgreSQL reads all hosts, or all services, as soon as it
# finds that cheaper, and what a claim costs grows with the pool.
_INVENTORIES = Statement(
    lambda hosts, again: Host.objects.order_by().filter(pk__in=hosts, inventories__host__in=again).values_list(
        "pk", "inventories__resource_class", "inventories__free", "inventories__used", "inventories__open_to", "zone", "name",
        "failed_builds", "build_failed_at", "failed_checks", "last_seen_at",
    )
)  # fmt: skip
_TRAITS = Statement(lambda hosts: Host.traits.through.objects.filter(host__in=hosts).values_list("host", "trait__name"))
_STANDING = Statement(
    lambda hosts: Allocation.objects.filter(host__in=hosts, released_at__isnull=True).values_list(
        "host", "instance", "member", "resource_class", "amount"
    )
)
_UNTIL = Statement(
    lambda instances: ServiceInstance.objects.filter(pk__in=instances).values_list(
        "pk", Coalesce("lease__grace_ends_at", "lease__ends_at")
    )
)


def _stays(
    hosts: Sequence[uuid.UUID], total: Mapping[uuid.UUID, Mapping[str, int]]
) -> dict[uuid.UUID, list[Stay]]:  # fmt: skip
    """Who stands on these hosts; a member's share is that of the class of which it takes the most."""
    most: dict[tuple[uuid.UUID, uuid.UUID, str], float] = {}
    for host, instance, member, name, amount in _STANDING.ask(hosts):
        share = amount / max(amount, total[host].get(name, amount))
        key = host, instance, member
        most[key] = max(share, most.get(key, 0.0))
    ends = dict(_UNTIL.ask({instance for _host, instance, _member in most}))
    stays: dict[uuid.UUID, list[Stay]] = defaultdict(list)
    for (host, instance, _member), share in most.items():
        stays[host].append(Stay(share, ends.get(instance)))
    return stays


def why_not(
    wanted: Wanted,
    *,
    tenant: Tenant,
    zone: Zone | None,
    isolation: str,
    data_class: str | None = None,
) -> Filters:
    """The filters a claim passes, each with how many hosts it ``left``. Counts the pool: only for a refusal."""
    standing = Host.objects.exclude(state=HostState.RETIRED)
    filters: Filters = []
    left = list(Zone.objects.all())
    for rule in zone_rules(zone, data_class, admitted=admitting([tenant.pk])):
        before = len(left)
        left = [each for each in left if rule.passes(place_of(each))]
        if len(left) < before or isinstance(rule, OpenToAffiliate):
            filters.append({**described(rule), "left": standing.filter(zone__in=left).count()})
    rows = Inventory.objects.filter(zone__in=left, resource_class=min(wanted.amounts))
    rules: list[HostRule] = [Isolated(isolation, tenant.pk), Reachable(tenant.pk)]
    for each in (*rules, *room_rules(dict(wanted.amounts), sorted(wanted.traits), whole=wanted.whole)):
        rows = each.narrow(rows)
        kept = rows.count() if filters[-1]["left"] else 0
        # Most pools keep no network for anybody: what drops nobody need not be said.
        if not isinstance(each, Reachable) or kept < filters[-1]["left"]:
            filters.append({**described(each), "left": kept})
    return filters


def locate_rows(instance_id: uuid.UUID) -> "QuerySet[Host]":
    """Hosts with an open allocation of the instance, that of its first member first."""
    mine = Host.objects.filter(allocations__instance_id=instance_id, allocations__released_at__isnull=True)
    return mine.annotate(first_claimed=Min("allocations__pk")).order_by("first_claimed")


def places(instance_id: uuid.UUID) -> dict[str, Host]:
    """Member → the host it stands on, by the instance's open allocations."""
    rows = Allocation.objects.filter(instance_id=instance_id, released_at__isnull=True).select_related("host__zone")
    return {row.member: row.host for row in rows.order_by("pk")}
