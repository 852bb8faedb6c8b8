"""Errors on the wire: RFC 9457 problem details, for everything under ``/api/``.

The promise: ``code`` is stable, ``detail`` and ``title`` are for people and change with the language. ``fields`` names what is
wrong in the request, member by member; ``request_id`` finds the request in the logs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.translation import gettext_lazy as _
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response

from catalog.api.errors import (
    Malformed,
    MethodNotAllowed,
    NotAcceptable,
    NotSignedIn,
    ServerFault,
    TooLarge,
    TooManyRequests,
    UnsupportedMediaType,
)
from catalog.common.errors import DomainError, Forbidden, InvalidInput, NotFound

CONTENT_TYPE = "application/problem+json"


_BY_STATUS: Mapping[int, type[DomainError]] = {
    error.status: error
    for error in (
        Malformed, NotSignedIn, Forbidden, NotFound, MethodNotAllowed, NotAcceptable, TooLarge, UnsupportedMediaType,
        TooManyRequests,
    )
}  # fmt: skip


def document(error: DomainError) -> dict[str, Any]:
    """The problem document of one refusal."""
    said = {
        "type": f"urn:pumasi:{error.code}",
        "title": str(error.title),
        "status": error.status,
        "code": error.code,
        "detail": str(error.detail),
        "fields": {name: str(text) for name, text in error.fields.items()},
        "request_id": structlog.contextvars.get_contextvars().get("request_id"),
    }
    return said if error.explanation is None else {**said, "explanation": dict(error.explanation)}


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Answer every refusal as a problem; None lets a bug go on to the log and to :func:`server_error`."""
    error = _translated(exc)
    if error is None:
        return None
    headers: dict[str, str] = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Token"
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    return Response(document(error), status=error.status, headers=headers, content_type=CONTENT_TYPE)


def _translated(exc: Exception) -> DomainError | None:
    match exc:
        case DomainError():
            error: DomainError | None = exc
        case exceptions.ValidationError():
            error = InvalidInput(fields=_flat(exc.detail))
        case Http404():
            error = NotFound()
        case PermissionDenied():
            error = Forbidden()
        case RequestDataTooBig():
            error = TooLarge()
        case exceptions.PermissionDenied():
            # The framework knows better than our sentence what was missing (a CSRF token, for example).
            error = Forbidden(str(exc.detail))
        case exceptions.APIException() if exc.status_code in _BY_STATUS:
            error = _BY_STATUS[exc.status_code]()
        case _:
            error = None
    return error


def _flat(detail: Any, path: str = "") -> dict[str, str]:
    """The framework's nested messages by dotted name: ``{"a": {"b": ["x"]}}`` → ``{"a.b": "x"}``."""
    if isinstance(detail, Mapping):
        flat: dict[str, str] = {}
        for name, inner in detail.items():
            here = path if name == "non_field_errors" else f"{path}.{name}" if path else str(name)
            flat.update(_flat(inner, here))
        return flat
    if isinstance(detail, Sequence) and not isinstance(detail, str):
        return {path or "body": " ".join(str(message) for message in detail)}
    return {path or "body": str(detail)}


def plain(error: DomainError) -> JsonResponse:
    """The same document where the framework of the API has not come into play."""
    return JsonResponse(document(error), status=error.status, content_type=CONTENT_TYPE)


@csrf_exempt
def unknown_route(request: HttpRequest, **kwargs: Any) -> HttpResponse:
    """Every address under ``/api/`` that no route knows."""
    return plain(NotFound())


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """handler400: a problem for the API, the usual page elsewhere."""
    return plain(Malformed()) if _is_api(request) else defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """handler403: a problem for the API, the usual page elsewhere."""
    return plain(Forbidden()) if _is_api(request) else defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """handler404: a problem for the API, the usual page elsewhere."""
    return plain(NotFound()) if _is_api(request) else defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """handler500: a problem for the API, the usual page elsewhere."""
    return plain(ServerFault()) if _is_api(request) else defaults.server_error(request)


def locked_out(request: HttpRequest, *args: Any) -> HttpResponse:
    """After too many failed sign-ins of one person from one address."""
    error = TooManyRequests(_("Too many failed sign-ins. Wait an hour, or ask an administrator to lift the lock."))
    if _is_api(request):
        return plain(error)
    return HttpResponse(str(error.detail), status=error.status, content_type="text/plain; charset=utf-8")
