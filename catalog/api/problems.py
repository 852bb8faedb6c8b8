"""Errors on the wire: RFC 9457 problem details."""

from typing import Any

from rest_framework.response import Response
from rest_framework.views import exception_handler

from catalog.common.errors import DomainError


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Answer a domain error as a problem; leave the rest to the framework."""
    if isinstance(exc, DomainError):
        return Response(
            {"type": f"urn:pumasi:{exc.code}", "title": str(exc.title), "status": exc.status, "code": exc.code,
             "detail": str(exc.detail), "fields": {k: str(v) for k, v in exc.fields.items()}},
            status=exc.status, content_type="application/problem+json",
        )  # fmt: skip
    return exception_handler(exc, context)
