"""Placing orders, deciding on them, following them."""

import uuid
from typing import Any, ClassVar

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.face import Face
from catalog.api.fields import Nothing
from catalog.api.pagination import Cursor
from catalog.api.serializers import orders as shapes
from catalog.common import clock
from catalog.common.errors import InvalidInput, NotFound
from catalog.instances.errors import LinkInvalid, LinksNotTaken, LinkUnknown, NameInvalid, NameTaken
from catalog.ipam.errors import AccessInvalid, AccessOpenToAnyone, AccessUnknown, NameResting, PortsExhausted
from catalog.leases.errors import LeaseOutlivesProject, LeaseTooLong
from catalog.offerings.errors import DataClassNotAllowed, ParameterForbidden, ParametersInvalid, PlanUnavailable
from catalog.orders import errors, findings, selectors, services
from catalog.orders.models import Order as OrderRow
from catalog.orders.transitions import ENDS
from catalog.placement.errors import IsolationTooWeak, NoCapacity
from catalog.pool.errors import ZoneClosed, ZoneDataClass, ZoneNotOpen
from catalog.quotas.errors import NothingToBorrow, QuotaExceeded
from catalog.tenancy import selectors as tenancy
from catalog.tenancy.models import Project
from catalog.tenancy.policy import Actor

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[!-~]+$"},
    OpenApiParameter.HEADER,
    description="The same key with the same request does one thing and answers alike, however often it is sent.",
)
CLAIM_REFUSALS = (
    QuotaExceeded, NothingToBorrow, NoCapacity, IsolationTooWeak, PortsExhausted, NameResting, ZoneNotOpen, ZoneDataClass,
    ZoneClosed,
)  # fmt: skip


def idempotency_key(request: Request) -> str | None:
    """The header's value: 1 to 100 visible ASCII characters. Raises InvalidInput for any other."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= 100 and all("!" <= char <= "~" for char in key)):
        raise InvalidInput(fields={"Idempotency-Key": _("1 to 100 visible ASCII characters.")})
    return key


def project_named(actor: Actor, name: str) -> Project:
    """The project ``affiliate/project``. Raises ProjectUnknown, also where it is another affiliate's."""
    try:
        return tenancy.project_for(actor, name)
    except NotFound as error:
        raise errors.ProjectUnknown(fields={"project": errors.ProjectUnknown.title}) from error


def accepted(order: OrderRow) -> Response:
    """201 with the order and where to follow it."""
    where = reverse("api:order", kwargs={"order_id": order.pk})
    return Response(shapes.OrderDetail(order).data, status=status.HTTP_201_CREATED, headers={"Location": where})


class Orders(Face):
    """Orders."""

    pagination_class = Cursor
    refusals: ClassVar = {
        "GET": (errors.ProjectUnknown,),
        "POST": (
            PlanUnavailable, ParametersInvalid, ParameterForbidden, NameInvalid, NameTaken, LeaseTooLong,
            LeaseOutlivesProject, AccessInvalid, AccessOpenToAnyone, AccessUnknown,
            errors.ProjectUnknown, errors.ProjectEnded, errors.ZoneUnknown,
            DataClassNotAllowed, LinksNotTaken, LinkInvalid, LinkUnknown, errors.IdempotencyKeyReused, *CLAIM_REFUSALS,
        ),
    }  # fmt: skip

    @extend_schema(parameters=[shapes.OrderQuery], responses=shapes.Order(many=True))
    def get(self, request: Request) -> Response:
        """The orders I may see, newest first."""
        asked = self.query(shapes.OrderQuery)
        rows = selectors.orders_for(self.actor)
        wanted: dict[str, Any] = {name: asked[name] for name in ("state", "kind") if name in asked}
        if "project" in asked:
            wanted["project"] = project_named(self.actor, asked["project"])
        self.looked_at_list("order", asked)
        return self.page(rows.filter(**wanted), shapes.Order)

    @extend_schema(request=shapes.PlaceOrder, parameters=[IDEMPOTENCY_KEY], responses={201: shapes.OrderDetail})
    def post(self, request: Request) -> Response:
        """Order a service. It is built at once, or waits for an approval; `Location` says where to follow it."""
        key = idempotency_key(request)
        wanted = self.body(shapes.PlaceOrder)
        order = services.place(
            self.actor,
            project=project_named(self.actor, wanted["project"]),
            offering=wanted["offering"],
            plan=wanted["plan"],
            name=wanted["name"],
            parameters=wanted.get("parameters", {}),
            zone=wanted.get("zone"),
            allow_from=wanted.get("allow_from", ()),
            links=wanted.get("links"),
            lease_seconds=wanted.get("lease_seconds"),
            wait_for_capacity=wanted["wait_for_capacity"],
            data_class=wanted["data_class"],
            idempotency_key=key,
            now=clock.now(),
        )
        return accepted(order)


class Order(Face):
    """One order."""

    @extend_schema(responses=shapes.OrderDetail)
    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        """One order, with everything an approver needs to see."""
        self.query(Nothing)
        order = selectors.order_for(self.actor, order_id)
        self.looked("order", order)
        return Response(shapes.OrderDetail(order).data)


class OrderEvents(Face):
    """What happens to an order."""

    @extend_schema(parameters=[shapes.FollowQuery], responses=shapes.Events)
    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        """Events after a number, in order and without gaps. With `wait`, answers as soon as there is one."""
        asked = self.query(shapes.FollowQuery)
        order = selectors.order_for(self.actor, order_id)
        self.looked("order", order)
        events = selectors.events_after(order, asked["after"], asked["limit"])
        shown = {
            "results": events,
            "next_after": events[-1].seq if events else asked["after"],
            "state": order.state,
            "ended": order.state in ENDS and not events,
        }
        return Response(shapes.Events(shown).data)


class OrderFinding(Face):
    """What was found."""

    @extend_schema(responses=shapes.Finding)
    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        """What an order found that only looked at its service, such as its diagnostics."""
        self.query(Nothing)
        order = selectors.order_for(self.actor, order_id)
        found = findings.finding_of(order)
        self.looked("finding", order)
        return Response(shapes.Finding(found).data)


class Cancel(Face):
    """Second thoughts."""

    refusals: ClassVar = {"POST": (errors.OrderEnded, errors.AlreadyCancelling, errors.GiveBackNotCancellable)}

    @extend_schema(request=Nothing, responses={200: shapes.OrderDetail})
    def post(self, request: Request, order_id: uuid.UUID) -> Response:
        """Cancel at any point before the end; what was built already is taken down first."""
        self.body(Nothing)
        order = selectors.order_for(self.actor, order_id)
        return Response(shapes.OrderDetail(services.cancel(self.actor, order, now=clock.now())).data)


class Retry(Face):
    """Another try."""

    refusals: ClassVar = {"POST": (errors.NotRetryable, NameTaken, *CLAIM_REFUSALS)}

    @extend_schema(request=Nothing, responses={200: shapes.OrderDetail})
    def post(self, request: Request, order_id: uuid.UUID) -> Response:
        """Try a failed order again."""
        self.body(Nothing)
        order = selectors.order_for(self.actor, order_id)
        return Response(shapes.OrderDetail(services.retry(self.actor, order, now=clock.now())).data)
