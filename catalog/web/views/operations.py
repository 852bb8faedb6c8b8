"""What can be done to a service that stands: the buttons on its page, and a form where an operation asks for something."""

import uuid
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from catalog.approvals.rules import Deed
from catalog.common import clock
from catalog.common.errors import DomainError, Forbidden, NotFound
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.leases.models import Lease
from catalog.offerings.operations import find_operation
from catalog.orders import operations, selectors
from catalog.tenancy.policy import Action, require
from catalog.web.forms import ParametersForm
from catalog.web.pages import UNPROCESSABLE, PortalRequest, looked, portal, sentence, show
from catalog.web.requests import in_advance
from catalog.web.words import of_both

_ICONS = {"stop": "ban", "start": "bolt", "restart": "refresh", "diagnostics": "list-details"}


def buttons(found: ServiceInstance, lease: Lease | None) -> list[dict[str, Any]]:
    """The operations that can be ordered now: with one click, or with a form where they ask for something."""
    return [
        {
            "name": each.name,
            "title": of_both(each.title),
            "about": of_both(each.about),
            "icon": _ICONS.get(each.name, "settings"),
            "has_form": bool(operations.asked_for(found, each)["properties"]),
            "sure": f"{of_both(each.title)}? {of_both(each.about)}" if each.ends == InstanceState.STOPPED else "",
        }
        for each in operations.possible(found, lease)
    ]


@require_http_methods(["GET", "HEAD", "POST"])
@portal
def operation(request: PortalRequest, instance_id: uuid.UUID, name: str) -> HttpResponse:
    """Order an operation, and show its order; before that, what it asks for. Sent twice, it is one."""
    found = selectors.instance_for(request.actor, instance_id)
    require(request.actor, Action.ORDER, found.tenant_id, found.project_id)
    wanted = find_operation(found.version.manifest, name, found.plan.slug)
    if wanted is None:
        raise NotFound()
    sent = request.method == "POST"
    form = ParametersForm(request.POST if sent else None, schema=operations.asked_for(found, wanted))
    if sent and form.is_valid() and (answer := _ordered(request, found, name, form)):
        return answer
    if not sent:
        looked(request, "instance", found)
    return show(
        request,
        "operation_form.html",
        "services",
        status=UNPROCESSABLE if sent else 200,
        instance=found,
        form=form,
        title=of_both(wanted.title),
        about=of_both(wanted.about),
        usual=wanted.seconds,
        needs=in_advance(found.project, found.plan, deed=Deed.OPERATE, zone=found.zone),
    )


def _ordered(
    request: PortalRequest, found: ServiceInstance, name: str, form: ParametersForm
) -> HttpResponse | None:  # fmt: skip
    """The order's page, or a refusal that the service's page tells; None: the form tells it."""
    try:
        order = operations.operate(
            request.actor, found, operation=name, parameters=form.values(),
            idempotency_key=form.cleaned_data["key"] or None, now=clock.now(),
        )  # fmt: skip
    except (NotFound, Forbidden):
        raise
    except DomainError as error:
        if form.parameters:
            form.tell(error)
            return None
        messages.error(request, sentence(error))
        return redirect("web:instance", instance_id=found.pk)
    return redirect("web:order", order_id=order.pk)
