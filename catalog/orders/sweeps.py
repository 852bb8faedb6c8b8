"""What the scheduled flows look for: deadlines that passed, hosts left behind, leases that ended."""

import uuid
from datetime import datetime

import structlog
from django.db import transaction
from django.utils.translation import gettext as _

from catalog.approvals import freezes
from catalog.approvals import services as approvals
from catalog.approvals.models import Outcome
from catalog.approvals.rules import Deed
from catalog.common.errors import DomainError
from catalog.common.locks import lock_all, lock_one
from catalog.dispatch import services as dispatch
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.leases import services as leases
from catalog.leases.models import Lease
from catalog.orders import advance, services, silence
from catalog.orders.content import SUBJECT
from catalog.orders.fulfilment import next_attempt
from catalog.orders.models import Order
from catalog.orders.recovery import Report
from catalog.orders.states import OrderKind, OrderState
from catalog.orders.transitions import move_order
from catalog.placement.models import Allocation
from catalog.pool.models import Host
from catalog.pool.states import HostState
from catalog.pool.workers import silence as why_silent
from catalog.reclaim import services as reclaim
from catalog.tenancy.policy import system

log = structlog.get_logger(__name__)

SWEEP = system("sweep")
RECLAIM = system("reclaim")


def expire(now: datetime, report: Report) -> None:
    """Deal with everything that stayed in a transitional state beyond its deadline."""
    overdue = Order.objects.filter(deadline__lt=now).values_list("pk", flat=True)
    for pk in list(overdue[:500]):
        with transaction.atomic():
            order = lock_one(Order, pk)
            if order.deadline is not None and order.deadline < now:
                _expire_order(order, now)
                report.add("overdue_orders")
    for host in Host.objects.filter(deadline__lt=now)[:500]:
        if dispatch.request_cancel("host", host.pk, now=now):
            report.add("overdue_hosts")


def _expire_order(order: Order, now: datetime) -> None:
    if order.state == OrderState.PENDING_APPROVAL:
        move_order(order, OrderState.EXPIRED, actor=SWEEP, now=now)
        approvals.close(SUBJECT, order.pk, Outcome.EXPIRED, now=now)
        advance.drop_instance(order, actor=SWEEP, now=now)
    elif until := silence.patience(order, now):
        Order.objects.filter(pk=order.pk).update(deadline=until)
    elif (
        order.state == OrderState.DISPATCHED
        and order.kind == OrderKind.CREATE
        and not dispatch.ever_began("order", order.pk)
    ):
        # No worker ever took it up, so nothing was built: give everything back.
        if dispatch.withdraw("order", order.pk, now=now):
            detail = _("No worker of the zone took the order up in time. Try again, or choose another zone.")
            if order.zone is not None and (why := why_silent(order.zone)):
                detail = f"{why} {detail}"
            move_order(
                order,
                OrderState.FAILED,
                actor=SWEEP,
                now=now,
                failure_code="not-taken-up",
                failure_detail=detail,
                data={"code": "not-taken-up"},
            )
            advance.drop_instance(order, actor=SWEEP, now=now)
    elif not dispatch.request_cancel("order", order.pk, now=now):
        next_attempt(order, code="deadline-passed", detail=_("The order took longer than it may."), now=now)


def wipe_abandoned(now: datetime, report: Report) -> None:
    """Hosts in use on which nobody holds anything: a crash came between the release and the wipe."""
    held = Allocation.objects.filter(released_at__isnull=True).values("host")
    for pk in list(Host.objects.filter(state=HostState.IN_USE).exclude(pk__in=held).values_list("pk", flat=True)[:500]):
        with transaction.atomic():
            host = lock_one(Host, pk)
            if host.state == HostState.IN_USE and not reclaim.has_claims(host):
                reclaim.request_wipe(host, actor=SWEEP, now=now)
                report.add("abandoned_hosts")


def stuck(now: datetime) -> Report:
    """Everything the scheduled sweep looks for."""
    report = Report()
    expire(now, report)
    wipe_abandoned(now, report)
    return report


def reclaim_due(zone: str, now: datetime) -> int:
    """Order the give-back of every instance of a zone whose lease has ended; returns how many. Never early, never twice."""
    placed, calendar = 0, freezes.calendar()
    due = leases.due(now, zone).values_list("pk", "instance_id", "instance__tenant__slug")
    for lease_id, instance_id, tenant in list(due):
        if calendar.freeze(Deed.RECLAIM, tenant, now=now) is not None:
            # Only where a window says so: it is looked at again until that ends, and acted upon then.
            continue
        try:
            placed += reclaim_lease(lease_id, instance_id, now)
        except DomainError as error:
            log.warning("reclaim_refused", lease=str(lease_id), instance=str(instance_id), code=error.code)
    return placed


def reclaim_lease(lease_id: uuid.UUID, instance_id: uuid.UUID, now: datetime) -> bool:
    """Order the give-back of one instance whose lease was seen to be due; False where it no longer is.

    Since it was seen, its people may have extended it, an auditor may hold it, or another sweep was here: it is judged again,
    locked. A give-back that its people ordered and that still waits, for an approval or a freeze's end, gives way.

    :raises DomainError: it cannot be given back now, for example because another order for it is under way.
    """
    with transaction.atomic():
        waiting = lock_all(Order, services.waiting_give_backs(instance_id))
        instance = lock_one(ServiceInstance, instance_id)
        if instance.state == InstanceState.DECOMMISSIONING or not leases.is_due(lock_one(Lease, lease_id), now):
            return False
        reason = _("The lease ended.")
        for order in waiting:
            if order.state in {OrderState.PENDING_APPROVAL, OrderState.APPROVED}:
                advance.withdrawn(order, actor=RECLAIM, now=now, data={"why": reason})
        services.give_back(RECLAIM, instance, reason=reason, idempotency_key=f"lease:{lease_id}", now=now)
        return True
