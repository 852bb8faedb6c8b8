"""What every answer says to the browser about itself."""

from collections.abc import Awaitable, Callable

import structlog
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

Answer = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


def _dress(response: HttpResponseBase, request_id: str | None) -> HttpResponseBase:
    # A view that needs more than the rest (the API's page) has set its own policy.
    response.headers.setdefault("Content-Security-Policy", POLICY)
    response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
    response.headers.setdefault("X-Permitted-Cross-Domain-Policies", "none")
    if request_id:
        response.headers["X-Request-ID"] = request_id
    return response


def _request_id() -> str | None:
    value = structlog.contextvars.get_contextvars().get("request_id")
    return str(value) if value else None


@sync_and_async_middleware
def security_headers(get_response: Answer) -> Answer:
    """Content-Security-Policy and its kin on every answer, and the request's id. Stands right inside the request log."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            return _dress(await get_response(request), _request_id())

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        assert isinstance(response, HttpResponseBase)
        return _dress(response, _request_id())

    return synchronous
