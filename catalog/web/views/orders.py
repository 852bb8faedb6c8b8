"""Orders: the list, one order with its live build, and what can be decided about it."""

import uuid
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from catalog.common import clock
from catalog.common.errors import NotFound
from catalog.orders import selectors, services
from catalog.orders.models import Order, OrderEvent
from catalog.orders.selectors import is_own
from catalog.orders.states import CANCELLABLE, OrderKind, OrderState
from catalog.orders.transitions import ENDS
from catalog.quotas.services import usage
from catalog.tenancy.policy import Action, can
from catalog.web import progress
from catalog.web.badges import UNDER_WAY
from catalog.web.pages import PortalRequest, attempt, looked, looked_at_list, portal, show, to_decide, window
from catalog.web.words import of_both

EVENTS = 2000
"""So many events a page reads at most; builds have some hundred."""

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
    cancellable = order.state in CANCELLABLE and order.kind != OrderKind.DECOMMISSION
    return {
        "order": order,
        "now": clock.now(),
        "milestones": progress.milestones(events, order.kind),
        "steps": progress.steps(events),
        "pace": progress.pace(order, events, clock.now()),
        "cause": progress.cause(order.failure_code) if order.failure_code else "",
        "last": last,
        "over": _over(order) and last >= order.seq,
        "may_cancel": orders_here and cancellable,
        "may_retry": orders_here
        and (
            order.state == OrderState.FAILED_DIRTY or (order.state, order.kind) == (OrderState.FAILED, OrderKind.CREATE)
        ),
        "may_decide": order.state == OrderState.PENDING_APPROVAL
        and not is_own(actor, order)
        and can(actor, Action.APPROVE, order.tenant_id, order.project_id),
    }


@require_safe
@portal
def order(request: PortalRequest, order_id: uuid.UUID) -> HttpResponse:
    """One order: where it stands, its tasks as they happen, and its log."""
    found = selectors.order_for(request.actor, order_id)
    looked(request, "order", found)
    events = selectors.events_after(found, 0, EVENTS)
    shown = _view(request, found, events)
    return show(request, "order.html", "orders", lines=progress.lines(events), parameters=parameters(found), **shown)


def parameters(found: Order) -> list[tuple[str, object]]:
    """What was chosen, under the titles of the manifest."""
    known = found.version.manifest["parameters"]["properties"]
    return [
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
        done=_("The order is being cancelled. What was built so far is taken down first."),
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


@require_POST
@portal
def decide(request: PortalRequest, order_id: uuid.UUID, decision: str) -> HttpResponse:
    """Approve or reject exactly what was shown."""
    found = selectors.order_for(request.actor, order_id)
    deed = services.approve if decision == "approve" else services.reject
    done = (
        _("Approved. The order goes on at once.")
        if decision == "approve"
        else _("Rejected. The requester can see why.")
    )
    inbox = request.POST.get("from") == "inbox"
    return attempt(
        request,
        lambda: deed(
            request.actor,
            found,
            content_hash=request.POST.get("content_hash", ""),
            comment=request.POST.get("comment", "")[:500],
            now=clock.now(),
        ),
        done=done,
        then=reverse("web:approvals") if inbox else reverse("web:order", args=[order_id]),
    )


@require_safe
@portal
def approvals(request: PortalRequest) -> HttpResponse:
    """Orders that wait for this person, with what each would do to the quota."""
    waiting = list(to_decide(request.actor).select_related("version")[:50])
    tenants = {each.tenant_id: each.tenant for each in waiting}
    have = {pk: usage(tenant) for pk, tenant in tenants.items()}
    rows = []
    for each in waiting:
        effect = []
        for name, wanted in each.plan.resources.items():
            used, limit = have[each.tenant_id].get(name, (0, 0))
            effect.append(
                {"name": name, "used": used, "after": used + wanted, "limit": limit, "short": used + wanted > limit}
            )
        rows.append({"order": each, "quota": effect, "parameters": parameters(each)})
    return show(request, "approvals.html", "approvals", rows=rows)
