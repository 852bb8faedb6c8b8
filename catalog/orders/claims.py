"""Taking and giving back everything an order holds: quota, capacity, address, port, credentials. All or nothing.

A claim is made in the transaction that approves the order; it is given back only on evidence that the thing is gone.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from catalog.audit.gate import Happening, append_events
from catalog.dispatch import services as dispatch
from catalog.instances import services as instances
from catalog.instances.models import ServiceInstance
from catalog.ipam import services as ipam
from catalog.ipam.errors import PortsExhausted
from catalog.ipam.models import Endpoint
from catalog.offerings.models import Plan
from catalog.orders import outlook
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import OrderKind, OrderState
from catalog.orders.transitions import move_order
from catalog.placement import services as placement
from catalog.placement.claiming import Placed
from catalog.placement.errors import NoCapacity
from catalog.placement.members import Member, Spread, members_of
from catalog.pool.models import Host
from catalog.pool.states import HostState
from catalog.quotas import services as quotas
from catalog.reclaim import services as reclaim
from catalog.tenancy.policy import Actor

LONG_WAIT = timedelta(hours=24)
"""After this wait an order is passed by nobody who would borrow, even where there is too little room for it yet."""

HOSTS_WITHOUT_PORT = 20
"""After so many hosts whose ports are all taken a claim looks no further: something is amiss with the range of ports."""

_FLOW_OF_KIND = {OrderKind.CREATE: "provision", OrderKind.DECOMMISSION: "decommission", OrderKind.OPERATE: "operate"}


def claim(order: Order, instance: ServiceInstance, *, actor: Actor, now: datetime, explain: bool = True) -> Host:
    """Claim what the plan needs for a pending instance.

    :param explain: say in a refusal why there is no room, what would make some, and when some may come.
    :returns: the host of its first member.

    :raises QuotaExceeded: the affiliate would hold more than it may.
    :raises NothingToBorrow: it would hold more than it is guaranteed, and others leave too little idle.
    :raises IsolationTooWeak: it will hold data that may not stand on a host which affiliates share.
    :raises ZoneRefused: no zone may take it (any more).
    :raises NoCapacity: no host fits. Or an order just placed would borrow what others have waited for longer than
        :data:`LONG_WAIT`.
    :raises PortsExhausted: no host with room has a free port in the plan's range.
    :raises NameResting: another affiliate had the service's DNS name a short while ago.
    """
    plan = order.plan
    members = members_of(plan)
    checked = quotas.check_and_lock(order.tenant, _at_once(plan, members), zone=order.zone, now=now)
    parts, endpoints = _placed(order, instance, members, checked, actor=actor, now=now, explain=explain)
    first, front = parts[0].host, endpoints[parts[0].member.name]
    name = front.name.name if front.name else None
    instances.create_binding(instance, address=front.address.address, port=front.port, name=name, now=now)
    instance.zone = first.zone
    instance.save(update_fields=["zone"])
    order.explanation = _explained(parts)
    order.zone = first.zone
    order.save(update_fields=["explanation", "zone"])
    said = {"host": first.name, "zone": first.zone.slug, "why": order.explanation}
    append_events(order, OrderEvent, [Happening("placed", said)], actor=actor.name, now=now)
    return first


def _placed(
    order: Order, instance: ServiceInstance, members: Sequence[Member], checked: quotas.Checked, *,
    actor: Actor, now: datetime, explain: bool,
) -> tuple[list[Placed], dict[str, Endpoint]]:  # fmt: skip
    """Room, what is borrowed for it, and a port on each host. A host without a free port is passed over for the next best."""
    low, high = order.version.manifest["port"]["range"]
    without_port: set[uuid.UUID] = set()
    while True:
        try:
            with transaction.atomic():
                parts = placement.place_all(
                    instance,
                    members,
                    isolation=order.plan.isolation,
                    tenant=order.tenant,
                    zone=order.zone,
                    data_class=order.data_class,
                    until=now + timedelta(seconds=order.lease_seconds),
                    besides=frozenset(without_port),
                    now=now,
                    actor=actor,
                    explain=explain and not without_port,
                )
                borrowed = _borrow(instance, parts, checked=checked, now=now)
                if borrowed and order.state != OrderState.WAITING_CAPACITY and long_waiting(order, now).exists():
                    raise NoCapacity(
                        _("Other orders have waited long for this room and come first. Let the order wait in line too.")
                    )
                hosts = {part.member.name: part.host for part in parts}
                return parts, ipam.claim_endpoints(instance, hosts, port_range=(low, high), now=now)
        except PortsExhausted as full:
            without_port.add(full.context["host_id"])
            if len(without_port) == HOSTS_WITHOUT_PORT:
                raise
        except NoCapacity as refusal:
            if without_port:
                raise PortsExhausted() from refusal
            raise outlook.explained(order, refusal, now=now) from refusal


def _at_once(plan: Plan, members: Sequence[Member]) -> Mapping[str, int]:
    """What one account of the affiliate must have room for, whichever zones the members get: all of them, or the largest."""
    if all(member.spread < Spread.ZONE for member in members):
        return plan.resources
    return {
        name: max(member.amounts.get(name, 0) for member in members)
        for name in sorted({name for member in members for name in member.amounts})
    }


def _borrow(instance: ServiceInstance, parts: Sequence[Placed], *, checked: quotas.Checked, now: datetime) -> bool:
    """Borrow in every zone where the instance stands. A whole host may hold more than its plan asks for, and all counts."""
    amounts: Counter[str] = Counter()
    for part in parts:
        amounts.update(part.amounts)
    zones = sorted({part.host.zone_id for part in parts})
    borrowed = [quotas.borrow(instance, amounts, zone=zone, checked=checked, now=now) for zone in zones]
    return any(borrowed)


def _explained(parts: Sequence[Placed]) -> dict[str, Any]:
    """Why each stands where it does; members that share a host share the reason."""
    reasons = list({part.explanation["member"]: part.explanation for part in parts}.values())
    return reasons[0] if len(reasons) == 1 else {"members": reasons}


def long_waiting(order: Order, now: datetime) -> "QuerySet[Order]":
    """Orders that have waited so long for room ``order`` could take that nobody who would borrow it passes them any more."""
    waiting = Order.objects.filter(state=OrderState.WAITING_CAPACITY, state_since__lt=now - LONG_WAIT)
    if order.zone is not None:
        waiting = waiting.filter(Q(zone__isnull=True) | Q(zone=order.zone))
    return waiting


def dispatch_attempt(
    order: Order, *, actor: Actor, now: datetime, tries: int, not_before: datetime | None = None, undoing: bool = False
) -> None:
    """Open the next attempt of an order's flow, in the caller's transaction.

    A cancelling order stays cancelling; any other is dispatched.

    :param tries: which attempt at the present phase (building, or undoing) this is, counted from 1.
    """
    attempt = order.attempt + 1
    if order.state == OrderState.CANCELLING:
        Order.objects.filter(pk=order.pk).update(attempt=attempt, tries=tries, undoing=undoing)
        order.attempt, order.tries, order.undoing = attempt, tries, undoing
    else:
        move_order(
            order,
            OrderState.DISPATCHED,
            actor=actor,
            now=now,
            data={"attempt": attempt},
            attempt=attempt,
            tries=tries,
            undoing=undoing,
        )
    assert order.zone is not None  # a claimed order stands in the zone of its host
    dispatch.enqueue(
        flow=_FLOW_OF_KIND[OrderKind(order.kind)],
        subject_type="order",
        subject_id=order.pk,
        zone=order.zone.slug,
        attempt=attempt,
        now=now,
        not_before=not_before,
    )


def give_up_claim(instance: ServiceInstance, *, actor: Actor, now: datetime) -> None:
    """Give back everything the instance holds. The caller has evidence that nothing of it is on the host any more.

    A host that nobody holds anything on afterwards, and that was built on, is drained and wiped.
    """
    emptied = placement.release(instance, now=now, actor=actor)
    quotas.give_back(instance, now=now)
    ipam.release_endpoints(instance, now=now)
    instances.revoke_bindings(instance, now=now)
    for host in emptied:
        if host.state == HostState.IN_USE:
            reclaim.request_wipe(host, actor=actor, now=now)
