"""Orders: the list, one order with its live build, and what can be decided about it."""

import uuid
from typing import Any

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from catalog.common import clock
from catalog.common.errors import NotFound
from catalog.offerings.operations import find_operation
from catalog.orders import findings, selectors, services, waiting
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import CANCELLABLE, OrderKind, OrderState
from catalog.orders.transitions import ENDS
from catalog.placement.words import why_here_said
from catalog.tenancy.policy import Action, can
from catalog.web import progress
from catalog.web.badges import UNDER_WAY
from catalog.web.findings import sections
from catalog.web.pages import PortalRequest, attempt, looked, looked_at_list, portal, show, window
from catalog.web.requests import in_words
from catalog.web.words import of_both

EVENTS = 2000
"""So many events a page reads at most; builds have some hundred."""

RETRIED = (OrderKind.CREATE, OrderKind.OPERATE)
"""Kinds of orders that can be tried again once they have failed."""

FILTERS = {
    "": None,
    "open": UNDER_WAY,
    "failed": (OrderState.FAILED, OrderState.FAILED_DIRTY),
}


@require_safe
@portal
def orders(request: PortalRequest) -> HttpResponse:
    """The orders this person may see, newest first."""
    only = request.GET.get("only", "")
    rows = selectors.orders_for(request.actor)
    if states := FILTERS.get(only):
        rows = rows.filter(state__in=states)
    looked_at_list(request, "order", only=only)
    found, older = window(rows, request.GET.get("before", ""))
    return show(request, "orders.html", "orders", rows=found, older=older, only=only, paged="before" in request.GET)


def _over(order: Order) -> bool:
    return order.state in ENDS or order.state == OrderState.FAILED_DIRTY


def _view(request: PortalRequest, order: Order, events: list[OrderEvent]) -> dict[str, Any]:
    """What the live parts of the page show. ``events`` were read after ``order``, so a final state misses no line."""
    actor, last = request.actor, events[-1].seq if events else 0
    orders_here = can(actor, Action.ORDER, order.tenant_id, order.project_id)
    # A give-back that has begun goes on.
    begun = order.kind == OrderKind.DECOMMISSION and order.state in {OrderState.DISPATCHED, OrderState.RUNNING}
    cancellable = order.state in CANCELLABLE and not begun
    return {
        "order": order,
        "waiting": waiting.shown(order),
        "now": clock.now(),
        "milestones": progress.milestones(events, order.kind),
        "steps": progress.steps(events, order.version.manifest.get("tasks", {})),
        "pace": progress.pace(order, events, clock.now()),
        "cause": progress.cause(order.failure_code) if order.failure_code else "",
        "last": last,
        "over": _over(order) and last >= order.seq,
        "may_cancel": orders_here and cancellable,
        "has_finding": order.kind == OrderKind.OPERATE and findings.has_finding(order),
        "may_retry": orders_here
        and (order.state == OrderState.FAILED_DIRTY or (order.state == OrderState.FAILED and order.kind in RETRIED)),
        "may_decide": order.state == OrderState.PENDING_APPROVAL
        and selectors.to_decide(actor, now=clock.now()).filter(pk=order.pk).exists(),
        "may_override": order.not_before is not None and can(actor, Action.OVERRIDE_FREEZE, order.tenant_id),
    }


@require_safe
@portal
def order(request: PortalRequest, order_id: uuid.UUID) -> HttpResponse:
    """One order: where it stands, its tasks as they happen, and its log."""
    found = selectors.order_for(request.actor, order_id)
    looked(request, "order", found)
    events = selectors.events_after(found, 0, EVENTS)
    shown = _view(request, found, events)
    asked = next(iter(selectors.requests_of(found)), None)
    return show(
        request,
        "order.html",
        "orders",
        lines=progress.lines(events),
        parameters=parameters(found),
        why_here=why_here_said(found.explanation),
        approval=asked and in_words(asked, now=clock.now()),
        **shown,
    )


@require_safe
@portal
def finding(request: PortalRequest, order_id: uuid.UUID) -> HttpResponse:
    """What an order found that only looked at its service: to be read, or with ``?as=file`` to be kept."""
    order = selectors.order_for(request.actor, order_id)
    found = findings.finding_of(order)
    looked(request, "finding", order)
    if request.GET.get("as") != "file":
        parts = sections(found.content)
        return show(request, "finding.html", "orders", order=order, finding=found, parts=parts)
    answer = JsonResponse(found.content, json_dumps_params={"ensure_ascii": False, "indent": 2})
    answer["Content-Disposition"] = f'attachment; filename="{order.name}-{found.at:%Y%m%d-%H%M%S}.json"'
    return answer


def parameters(found: Order) -> list[tuple[str, object]]:
    """Who may connect, and what was chosen, under the titles of the manifest."""
    manifest = found.version.manifest
    operation = find_operation(manifest, found.operation) if found.operation else None
    schema = manifest["parameters"] if operation is None or operation.sets else operation.parameters
    known = schema["properties"]
    clients = ", ".join(found.allow_from) or _("networks of the affiliate and of the zone")
    return ([] if operation else [(_("Who may connect"), clients)]) + [
        (of_both(known[name]["x-title"]) if name in known else name, value) for name, value in found.parameters.items()
    ]


@require_safe
@portal
def live(request: PortalRequest, order_id: uuid.UUID) -> HttpResponse:
    """What happened after the event ``after``; 204 when nothing did.

    The answer carries the number to ask with next, so a line neither comes twice nor gets lost, whatever happens between.
    """
    after = request.GET.get("after", "")
    if not after.isdecimal() or len(after) > 18:
        raise NotFound()
    found = selectors.order_for(request.actor, order_id)
    looked(request, "order", found)
    if found.seq <= int(after) and not _over(found):
        return HttpResponse(status=204)
    events = selectors.events_after(found, 0, EVENTS)
    new = [event for event in events if event.seq > int(after)]
    return render(request, "web/partials/live.html", {**_view(request, found, events), "lines": progress.lines(new)})


@require_POST
@portal
def cancel(request: PortalRequest, order_id: uuid.UUID) -> HttpResponse:
    """Cancel an order."""
    found = selectors.order_for(request.actor, order_id)
    return attempt(
        request,
        lambda: services.cancel(request.actor, found, now=clock.now()),
        done=_("The order is being cancelled. What was built so far is taken down first.")
        if found.kind == OrderKind.CREATE
        else _("The order is being cancelled."),
        then=reverse("web:order", args=[order_id]),
    )


@require_POST
@portal
def retry(request: PortalRequest, order_id: uuid.UUID) -> HttpResponse:
    """Try a failed order again."""
    found = selectors.order_for(request.actor, order_id)
    return attempt(
        request,
        lambda: services.retry(request.actor, found, now=clock.now()),
        done=_("The order is tried again."),
        then=reverse("web:order", args=[order_id]),
    )
