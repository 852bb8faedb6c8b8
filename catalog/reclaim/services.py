"""The life of a host between affiliates: enrolled, wiped, quarantined, retired. Operators and reclaim call these."""

from datetime import datetime
from typing import Any

from django.db import transaction

from catalog.common.errors import StateConflict
from catalog.common.locks import lock_one
from catalog.dispatch import services as dispatch
from catalog.ipam import services as ipam
from catalog.placement.models import Allocation
from catalog.pool.models import Host, HostKey
from catalog.pool.services import move_host
from catalog.pool.states import HostState
from catalog.pool.targets import Target, target_of
from catalog.reclaim.errors import HostInUse, SecondPersonNeeded
from catalog.tenancy.policy import Action, Actor, require

_CHECKED = (
    HostState.AVAILABLE,
    HostState.RESERVED,
    HostState.IN_USE,
    HostState.DRAINING,
    HostState.MAINTENANCE,
    HostState.MISSING,
)


def begin_flow(
    host: Host, flow: str, to: str, *, actor: Actor, now: datetime, reason: str = "", **changes: Any
) -> None:
    """Move a host and ask for the flow that carries the move out, together."""
    attempt = host.attempt + 1
    move_host(
        host,
        to,
        actor=actor,
        now=now,
        reason=reason,
        attempt=attempt,
        tries=1,
        failure_code="",
        release_requested_by=None,
        **changes,
    )
    dispatch.enqueue(flow=flow, subject_type="host", subject_id=host.pk, zone=host.zone.slug, attempt=attempt, now=now)


def enrol(actor: Actor, host: Host, *, now: datetime) -> Host:
    """Register the host's address, inspect it and take it into the pool.

    :raises AddressOutsideZone, AddressTaken: its address.
    :raises StateConflict: it is not waiting to be enrolled.
    """
    require(actor, Action.OPERATE_POOL)
    with transaction.atomic():
        held = lock_one(Host, host.pk)
        ipam.register_address(held, now=now, actor=actor)
        begin_flow(held, "enrol", HostState.INSPECTING, actor=actor, now=now)
        return held


def has_claims(host: Host) -> bool:
    """Whether somebody holds something on the host."""
    return Allocation.objects.filter(host=host, released_at__isnull=True).exists()


def request_wipe(host: Host, *, actor: Actor, now: datetime) -> None:
    """The last holder has left (or what it left is beyond repair): drain and wipe the host, in the caller's transaction."""
    begin_flow(host, "wipe", HostState.DRAINING, actor=actor, now=now)


def wipe(actor: Actor, host: Host, *, now: datetime) -> Host:
    """An operator has a host wiped that nobody holds. A quarantined one needs the word of two operators.

    :raises HostInUse: something is claimed on it.
    :raises SecondPersonNeeded: the same person asked for its release before.
    :raises StateConflict: it is in a state that cannot be wiped.
    """
    require(actor, Action.OPERATE_POOL)
    with transaction.atomic():
        held = lock_one(Host, host.pk)
        if has_claims(held) and held.state != HostState.QUARANTINED:
            raise HostInUse()
        if held.state == HostState.QUARANTINED:
            if held.release_requested_by_id is None:
                held.release_requested_by_id = actor.user_id
                held.save(update_fields=["release_requested_by"])
                return held
            if held.release_requested_by_id == actor.user_id:
                raise SecondPersonNeeded()
        begin_flow(held, "wipe", HostState.WIPING, actor=actor, now=now)
        return held


def quarantine(actor: Actor, host: Host, *, reason: str, now: datetime) -> Host:
    """Take a host out of everything until two people decide otherwise. Raises StateConflict."""
    require(actor, Action.OPERATE_POOL)
    with transaction.atomic():
        held = lock_one(Host, host.pk)
        move_host(held, HostState.QUARANTINED, actor=actor, now=now, reason=reason)
        dispatch.request_cancel("host", held.pk, now=now)
        dispatch.withdraw("host", held.pk, now=now)
        return held


def maintenance(actor: Actor, host: Host, *, reason: str, now: datetime) -> Host:
    """Set an available host aside for work on it. Raises StateConflict."""
    return _operator_move(actor, host, HostState.MAINTENANCE, reason=reason, now=now)


def retire(actor: Actor, host: Host, *, reason: str, now: datetime) -> Host:
    """End a host's service for ever. Raises HostInUse or StateConflict."""
    return _operator_move(actor, host, HostState.RETIRED, reason=reason, now=now)


def resume(actor: Actor, host: Host, *, now: datetime) -> Host:
    """Back from maintenance: through a wipe, because somebody may have touched it. Raises StateConflict."""
    require(actor, Action.OPERATE_POOL)
    with transaction.atomic():
        held = lock_one(Host, host.pk)
        if held.state != HostState.MAINTENANCE:
            raise StateConflict(state=held.state, wanted=HostState.WIPING)
        begin_flow(held, "wipe", HostState.WIPING, actor=actor, now=now)
        return held


def _operator_move(actor: Actor, host: Host, to: str, *, reason: str, now: datetime) -> Host:
    require(actor, Action.OPERATE_POOL)
    with transaction.atomic():
        held = lock_one(Host, host.pk)
        if has_claims(held):
            raise HostInUse()
        move_host(held, to, actor=actor, now=now, reason=reason)
        return held


def check_targets(zone: str) -> list[Target]:
    """The hosts of a zone that ought to answer, with their pinned keys."""
    hosts = {host.pk: host for host in Host.objects.filter(zone__slug=zone, state__in=_CHECKED)}
    keys = (
        HostKey.objects.filter(host__in=hosts).order_by("generation").values_list("host_id", "generation", "public_key")
    )
    pinned = {host_id: key for host_id, generation, key in keys if hosts[host_id].generation == generation}
    return [target_of(host, pinned[host.pk]) for host in hosts.values() if host.pk in pinned]
