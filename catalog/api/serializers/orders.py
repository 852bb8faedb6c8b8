"""Orders and what happens to them."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.api.fields import FreeObject, Page, QueryWhole, Strict, Text, Whole
from catalog.api.serializers.approvals import Approval, Decided, Freeze
from catalog.api.serializers.texts import ProjectName
from catalog.approvals.models import Request as RequestRow
from catalog.common.data import DataClass
from catalog.orders import waiting
from catalog.orders.models import Order as OrderRow
from catalog.orders.selectors import requests_of
from catalog.orders.states import OrderKind, OrderState
from catalog.placement.words import why_here_said

LONGEST = 9_000_000_000
"""More seconds than any lease lasts, and few enough for every database."""


class PlaceOrder(Strict):
    """What is wanted. The plan's schema judges ``parameters``."""

    project = Text(max_length=81, help_text="affiliate/project")
    offering = Text(max_length=40)
    plan = Text(max_length=40)
    name = Text(max_length=40, help_text=_("3 to 40 of a–z, 0–9 and -, starting with a letter."))
    parameters = FreeObject(required=False)
    zone = Text(max_length=40, required=False, allow_null=True, help_text=_("Anywhere when left out."))
    allow_from = serializers.ListField(
        child=Text(max_length=43),
        required=False,
        max_length=50,
        help_text=_(
            "Networks whose clients may connect, such as 10.20.0.0/16; the affiliate's and the zone's when left out."
        ),
    )
    links = serializers.DictField(
        child=Text(max_length=40),
        required=False,
        help_text=_(
            "Services of the project it uses: `DB` to the name of one. Their credentials reach it under that word."
        ),
    )
    lease_seconds = Whole(required=False, allow_null=True, min_value=1, max_value=LONGEST)
    data_class = serializers.ChoiceField(
        choices=DataClass.choices, required=False, default=DataClass.INTERNAL,
        help_text=_("The most protected data it will hold; plan and zone must allow it."),
    )  # fmt: skip
    wait_for_capacity = serializers.BooleanField(
        required=False, default=False, help_text=_("Stand in line when the pool is full, instead of being refused.")
    )


class Decide(Strict):
    """A decision on exactly the content whose hash it names."""

    content_hash = Text(max_length=64, help_text=_("`content_hash` of the order as it was shown."))
    comment = Text(max_length=500, required=False, allow_blank=True, default="")


class OrderQuery(Page):
    """Which orders to list."""

    state = serializers.ChoiceField(choices=OrderState.choices, required=False)
    kind = serializers.ChoiceField(choices=OrderKind.choices, required=False)
    project = serializers.CharField(max_length=81, required=False, help_text="affiliate/project")


class EventQuery(Strict):
    """Where to go on reading events."""

    after = QueryWhole(required=False, default=0, min_value=0, help_text=_("The last number seen."))
    limit = QueryWhole(required=False, default=500, min_value=1, max_value=500)


class FollowQuery(EventQuery):
    """The same, and how long to wait when there is nothing new yet."""

    wait = QueryWhole(required=False, default=0, min_value=0, max_value=20, help_text=_("Seconds."))


class Order(serializers.Serializer[Any]):
    """An order. ``deadline`` is when its present state must have ended; times are in UTC."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=OrderKind.choices)
    state = serializers.ChoiceField(choices=OrderState.choices)
    state_since = serializers.DateTimeField()
    deadline = serializers.DateTimeField(allow_null=True)
    tenant = serializers.CharField(source="tenant.slug")
    project = ProjectName()
    offering = serializers.CharField(source="plan.offering.slug")
    plan = serializers.CharField(source="plan.slug")
    name = serializers.CharField()
    operation = serializers.CharField(help_text=_("Of the kind `operate`: which operation; else empty."))
    zone = serializers.CharField(source="zone.slug", allow_null=True, default=None)
    instance = serializers.UUIDField(source="instance_id", allow_null=True)
    requested_by = serializers.CharField(source="requested_by.username", allow_null=True, default=None)
    data_class = serializers.ChoiceField(choices=DataClass.choices)
    price_krw_month = serializers.IntegerField()
    lease_seconds = serializers.IntegerField()
    attempt = serializers.IntegerField()
    undoing = serializers.BooleanField()
    failure_code = serializers.CharField()
    failure_detail = serializers.CharField()
    created_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class InLine(serializers.Serializer[Any]):
    """What an order waits for: room (``no-room``), or somebody who works in its zone (``zone-worker-silent``).

    ``place`` is null until the line for room was first gone through, seconds after it began to wait.
    """

    code = serializers.ChoiceField(choices=["no-room", "zone-worker-silent"])
    why = serializers.CharField(help_text=_("With what would make room, and when some may come by itself."))
    room_at = serializers.DateTimeField(allow_null=True, help_text=_("When there is room, where that is known."))
    expected_at = serializers.DateTimeField(
        source="explanation.outlook.expected_at",
        allow_null=True,
        default=None,
        help_text=_("When room may come by itself: from leases that end, and how long wipes take."),
    )
    filters = serializers.ListField(
        child=serializers.DictField(),
        default=list,
        help_text=_("What a host must be, and how many hosts each leaves."),
    )
    place = serializers.IntegerField(allow_null=True, default=None, help_text=_("1: the next to be served."))
    of = serializers.IntegerField(allow_null=True, default=None, help_text=_("How many wait."))


class OrderDetail(Order):
    """Everything about one order, as an approver sees it."""

    parameters = FreeObject()
    allow_from = serializers.ListField(
        child=serializers.CharField(), help_text=_("Empty: the affiliate's networks and the zone's.")
    )
    reason = serializers.CharField()
    content_hash = serializers.CharField()
    manifest_version = serializers.CharField()
    git_revision = serializers.CharField()
    explanation = serializers.SerializerMethodField(
        help_text=_("Why it was placed where it was: rules and weights by code, and in words.")
    )
    waiting = serializers.SerializerMethodField()
    not_before = serializers.DateTimeField(allow_null=True, help_text=_("A change freeze keeps it until then."))
    freeze = serializers.SerializerMethodField()
    approval = serializers.SerializerMethodField(help_text=_("The newest request for approval."))
    approvals = serializers.SerializerMethodField(help_text=_("Everything that was decided about it."))

    def to_representation(self, instance: OrderRow) -> dict[str, Any]:
        self._requests: list[RequestRow] = requests_of(instance)
        return super().to_representation(instance)

    @extend_schema_field(Freeze(allow_null=True))
    def get_freeze(self, order: OrderRow) -> Any:
        said = order.explanation.get("freeze") if order.not_before is not None else None
        return Freeze({"why": said["why"], "until": order.not_before}).data if said else None

    @extend_schema_field(Approval(allow_null=True))
    def get_approval(self, order: OrderRow) -> Any:
        return Approval(self._requests[0]).data if self._requests else None

    @extend_schema_field(Decided(many=True))
    def get_approvals(self, order: OrderRow) -> Any:
        taken = [each for request in reversed(self._requests) for each in request.decisions.all()]
        return Decided(taken, many=True).data

    def get_explanation(self, order: OrderRow) -> dict[str, Any]:
        said = {name: value for name, value in order.explanation.items() if name not in {"waiting", "freeze"}}
        return {**said, "words": why_here_said(said)} if said else {}

    @extend_schema_field(InLine(allow_null=True))
    def get_waiting(self, order: OrderRow) -> Any:
        """What it waits for, where that is known."""
        said = waiting.shown(order)
        return None if said is None else InLine(said).data


class Finding(serializers.Serializer[Any]):
    """What an order found that only looked at its service. The last few of each service are kept."""

    at = serializers.DateTimeField()
    content = FreeObject()


class DecisionTaken(serializers.Serializer[Any]):
    """A request for approval, and the order it is about."""

    approval = Approval()
    order = OrderDetail()


class Event(serializers.Serializer[Any]):
    """One thing that happened: a change of state, a task of the playbook, a word of the platform."""

    seq = serializers.IntegerField()
    at = serializers.DateTimeField()
    kind = serializers.CharField()
    actor = serializers.CharField()
    data = FreeObject()  # type: ignore[assignment]  # the member is called so on the wire


class Events(serializers.Serializer[Any]):
    """A stretch of events; ask again with ``after`` = ``next_after``."""

    results = Event(many=True)
    next_after = serializers.IntegerField()
    state = serializers.CharField(help_text=_("The state at this moment."))
    ended = serializers.BooleanField(help_text=_("Nothing more will follow."))
