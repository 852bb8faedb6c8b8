"""Operations at the API: what is offered, ordered, and refused; and what a lease says of its grace."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from catalog.instances.models import ServiceInstance
from catalog.leases.models import Lease
from catalog.leases.states import LeaseState
from catalog.orders.models import Order
from catalog.tenancy.models import User
from tests.api.conftest import Caller, problem

Call = Callable[..., Caller]


@pytest.fixture
def path(running: ServiceInstance) -> str:
    return f"/instances/{running.pk}/operations"


def put_in_grace(running: ServiceInstance) -> Lease:
    lease = running.lease
    Lease.objects.update(state=LeaseState.GRACE, grace_ends_at=lease.ends_at + timedelta(days=2))
    ServiceInstance.objects.update(state="stopped")
    lease.refresh_from_db()
    return lease


def test_what_can_be_done_is_listed_and_ordered_once(developer: User, call: Call, path: str) -> None:
    dana = call(developer)
    offered = dana.get(path).json()
    assert [(each["name"], each["possible"], each["usual_seconds"]) for each in offered] == [
        ("stop", True, 3), ("start", False, 3), ("configure", True, 3),
    ]  # fmt: skip
    assert offered[0]["title"] == {"en": "Stop", "ko": "정지"}
    first = dana.post(path, {"operation": "stop", "reason": "night"}, Idempotency_Key="k")
    again = dana.post(path, {"operation": "stop", "reason": "night"}, Idempotency_Key="k")
    said = first.json()
    assert (first.status_code, again.status_code, again.json()["id"]) == (201, 201, said["id"])
    assert (said["kind"], said["operation"], said["state"], said["parameters"], said["reason"]) == (
        "operate", "stop", "dispatched", {}, "night",
    )  # fmt: skip
    assert first.headers["Location"] == f"/api/v1/orders/{said['id']}"
    assert [each["possible"] for each in dana.get(path).json()] == [True, False, True]
    problem(dana.post(path, {"operation": "stop"}), 409, "order-under-way")


def test_settings_are_listed_as_they_are_and_changed(
    running: ServiceInstance, developer: User, call: Call, path: str
) -> None:
    dana = call(developer)
    (offered,) = [each for each in dana.get(path).json() if each["name"] == "configure"]
    (setting,) = offered["parameters"]["properties"].values()
    assert (setting["default"], setting["maximum"]) == (running.parameters["max_connections"], 50)
    said = dana.post(path, {"operation": "configure", "parameters": {"max_connections": 33}}).json()
    assert (said["operation"], said["parameters"]) == ("configure", {"max_connections": 33})


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({}, (422, "invalid-input")),
        ({"operation": 7}, (422, "invalid-input")),
        ({"operation": "stop", "force": True}, (422, "invalid-input")),
        ({"operation": "explode"}, (422, "operation-unknown")),
        ({"operation": "start"}, (409, "operation-not-possible")),
        ({"operation": "stop", "parameters": {"now": True}}, (422, "parameters-invalid")),
        ({"operation": "configure"}, (422, "nothing-to-change")),
        ({"operation": "configure", "parameters": {"database": "x"}}, (422, "parameters-invalid")),
    ],
)
def test_bad_requests_change_nothing(
    developer: User, call: Call, path: str, body: dict[str, Any], answer: tuple[int, str]
) -> None:
    problem(call(developer).post(path, body), *answer)
    assert Order.objects.filter(kind="operate").count() == 0


def test_the_lease_tells_its_grace_and_what_happens_when(
    running: ServiceInstance, developer: User, call: Call, path: str
) -> None:
    dana, lease = call(developer), running.lease
    said = dana.get(f"/instances/{running.pk}").json()["lease"]
    assert (said["grace_ends_at"], [step["what"] for step in said["ahead"]]) == (None, ["erase"])
    lease = put_in_grace(running)
    said = dana.get(f"/instances/{running.pk}/lease").json()
    assert (said["state"], datetime.fromisoformat(said["grace_ends_at"])) == ("grace", lease.grace_ends_at)
    assert [step["what"] for step in said["ahead"]] == ["erase"]
    assert datetime.fromisoformat(said["ahead"][0]["at"]) == lease.grace_ends_at
    problem(dana.post(path, {"operation": "start"}), 409, "in-grace")
    assert dana.post(f"/instances/{running.pk}/lease", {"extend_seconds": 3600}).json()["state"] == "active"
    assert Order.objects.get(kind="operate").operation == "start"
