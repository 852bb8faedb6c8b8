"""Waiting for the next event without holding anything while waiting."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpRequest, HttpResponseBase
from rest_framework.response import Response

from catalog.api.views.orders import OrderEvents

POLL_SECONDS = 0.5
LONGEST_SECONDS = 20

View = Callable[..., HttpResponseBase]


def _once(view: View, request: HttpRequest, kwargs: dict[str, Any]) -> HttpResponseBase:
    response = view(request, **kwargs)
    # A waiting client must not keep a connection: with 300 of them the pool would be empty.
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
    return response


def _nothing_yet(response: HttpResponseBase) -> bool:
    if not isinstance(response, Response) or response.status_code != 200 or not isinstance(response.data, dict):
        return False
    return not response.data["results"] and not response.data["ended"]


def following(view: View) -> Callable[..., Any]:
    """An asynchronous view that asks ``view`` again until it has something to say or ``wait`` seconds are over.

    Between two looks it holds neither a database connection nor the event loop. The database is asked, not a broker, so
    nothing is missed when the broker is away.
    """

    async def follow(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        wait = request.GET.get("wait", "0")
        # Anything else than a plain number is refused by the view itself.
        patience = min(int(wait), LONGEST_SECONDS) if wait.isascii() and wait.isdigit() and len(wait) < 4 else 0
        until = time.monotonic() + patience
        look = sync_to_async(_once, thread_sensitive=True)
        response = await look(view, request, kwargs)
        while _nothing_yet(response) and time.monotonic() < until:
            await asyncio.sleep(POLL_SECONDS)
            response = await look(view, request, kwargs)
        return response

    # The framework recognises its views, also in urls, by these.
    follow.__dict__.update(view.__dict__)
    return follow


order_events = following(OrderEvents.as_view())
