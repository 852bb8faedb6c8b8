"""Putting right what a crash, a lost message or a passed deadline left behind. Safe to run anywhere, at any time, twice."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, Min, OuterRef

from catalog.common.locks import lock_one
from catalog.dispatch import services as dispatch
from catalog.dispatch.errors import PrefectUnavailable
from catalog.dispatch.models import Job, JobState
from catalog.instances.models import ServiceInstance
from catalog.ipam.errors import NameResting, PortsExhausted
from catalog.orders import advance, claims, frozen, turns, waiting
from catalog.orders.fulfilment import describe_lost_run, next_attempt, settle_decommission, settle_undone
from catalog.orders.models import Order
from catalog.orders.states import OrderKind, OrderState
from catalog.placement.errors import IsolationTooWeak, NoCapacity
from catalog.placement.models import Allocation
from catalog.pool.errors import ZoneRefused
from catalog.pool.models import Host, WipeCertificate
from catalog.pool.states import HostState
from catalog.quotas.counts import measure
from catalog.quotas.errors import NothingToBorrow, QuotaExceeded
from catalog.reclaim import fulfilment as host_fulfilment
from catalog.reclaim import services as reclaim
from catalog.tenancy.policy import system

log = structlog.get_logger(__name__)

RECONCILER = system("reconciler")
_ORDER_AT_WORK = (OrderState.DISPATCHED, OrderState.RUNNING, OrderState.CANCELLING)
_HOST_AT_WORK = (HostState.INSPECTING, HostState.DRAINING, HostState.WIPING, HostState.VERIFYING)
_RETRY_DIRTY_AFTER = timedelta(minutes=2)
_LONGEST_PAUSE = timedelta(hours=1)


@dataclass
class Report:
    """How many things each kind of repair put right."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, what: str, by: int = 1) -> None:
        """Count a repair."""
        if by:
            self.counts[what] = self.counts.get(what, 0) + by


def reopen_lost_runs(now: datetime, report: Report) -> None:
    """Bury runs that died without a word and go on with the next attempt of their order or host."""
    try:
        for job in dispatch.stale(now):
            if not dispatch.bury(job, now=now, why="no sign of life"):
                continue
            log.warning("run_lost", job=job.key, flow_run_id=str(job.flow_run_id))
            _go_on(job, now)
            report.add("lost")
    except PrefectUnavailable as error:
        log.warning("reconcile_waits_for_prefect", **error.context)


def _go_on(job: Job, now: datetime) -> None:
    if job.subject_type == "host":
        host_fulfilment.reopen(job.subject_id, job.attempt, now=now)
        return
    with transaction.atomic():
        order = lock_one(Order, job.subject_id)
        if order.attempt == job.attempt and order.state in _ORDER_AT_WORK:
            next_attempt(order, code="run-lost", detail=describe_lost_run(), now=now)


def reopen_orphans(now: datetime, report: Report) -> None:
    """Go on with orders and hosts at work whose newest job is closed: the process died after it had buried the run."""
    settled = now - timedelta(seconds=5)
    closed = Job.objects.filter(
        state=JobState.LOST, ended_at__lt=settled, subject_id=OuterRef("pk"), attempt=OuterRef("attempt")
    )
    orders = Order.objects.filter(Exists(closed.filter(subject_type="order")), state__in=_ORDER_AT_WORK)
    hosts = Host.objects.filter(Exists(closed.filter(subject_type="host")), state__in=_HOST_AT_WORK)
    subjects = [*orders.values_list("pk", "attempt"), *hosts.values_list("pk", "attempt")]
    for job in Job.objects.filter(state=JobState.LOST, subject_id__in=[pk for pk, _attempt in subjects]):
        if (job.subject_id, job.attempt) in subjects:
            _go_on(job, now)
            report.add("orphans")


def retry_dirty(now: datetime, report: Report) -> None:
    """Orders that still hold something.

    Those whose host was wiped since are settled; hosts that nobody else is on are wiped;
    the rest is tried again, ever more rarely.
    """
    for pk in list(Order.objects.filter(state=OrderState.FAILED_DIRTY).values_list("pk", flat=True)[:500]):
        with transaction.atomic():
            order = lock_one(Order, pk)
            if order.state != OrderState.FAILED_DIRTY or order.instance_id is None:
                continue
            instance = lock_one(ServiceInstance, order.instance_id)
            certificates = _wiped_since(instance)
            if certificates:
                evidence = {"certificate": ", ".join(str(each.pk) for each in certificates)}
                if order.kind == OrderKind.DECOMMISSION:
                    settle_decommission(order, instance, evidence=evidence, now=now)
                else:
                    settle_undone(order, instance, evidence=evidence, now=now)
                report.add("settled_by_wipe")
                continue
            for host in _alone_on(instance):
                reclaim.request_wipe(host, actor=RECONCILER, now=now)
                report.add("wiped_instead")
            pause = min(_RETRY_DIRTY_AFTER * 2 ** min(order.attempt, 8), _LONGEST_PAUSE)
            shared = Host.objects.filter(
                allocations__instance=instance, allocations__released_at__isnull=True, state=HostState.IN_USE
            )
            if order.state_since < now - pause and shared.exists():
                undo = order.kind == OrderKind.CREATE
                claims.dispatch_attempt(order, actor=RECONCILER, now=now, tries=1, undoing=undo)
                report.add("dirty_retried")


def _wiped_since(instance: ServiceInstance) -> list[WipeCertificate]:
    """Certificates of all the instance's hosts younger than its claim: evidence that what stood there is gone. Or none."""
    claimed = Allocation.objects.filter(instance=instance, released_at__isnull=True).order_by()
    found = []
    for host, since in claimed.values_list("host").annotate(since=Min("created_at")):
        certificate = WipeCertificate.objects.filter(host=host, issued_at__gt=since).order_by("-issued_at").first()
        if certificate is None:
            return []
        found.append(certificate)
    return found


def _alone_on(instance: ServiceInstance) -> list[Host]:
    """Hosts in use on which only this instance holds anything."""
    mine = Allocation.objects.filter(instance=instance, released_at__isnull=True).values("host")
    shared = (
        Allocation.objects.filter(host__in=mine, released_at__isnull=True).exclude(instance=instance).values("host")
    )
    return list(Host.objects.filter(pk__in=mine, state=HostState.IN_USE).exclude(pk__in=shared))


def admit_waiting(now: datetime, report: Report) -> None:
    """Give room that has come free to the orders that wait for it, in their line (:mod:`catalog.quotas.line`).

    Behind an order that has waited long, and still does not fit, nobody who would borrow the same room is served.
    """
    rows = Order.objects.filter(state=OrderState.WAITING_CAPACITY).select_related("plan").order_by("created_at")
    line = waiting.line(rows[:200], now=now)
    closed: list[Order] = []
    for place, each in enumerate(line, start=1):
        with transaction.atomic():
            order = lock_one(Order, each.key)
            if order.state != OrderState.WAITING_CAPACITY:
                continue
            if not each.own and any(_same_room(order, earlier) for earlier in closed):
                waiting.tell(order, waiting.behind(), place=place, of=len(line), now=now)
                continue
            try:
                again = waiting.explained_again(order, now)
                advance.claim_and_dispatch(order, actor=RECONCILER, now=now, explain=again)
            except (
                NoCapacity, NothingToBorrow, QuotaExceeded, IsolationTooWeak, PortsExhausted, NameResting, ZoneRefused,
            ) as error:  # fmt: skip
                said = waiting.reason(order, error, waiting.recall(order, error, now=now), now=now)
                waiting.tell(order, said, place=place, of=len(line), now=now)
                if order.state_since < now - claims.LONG_WAIT and not isinstance(error, QuotaExceeded | ZoneRefused):
                    closed.append(order)
                continue
            report.add("admitted")


def _same_room(one: Order, other: Order) -> bool:
    return one.zone_id is None or other.zone_id is None or one.zone_id == other.zone_id


def reconcile(now: datetime) -> Report:
    """Everything the Celery beat repairs every few seconds."""
    report = Report()
    reopen_lost_runs(now, report)
    reopen_orphans(now, report)
    retry_dirty(now, report)
    report.add("turns", turns.go_on_with_the_waiting(now, actor=RECONCILER))
    measure(now)
    admit_waiting(now, report)
    report.add("thawed", frozen.release(now))
    return report
