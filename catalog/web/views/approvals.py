"""Deciding, standing in for others, and letting an order go on during a freeze."""

import uuid

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from catalog.approvals import delegations, freezes
from catalog.approvals import selectors as approvals
from catalog.common import clock
from catalog.orders import frozen, selectors, services
from catalog.orders.states import OrderState
from catalog.quotas.services import usage
from catalog.tenancy.selectors import tenant_for, tenants_for
from catalog.web.forms import DelegationForm
from catalog.web.pages import PortalRequest, attempt, portal, show
from catalog.web.requests import in_words
from catalog.web.views.orders import parameters
from catalog.web.words import of_two

MOST = 50
GROUP = "*"


@require_safe
@portal
def approvals_page(request: PortalRequest) -> HttpResponse:
    """Orders that wait for this person, with who decides and why, and what each would do to the quota; who stands in for whom."""
    now, actor = clock.now(), request.actor
    mine = selectors.waiting_for(actor, now=now).prefetch_related("decisions__decided_by", "decisions__on_behalf_of")
    about = {each.subject_id: each for each in mine[:MOST]}
    waiting = selectors.orders_of_requests(about.values())
    tenants = {each.tenant_id: each.tenant for each in waiting}
    have = {pk: usage(tenant) for pk, tenant in tenants.items()}
    calendar = freezes.calendar()
    rows = []
    for each in waiting:
        effect = []
        for name, wanted in each.plan.resources.items() if each.kind == "create" else ():
            used, limit = have[each.tenant_id].get(name, (0, 0))
            effect.append(
                {"name": name, "used": used, "after": used + wanted, "limit": limit, "short": used + wanted > limit}
            )
        rows.append(
            {
                "order": each,
                "quota": effect,
                "parameters": parameters(each),
                "approval": in_words(about[each.pk], now=now, names=False),
                "freeze": calendar.freeze(each.kind, each.tenant.slug, now=now),
            }
        )
    return show(
        request,
        "approvals.html",
        "approvals",
        rows=rows,
        waiting=len(rows) if len(rows) < MOST else None,
        delegations=approvals.delegations_for(actor).filter(ends_at__gt=now)[:MOST],
        delegation=_form(request),
    )


def _form(request: PortalRequest) -> DelegationForm | None:
    """Where this person decides something, so that somebody else could; None where nowhere."""
    places = [
        (tenant.slug, of_two(tenant, "name"))
        for tenant in tenants_for(request.actor)
        if delegations.decides_something(request.actor, tenant)
    ]
    if delegations.decides_something(request.actor, None):
        places.append((GROUP, _("the group")))
    return DelegationForm(request.POST or None, places=places) if places else None


@require_POST
@portal
def delegate(request: PortalRequest) -> HttpResponse:
    """Let somebody decide in one's place for a while."""
    form = _form(request)
    if form is None or not form.is_valid():
        said = [str(text) for field in form.errors.values() for text in field] if form is not None else []
        messages.error(request, " ".join([_("Nobody was named."), *said]))
        return redirect("web:approvals")
    chosen = form.cleaned_data
    return attempt(
        request,
        lambda: delegations.delegate(
            request.actor,
            tenant=None if chosen["tenant"] == GROUP else tenant_for(request.actor, chosen["tenant"]),
            to=chosen["delegate"],
            starts_at=chosen["starts_at"],
            ends_at=chosen["ends_at"],
            now=clock.now(),
        ),
        done=_("Done. Both of you are named in every decision."),
        then=reverse("web:approvals"),
    )


@require_POST
@portal
def end_delegation(request: PortalRequest, delegation_id: uuid.UUID) -> HttpResponse:
    """Decide oneself again."""
    found = approvals.delegation_for(request.actor, delegation_id)
    return attempt(
        request,
        lambda: delegations.end(request.actor, found, now=clock.now()),
        done=_("The delegation has ended."),
        then=reverse("web:approvals"),
    )


@require_POST
@portal
def decide(request: PortalRequest, order_id: uuid.UUID, decision: str) -> HttpResponse:
    """Approve or reject exactly what was shown."""
    found = selectors.order_to_decide(request.actor, order_id, now=clock.now())
    deed = services.approve if decision == "approve" else services.reject
    inbox = request.POST.get("from") == "inbox"
    then = reverse("web:approvals") if inbox else reverse("web:order", args=[order_id])
    said: dict[str, str] = {}

    def act() -> None:
        done = deed(
            request.actor,
            found,
            content_hash=request.POST.get("content_hash", ""),
            comment=request.POST.get("comment", "")[:500],
            now=clock.now(),
        )
        if decision != "approve":
            said["done"] = _("Rejected. The requester can see why.")
        elif done.state == OrderState.PENDING_APPROVAL:
            said["done"] = _("Approved. Others have to agree as well.")
        elif done.not_before is not None:
            said["done"] = _("Approved. It goes on by itself when the change freeze ends.")
        else:
            said["done"] = _("Approved. The order goes on at once.")

    return attempt(request, act, done=lambda: said["done"], then=then)


@require_POST
@portal
def override_freeze(request: PortalRequest, order_id: uuid.UUID) -> HttpResponse:
    """Let an order go on during a freeze."""
    found = selectors.order_for(request.actor, order_id)
    return attempt(
        request,
        lambda: frozen.override(request.actor, found, reason=request.POST.get("reason", ""), now=clock.now()),
        done=_("The order goes on in spite of the freeze. Your reason is recorded."),
        then=reverse("web:order", args=[order_id]),
    )
