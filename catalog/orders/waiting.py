"""Orders that wait for room: why, in which place of the line, and when there will be some."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from catalog.audit.gate import Happening, append_events
from catalog.common.errors import DomainError
from catalog.common.isolation import Isolation
from catalog.orders import outlook
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import OrderState
from catalog.placement.errors import NoCapacity
from catalog.placement.words import with_words
from catalog.pool.workers import silence
from catalog.quotas.line import Request, stand_in_line
from catalog.quotas.models import Recall
from catalog.quotas.recalls import Need, recall_for
from catalog.quotas.shares import Waiting
from catalog.tenancy.policy import system

LENDER = system("lending")

EXPLAIN_EVERY = timedelta(seconds=60)
"""So often it is looked again why an order still waits."""


def recall(order: Order, refusal: DomainError, *, now: datetime) -> Recall | None:
    """Get back for an order what its affiliate is guaranteed, where it did not fit because others borrowed it.

    :returns: the recall; None where nothing is to be got back, so the refusal stands.
    """
    plan = order.plan
    if not isinstance(refusal, NoCapacity) or plan.roles or plan.isolation == Isolation.GROUP:
        # What comes back is a host, for one affiliate: no stack fits on one, and a shared host is nobody's.
        return None
    need = Need(
        order.pk, order.tenant, plan.resources, plan.traits, plan.topology == plan.Topology.DEDICATED, order.zone,
        order.data_class,
    )  # fmt: skip
    return recall_for(need, now=now, actor=LENDER)


def explained_again(order: Order, now: datetime) -> bool:
    """Whether it is time to look again why a waiting order does not fit; that counts the pool."""
    told = order.explanation.get("waiting", {}).get("told_at")
    return told is None or now - datetime.fromisoformat(told) >= EXPLAIN_EVERY


def reason(order: Order, refusal: DomainError, recalled: Recall | None, *, now: datetime) -> dict[str, Any]:
    """Why an order waits, and from when there is room for it where that is sure (``room_at``, ISO 8601).

    ``why`` is in the words of the moment; ``explanation`` says the same as data, for readers of another language, with when
    room may come. Where nobody looked for a reason this time, the last one stands.
    """
    if recalled is not None:
        said = _("Others use what your affiliate is guaranteed. It was recalled for this order; there is room from %s.")
        return {"why": said % f"{localtime(recalled.room_at):%F %R %Z}", "room_at": recalled.room_at.isoformat()}
    before = order.explanation.get("waiting", {})
    if isinstance(refusal, NoCapacity) and refusal.explanation is None and "explanation" in before:
        return {name: before[name] for name in ("why", "room_at", "told_at", "explanation")}
    told: dict[str, Any] = {"why": str(refusal.detail), "room_at": None}
    if refusal.explanation is not None:
        told |= {"told_at": now.isoformat(), "explanation": dict(refusal.explanation)}
    return told


def why_said(waiting: Mapping[str, Any]) -> str:
    """Why an order waits, in the reader's language as far as it is known as data."""
    explanation = waiting.get("explanation")
    return outlook.said(explanation) if explanation else str(waiting.get("why", ""))


def behind() -> dict[str, Any]:
    """Why an order waits for which there might be room: others have waited longer."""
    return {"why": _("Orders that have waited long for the same room come first."), "room_at": None}


def shown(order: Order) -> dict[str, Any] | None:
    """What an order waits for, to be shown: its stand in the line for room, or a worker of its zone. None where nothing is known.

    ``code`` is ``no-room`` or ``zone-worker-silent``; the rest is as :func:`reason` and :func:`tell` have it.
    """
    if order.state == OrderState.WAITING_CAPACITY:
        kept: dict[str, Any] | None = order.explanation.get("waiting")
        if not kept:
            return None
        filters = with_words(kept.get("explanation", {}).get("filters", ()))
        return {"code": "no-room", **kept, "why": why_said(kept), "filters": filters}
    if order.state in {OrderState.DISPATCHED, OrderState.CANCELLING} and order.zone is not None:
        why = silence(order.zone)
        return {"code": "zone-worker-silent", "why": why, "room_at": None} if why else None
    return None


def line(orders: Iterable[Order], *, now: datetime) -> list[Waiting]:
    """The waiting ``orders`` in the order in which they get what comes free."""
    requests = [
        Request(order.pk, order.tenant_id, order.plan.resources, order.state_since, order.zone_id) for order in orders
    ]
    return stand_in_line(requests, now=now)


def tell(order: Order, said: dict[str, Any], *, place: int, of: int, now: datetime) -> None:
    """Keep with a waiting order what :func:`reason` or :func:`behind` said, and its place; an event where a date became known."""
    before = order.explanation.get("waiting", {})
    shown = {**said, "place": place, "of": of}
    if shown == before:
        return
    order.explanation = {**order.explanation, "waiting": shown}
    order.save(update_fields=["explanation"])
    if shown["room_at"] != before.get("room_at"):
        append_events(order, OrderEvent, [Happening("waiting", shown)], actor=LENDER.name, now=now)
