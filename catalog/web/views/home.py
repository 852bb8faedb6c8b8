"""The first page: what needs me, what I have, what goes on."""

from datetime import timedelta

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from catalog.common import clock
from catalog.instances.states import InstanceState
from catalog.leases.states import LeaseState
from catalog.orders.selectors import instances_for, orders_for, to_decide
from catalog.orders.states import OrderState
from catalog.web.badges import GONE, UNDER_WAY
from catalog.web.pages import PortalRequest, looked_at_list, portal, show

SOON = timedelta(days=7)
FEW = 6


@require_safe
@portal
def home(request: PortalRequest) -> HttpResponse:
    """Short lists; each says where the rest is."""
    now, orders, instances = clock.now(), orders_for(request.actor), instances_for(request.actor)
    looked_at_list(request, "order", only="home")
    failed = orders.filter(state=OrderState.FAILED_DIRTY) | orders.filter(
        state=OrderState.FAILED, ended_at__gt=now - SOON, requested_by_id=request.actor.user_id
    )
    ending = instances.filter(
        lease__ends_at__lte=now + SOON,
        lease__state__in=(LeaseState.ACTIVE, LeaseState.EXPIRING, LeaseState.GRACE),
        state__in=(InstanceState.ACTIVE, InstanceState.STOPPED, InstanceState.TAINTED, InstanceState.UPDATING),
    )
    return show(
        request,
        "home.html",
        "home",
        decide=to_decide(request.actor, now=now)[:FEW],
        failed=failed.order_by("-created_at")[:FEW],
        ending=ending.order_by("lease__ends_at")[:FEW],
        mine=instances.exclude(state__in=GONE).order_by("-created_at")[:FEW],
        under_way=orders.filter(state__in=UNDER_WAY).order_by("-created_at")[:FEW],
    )
