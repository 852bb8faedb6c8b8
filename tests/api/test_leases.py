"""Leases at the API: how long, what was announced, holds, and what a recall refuses."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from catalog.common import clock
from catalog.instances.models import ServiceInstance
from catalog.leases import services as leases
from catalog.leases.models import Lease, LeasePolicy
from catalog.leases.notices import give_notices
from catalog.orders.models import Order
from catalog.tenancy.models import Project, Role, User
from catalog.tenancy.policy import system
from tests.api.conftest import Caller, build, problem, wanted
from tests.factories import UserFactory

Call = Callable[..., Caller]


@pytest.fixture
def path(running: ServiceInstance) -> str:
    return f"/instances/{running.pk}"


@pytest.fixture
def group_admin(db: None) -> User:
    return UserFactory(username="greta", roles=[(Role.GROUP_ADMIN, None)])


def test_a_lease_tells_its_end_its_room_and_its_notices(
    running: ServiceInstance, developer: User, call: Call, path: str
) -> None:
    LeasePolicy.objects.create(longest_extension_seconds=86_400)
    now = running.lease.ends_at - timedelta(days=3)
    give_notices(now, actor=system("notices"))
    said = call(developer).get(f"{path}/lease").json()
    assert {name: said[name] for name in ("state", "extensions", "extension_room_seconds", "held_at", "recalled_at")} == {
        "state": "expiring", "extensions": 0, "extension_room_seconds": 86_400, "held_at": None, "recalled_at": None,
    }  # fmt: skip
    assert [event["kind"] for event in said["events"]] == ["started", "state", "notice"]
    assert (said["events"][-1]["data"]["days"], said["events"][-1]["data"]["told"]) == (3, ["dana"])
    answer = call(developer).post(f"{path}/lease", {"extend_seconds": 86_401})
    assert "at most 1 day at a time" in problem(answer, 422, "extension-too-long")["detail"]
    assert call(developer).post(f"{path}/lease", {"extend_seconds": 86_400}).json()["state"] == "active"


def test_a_service_that_is_not_ready_has_no_lease(developer: User, loan: Project, plan: Any, call: Call) -> None:
    order = call(developer).post("/orders", wanted()).json()
    problem(call(developer).get(f"/instances/{order['instance']}/lease"), 404, "not-found")


def test_an_order_beyond_the_policy_or_the_project_is_refused_with_the_limit(
    developer: User, loan: Project, plan: Any, call: Call
) -> None:
    LeasePolicy.objects.create(tenant=loan.tenant, longest_seconds=3600)
    said = problem(call(developer).post("/orders", wanted(lease_seconds=3601)), 422, "lease-too-long")
    assert said["fields"] == {"lease_seconds": "A service may stay 1 h from its start. Choose an earlier end."}
    LeasePolicy.objects.all().delete()
    Project.objects.update(ends_on=(clock.now() + timedelta(days=2)).date())
    said = problem(call(developer).post("/orders", wanted(lease_seconds=86_400 * 5)), 422, "lease-outlives-project")
    assert "capital/loan may use services until the end of" in said["fields"]["lease_seconds"]
    assert not Order.objects.exists()
    placed = call(developer).post("/orders", wanted()).json()
    assert 0 < placed["lease_seconds"] < 86_400 * 4
    lease = build(placed["id"]).lease
    assert lease.ends_at - lease.starts_at <= timedelta(seconds=placed["lease_seconds"])


def test_who_holds_keeps_it_and_who_uses_it_is_told_so(
    auditor: User, group_admin: User, developer: User, call: Call, path: str
) -> None:
    until = clock.now() + timedelta(days=400)
    held = call(auditor).post(f"{path}/hold", {"reason": "Case 17", "until": until.isoformat()}).json()
    assert held["held_at"] is not None
    assert datetime.fromisoformat(held["held_until"]) == until
    problem(call(developer).post(f"{path}/give-back"), 409, "legal-hold")
    assert not Order.objects.filter(kind="decommission").exists()
    seen = call(developer).get(f"{path}/lease")
    assert seen.json()["held_at"] == held["held_at"]
    assert "Case 17" not in seen.content.decode()
    lifted = call(group_admin).post(f"{path}/lift-hold", {"reason": "closed"}).json()
    assert (lifted["held_at"], lifted["held_until"]) == (None, None)
    assert call(developer).post(f"{path}/give-back").status_code == 201
    problem(call(auditor).post(f"{path}/hold", {"reason": "late"}), 409, "lease-ended")


def test_holds_are_for_some(developer: User, operator: User, mallory: User, call: Call, path: str) -> None:
    for person, status, code in (
        (developer, 403, "forbidden"), (operator, 403, "forbidden"), (mallory, 404, "not-found"),
    ):  # fmt: skip
        problem(call(person).post(f"{path}/hold", {"reason": "x"}), status, code)
        problem(call(person).post(f"{path}/lift-hold", {"reason": "x"}), status, code)


def test_a_hold_that_makes_no_sense_is_refused(auditor: User, call: Call, path: str) -> None:
    audrey = call(auditor)
    problem(audrey.post(f"{path}/hold", {}), 422, "invalid-input")
    problem(audrey.post(f"{path}/hold", {"reason": "x", "until": "tomorrow"}), 422, "invalid-input")
    problem(audrey.post(f"{path}/hold", {"reason": "x", "until": 17}), 422, "invalid-input")
    problem(audrey.post(f"{path}/hold", {"reason": "x", "until": "2001-01-01T00:00:00Z"}), 422, "hold-end-invalid")
    problem(audrey.post(f"{path}/hold", {"reason": "x", "until": "9999-12-31T23:59:59-12:00"}), 422, "invalid-input")
    problem(audrey.post(f"{path}/hold", {"reason": "x", "until": "2999-12-31T23:59:59-12:00"}), 422, "hold-end-invalid")
    problem(audrey.post(f"{path}/hold", {"reason": "  "}), 422, "hold-without-reason")
    problem(audrey.post(f"{path}/lift-hold", {"reason": "x"}), 409, "not-held")
    assert Lease.objects.filter(held_at__isnull=False).count() == 0


def test_a_recall_is_seen_and_refuses_an_extension(
    running: ServiceInstance, developer: User, call: Call, path: str
) -> None:
    now = clock.now()
    lease = leases.recall(running.lease, ends_at=now, reason="Card needs it.", now=now, actor=system("quotas"))
    said = call(developer).get(path).json()["lease"]
    assert said["recall_reason"] == "Card needs it."
    assert datetime.fromisoformat(said["recalled_at"]) == now
    assert datetime.fromisoformat(said["ends_at"]) == lease.ends_at
    problem(call(developer).post(f"{path}/lease", {"extend_seconds": 60}), 409, "lease-recalled")
