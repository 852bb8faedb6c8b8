"""Services: reading, credentials, lease, give-back."""

import uuid
from typing import ClassVar

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.face import Face
from catalog.api.fields import Nothing
from catalog.api.pagination import Cursor
from catalog.api.serializers import instances as shapes
from catalog.api.serializers.orders import OrderDetail
from catalog.api.views.orders import IDEMPOTENCY_KEY, accepted, idempotency_key, project_named
from catalog.common import clock
from catalog.common.errors import NotFound
from catalog.instances import connection
from catalog.instances.errors import AlreadyShown, NotReady
from catalog.instances.models import ServiceInstance
from catalog.ipam.models import Endpoint
from catalog.leases import errors as lease_errors
from catalog.leases import holds
from catalog.offerings.errors import ParameterForbidden, ParametersInvalid
from catalog.offerings.operations import operations_of
from catalog.orders import errors, operations, selectors, services


def _with_endpoints(rows: "QuerySet[ServiceInstance]") -> "QuerySet[ServiceInstance]":
    held = Endpoint.objects.filter(released_at__isnull=True).select_related("address", "name")
    return rows.prefetch_related(Prefetch("endpoints", held))


class Instances(Face):
    """Services."""

    pagination_class = Cursor
    refusals: ClassVar = {"GET": (errors.ProjectUnknown,)}

    @extend_schema(parameters=[shapes.InstanceQuery], responses=shapes.Instance(many=True))
    def get(self, request: Request) -> Response:
        """The services I may see, newest first."""
        asked = self.query(shapes.InstanceQuery)
        rows = _with_endpoints(selectors.instances_for(self.actor))
        if "state" in asked:
            rows = rows.filter(state=asked["state"])
        if "project" in asked:
            rows = rows.filter(project=project_named(self.actor, asked["project"]))
        self.looked_at_list("instance", asked)
        return self.page(rows, shapes.Instance)


class Instance(Face):
    """One service."""

    @extend_schema(responses=shapes.InstanceDetail)
    def get(self, request: Request, instance_id: uuid.UUID) -> Response:
        """One service."""
        self.query(Nothing)
        instance = _with_endpoints(selectors.instances_for(self.actor)).filter(pk=instance_id).first()
        if instance is None:
            raise NotFound()
        self.looked("instance", instance)
        return Response(shapes.InstanceDetail(instance).data)


class Credentials(Face):
    """The keys."""

    refusals: ClassVar = {"POST": (NotReady, AlreadyShown)}

    @extend_schema(request=Nothing, responses={200: shapes.Credentials})
    def post(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Show the credentials. This works once; who did it is recorded."""
        self.body(Nothing)
        instance = selectors.instance_for(self.actor, instance_id)
        revealed = services.reveal(self.actor, instance, now=clock.now())
        shown = {"credentials": revealed, "connection": connection.lines(instance.version.manifest, revealed)}
        return Response(shapes.Credentials(shown).data)


class Lease(Face):
    """How long it may stay."""

    refusals: ClassVar = {
        "POST": (
            lease_errors.LeaseTooLong, lease_errors.LeaseOutlivesProject, lease_errors.ExtensionTooLong,
            lease_errors.NoExtensionLeft, lease_errors.LeaseEnded, lease_errors.LeaseRecalled,
        ),
    }  # fmt: skip

    @extend_schema(responses={200: shapes.LeaseDetail})
    def get(self, request: Request, instance_id: uuid.UUID) -> Response:
        """How long the service may stay, what was announced about its end, and by whom it was changed."""
        self.query(Nothing)
        lease = selectors.lease_for(self.actor, instance_id)
        self.looked("instance", lease.instance)
        return Response(shapes.LeaseDetail(lease).data)

    @extend_schema(request=shapes.ExtendLease, responses={200: shapes.Lease})
    def post(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Let the service stay longer."""
        given = self.body(shapes.ExtendLease)
        instance = selectors.instance_for(self.actor, instance_id)
        lease = operations.extend_lease(self.actor, instance, seconds=given["extend_seconds"], now=clock.now())
        return Response(shapes.Lease(lease).data)


class Hold(Face):
    """A legal hold."""

    refusals: ClassVar = {
        "POST": (lease_errors.LeaseEnded, lease_errors.HoldWithoutReason, lease_errors.HoldEndInvalid)
    }

    @extend_schema(request=shapes.Hold, responses={200: shapes.Lease})
    def post(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Keep the service, whatever its lease says. For auditors and group administrators."""
        given = self.body(shapes.Hold)
        lease = selectors.lease_for(self.actor, instance_id)
        return Response(shapes.Lease(holds.hold(self.actor, lease, now=clock.now(), **given)).data)


class LiftHold(Face):
    """The end of a legal hold."""

    refusals: ClassVar = {"POST": (lease_errors.NotHeld, lease_errors.HoldWithoutReason)}

    @extend_schema(request=shapes.LiftHold, responses={200: shapes.Lease})
    def post(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Let the lease count again. One that ended meanwhile is taken back at once."""
        given = self.body(shapes.LiftHold)
        lease = selectors.lease_for(self.actor, instance_id)
        return Response(shapes.Lease(holds.lift_hold(self.actor, lease, now=clock.now(), **given)).data)


class Operations(Face):
    """What can be done to it."""

    refusals: ClassVar = {
        "POST": (
            errors.OperationUnknown, errors.OperationNotPossible, errors.InGrace, errors.OrderUnderWay, errors.NothingToChange,
            errors.IdempotencyKeyReused, ParametersInvalid, ParameterForbidden,
        ),
    }  # fmt: skip

    @extend_schema(responses={200: shapes.Operation(many=True)})
    def get(self, request: Request, instance_id: uuid.UUID) -> Response:
        """What can be done to the service besides giving it back."""
        self.query(Nothing)
        instance = selectors.instance_for(self.actor, instance_id)
        self.looked("instance", instance)
        now_possible = {each.name for each in operations.possible(instance, getattr(instance, "lease", None))}
        rows = [
            {**vars(each), "parameters": operations.asked_for(instance, each), "possible": each.name in now_possible}
            for each in operations_of(instance.version.manifest, instance.plan.slug)
        ]
        return Response(shapes.Operation(rows, many=True).data)

    @extend_schema(request=shapes.Operate, parameters=[IDEMPOTENCY_KEY], responses={201: OrderDetail})
    def post(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Order an operation, such as `stop` or `start`; the answer is the order that carries it out."""
        key = idempotency_key(request)
        given = self.body(shapes.Operate)
        instance = selectors.instance_for(self.actor, instance_id)
        return accepted(operations.operate(self.actor, instance, idempotency_key=key, now=clock.now(), **given))


class GiveBack(Face):
    """The way back."""

    refusals: ClassVar = {
        "POST": (
            errors.AlreadyGivingBack, errors.OrderUnderWay, errors.IdempotencyKeyReused, lease_errors.LegalHold,
        ),
    }  # fmt: skip

    @extend_schema(request=shapes.GiveBack, parameters=[IDEMPOTENCY_KEY], responses={201: OrderDetail})
    def post(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Give the service back. Everything on it will be lost; the answer is the order that takes it down."""
        key = idempotency_key(request)
        given = self.body(shapes.GiveBack)
        instance = selectors.instance_for(self.actor, instance_id)
        order = services.give_back(self.actor, instance, reason=given["reason"], idempotency_key=key, now=clock.now())
        return accepted(order)
