"""Orders whose zone has nobody working in it: they wait with that reason, and go on as soon as a worker is back.

What Prefect knows of workers is looked up every ``WORKERS_SECONDS`` and kept with the zones. An order that was handed over stays
handed over: its run waits in Prefect, and the first worker that comes takes it up at once.
"""

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db.models import OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from catalog.audit.gate import Happening, append_events
from catalog.common.errors import StateConflict
from catalog.dispatch import services as dispatch
from catalog.dispatch.errors import PrefectUnavailable
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import ORDER, OrderKind, OrderState
from catalog.pool.models import WorkerState
from catalog.pool.workers import note_workers
from catalog.tenancy.policy import system

log = structlog.get_logger(__name__)

WATCH = system("worker-watch")
SILENT, BACK = "worker-silent", "worker-back"
"""Kinds of events: the order waits because nobody works in its zone; and that somebody does again."""


def look(now: datetime) -> int:
    """Look up the workers of all zones and tell the orders that wait for one; returns how many were told something new.

    While Prefect does not answer nothing is known of the workers, so everything stays as it was.
    """
    try:
        heard = dispatch.workers_heard()
    except PrefectUnavailable as error:
        log.warning("workers_unknown", **error.context)
        return 0
    note_workers(heard, now=now)
    return tell(now)


def tell(now: datetime) -> int:
    """Write into the events of orders handed over that their zone is silent, or no longer; each once. Returns how many."""
    told = 0
    for order in _told().filter(zone__worker_state=WorkerState.SILENT).exclude(told=SILENT):
        seen = order.zone.worker_seen_at
        told += _say(order, Happening(SILENT, {"seen_at": seen.isoformat() if seen else None}), now)
    for order in _told().exclude(zone__worker_state=WorkerState.SILENT).filter(told=SILENT):
        if _say(order, Happening(BACK), now):
            told += 1
            # It was not its turn before: from now on it has the time every order has to be taken up.
            deadline = ORDER.deadline(OrderState.DISPATCHED, now)
            Order.objects.filter(pk=order.pk, state=OrderState.DISPATCHED).update(deadline=deadline)
    return told


def _told() -> "QuerySet[Any]":
    """Orders handed over; ``told`` is the last thing that was said to each since."""
    said = OrderEvent.objects.filter(order=OuterRef("pk"), kind__in=("state", SILENT, BACK)).order_by("-seq")
    orders = Order.objects.filter(state=OrderState.DISPATCHED).select_related("zone").order_by("created_at")
    return orders.annotate(told=Coalesce(Subquery(said.values("kind")[:1]), Value("")))


def _say(order: Order, happening: Happening, now: datetime) -> bool:
    # Whoever else looks at this moment says the same: the first one takes the number.
    as_read = Q(state=order.state, seq=order.seq)
    try:
        append_events(order, OrderEvent, [happening], actor=WATCH.name, now=now, guard=as_read)
    except StateConflict:
        return False
    return True


def patience(order: Order, now: datetime) -> datetime | None:
    """Until when an order whose deadline has passed may go on waiting for a worker; None where that is not what it waits for.

    An order of which nothing was built yet waits ``WORKER_WAIT_SECONDS`` from when it was handed over, because somebody may want
    to order elsewhere. One that gives back or takes down waits as long as the silence lasts: only a worker can end it.
    """
    if order.state not in {OrderState.DISPATCHED, OrderState.CANCELLING} or order.zone is None:
        return None
    if dispatch.is_running("order", order.pk):
        return None
    again = now + ORDER.deadlines[OrderState(order.state)]
    if order.zone.worker_state != WorkerState.SILENT:
        just_back = order.state == OrderState.DISPATCHED and _told().get(pk=order.pk).told == SILENT
        return again if just_back else None
    if order.kind != OrderKind.CREATE or dispatch.ever_began("order", order.pk):
        return again
    end = order.state_since + timedelta(seconds=settings.WORKER_WAIT_SECONDS)
    return min(again, end) if end > now else None
