"""What affiliates may hold, and what they lend each other."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.face import Face
from catalog.api.fields import Page
from catalog.api.pagination import Cursor
from catalog.api.serializers import quotas as shapes
from catalog.common.errors import InvalidInput, NotFound, Text
from catalog.orders.errors import ZoneUnknown
from catalog.pool.selectors import zone_for
from catalog.quotas.selectors import figures, loans_for, quotas_for
from catalog.tenancy.policy import scope
from catalog.tenancy.selectors import tenant_for

WHEREVER = "*"


class Quotas(Face):
    """Quotas."""

    pagination_class = Cursor
    ordering = ("id",)
    refusals: ClassVar = {"GET": (ZoneUnknown,)}

    @extend_schema(parameters=[shapes.QuotaQuery], responses=shapes.Quota(many=True))
    def get(self, request: Request) -> Response:
        """The quotas I may see: what is guaranteed, used, borrowed and lent."""
        asked = self.query(shapes.QuotaQuery)
        rows = quotas_for(self.actor)
        if "tenant" in asked:
            try:
                rows = rows.filter(tenant=tenant_for(self.actor, asked["tenant"]))
            except NotFound as error:
                fields: dict[str, Text] = {"tenant": NotFound.title}
                raise InvalidInput(fields=fields) from error
        if asked.get("zone") == WHEREVER:
            rows = rows.filter(zone=None)
        elif "zone" in asked:
            try:
                rows = rows.filter(zone=zone_for(self.actor, asked["zone"]))
            except NotFound as error:
                raise ZoneUnknown(fields={"zone": ZoneUnknown.title}) from error
        self.looked_at_list("quota", asked)
        shown = self.paginate_queryset(rows) or []
        known = figures(shown)
        for row in shown:
            row.figures = known[row.pk]  # type: ignore[attr-defined]  # shown beside it
        return self.get_paginated_response(shapes.Quota(shown, many=True).data)


class Loans(Face):
    """Loans."""

    pagination_class = Cursor
    ordering = ("-id",)

    @extend_schema(parameters=[Page], responses=shapes.Loan(many=True))
    def get(self, request: Request) -> Response:
        """The loans that my affiliates take or give now, the newest first."""
        self.looked_at_list("loan", self.query(Page))
        shown = self.paginate_queryset(loans_for(self.actor))
        context = {"scope": scope(self.actor)}
        return self.get_paginated_response(shapes.Loan(shown, many=True, context=context).data)
