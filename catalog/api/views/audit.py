"""The record, for auditors."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.face import Face
from catalog.api.fields import Nothing
from catalog.api.pagination import Cursor
from catalog.api.serializers import audit as shapes
from catalog.api.views.people import tenant_named
from catalog.audit import export, looks, selectors, services
from catalog.common import clock
from catalog.common.errors import NotFound
from catalog.tenancy.policy import Action, Actor, require


def _wanted(actor: Actor, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The filter, with the affiliate's name made its id. Raises Forbidden for anybody but an auditor, InvalidInput."""
    require(actor, Action.AUDIT)
    wanted = {name: value for name, value in asked.items() if name not in {"cursor", "limit", "tenant"}}
    if "tenant" in asked:
        wanted["tenant_id"] = tenant_named(actor, asked["tenant"]).pk
    return wanted


class Audit(Face):
    """Who did what."""

    pagination_class = Cursor
    ordering = ("-id",)

    @extend_schema(parameters=[shapes.AuditQuery], responses=shapes.AuditEntry(many=True))
    def get(self, request: Request) -> Response:
        """The record of every decision and every privileged look, newest first. That you read it is recorded too."""
        wanted = _wanted(self.actor, self.query(shapes.AuditQuery))
        rows = selectors.narrowed(selectors.entries_for(self.actor), wanted)
        looks.read_record(self.actor, now=clock.now(), via="api", asked=wanted)
        return self.page(rows, shapes.AuditEntry)


class Csv(BaseRenderer):
    """What is streamed is CSV already; a refusal is a problem document as everywhere."""

    media_type, format = "text/csv", "csv"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return json.dumps(data, ensure_ascii=False).encode()


class AuditExport(Face):
    """The record as a file."""

    renderer_classes = (Csv, JSONRenderer)

    @extend_schema(parameters=[shapes.AuditFilter], responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> StreamingHttpResponse:
        """All entries that are asked for, oldest first, as CSV. Every export is recorded."""
        wanted = _wanted(self.actor, self.query(shapes.AuditFilter))
        rows = selectors.narrowed(selectors.entries_for(self.actor), wanted)
        services.record(
            self.actor, "audit.export", subject_type="audit", subject_id=looks.MANY, now=clock.now(),
            tenant_id=wanted.get("tenant_id"), after={name: str(value) for name, value in wanted.items()},
        )  # fmt: skip
        return StreamingHttpResponse(
            export.lines(rows), content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="audit.csv"'},
        )  # fmt: skip


class AuditHead(Face):
    """The end of the chain."""

    refusals: ClassVar = {"GET": (NotFound,)}

    @extend_schema(responses=shapes.Head)
    def get(self, request: Request) -> Response:
        """The chain's last link, signed. Keep it elsewhere: `manage.py audit verify --head-file` judges the record by it."""
        self.query(Nothing)
        require(self.actor, Action.AUDIT)
        document = services.export_head(clock.now())
        if document is None:
            raise NotFound()
        services.record(
            self.actor, "audit.head", subject_type="audit", subject_id=str(document["number"]), now=clock.now(),
            after={"day": document["day"], "digest": document["digest"]},
        )  # fmt: skip
        return Response(document)
