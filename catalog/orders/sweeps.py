"""What the scheduled flows look for: deadlines that passed, hosts left behind, leases that ended."""

import contextlib
import uuid
from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from catalog.approvals import freezes
from catalog.approvals import services as approvals
from catalog.approvals.models import Outcome
from catalog.approvals.rules import Deed
from catalog.common.errors import DomainError
from catalog.common.locks import lock_all, lock_one
from catalog.dispatch import services as dispatch
from catalog.instances.states import InstanceState
from catalog.leases import services as leases
from catalog.leases.models import Lease
from catalog.leases.states import LeaseState
from catalog.orders import advance, operations, services, silence, turns
from catalog.orders.content import SUBJECT
from catalog.orders.errors import OrderUnderWay
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
        and order.kind in {OrderKind.CREATE, OrderKind.OPERATE}
        and not dispatch.ever_began("order", order.pk)
    ):
        # No worker ever took it up, so nothing was built or touched: give back what it holds.
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
    for pk in list(_abandoned().values_list("pk", flat=True)[:500]):
        with transaction.atomic():
            host = lock_one(Host, pk)
            if host.state == HostState.IN_USE and not reclaim.has_claims(host):
                reclaim.request_wipe(host, actor=SWEEP, now=now)
                report.add("abandoned_hosts")


def _abandoned() -> "QuerySet[Host]":
    held = Allocation.objects.filter(released_at__isnull=True).values("host")
    return Host.objects.filter(state=HostState.IN_USE).exclude(pk__in=held)


def anything_stuck(now: datetime) -> bool:
    """Whether :func:`stuck` would find something to look at."""
    overdue = (model.objects.filter(deadline__lt=now).exists() for model in (Order, Host))
    return any(overdue) or _abandoned().exists()


def stuck(now: datetime) -> Report:
    """Everything the scheduled sweep looks for."""
    report = Report()
    expire(now, report)
    wipe_abandoned(now, report)
    return report


def anything_to_reclaim(zone: str, now: datetime) -> bool:
    """Whether :func:`reclaim_due` would find something to look at."""
    return leases.due(now, zone).exists() or _still_running(zone, now).exists()


def reclaim_due(zone: str, now: datetime) -> int:
    """Act on every lease of a zone whose end has come, or that of its grace; returns how many. Never early, never twice.

    What has grace is stopped, the rest is given back. A service in grace that could not be stopped is stopped again.
    """
    acted, calendar = 0, freezes.calendar()
    due = leases.due(now, zone).values_list("pk", "instance_id", "instance__tenant__slug")
    for lease_id, instance_id, tenant in list(due):
        if calendar.freeze(Deed.RECLAIM, tenant, now=now) is not None:
            # Only where a window says so: it is looked at again until that ends, and acted upon then.
            continue
        try:
            acted += reclaim_lease(lease_id, instance_id, now)
        except DomainError as error:
            log.warning("reclaim_refused", lease=str(lease_id), instance=str(instance_id), code=error.code)
    _keep_stopped(zone, now)
    return acted


def reclaim_lease(lease_id: uuid.UUID, instance_id: uuid.UUID, now: datetime) -> bool:
    """Act on one lease that was seen to be due: begin its grace and stop the service, or order the give-back.

    Since it was seen, its people may have extended it, an auditor may hold it, or another sweep was here: it is judged again,
    locked. A give-back that its people ordered and that still waits, for an approval or a freeze's end, gives way.

    :returns: False: it is not due any more.
    :raises DomainError: nothing can be done now, for example because it is still being built.
    """
    with transaction.atomic():
        # In the order of locks: what waits for a decision, then what is under way, then the service.
        asked = turns.waiting_give_backs(instance_id).filter(state=OrderState.PENDING_APPROVAL)
        pending = lock_all(Order, asked.values_list("pk", flat=True))
        instance, ahead = turns.hold(instance_id)
        lease = lock_one(Lease, lease_id)
        if instance.state == InstanceState.DECOMMISSIONING or not leases.is_due(lease, now):
            return False
        if leases.enter_grace(lease, now=now, actor=RECLAIM):
            operations.stop_for_grace(instance, ahead, actor=RECLAIM, now=now)
            return True
        reason = _("The grace ended.") if lease.state == LeaseState.GRACE else _("The lease ended.")
        for order in {each.pk: each for each in (*pending, *ahead) if each.kind == OrderKind.DECOMMISSION}.values():
            if order.state in {OrderState.PENDING_APPROVAL, OrderState.APPROVED}:
                advance.withdrawn(order, actor=RECLAIM, now=now, data={"why": reason})
        services.give_back(RECLAIM, instance, reason=reason, idempotency_key=f"lease:{lease_id}", now=now)
        return True


def _still_running(zone: str, now: datetime) -> "QuerySet[Lease]":
    return leases.in_grace(zone, now=now).filter(instance__state__in=(InstanceState.ACTIVE, InstanceState.TAINTED))


def _keep_stopped(zone: str, now: datetime) -> None:
    for lease_id, instance_id in list(_still_running(zone, now).values_list("pk", "instance_id")[:500]):
        with contextlib.suppress(OrderUnderWay), transaction.atomic():
            instance, ahead = turns.hold(instance_id)
            if operations.stop_again(lock_one(Lease, lease_id), instance, ahead, actor=RECLAIM, now=now):
                log.warning("stopped_again", lease=str(lease_id), instance=str(instance_id))
