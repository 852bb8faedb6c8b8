"""VLANs and prefixes, for operators."""

import uuid
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.face import Face
from catalog.api.fields import Nothing
from catalog.api.pagination import Cursor
from catalog.api.serializers import networks as shapes
from catalog.common import clock
from catalog.common.errors import Forbidden, InvalidInput, NotFound, Text
from catalog.ipam import errors, networks, selectors
from catalog.orders.errors import ZoneUnknown
from catalog.pool.models import Zone
from catalog.pool.selectors import zone_for
from catalog.tenancy import selectors as tenancy
from catalog.tenancy.models import Tenant
from catalog.tenancy.policy import Action, Actor, can


def _zone_named(actor: Actor, slug: str) -> Zone:
    if not can(actor, Action.OPERATE_POOL):
        raise Forbidden()
    try:
        return zone_for(actor, slug)
    except NotFound as error:
        raise ZoneUnknown(fields={"zone": ZoneUnknown.title}) from error


def _tenant_named(actor: Actor, slug: str | None) -> Tenant | None:
    if slug is None:
        return None
    try:
        return tenancy.tenant_for(actor, slug)
    except NotFound as error:
        fields: dict[str, Text] = {"tenant": NotFound.title}
        raise InvalidInput(fields=fields) from error


def _wanted(asked: dict[str, Any]) -> dict[str, str]:
    return {f"{name}__slug": asked[name] for name in ("zone", "tenant") if name in asked}


class Vlans(Face):
    """VLANs."""

    pagination_class = Cursor
    ordering = ("vid", "id")
    refusals: ClassVar = {"POST": (errors.VlanInvalid, errors.VlanTaken, errors.NetworkOfAnother, ZoneUnknown)}

    @extend_schema(parameters=[shapes.NetworkQuery], responses=shapes.Vlan(many=True))
    def get(self, request: Request) -> Response:
        """All VLANs by number, retired ones among them."""
        asked = self.query(shapes.NetworkQuery)
        return self.page(selectors.vlans_for(self.actor).filter(**_wanted(asked)), shapes.Vlan)

    @extend_schema(request=shapes.RegisterVlan, responses={201: shapes.Vlan})
    def post(self, request: Request) -> Response:
        """Register a VLAN of a zone."""
        given = self.body(shapes.RegisterVlan)
        vlan = networks.register_vlan(
            self.actor,
            zone=_zone_named(self.actor, given["zone"]),
            vid=given["vid"],
            name=given["name"],
            tenant=_tenant_named(self.actor, given.get("tenant")),
            now=clock.now(),
        )
        return Response(shapes.Vlan(vlan).data, status=status.HTTP_201_CREATED)


class VlanRetire(Face):
    """The end of a VLAN."""

    refusals: ClassVar = {"POST": (errors.VlanInUse, errors.NetworkRetired)}

    @extend_schema(request=Nothing, responses={200: shapes.Vlan})
    def post(self, request: Request, vlan_id: uuid.UUID) -> Response:
        """End the use of a VLAN no prefix belongs to."""
        self.body(Nothing)
        vlan = selectors.vlan_for(self.actor, vlan_id)
        return Response(shapes.Vlan(networks.retire_vlan(self.actor, vlan, now=clock.now())).data)


class Prefixes(Face):
    """Prefixes."""

    pagination_class = Cursor
    ordering = ("cidr", "id")
    refusals: ClassVar = {
        "POST": (
            errors.PrefixInvalid, errors.PrefixOverlaps, errors.VlanUnknown, errors.NetworkOfAnother, ZoneUnknown,
        )
    }  # fmt: skip

    @extend_schema(parameters=[shapes.NetworkQuery], responses=shapes.Prefix(many=True))
    def get(self, request: Request) -> Response:
        """All prefixes, retired ones among them."""
        asked = self.query(shapes.NetworkQuery)
        return self.page(selectors.prefixes_for(self.actor).filter(**_wanted(asked)), shapes.Prefix)

    @extend_schema(request=shapes.RegisterPrefix, responses={201: shapes.Prefix})
    def post(self, request: Request) -> Response:
        """Register a network of a zone. The same one again changes nothing."""
        given = self.body(shapes.RegisterPrefix)
        zone = _zone_named(self.actor, given["zone"])
        vid = given.get("vlan")
        prefix = networks.register_prefix(
            self.actor,
            zone=zone,
            cidr=given["cidr"],
            vlan=None if vid is None else networks.vlan_of(zone, vid),
            tenant=_tenant_named(self.actor, given.get("tenant")),
            now=clock.now(),
        )
        return Response(shapes.Prefix(prefix).data, status=status.HTTP_201_CREATED)


class PrefixRetire(Face):
    """The end of a prefix."""

    refusals: ClassVar = {"POST": (errors.PrefixInUse, errors.NetworkRetired)}

    @extend_schema(request=Nothing, responses={200: shapes.Prefix})
    def post(self, request: Request, prefix_id: uuid.UUID) -> Response:
        """End the use of a prefix no host has an address of."""
        self.body(Nothing)
        prefix = selectors.prefix_for(self.actor, prefix_id)
        return Response(shapes.Prefix(networks.retire_prefix(self.actor, prefix, now=clock.now())).data)
