"""Claiming room on hosts and giving it back. Each is one step of the caller's transaction."""

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When

from catalog.common.locks import lock, lock_all
from catalog.instances.models import ServiceInstance
from catalog.placement.choice import Candidate, fits, ranked
from catalog.placement.errors import NoCapacity, NotPlaced
from catalog.placement.models import Allocation, Holding
from catalog.placement.selectors import candidates, in_words, locate_rows, why_not, zones_for
from catalog.pool.models import ANYONE, Host, Inventory, Zone
from catalog.pool.services import move_host
from catalog.pool.states import HostState
from catalog.tenancy.models import Tenant
from catalog.tenancy.policy import Actor

CANDIDATES = 16
"""How many of the tightest hosts are compared; also how many clients can claim side by side without waiting."""


@dataclass(frozen=True)
class Placed:
    """Where an instance was placed, the amount that was claimed of each class, and why there (JSON)."""

    host: Host
    amounts: Mapping[str, int]
    explanation: dict[str, Any] = field(default_factory=dict)


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
    room_from: Callable[[], datetime | None] | None = None,
) -> Placed:
    """Claim room on one host for ``instance``, in the caller's transaction.

    A slice goes beside the tenant's other slices if there is room, else on a clean host, which becomes ``reserved`` for the
    tenant. A whole host (``exclusive``) is a clean one with at least ``resources``; all it has is claimed.
    Among hosts with room the tightest is taken. Clients that claim at once do not wait for each other while there is
    other room; before refusing, a claim does wait, so that it never refuses because of somebody who gives up.

    :param resources: resource class → amount above 0.
    :param zone: only there; None for any zone open to the tenant.
    :param room_from: asked only for a refusal: when a lease ends whose room would do.
    :raises NoCapacity: no host passes; nothing has changed.
    """
    if not resources or any(amount < 1 for amount in resources.values()):
        raise ValueError("a claim names at least one resource class, each with an amount above 0")
    if instance.tenant_id != tenant.pk:
        raise ValueError("an instance is placed for its own tenant")
    claim = _Claim(instance, dict(resources), tuple(traits), exclusive, tenant, now, actor)
    zones = zones_for(tenant, zone)
    for waiting in (False, True):
        for opens_to in (ANYONE,) if exclusive else (tenant.pk, ANYONE):
            for each in zones:
                placed = claim.take(each, opens_to, waiting=waiting)
                if placed is not None:
                    return placed
    filters = why_not(tenant=tenant, zones=zones, wanted=resources, traits=traits, exclusive=exclusive)
    raise NoCapacity(in_words(filters, room_from() if room_from else None), filters=filters)


@dataclass(frozen=True)
class _Claim:
    """One claim on its way through the candidates."""

    instance: ServiceInstance
    wanted: dict[str, int]
    traits: tuple[str, ...]
    exclusive: bool
    tenant: Tenant
    now: datetime
    actor: Actor

    def take(self, zone: Zone, opens_to: uuid.UUID, *, waiting: bool) -> Placed | None:
        """The first candidate that can be had.

        While ``waiting``, hosts held by others are waited for, one at a time: a savepoint gives each up again before the
        next, so two claims never hold a host each and wait for the other's.
        """
        tried: set[uuid.UUID] = set()
        while True:
            found = candidates(
                tenant=self.tenant, zone=zone, opens_to=opens_to, wanted=self.wanted, traits=self.traits, whole=self.exclusive,
                besides=frozenset(tried), limit=CANDIDATES,
            )  # fmt: skip
            for candidate in ranked(found, self.wanted):
                tried.add(candidate.host_id)
                placed = self._try(candidate, opens_to, waiting=waiting)
                if placed is not None:
                    return self._explained(placed, zone, opens_to, candidate, len(tried))
            if not waiting or len(found) < CANDIDATES:
                return None

    def _try(self, candidate: Candidate, opens_to: uuid.UUID, *, waiting: bool) -> Placed | None:
        if not waiting:
            return self._claim(candidate, opens_to, skip_locked=True)
        try:
            with transaction.atomic():
                placed = self._claim(candidate, opens_to, skip_locked=False)
                if placed is None:
                    raise _GaveUp
                return placed
        except _GaveUp:
            return None

    def _claim(self, candidate: Candidate, opens_to: uuid.UUID, *, skip_locked: bool) -> Placed | None:
        standing = (
            Q(state=HostState.AVAILABLE, proven_clean=True)
            if opens_to == ANYONE
            else Q(state__in=(HostState.RESERVED, HostState.IN_USE), holder=self.tenant, exclusive=False)
        )
        held = Host.objects.filter(standing, pk=candidate.host_id).defer("facts")
        host = lock(held, skip_locked=skip_locked).first()
        if host is None:
            return None
        rows = list(lock(Inventory.objects.filter(host=host)).values_list("resource_class", "free", "used"))
        free = {name: left for name, left, _ in rows}
        taken_already = self.exclusive and any(used for _, _, used in rows)
        if taken_already or not fits(Candidate(host.pk, free), self.wanted):
            return None
        amounts = {name: amount for name, amount in free.items() if amount} if self.exclusive else self.wanted
        if host.state == HostState.AVAILABLE:
            move_host(
                host, HostState.RESERVED, actor=self.actor, now=self.now, holder=self.tenant, exclusive=self.exclusive
            )
        Allocation.objects.bulk_create(
            Allocation(instance=self.instance, host=host, resource_class=name, amount=amount, created_at=self.now)
            for name, amount in amounts.items()
        )
        Inventory.objects.filter(host=host, resource_class__in=amounts).update(used=F("used") + _each(amounts))
        _add_holdings(self.tenant, {(name, host.zone_id): amount for name, amount in amounts.items()})
        return Placed(host, amounts)

    def _explained(
        self, placed: Placed, zone: Zone, opens_to: uuid.UUID, candidate: Candidate, compared: int
    ) -> Placed:  # fmt: skip
        return replace(
            placed,
            explanation={
                "host": placed.host.name,
                "zone": zone.slug,
                "where": "clean-host" if opens_to == ANYONE else "beside-own-services",
                "rule": "best-fit",
                "traits": sorted(set(self.traits)),
                "wanted": self.wanted,
                "whole_host": self.exclusive,
                "free_before": dict(candidate.free),
                "hosts_tried": compared,
            },
        )


class _GaveUp(Exception):
    """Leaves a savepoint: the host waited for can no longer be had."""


def _each(amounts: Mapping[str, int]) -> Case:
    """In an UPDATE: the amount of the row's own class."""
    return Case(*(When(resource_class=name, then=Value(amount)) for name, amount in amounts.items()))


def _add_holdings(tenant: Tenant, amounts: Mapping[tuple[str, uuid.UUID], int]) -> None:
    """Add to what the tenant holds of a class in a zone (negative amounts take away).

    The rows of all zones are locked: whoever reads afterwards what the tenant holds of a class reads it as it will be committed.
    """
    rows = Holding.objects.filter(tenant=tenant, resource_class__in={name for name, _ in amounts})
    if not amounts.keys() <= set(lock(rows).values_list("resource_class", "zone")):
        Holding.objects.bulk_create(
            (Holding(tenant=tenant, resource_class=name, zone_id=zone) for name, zone in sorted(amounts)),
            ignore_conflicts=True,
        )
        list(lock(rows))
    for zone_id in {zone for _, zone in amounts}:
        here = {name: amount for (name, zone), amount in amounts.items() if zone == zone_id}
        rows.filter(zone=zone_id, resource_class__in=here).update(used=F("used") + _each(here))


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
            amounts = {row.resource_class: -row.amount for row in rows if row.host_id == host.pk}
            if amounts:
                list(lock(Inventory.objects.filter(host=host)))
                Inventory.objects.filter(host=host, resource_class__in=amounts).update(used=F("used") + _each(amounts))
        held: Counter[tuple[str, uuid.UUID]] = Counter()
        zones = {host.pk: host.zone_id for host in hosts}
        for row in rows:
            held[row.resource_class, zones[row.host_id]] -= row.amount
        if held:
            _add_holdings(instance.tenant, held)
        left = _left_alone(hosts) if rows else []
        for host in left:
            if host.state == HostState.RESERVED and host.proven_clean:
                move_host(host, HostState.AVAILABLE, actor=actor, now=now, holder=None, exclusive=False)
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
