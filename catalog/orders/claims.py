"""Taking and giving back everything an order holds: quota, capacity, address, port, credentials. All or nothing.

A claim is made in the transaction that approves the order; it is given back only on evidence that the thing is gone.
"""

from datetime import datetime, timedelta

from django.db.models import Count, Max, Q, QuerySet
from django.utils.translation import gettext as _

from catalog.audit.gate import Happening, append_events
from catalog.dispatch import services as dispatch
from catalog.instances import services as instances
from catalog.instances.models import ServiceInstance
from catalog.ipam import services as ipam
from catalog.leases import services as leases
from catalog.offerings.models import Plan
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import OrderKind, OrderState
from catalog.orders.transitions import move_order
from catalog.placement import services as placement
from catalog.placement.errors import NoCapacity
from catalog.placement.models import Allocation
from catalog.pool.models import Host
from catalog.pool.states import HostState
from catalog.quotas import services as quotas
from catalog.reclaim import services as reclaim
from catalog.tenancy.policy import Actor

LONG_WAIT = timedelta(hours=24)
"""After this wait an order is passed by nobody who would borrow, even where there is too little room for it yet."""

_FLOW_OF_KIND = {OrderKind.CREATE: "provision", OrderKind.DECOMMISSION: "decommission", OrderKind.OPERATE: "operate"}


def claim(order: Order, instance: ServiceInstance, *, actor: Actor, now: datetime) -> Host:
    """Claim what the plan needs for a pending instance.

    :raises QuotaExceeded: the affiliate would hold more than it may.
    :raises NothingToBorrow: it would hold more than it is guaranteed, and others leave too little idle.
    :raises NoCapacity: no host fits; says why and, where it can be told, when one will. Or an order just placed would borrow
        what others have waited for longer than :data:`LONG_WAIT`.
    :raises PortsExhausted: the host has no free port in the plan's range.
    """
    plan = order.plan
    checked = quotas.check_and_lock(order.tenant, plan.resources, zone=order.zone, now=now)
    placed = placement.place(
        instance,
        resources=plan.resources,
        traits=plan.traits,
        exclusive=plan.topology == Plan.Topology.DEDICATED,
        tenant=order.tenant,
        zone=order.zone,
        now=now,
        actor=actor,
        room_from=lambda: room_from(order),
    )
    # A whole host may hold more than its plan asks for, and all of it counts.
    borrowed = quotas.borrow(instance, placed.amounts, zone=placed.host.zone_id, checked=checked, now=now)
    if borrowed and order.state != OrderState.WAITING_CAPACITY and long_waiting(order, now).exists():
        raise NoCapacity(
            _("Other orders have waited long for this room and come first. Let the order wait in line too.")
        )
    low, high = order.version.manifest["port"]["range"]
    endpoint = ipam.claim_endpoint(instance, placed.host, port_range=(low, high), now=now)
    instances.create_binding(instance, address=endpoint.address.address, port=endpoint.port, now=now)
    instance.zone = placed.host.zone
    instance.save(update_fields=["zone"])
    order.explanation = placed.explanation
    order.zone = placed.host.zone
    order.save(update_fields=["explanation", "zone"])
    append_events(
        order,
        OrderEvent,
        [Happening("placed", {"host": placed.host.name, "zone": placed.host.zone.slug, "why": placed.explanation})],
        actor=actor.name,
        now=now,
    )
    return placed.host


def long_waiting(order: Order, now: datetime) -> "QuerySet[Order]":
    """Orders that have waited so long for room ``order`` could take that nobody who would borrow it passes them any more."""
    waiting = Order.objects.filter(state=OrderState.WAITING_CAPACITY, state_since__lt=now - LONG_WAIT)
    if order.zone is not None:
        waiting = waiting.filter(Q(zone__isnull=True) | Q(zone=order.zone))
    return waiting


def room_from(order: Order) -> datetime | None:
    """When the first host open to the order comes free as a whole: the last lease on it ends. None where no lease tells."""
    standing = Allocation.objects.filter(released_at__isnull=True)
    if order.zone is not None:
        standing = standing.filter(host__zone=order.zone)
    else:
        standing = standing.filter(Q(host__zone__tenant__isnull=True) | Q(host__zone__tenant=order.tenant_id))
    hosts = standing.values("host").annotate(
        ends=Max(leases.frees_at("instance__lease__")), without=Count("pk", filter=Q(instance__lease__isnull=True))
    )
    return hosts.filter(without=0).order_by("ends").values_list("ends", flat=True).first()


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
