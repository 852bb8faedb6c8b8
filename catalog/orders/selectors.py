"""What an actor may see of orders and instances. What is not theirs does not exist."""

import uuid
from collections.abc import Iterable
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from catalog.approvals.models import Request
from catalog.approvals.selectors import inbox
from catalog.common.errors import NotFound
from catalog.instances.models import ServiceInstance
from catalog.leases.models import Lease
from catalog.orders.content import SUBJECT
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import OrderState
from catalog.tenancy.policy import Actor, scope


def orders_for(actor: Actor) -> QuerySet[Order]:
    """The orders the actor may see, newest first, with what lists show of them."""
    query = Order.objects.select_related("tenant", "project", "plan__offering", "zone", "requested_by", "instance")
    return scope(actor).rows(query)


def mine(actor: Actor) -> Q:
    """Orders that nobody but others may decide on: which the actor placed, or for whose service they answer."""
    return Q(requested_by=actor.user_id) | Q(instance__responsible=actor.user_id)


def order_for(actor: Actor, order_id: uuid.UUID | str) -> Order:
    """One order. Raises NotFound where there is none or the actor may not see it."""
    try:
        return orders_for(actor).get(pk=order_id)
    except (Order.DoesNotExist, ValidationError) as error:
        raise NotFound() from error


def requests_of(order: Order) -> list[Request]:
    """The requests for approval of an order, the newest first, with what was decided."""
    rows = Request.objects.filter(subject_type=SUBJECT, subject_id=order.pk).select_related("tenant", "requested_by")
    return list(rows.prefetch_related("decisions__decided_by", "decisions__on_behalf_of").order_by("-opened_at"))


def order_of_request(request: Request) -> Order:
    """The order that a request for approval is about, for whoever may see that request."""
    return Order.objects.select_related(
        "tenant", "project", "plan__offering", "zone", "requested_by", "instance", "version"
    ).get(pk=request.subject_id)


def orders_of_requests(requests: Iterable[Request]) -> list[Order]:
    """The orders that these requests for approval are about, the oldest first, for whoever may see the requests."""
    rows = Order.objects.filter(pk__in=[each.subject_id for each in requests], state=OrderState.PENDING_APPROVAL)
    related = ("tenant", "project", "plan__offering", "zone", "requested_by", "instance", "version")
    return list(rows.select_related(*related).order_by("created_at", "pk"))


def waiting_for(actor: Actor, *, now: datetime) -> QuerySet[Request]:
    """The requests that wait for this actor's decision, the oldest first; none about an order that is their own."""
    own = Order.objects.filter(mine(actor), state=OrderState.PENDING_APPROVAL)
    return inbox(actor, now=now).exclude(subject_type=SUBJECT, subject_id__in=own.values("pk"))


def to_decide(actor: Actor, *, now: datetime) -> QuerySet[Order]:
    """The orders that wait for this actor's decision, the oldest first."""
    waiting = inbox(actor, now=now).order_by().values("subject_id")
    rows = Order.objects.select_related("tenant", "project", "plan__offering", "zone", "requested_by", "instance")
    rows = rows.filter(pk__in=waiting, state=OrderState.PENDING_APPROVAL).exclude(mine(actor))
    return rows.order_by("created_at", "pk")


def order_to_decide(actor: Actor, order_id: uuid.UUID, *, now: datetime) -> Order:
    """An order the actor may see, or that waits for their decision. Raises NotFound."""
    found = to_decide(actor, now=now).filter(pk=order_id).first()
    return found if found is not None else order_for(actor, order_id)


def instances_for(actor: Actor) -> QuerySet[ServiceInstance]:
    """The instances the actor may see, newest first, with what lists show of them."""
    query = ServiceInstance.objects.select_related(
        "tenant", "project", "plan__offering", "version", "zone", "lease", "responsible", "health"
    )
    return scope(actor).rows(query)


def instance_for(actor: Actor, instance_id: uuid.UUID | str) -> ServiceInstance:
    """One instance. Raises NotFound where there is none or the actor may not see it."""
    try:
        return instances_for(actor).get(pk=instance_id)
    except (ServiceInstance.DoesNotExist, ValidationError) as error:
        raise NotFound() from error


def lease_for(actor: Actor, instance_id: uuid.UUID | str) -> Lease:
    """The lease of one instance. Raises NotFound where the actor may not see it, or the service is not ready yet."""
    lease: Lease | None = getattr(instance_for(actor, instance_id), "lease", None)
    if lease is None:
        raise NotFound(_("The service has no lease yet; it starts when the service is ready."))
    return lease


def events_after(order: Order, after: int, limit: int = 500) -> list[OrderEvent]:
    """The order's events with numbers above ``after``, in order, at most ``limit``. Nothing is skipped between two calls."""
    return list(OrderEvent.objects.filter(order=order, seq__gt=after).order_by("seq")[:limit])
