"""Claiming room on hosts and giving it back. Each is one step of the caller's transaction."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from catalog.common.data import PROTECTED, DataClass
from catalog.common.isolation import Isolation
from catalog.common.locks import lock, lock_all
from catalog.instances.models import ServiceInstance
from catalog.placement.choice import Outlook
from catalog.placement.claiming import Claim, Placed, Shortlists, add_holdings, add_use
from catalog.placement.errors import IsolationTooWeak, NoCapacity, NotPlaced
from catalog.placement.filters import Apart, Sound, described, opens
from catalog.placement.market import current
from catalog.placement.members import Bundle, Member, Spread, between, bundles
from catalog.placement.models import Allocation
from catalog.placement.search import NoneLeft, assign
from catalog.placement.selectors import locate_rows, tier, why_no_zone, why_not, zones_for
from catalog.placement.words import why_not_said, with_words
from catalog.pool.models import Host, Inventory, Zone
from catalog.pool.services import NOBODYS, move_host
from catalog.pool.states import HostState
from catalog.tenancy.models import Tenant
from catalog.tenancy.policy import Actor


def refuse_weak_isolation(isolation: str, data_class: str) -> None:
    """Refuse to put protected data on hosts that affiliates share. Raises :class:`IsolationTooWeak`."""
    if isolation == Isolation.GROUP and data_class in PROTECTED:
        raise IsolationTooWeak(isolation=isolation, data_class=data_class)


def place(
    instance: ServiceInstance,
    *,
    resources: Mapping[str, int],
    traits: Sequence[str] = (),
    exclusive: bool,
    tenant: Tenant,
    zone: Zone | None,
    now: datetime,
    actor: Actor,
) -> Placed:
    """Claim room on one host, whole or beside the tenant's own slices; see :func:`place_all`."""
    (placed,) = place_all(
        instance, [Member(dict(resources), frozenset(traits))], tenant=tenant, zone=zone, now=now, actor=actor,
        isolation=Isolation.DEDICATED if exclusive else Isolation.AFFILIATE,
    )  # fmt: skip
    return placed


def place_all(
    instance: ServiceInstance,
    members: Sequence[Member],
    *,
    isolation: str,
    tenant: Tenant,
    zone: Zone | None,
    data_class: str | None = None,
    until: datetime | None = None,
    besides: frozenset[uuid.UUID] = frozenset(),
    now: datetime,
    actor: Actor,
    explain: bool = True,
) -> list[Placed]:
    """Claim room for every member of ``instance`` or for none, in the caller's transaction.

    A slice goes beside others where its isolation allows that and there is room, else on a clean host, which becomes
    ``reserved``: for the tenant, or for the group. A whole host (``dedicated``) is a clean one with at least what the member
    wants; all it has is claimed. Among hosts with room :func:`catalog.placement.choice.ranked` decides; doubtful ones come last.
    Members that are not spread over zones stand in one zone. Clients that claim at once do not wait for each other while there
    is other room; before refusing, a claim does wait, so that it never refuses because of somebody who gives up.

    :param zone: only there; None for any zone of the group open to the tenant.
    :param data_class: what it will hold, None: what the instance says; its zone must be one that may hold that.
    :param until: when its lease will end, as far as that is known.
    :param besides: hosts to leave out.
    :param explain: count for a refusal how many hosts each filter left, which costs the more the larger the pool.
    :returns: one for each member, in their order.
    :raises IsolationTooWeak, ZoneNotOpen, ZoneDataClass, ZoneClosed: nothing has changed.
    :raises NoCapacity: some member finds no host; nothing has changed.
    """
    if instance.tenant_id != tenant.pk:
        raise ValueError("an instance is placed for its own tenant")
    data_class = data_class or instance.data_class
    refuse_weak_isolation(isolation, data_class)
    wanted = bundles(members, whole=isolation == Isolation.DEDICATED, until=until)
    claim = Claim(instance, wanted, isolation, data_class, tenant, now, actor, besides)
    stuck: NoneLeft | None = None
    zones = zones_for(tenant, zone, data_class)
    if refusal := why_no_zone(tenant, zone, data_class) if not zones else None:
        raise refusal
    for waiting in (False, True):
        for together in _fields(zones, wanted):
            try:
                by_name = {each.member.name: each for each in claim.take(together, waiting=waiting)}
            except NoneLeft as none:
                stuck = none
            else:
                return [by_name[member.name] for member in members]
    if not explain:
        raise NoCapacity()
    bundle = stuck.bundle if stuck else wanted[0]
    filters = why_not(bundle.wanted, tenant=tenant, zone=zone, isolation=isolation, data_class=data_class)
    if stuck is not None and stuck.apart and filters[-1]["left"]:
        filters.append({**described(Apart()), "left": 0})
    said = why_not_said(filters) + " " + _("Choose a smaller plan or another zone, or try again later.")
    raise NoCapacity(said, filters=with_words(filters), wanted=bundle.wanted, member=bundle.members[0].name)


def would_fit(
    members: Sequence[Member],
    *,
    isolation: str,
    tenant: Tenant,
    zone: Zone | None,
    data_class: str = DataClass.INTERNAL,
    now: datetime,
) -> bool:
    """Whether :func:`place_all` would find room at this moment. Reads only; nothing is promised."""
    if isolation == Isolation.GROUP and data_class in PROTECTED:
        return False
    wanted, sound = bundles(members, whole=isolation == Isolation.DEDICATED), Sound(now)
    outlook = Outlook(now, current())
    for together in _fields(zones_for(tenant, zone, data_class), wanted):
        lists = Shortlists(wanted, together, opens(isolation, tenant.pk), sound, tenant.pk)
        try:
            assign(wanted, lists.of, sound=sound, outlook=outlook)
        except NoneLeft:
            continue
        return True
    return False


def _fields(zones: Sequence[Zone], wanted: Sequence[Bundle]) -> list[list[Zone]]:
    """Zones to look in at once, one set after the other: a stack stands in one zone unless it is spread over several."""
    pairs = [between(one, other) for place, one in enumerate(wanted) for other in wanted[:place]]
    if Spread.ZONE in pairs:
        return [list(zones)]
    if pairs:
        return [[zone] for zone in zones]
    return [list(alike) for _tier, alike in groupby(zones, key=tier)]


def release(instance: ServiceInstance, *, now: datetime, actor: Actor) -> list[Host]:
    """Close every open allocation of ``instance``; returns the hosts that nobody has an allocation on any more.

    Call it only on evidence that the instance is gone from them (DESIGN rule 3). A host that was reserved and never built on
    is clean and goes back to ``available``; every other host stays as it is, for the caller to drain. Again: nothing.
    """
    with transaction.atomic():
        hosts = lock_all(Host, set(_open(instance).values_list("host_id", flat=True)))
        # Read again: whoever held the locks before us may have released it.
        rows = list(_open(instance))
        _open(instance).update(released_at=now)
        for host in hosts:
            amounts: Counter[str] = Counter()
            for row in rows:
                if row.host_id == host.pk:
                    amounts[row.resource_class] -= row.amount
            if amounts:
                list(lock(Inventory.objects.filter(host=host)))
                add_use(host.pk, amounts)
        held: Counter[tuple[str, uuid.UUID]] = Counter()
        zones = {host.pk: host.zone_id for host in hosts}
        for row in rows:
            held[row.resource_class, zones[row.host_id]] -= row.amount
        if held:
            add_holdings(instance.tenant, held)
        left = _left_alone(hosts) if rows else []
        for host in left:
            if host.state == HostState.RESERVED and host.proven_clean:
                move_host(host, HostState.AVAILABLE, actor=actor, now=now, **NOBODYS)
    return left


def _open(instance: ServiceInstance) -> "QuerySet[Allocation]":
    return Allocation.objects.filter(instance=instance, released_at__isnull=True).order_by("pk")


def _left_alone(hosts: Sequence[Host]) -> list[Host]:
    busy = set(
        Allocation.objects.filter(host__in=hosts, released_at__isnull=True).values_list("host_id", flat=True)
    )  # fmt: skip
    return [host for host in hosts if host.pk not in busy]


def locate(instance: ServiceInstance) -> Host:
    """The host of the instance's open allocations. Raises :class:`NotPlaced` when there are none."""
    host = locate_rows(instance.pk).first()
    if host is None:
        raise NotPlaced(instance=str(instance.pk))
    return host
