"""Waiting for events."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import AsyncRequestFactory

from catalog.api.views import follow
from catalog.common import clock
from catalog.offerings.models import Plan
from catalog.orders import fulfilment
from catalog.orders.models import Order
from catalog.tenancy.models import Project, User
from tests.api.conftest import Caller, problem, wanted


def test_answers_at_once_when_there_is_something(
    developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]
) -> None:
    order = call(developer).post("/orders", wanted()).json()
    started = time.monotonic()
    answer = call(developer).get(f"/orders/{order['id']}/events", after="0", wait="20").json()
    assert answer["results"][0]["seq"] == 1
    assert time.monotonic() - started < 10


def test_gives_up_after_the_wait(developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]) -> None:
    order = call(developer).post("/orders", wanted()).json()
    last = Order.objects.get().seq
    started = time.monotonic()
    answer = call(developer).get(f"/orders/{order['id']}/events", after=str(last), wait="1").json()
    assert (answer["results"], answer["next_after"], answer["ended"]) == ([], last, False)
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize("wait", ["21", "-1", "x", "1.5", "٣", "9" * 30])
def test_nonsense_is_refused(
    wait: str, developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]
) -> None:
    order = call(developer).post("/orders", wanted()).json()
    answer = call(developer).get(f"/orders/{order['id']}/events", wait=wait)
    assert "wait" in problem(answer, 422, "invalid-input")["fields"]


@pytest.mark.django_db(transaction=True)
def test_a_waiting_client_hears_of_it_and_holds_no_connection(
    developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]
) -> None:
    caller = call(developer)
    order = caller.post("/orders", wanted()).json()
    row = Order.objects.get()
    last = row.seq
    assert str(row.pk) == order["id"]

    async def scene() -> tuple[dict[str, Any], bool]:
        request = AsyncRequestFactory().get(f"/?after={last}&wait=20", headers=caller.headers)
        # All looks share one thread here, so its connection is the one a waiting client would hold.
        waiting = asyncio.create_task(follow.order_events(request, order_id=row.pk))
        await asyncio.sleep(follow.POLL_SECONDS * 3)
        held = await sync_to_async(lambda: connections["default"].connection is not None)()
        await sync_to_async(fulfilment.begin)(row.pk, row.attempt, None, clock.now())
        response = await asyncio.wait_for(waiting, 15)
        return response.data, held

    answer, held = asyncio.run(scene())
    assert held is False
    assert answer["results"][0]["data"]["to"] == "running"
