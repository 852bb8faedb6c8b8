"""Approvals through the API: the inbox, decisions on levels, standing in, what an order would need, freezes."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from catalog.approvals.models import ApprovalRule, Decision, Delegation, FreezeWindow
from catalog.common import clock
from catalog.offerings.models import Plan
from catalog.orders.models import Order
from catalog.tenancy.models import Project, Role, User
from tests.api.conftest import Caller, problem, wanted
from tests.factories import UserFactory, ZoneFactory

Call = Callable[..., Caller]
ASKED = {"project": "capital/loan", "offering": "postgresql", "plan": "shared-small"}


@pytest.fixture
def two_levels(db: None, loan: Project) -> ApprovalRule:
    steps = [{"who": "approver", "people": 1}, {"who": "catalog_admin", "people": 1}]
    return ApprovalRule.objects.create(name="Two levels", tenant=loan.tenant, priority=1, steps=steps)


def test_two_levels_from_the_preview_to_the_order(
    approver: User, catalog_admin: User, two_levels: ApprovalRule, plan: Plan, call: Call
) -> None:
    developer = UserFactory(username="dana", roles=[(Role.DEVELOPER, two_levels.tenant)])
    dana, arun, cate = call(developer), call(approver), call(catalog_admin)
    seen = dana.post("/approvals/preview", ASKED).json()
    assert (seen["needed"], seen["freeze"]) == (True, None)
    assert seen["why"] == "It must be approved by the rule “Two levels” because it is for the affiliate capital."
    assert [(each["who"], each["side"], each["state"]) for each in seen["levels"]] == [
        ("approver", "consumer", "later"), ("catalog_admin", "provider", "later"),
    ]  # fmt: skip
    assert dana.get("/offerings/postgresql").json()["plans"][0]["needs_approval"] is True
    order = dana.post("/orders", wanted()).json()
    assert order["approval"]["why"] == seen["why"]
    assert cate.get("/approvals").json()["results"] == []
    (row,) = arun.get("/approvals").json()["results"]
    assert (row["order"], row["level"], row["tenant"], row["requested_by"]) == (order["id"], 1, "capital", "dana")
    where, given = f"/approvals/{row['id']}", {"content_hash": row["content_hash"], "comment": "fine"}
    problem(cate.get(where), 404, "not-found")
    problem(cate.post(f"{where}/approve", given), 404, "not-found")
    problem(call(developer).post(f"{where}/approve", given), 403, "forbidden")
    problem(arun.post(f"{where}/approve", {"content_hash": "0" * 64}), 409, "approval-stale")
    assert arun.post(f"{where}/approve", given).json()["state"] == "pending_approval"
    problem(arun.post(f"{where}/approve", given), 409, "already-decided")
    assert arun.get("/approvals").json()["results"] == []
    # A catalog admin sees no orders of affiliates, but exactly what they are asked to approve.
    problem(cate.get(f"/orders/{order['id']}"), 404, "not-found")
    shown = cate.get(where).json()
    assert (shown["order"]["id"], shown["order"]["parameters"]["database"]) == (order["id"], "loans")
    assert [each["state"] for each in shown["approval"]["levels"]] == ["done", "now"]
    assert cate.post(f"{where}/approve", {"content_hash": row["content_hash"]}).json()["state"] == "dispatched"
    taken = dana.get(f"/orders/{order['id']}").json()
    assert [(each["level"], each["decided_by"]) for each in taken["approvals"]] == [(1, "arun"), (2, "cate")]
    assert taken["approval"]["outcome"] == "approved"
    problem(cate.post(f"{where}/reject", given), 409, "not-waiting-for-approval")


def test_a_rejection_through_the_inbox(
    developer: User, approver: User, loan: Project, dear_plan: Plan, call: Call
) -> None:
    call(developer).post("/orders", wanted(plan="dedicated"))
    arun = call(approver)
    (row,) = arun.get("/approvals").json()["results"]
    done = arun.post(f"/approvals/{row['id']}/reject", {"content_hash": row["content_hash"], "comment": "too big"})
    assert (done.json()["state"], done.json()["approvals"][0]["comment"]) == ("rejected", "too big")


@pytest.mark.usefixtures("mallory", "dear_plan")
def test_standing_in(developer: User, approver: User, tenant_admin: User, loan: Project, call: Call) -> None:
    other = UserFactory(username="ben", roles=[(Role.DEVELOPER, loan.tenant)])
    arun, ben = call(approver), call(other)
    ends = (clock.now() + timedelta(days=3)).isoformat()
    body: dict[str, Any] = {"tenant": "capital", "delegate": "ben", "ends_at": ends}
    for change, status, code in (
        ({"delegate": "arun"}, 422, "delegation-to-self"), ({"delegate": "mallory"}, 422, "delegate-unsuitable"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, 422, "delegation-period-invalid"), ({"tenant": None}, 403, "nothing-to-delegate"),
        ({"tenant": "card"}, 422, "invalid-input"), ({"ends_at": "tomorrow"}, 422, "invalid-input"),
    ):  # fmt: skip
        problem(arun.post("/delegations", body | change), status, code)
    problem(ben.post("/delegations", body | {"delegate": "arun"}), 403, "nothing-to-delegate")
    assert Delegation.objects.count() == 0
    made = arun.post("/delegations", body)
    assert (made.status_code, made.json()["person"], made.json()["delegate"]) == (201, "arun", "ben")
    problem(arun.post("/delegations", body), 409, "delegation-overlaps")
    problem(call(tenant_admin).post("/delegations", body | {"delegate": "arun"}), 409, "delegation-chain")
    assert [row["id"] for row in ben.get("/delegations").json()["results"]] == [made.json()["id"]]
    call(developer).post("/orders", wanted(plan="dedicated"))
    (row,) = ben.get("/approvals").json()["results"]
    done = ben.post(f"/approvals/{row['id']}/approve", {"content_hash": row["content_hash"]}).json()
    assert [(each["decided_by"], each["on_behalf_of"]) for each in done["approvals"]] == [("ben", "arun")]
    where = f"/api/v1/delegations/{made.json()['id']}"
    problem(ben.send("DELETE", where), 403, "forbidden")
    assert arun.send("DELETE", where).status_code == 204
    problem(arun.send("DELETE", where), 409, "delegation-over")


def test_what_an_order_would_need(developer: User, loan: Project, dear_plan: Plan, call: Call) -> None:
    dana = call(developer)
    small, dear = (
        dana.post("/approvals/preview", ASKED | {"plan": each}).json() for each in ("shared-small", "dedicated")
    )
    assert (small["needed"], small["why"], small["levels"], dear["needed"]) == (False, "", [], True)
    ApprovalRule.objects.create(
        name="Give back",
        deed="decommission",
        data_class="personal-credit",
        steps=[{"who": "tenant_admin", "people": 1}],
    )
    asked = ASKED | {"action": "decommission", "data_class": "unique-id"}
    assert dana.post("/approvals/preview", asked).json()["levels"][0]["who"] == "tenant_admin"
    zone = ZoneFactory(slug="zone-x")
    ApprovalRule.objects.create(name="Zone", zone=zone, steps=[{"who": "operator", "people": 1}])
    needed = {
        each: dana.post("/approvals/preview", ASKED | {"zone": each}).json()["needed"]
        for each in (None, "zone-a", "zone-x")
    }
    assert needed == {None: True, "zone-a": False, "zone-x": True}
    problem(dana.post("/approvals/preview", ASKED | {"project": "card/points"}), 404, "project-unknown")
    problem(dana.post("/approvals/preview", ASKED | {"zone": "moon"}), 422, "zone-unknown")
    problem(dana.post("/approvals/preview", ASKED | {"plan": "huge"}), 404, "plan-unavailable")
    problem(dana.post("/approvals/preview", ASKED | {"action": "reclaim"}), 422, "invalid-input")
    problem(dana.post("/approvals/preview", ASKED | {"surprise": 1}), 422, "invalid-input")
    assert Order.objects.count() == Decision.objects.count() == 0


def test_a_freeze_is_said_and_overridden(developer: User, loan: Project, plan: Plan, call: Call) -> None:
    now = clock.now()
    window = FreezeWindow.objects.create(
        reason="Closing", deeds=["create"], starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=9)
    )
    dana, gina = call(developer), call(UserFactory(username="gina", roles=[(Role.GROUP_ADMIN, None)]))
    assert dana.post("/approvals/preview", ASKED).json()["freeze"]["why"] == "Closing"
    order = dana.post("/orders", wanted()).json()
    assert (order["state"], order["freeze"]["why"], order["not_before"]) == (
        "approved", "Closing", order["freeze"]["until"],
    )  # fmt: skip
    assert window.ends_at is not None
    where = f"/orders/{order['id']}/override-freeze"
    problem(dana.post(where, {"reason": "I want it"}), 403, "forbidden")
    problem(gina.post(where, {"reason": " "}), 422, "override-without-reason")
    problem(gina.post(where, {}), 422, "invalid-input")
    done = gina.post(where, {"reason": "Outage"}).json()
    assert (done["state"], done["freeze"], done["not_before"]) == ("dispatched", None, None)
    problem(gina.post(where, {"reason": "Outage"}), 409, "not-frozen")
