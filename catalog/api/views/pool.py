"""Zones and hosts, for operators."""

import uuid
from typing import Any, ClassVar

from django.db import transaction
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.face import Face
from catalog.api.fields import Nothing, Page
from catalog.api.pagination import Cursor
from catalog.api.serializers import pool as shapes
from catalog.api.serializers.orders import EventQuery, Events
from catalog.common import clock
from catalog.common.errors import DomainError, InvalidInput, NotFound, StateConflict, Text
from catalog.ipam.errors import AddressOutsideZone, AddressTaken
from catalog.orders.errors import ZoneUnknown
from catalog.pool import selectors, services, zones
from catalog.pool.errors import (
    AddressInvalid,
    HostAddressTaken,
    HostNameInvalid,
    HostNameTaken,
    ProtectedDataOutside,
    ZoneAlreadyClosed,
    ZoneAlreadyOpen,
    ZoneInUse,
    ZoneReasonMissing,
    ZoneSlugTaken,
)
from catalog.pool.models import Host as HostRow
from catalog.pool.models import Zone as ZoneRow
from catalog.pool.states import HOST
from catalog.reclaim import services as reclaim
from catalog.reclaim.errors import HostInUse, SecondPersonNeeded
from catalog.tenancy import selectors as tenancy
from catalog.tenancy.models import Tenant
from catalog.tenancy.policy import Action, Actor, require


def _zone_named(actor: Actor, slug: str) -> ZoneRow:
    try:
        return selectors.zone_for(actor, slug)
    except NotFound as error:
        raise ZoneUnknown(fields={"zone": ZoneUnknown.title}) from error


def _affiliate(actor: Actor, field: str, slug: str) -> Tenant:
    try:
        return tenancy.tenant_for(actor, slug)
    except NotFound as error:
        fields: dict[str, Text] = {field: NotFound.title}
        raise InvalidInput(fields=fields) from error


class Zones(Face):
    """Zones."""

    pagination_class = Cursor
    ordering = ("slug",)
    refusals: ClassVar = {"POST": (ZoneSlugTaken, ProtectedDataOutside)}

    @extend_schema(parameters=[Page], responses=shapes.Zone(many=True))
    def get(self, request: Request) -> Response:
        """Where a service can stand, what data it may hold there, and whether somebody works there."""
        self.query(Page)
        return self.page(selectors.zones_for(self.actor), shapes.Zone)

    @extend_schema(request=shapes.CreateZone, responses={201: shapes.ZoneDetail})
    def post(self, request: Request) -> Response:
        """Make a zone. Hosts are registered in it afterwards, and its worker is started beside them."""
        require(self.actor, Action.OPERATE_POOL)
        given = _terms(self.actor, self.body(shapes.CreateZone))
        zone = zones.create_zone(self.actor, now=clock.now(), **given)
        return Response(shapes.ZoneDetail(zone).data, status=status.HTTP_201_CREATED)


def _terms(actor: Actor, given: dict[str, Any]) -> dict[str, Any]:
    """With affiliates instead of their names."""
    if given.get("tenant"):
        given["tenant"] = _affiliate(actor, "tenant", given["tenant"])
    if "admitted" in given:
        given["admitted"] = [_affiliate(actor, "admitted", slug) for slug in given["admitted"]]
    return given


class Zone(Face):
    """One zone."""

    refusals: ClassVar = {"POST": (ZoneInUse, ProtectedDataOutside)}

    @extend_schema(request=shapes.ChangeZone, responses={200: shapes.ZoneDetail})
    def post(self, request: Request, slug: str) -> Response:
        """Change what is said of a zone, for what is placed from now on; what stands there stays."""
        zone = selectors.zone_for(self.actor, slug)
        require(self.actor, Action.OPERATE_POOL)
        given = _terms(self.actor, self.body(shapes.ChangeZone))
        return Response(shapes.ZoneDetail(zones.change_zone(self.actor, zone, now=clock.now(), **given)).data)


class CloseZone(Face):
    """Maintenance."""

    refusals: ClassVar = {"POST": (ZoneReasonMissing, ZoneAlreadyClosed)}

    @extend_schema(request=shapes.CloseZone, responses={200: shapes.ZoneDetail})
    def post(self, request: Request, slug: str) -> Response:
        """Place nothing new there until it is opened again. People are shown why; what stands there goes on."""
        reason = self.body(shapes.CloseZone)["reason"]
        zone = selectors.zone_for(self.actor, slug)
        return Response(shapes.ZoneDetail(zones.close_zone(self.actor, zone, reason=reason, now=clock.now())).data)


class OpenZone(Face):
    """Back again."""

    refusals: ClassVar = {"POST": (ZoneAlreadyOpen,)}

    @extend_schema(request=Nothing, responses={200: shapes.ZoneDetail})
    def post(self, request: Request, slug: str) -> Response:
        """Let the zone be placed in again; orders that wait for it go on."""
        self.body(Nothing)
        zone = selectors.zone_for(self.actor, slug)
        return Response(shapes.ZoneDetail(zones.open_zone(self.actor, zone, now=clock.now())).data)


class Hosts(Face):
    """The pool."""

    pagination_class = Cursor
    ordering = ("name",)
    refusals: ClassVar = {
        "POST": (
            HostNameInvalid,
            HostNameTaken,
            AddressInvalid,
            HostAddressTaken,
            AddressOutsideZone,
            AddressTaken,
            ZoneUnknown,
        )
    }

    @extend_schema(parameters=[shapes.HostQuery], responses=shapes.Host(many=True))
    def get(self, request: Request) -> Response:
        """All hosts by name, with what they have and what is used."""
        asked = self.query(shapes.HostQuery)
        rows = selectors.hosts_for(self.actor)
        if "state" in asked:
            rows = rows.filter(state=asked["state"])
        if "zone" in asked:
            rows = rows.filter(zone__slug=asked["zone"])
        return self.page(rows, shapes.Host)

    @extend_schema(request=shapes.RegisterHost, responses={201: shapes.HostDetail})
    def post(self, request: Request) -> Response:
        """Enter a machine in the pool and enrol it: its ssh key is learnt, its capacity read from its own facts."""
        given = self.body(shapes.RegisterHost)
        zone = _zone_named(self.actor, given.pop("zone"))
        owner = given.pop("owner", None)
        now = clock.now()
        with transaction.atomic():
            host = services.register_host(
                self.actor, zone=zone, owner=_affiliate(self.actor, "owner", owner) if owner else None, now=now, **given
            )
            reclaim.enrol(self.actor, host, now=now)
        where = reverse("api:host", kwargs={"host_id": host.pk})
        shown = shapes.HostDetail(selectors.host_for(self.actor, host.pk)).data
        return Response(shown, status=status.HTTP_201_CREATED, headers={"Location": where})


class Host(Face):
    """One host."""

    @extend_schema(responses=shapes.HostDetail)
    def get(self, request: Request, host_id: uuid.UUID) -> Response:
        """One host, with its facts."""
        self.query(Nothing)
        return Response(shapes.HostDetail(selectors.host_for(self.actor, host_id)).data)


class HostEvents(Face):
    """What happens to a host."""

    @extend_schema(parameters=[EventQuery], responses=Events)
    def get(self, request: Request, host_id: uuid.UUID) -> Response:
        """Events after a number, in order and without gaps."""
        asked = self.query(EventQuery)
        host = selectors.host_for(self.actor, host_id)
        events = selectors.events_after(host, asked["after"], asked["limit"])
        shown = {
            "results": events,
            "next_after": events[-1].seq if events else asked["after"],
            "state": host.state,
            "ended": host.state in HOST.final and not events,
        }
        return Response(Events(shown).data)


class HostCertificates(Face):
    """Evidence."""

    pagination_class = Cursor
    ordering = ("-issued_at", "-id")

    @extend_schema(parameters=[Page], responses=shapes.Certificate(many=True))
    def get(self, request: Request, host_id: uuid.UUID) -> Response:
        """The host's certificates, newest first, each checked against its signature."""
        self.query(Page)
        host = selectors.host_for(self.actor, host_id)
        return self.page(selectors.certificates_of(host), shapes.Certificate)


class HostAction(Face):
    """A decision of an operator about one host."""

    refusals: ClassVar[dict[str, tuple[type[DomainError], ...]]] = {"POST": (HostInUse, StateConflict)}

    def shown(self, host: HostRow) -> Response:
        """The host as it is now."""
        return Response(shapes.HostDetail(selectors.host_for(self.actor, host.pk)).data)


class Wipe(HostAction):
    """Erase."""

    refusals: ClassVar = {"POST": (HostInUse, SecondPersonNeeded, StateConflict)}

    @extend_schema(request=Nothing, responses={200: shapes.HostDetail})
    def post(self, request: Request, host_id: uuid.UUID) -> Response:
        """Wipe a host nobody holds. A quarantined one needs the word of a second operator; the first call records yours."""
        self.body(Nothing)
        host = selectors.host_for(self.actor, host_id)
        return self.shown(reclaim.wipe(self.actor, host, now=clock.now()))


class Quarantine(HostAction):
    """Set apart."""

    @extend_schema(request=shapes.Because, responses={200: shapes.HostDetail})
    def post(self, request: Request, host_id: uuid.UUID) -> Response:
        """Take a host out of everything until two people decide otherwise."""
        reason = self.body(shapes.Because)["reason"]
        host = selectors.host_for(self.actor, host_id)
        return self.shown(reclaim.quarantine(self.actor, host, reason=reason, now=clock.now()))


class Maintenance(HostAction):
    """Work on the machine."""

    @extend_schema(request=shapes.Because, responses={200: shapes.HostDetail})
    def post(self, request: Request, host_id: uuid.UUID) -> Response:
        """Set an available host aside for work on it."""
        reason = self.body(shapes.Because)["reason"]
        host = selectors.host_for(self.actor, host_id)
        return self.shown(reclaim.maintenance(self.actor, host, reason=reason, now=clock.now()))


class Resume(HostAction):
    """Back to the pool."""

    @extend_schema(request=Nothing, responses={200: shapes.HostDetail})
    def post(self, request: Request, host_id: uuid.UUID) -> Response:
        """Back from maintenance, through a wipe: somebody may have touched it."""
        self.body(Nothing)
        host = selectors.host_for(self.actor, host_id)
        return self.shown(reclaim.resume(self.actor, host, now=clock.now()))


class Retire(HostAction):
    """The end."""

    @extend_schema(request=shapes.Because, responses={200: shapes.HostDetail})
    def post(self, request: Request, host_id: uuid.UUID) -> Response:
        """End a host's service for ever."""
        reason = self.body(shapes.Because)["reason"]
        host = selectors.host_for(self.actor, host_id)
        return self.shown(reclaim.retire(self.actor, host, reason=reason, now=clock.now()))
