"""What is not theirs does not exist: every route, with every object of somebody else."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.urls import URLPattern, get_resolver

from catalog.instances.models import ServiceInstance
from catalog.orders.models import Order
from catalog.pool.models import Host
from catalog.tenancy.models import User
from tests.api.conftest import Caller, problem

OPEN = {"tokens", "schema", "docs"}
"""Routes that anybody may ask."""
COMMON = {
    "token", "me", "tenants", "projects", "offerings", "offering", "orders", "instances", "zones", "quotas", "loans",
}  # fmt: skip
"""Routes that answer with what is one's own; lists are looked at below."""
OF_THE_POOL = {
    "hosts", "host", "host-events", "certificates", "host-wipe", "host-quarantine", "host-maintenance", "host-resume",
    "host-retire", "audit",
}  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "order-approve": {"content_hash": "0" * 64},
    "order-reject": {"content_hash": "0" * 64},
    "lease": {"extend_seconds": 5},
    "operations": {"operation": "stop"},
    "hold": {"reason": "x"},
    "lift-hold": {"reason": "x"},
    "hosts": {"name": "x", "zone": "zone-a", "address": "10.0.0.99"},
}


def routes() -> Iterator[tuple[str, URLPattern]]:
    """Every named route of the API."""
    for pattern in get_resolver("catalog.api.urls").url_patterns:
        assert isinstance(pattern, URLPattern)
        if pattern.name:
            yield pattern.name, pattern


def methods(pattern: URLPattern) -> list[str]:
    view: Any = pattern.callback.cls  # type: ignore[attr-defined]
    return [each.upper() for each in ("get", "post", "delete") if hasattr(view, each)]


def address(pattern: URLPattern, **ids: object) -> str:
    route = str(pattern.pattern).removeprefix("v1")
    for name, value in ids.items():
        route = route.replace(f"<uuid:{name}>", str(value))
    return route


def test_every_route_has_been_thought_of() -> None:
    with_ids = {name for name, pattern in routes() if "<uuid:" in str(pattern.pattern)}
    assert {name for name, _ in routes()} == OPEN | COMMON | OF_THE_POOL | with_ids


def test_stranger_meets_404_everywhere(
    running: ServiceInstance, host: Host, mallory: User, call: Callable[..., Caller]
) -> None:
    order = Order.objects.get()
    before = (
        sorted(Order.objects.values_list("id", "state", "seq")),
        sorted(ServiceInstance.objects.values_list("id", "state")),
    )
    stranger, walked = call(mallory), 0
    for name, pattern in routes():
        if name in OPEN | COMMON | OF_THE_POOL:
            continue
        theirs = address(pattern, order_id=order.pk, instance_id=running.pk)
        nobodys = address(pattern, order_id=uuid.uuid4(), instance_id=uuid.uuid4())
        for method in methods(pattern):
            answers = []
            for path in (theirs, nobodys):
                answer = stranger.get(path) if method == "GET" else stranger.post(path, BODIES.get(name, {}))
                answers.append(problem(answer, 404, "not-found") | {"request_id": None})
            assert answers[0] == answers[1], f"{method} {theirs} tells that it exists"
            walked += 1
    assert walked == 15
    after = (
        sorted(Order.objects.values_list("id", "state", "seq")),
        sorted(ServiceInstance.objects.values_list("id", "state")),
    )
    assert after == before


def test_stranger_sees_empty_lists(running: ServiceInstance, mallory: User, call: Callable[..., Caller]) -> None:
    stranger = call(mallory)
    assert stranger.get("/orders").json()["results"] == []
    assert stranger.get("/instances").json()["results"] == []
    assert stranger.get("/projects").json()["results"] == []
    assert stranger.get("/loans").json()["results"] == []
    assert [row["slug"] for row in stranger.get("/tenants").json()["results"]] == ["insurance"]


@pytest.mark.parametrize("who", ["developer", "mallory", "catalog_admin", "finance"])
def test_pool_and_record_are_not_for_everybody(
    who: str, host: Host, call: Callable[..., Caller], request: pytest.FixtureRequest
) -> None:
    caller, before = call(request.getfixturevalue(who)), (host.state, host.seq)
    for name, pattern in routes():
        if name not in OF_THE_POOL:
            continue
        for method in methods(pattern):
            path = address(pattern, host_id=host.pk)
            answer = caller.get(path) if method == "GET" else caller.post(path, BODIES.get(name, {}))
            problem(answer, 403, "forbidden")
    host.refresh_from_db()
    assert (host.state, host.seq) == before
    assert Host.objects.count() == 1


def test_auditor_reads_everything_and_does_nothing(
    running: ServiceInstance, host: Host, auditor: User, call: Callable[..., Caller]
) -> None:
    audrey, order = call(auditor), Order.objects.get()
    assert [row["id"] for row in audrey.get("/orders").json()["results"]] == [str(order.pk)]
    assert audrey.get("/audit", subject_id=str(order.pk)).json()["results"][0]["action"] == "order.fulfilled"
    assert audrey.get("/hosts").json()["results"][0]["name"] == host.name
    for path in (
        f"/orders/{order.pk}/cancel",
        f"/instances/{running.pk}/give-back",
        f"/instances/{running.pk}/credentials",
    ):
        problem(audrey.post(path), 403, "forbidden")
    problem(audrey.post(f"/hosts/{host.pk}/quarantine"), 403, "forbidden")


def test_without_a_token_nothing_opens(running: ServiceInstance, host: Host, call: Callable[..., Caller]) -> None:
    nobody, order = call(None), Order.objects.get()
    for name, pattern in routes():
        if name in OPEN:
            continue
        path = address(pattern, order_id=order.pk, instance_id=running.pk, host_id=host.pk).replace(
            "<slug:slug>", "postgresql"
        )
        for method in methods(pattern):
            problem(nobody.send(method, f"/api/v1{path}"), 401, "not-signed-in")
