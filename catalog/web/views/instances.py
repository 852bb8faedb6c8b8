"""Services: the list, one service with its connection and lease, and giving it back."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalog.approvals.rules import Deed
from catalog.common import clock
from catalog.common.errors import DomainError, Forbidden, NotFound
from catalog.health import selectors as health
from catalog.instances import connection
from catalog.instances.links import dependents, links_of
from catalog.instances.models import ServiceInstance
from catalog.instances.services import READY, current_binding
from catalog.instances.states import InstanceState
from catalog.leases.limits import extension_room
from catalog.leases.states import LeaseState
from catalog.offerings.models import Plan
from catalog.orders import operations, selectors, services
from catalog.orders.frozen import keeping
from catalog.placement.selectors import locate_rows
from catalog.tenancy.policy import Action, can
from catalog.web.badges import GONE
from catalog.web.forms import lease_choices
from catalog.web.pages import PortalRequest, attempt, looked, looked_at_list, portal, sentence, show, window
from catalog.web.requests import in_advance
from catalog.web.views.operations import buttons
from catalog.web.words import credential

_EXTENSIONS = 90 * 86_400


@require_safe
@portal
def instances(request: PortalRequest) -> HttpResponse:
    """The services this person may see, newest first; those that are gone only on demand."""
    gone = request.GET.get("only") == "gone"
    rows = selectors.instances_for(request.actor)
    rows = rows.filter(state__in=GONE) if gone else rows.exclude(state__in=GONE)
    looked_at_list(request, "instance", only="gone" if gone else "")
    found, older = window(rows, request.GET.get("before", ""))
    return show(
        request, "instances.html", "services", rows=found, older=older, gone=gone, paged="before" in request.GET
    )


def _connection(request: PortalRequest, found: ServiceInstance) -> dict[str, Any]:
    binding = current_binding(found)
    public = dict(binding.public) if binding is not None else {}
    parts = found.endpoints.filter(released_at__isnull=True).select_related("address").order_by("member")
    return {
        "instance": found,
        "members": parts if found.plan.roles else [],
        "links": links_of(found),
        "used_by": dependents(found),
        "rows": [(credential(name), value) for name, value in public.items()],
        "snippets": connection.lines(found.version.manifest, public),
        "binding": binding,
        "may_reveal": binding is not None
        and binding.shown_at is None
        and found.state in READY
        and can(request.actor, Action.REVEAL_SECRET, found.tenant_id, found.project_id),
    }


@require_safe
@portal
def instance(request: PortalRequest, instance_id: uuid.UUID) -> HttpResponse:
    """One service: how to connect, how long it stays, what happened to it."""
    found = selectors.instance_for(request.actor, instance_id)
    looked(request, "instance", found)
    return _page(request, found)


def _page(request: PortalRequest, found: ServiceInstance, **more: Any) -> HttpResponse:
    lease = getattr(found, "lease", None)
    history = list(selectors.orders_for(request.actor).filter(instance=found).order_by("-created_at")[:10])
    orders_here = can(request.actor, Action.ORDER, found.tenant_id, found.project_id)
    building = next((each for each in history if not each.ended_at), None)
    held = lease is not None and lease.is_held(clock.now())
    room = extension_room(lease, clock.now()) if lease is not None and lease.state != LeaseState.ENDED else 0
    return show(
        request,
        "instance.html",
        "services",
        lease=lease,
        lease_held=held,
        lease_freeze=keeping(lease, now=clock.now()) if lease is not None else None,
        lease_whole=int((lease.ends_at - lease.starts_at).total_seconds()) if lease else 0,
        lease_gone=int((clock.now() - lease.starts_at).total_seconds()) if lease else 0,
        extensions=lease_choices(min(room, _EXTENSIONS)) if room else [],
        orders_here=orders_here,
        may_extend=orders_here and room > 0,
        may_give_back=orders_here
        and not held
        and found.state not in {*GONE, InstanceState.PENDING, InstanceState.DECOMMISSIONING},
        operations=buttons(found, lease) if orders_here and building is None else [],
        operation_key=str(uuid.uuid4()),
        history=history,
        building=building,
        health=health.shown(found),
        spells=health.history(found)[:-9:-1],
        **{**_connection(request, found), **more},
    )


@require_POST
@portal
def reveal(request: PortalRequest, instance_id: uuid.UUID) -> HttpResponse:
    """Show the secret part of the credentials, once. Who saw it is recorded."""
    found = selectors.instance_for(request.actor, instance_id)
    try:
        shown = services.reveal(request.actor, found, now=clock.now())
    except (NotFound, Forbidden):
        raise
    except DomainError as error:
        if request.htmx:
            more = {**_connection(request, found), "refused": sentence(error)}
            return render(request, "web/partials/connection.html", more)
        messages.error(request, sentence(error))
        return redirect("web:instance", instance_id=instance_id)
    facts = _connection(request, found)
    facts["rows"] = [(credential(name), value) for name, value in shown.items()]
    if request.htmx:
        return render(request, "web/partials/connection.html", {**facts, "revealed": True})
    return _page(request, found, **facts, revealed=True)


@require_POST
@portal
def extend(request: PortalRequest, instance_id: uuid.UUID) -> HttpResponse:
    """Let a service stay longer."""
    found = selectors.instance_for(request.actor, instance_id)
    asked = request.POST.get("seconds", "")
    seconds = int(asked) if asked.isdecimal() and len(asked) < 12 else 0
    return attempt(
        request,
        lambda: operations.extend_lease(request.actor, found, seconds=seconds, now=clock.now()),
        done=_("The lease has been extended."),
        then=reverse("web:instance", args=[instance_id]),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@portal
def give_back(request: PortalRequest, instance_id: uuid.UUID) -> HttpResponse:
    """Say what will be lost, have the name typed, and give the service back. Sent twice, it is one give-back."""
    found = selectors.instance_for(request.actor, instance_id)
    refused = ""
    if request.method == "POST":
        if request.POST.get("typed", "").strip() != found.name:
            refused = _("That is not the name of this service; nothing was done. Type it exactly as shown.")
        else:
            try:
                order = services.give_back(
                    request.actor,
                    found,
                    reason=request.POST.get("reason", "")[:300],
                    idempotency_key=request.POST.get("key", "")[:100] or None,
                    now=clock.now(),
                )
            except (NotFound, Forbidden):
                raise
            except DomainError as error:
                refused = sentence(error)
            else:
                return redirect("web:order", order_id=order.pk)
    elif not can(request.actor, Action.ORDER, found.tenant_id, found.project_id):
        raise Forbidden()
    host = locate_rows(found.pk).first()
    return show(
        request,
        "give_back.html",
        "services",
        status=409 if refused else 200,
        instance=found,
        refused=refused,
        key=request.POST.get("key") or str(uuid.uuid4()),
        reason=request.POST.get("reason", ""),
        needs=in_advance(found.project, found.plan, deed=Deed.DECOMMISSION, zone=found.zone),
        whole=found.plan.topology == Plan.Topology.DEDICATED,
        host=host,
    )
