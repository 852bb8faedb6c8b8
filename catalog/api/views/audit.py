"""The record, for auditors."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.face import Face
from catalog.api.pagination import Cursor
from catalog.api.serializers import audit as shapes
from catalog.audit import selectors


class Audit(Face):
    """Who did what."""

    pagination_class = Cursor
    ordering = ("-id",)

    @extend_schema(parameters=[shapes.AuditQuery], responses=shapes.AuditEntry(many=True))
    def get(self, request: Request) -> Response:
        """The record of every decision, newest first."""
        asked = self.query(shapes.AuditQuery)
        names = ("actor", "action", "subject_type", "subject_id")
        wanted = {name: asked[name] for name in names if name in asked}
        return self.page(selectors.entries_for(self.actor).filter(**wanted), shapes.AuditEntry)
