"""What is on sale."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.face import Face
from catalog.api.fields import Nothing, Page
from catalog.api.pagination import Cursor
from catalog.api.serializers import offerings as shapes
from catalog.offerings import selectors
from catalog.orders.preview import outlook


class Offerings(Face):
    """The catalog."""

    pagination_class = Cursor
    ordering = ("display_order", "slug")

    @extend_schema(parameters=[Page], responses=shapes.Offering(many=True))
    def get(self, request: Request) -> Response:
        """Everything on sale, with plans and prices."""
        self.query(Page)
        rows = self.paginate_queryset(selectors.on_sale())
        context = {"needs_approval": outlook(self.actor)}
        return self.get_paginated_response(shapes.Offering(rows, many=True, context=context).data)


class Offering(Face):
    """One product."""

    @extend_schema(responses=shapes.OfferingDetail)
    def get(self, request: Request, slug: str) -> Response:
        """One product with, for each plan, the JSON Schema its parameters must meet."""
        self.query(Nothing)
        context = {"needs_approval": outlook(self.actor)}
        return Response(shapes.OfferingDetail(selectors.offering_on_sale(slug), context=context).data)
