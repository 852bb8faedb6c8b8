"""Deciding, standing in for others, and what an order would need."""

import uuid
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.face import Face
from catalog.api.fields import Nothing, Page
from catalog.api.pagination import Cursor
from catalog.api.serializers import approvals as shapes
from catalog.api.serializers.orders import Decide, DecisionTaken, OrderDetail
from catalog.api.views.orders import CLAIM_REFUSALS, project_named
from catalog.approvals import delegations, errors, selectors
from catalog.approvals.explanations import because, levels_of, reasons_of
from catalog.common import clock
from catalog.common.errors import InvalidInput, NotFound, Text
from catalog.leases.errors import LegalHold
from catalog.offerings import services as offerings
from catalog.offerings.errors import PlanUnavailable
from catalog.orders import errors as order_errors
from catalog.orders import frozen, services
from catalog.orders import selectors as orders
from catalog.orders.preview import preview
from catalog.pool.selectors import zone_for
from catalog.tenancy.selectors import tenant_for

DECIDING = (
    errors.NotWaitingForApproval, errors.OwnApproval, errors.ApprovalConflict, errors.AlreadyDecided, errors.NotYourTurn,
    errors.ApprovalStale, errors.ApprovalExpired,
)  # fmt: skip
APPROVING = (*DECIDING, *CLAIM_REFUSALS, LegalHold, order_errors.AlreadyGivingBack)


class Approvals(Face):
    """The inbox."""

    pagination_class = Cursor
    ordering = ("opened_at", "id")

    @extend_schema(parameters=[Page], responses=shapes.Approval(many=True))
    def get(self, request: Request) -> Response:
        """What waits for my decision, the oldest first; also for those whose place I take."""
        self.query(Page)
        rows = orders.waiting_for(self.actor, now=clock.now())
        return self.page(rows.prefetch_related("decisions__decided_by", "decisions__on_behalf_of"), shapes.Approval)


class Approval(Face):
    """One request."""

    @extend_schema(responses=DecisionTaken)
    def get(self, request: Request, approval_id: uuid.UUID) -> Response:
        """One request with the order it is about: exactly what is approved."""
        self.query(Nothing)
        found = selectors.request_for(self.actor, approval_id, now=clock.now())
        order = orders.order_of_request(found)
        self.looked("order", order)
        shown = {"approval": found, "order": order}
        return Response(DecisionTaken(shown).data)


class _Decision(Face):
    verdict: ClassVar[str]

    def decide(self, approval_id: uuid.UUID) -> Response:
        given = self.body(Decide)
        found = selectors.request_for(self.actor, approval_id, now=clock.now())
        deed = services.approve if self.verdict == "approve" else services.reject
        order = deed(self.actor, orders.order_of_request(found), now=clock.now(), **given)
        return Response(OrderDetail(order).data)


class Approve(_Decision):
    """Agreeing."""

    verdict = "approve"
    refusals: ClassVar = {"POST": APPROVING}

    @extend_schema(request=Decide, responses={200: OrderDetail})
    def post(self, request: Request, approval_id: uuid.UUID) -> Response:
        """Agree to exactly what was shown. With the last agreement the order goes on at once."""
        return self.decide(approval_id)


class Reject(_Decision):
    """Refusing."""

    verdict = "reject"
    refusals: ClassVar = {"POST": DECIDING}

    @extend_schema(request=Decide, responses={200: OrderDetail})
    def post(self, request: Request, approval_id: uuid.UUID) -> Response:
        """Refuse; the order ends here, whatever other levels said."""
        return self.decide(approval_id)


class ApproveOrder(Face):
    """Agreeing, by the order."""

    refusals: ClassVar = {"POST": APPROVING}

    @extend_schema(request=Decide, responses={200: OrderDetail})
    def post(self, request: Request, order_id: uuid.UUID) -> Response:
        """Agree to exactly what was shown. With the last agreement what it needs is claimed, in the same moment."""
        given = self.body(Decide)
        order = orders.order_for(self.actor, order_id)
        return Response(OrderDetail(services.approve(self.actor, order, now=clock.now(), **given)).data)


class RejectOrder(Face):
    """Refusing, by the order."""

    refusals: ClassVar = {"POST": DECIDING}

    @extend_schema(request=Decide, responses={200: OrderDetail})
    def post(self, request: Request, order_id: uuid.UUID) -> Response:
        """Refuse an order; its name is free again."""
        given = self.body(Decide)
        order = orders.order_for(self.actor, order_id)
        return Response(OrderDetail(services.reject(self.actor, order, now=clock.now(), **given)).data)


class Preview(Face):
    """Before an order."""

    refusals: ClassVar = {"POST": (PlanUnavailable, order_errors.ProjectUnknown, order_errors.ZoneUnknown)}

    @extend_schema(request=shapes.AskPreview, responses={200: shapes.Preview})
    def post(self, request: Request) -> Response:
        """Whose approval an order would need, why, and whether a freeze would keep it now. Nothing is placed."""
        asked = self.body(shapes.AskPreview)
        project = project_named(self.actor, asked["project"])
        plan = offerings.find_plan(asked["offering"], asked["plan"])
        zone: str | None = None
        if asked["zone"] is not None:
            try:
                zone = zone_for(self.actor, asked["zone"]).slug
            except NotFound as error:
                raise order_errors.ZoneUnknown(fields={"zone": order_errors.ZoneUnknown.title}) from error
        found = preview(project, plan, deed=asked["action"], zone=zone, data_class=asked["data_class"], now=clock.now())
        freeze = {"why": found.freeze.reason, "until": found.freeze.until} if found.freeze is not None else None
        steps = found.demand.steps
        shown: dict[str, Any] = {
            "needed": bool(steps), "why": because(reasons_of(found.demand)) if steps else "",
            "levels": levels_of(found.demand), "freeze": freeze,
        }  # fmt: skip
        return Response(shapes.Preview(shown).data)


class Delegations(Face):
    """Who decides for whom."""

    pagination_class = Cursor
    ordering = ("-starts_at", "-id")
    refusals: ClassVar = {
        "POST": (
            errors.NothingToDelegate, errors.DelegationToSelf, errors.DelegateUnsuitable, errors.DelegationPeriodInvalid,
            errors.DelegationOverlaps, errors.DelegationChain,
        ),
    }  # fmt: skip

    @extend_schema(parameters=[Page], responses=shapes.Delegation(many=True))
    def get(self, request: Request) -> Response:
        """The delegations I gave or hold, and those of affiliates I administer; the latest first."""
        self.query(Page)
        return self.page(selectors.delegations_for(self.actor), shapes.Delegation)

    @extend_schema(request=shapes.GiveDelegation, responses={201: shapes.Delegation})
    def post(self, request: Request) -> Response:
        """Let somebody decide for me while I am away."""
        given = self.body(shapes.GiveDelegation)
        tenant = None
        if given["tenant"] is not None:
            try:
                tenant = tenant_for(self.actor, given["tenant"])
            except NotFound as error:
                fields: dict[str, Text] = {"tenant": NotFound.title}
                raise InvalidInput(fields=fields) from error
        made = delegations.delegate(
            self.actor, tenant=tenant, to=given["delegate"], starts_at=given["starts_at"], ends_at=given["ends_at"],
            now=clock.now(),
        )  # fmt: skip
        return Response(shapes.Delegation(made).data, status=status.HTTP_201_CREATED)


class Delegation(Face):
    """One of them."""

    refusals: ClassVar = {"DELETE": (errors.DelegationOver,)}

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, delegation_id: uuid.UUID) -> Response:
        """End it now. What was decided stays decided."""
        found = selectors.delegation_for(self.actor, delegation_id)
        delegations.end(self.actor, found, now=clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class OverrideFreeze(Face):
    """An emergency."""

    refusals: ClassVar = {
        "POST": (
            errors.NotFrozen, errors.OverrideWithoutReason, LegalHold, order_errors.AlreadyGivingBack,
        ),
    }  # fmt: skip

    @extend_schema(request=shapes.OverrideFreeze, responses={200: OrderDetail})
    def post(self, request: Request, order_id: uuid.UUID) -> Response:
        """Let an order go on during a change freeze. For group administrators; who and why is recorded."""
        given = self.body(shapes.OverrideFreeze)
        order = orders.order_for(self.actor, order_id)
        return Response(OrderDetail(frozen.override(self.actor, order, reason=given["reason"], now=clock.now())).data)
