"""The main job through the API: order, follow, use, extend, give back; and what approvers do."""

from collections.abc import Callable

from catalog.common import clock
from catalog.instances.models import ServiceInstance
from catalog.offerings.models import Plan
from catalog.orders import fulfilment
from catalog.orders.models import Order
from catalog.tenancy.models import Project, User
from tests.api.conftest import Caller, build, problem, wanted


def test_catalog_tells_price_time_and_what_may_be_chosen(
    developer: User, dear_plan: Plan, call: Callable[..., Caller]
) -> None:
    listed = call(developer).get("/offerings").json()
    assert [row["slug"] for row in listed["results"]] == ["postgresql"]
    shown = call(developer).get("/offerings/postgresql").json()
    small = next(plan for plan in shown["plans"] if plan["slug"] == "shared-small")
    assert (small["price_krw_month"], small["usual_seconds"], small["needs_approval"]) == (42_000, 45, False)
    assert small["parameters"]["properties"]["max_connections"]["maximum"] == 50
    assert small["parameters"]["additionalProperties"] is False
    assert next(plan for plan in shown["plans"] if plan["slug"] == "dedicated")["needs_approval"] is True


def test_catalog_speaks_both_languages(developer: User, plan: Plan, call: Callable[..., Caller]) -> None:
    english, korean = (call(developer, language=each).get("/offerings/postgresql") for each in ("en", "ko"))
    assert (english.json()["name"], korean.json()["name"]) == ("Postgresql", "postgresql 상품")
    assert (english.headers["Content-Language"], korean.headers["Content-Language"]) == ("en", "ko")


def test_the_whole_way(developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]) -> None:
    dana = call(developer)
    placed = dana.post("/orders", wanted(lease_seconds=3600))
    assert placed.status_code == 201
    order = placed.json()
    assert placed.headers["Location"] == f"/api/v1/orders/{order['id']}"
    assert (order["state"], order["zone"], order["requested_by"]) == ("dispatched", "zone-a", "dana")
    assert order["parameters"] == {"database": "loans", "max_connections": 20}

    problem(dana.post(f"/instances/{order['instance']}/credentials"), 409, "instance-not-ready")
    build(order["id"])
    events = dana.get(f"/orders/{order['id']}/events", after=0).json()
    numbers = [event["seq"] for event in events["results"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert (events["next_after"], events["state"], events["ended"]) == (len(numbers), "fulfilled", False)
    rest = dana.get(f"/orders/{order['id']}/events", after=events["next_after"]).json()
    assert (rest["results"], rest["ended"]) == ([], True)

    instance = dana.get(f"/instances/{order['instance']}").json()
    assert (instance["state"], instance["project"], instance["outputs"]) == (
        "active",
        "capital/loan",
        {"version": "15.8"},
    )
    assert len(instance["endpoints"]) == 1
    revealed = dana.post(f"/instances/{order['instance']}/credentials").json()
    assert revealed["credentials"]["database"] == "loans"
    assert len(revealed["credentials"]["password"]) == 32
    where = instance["endpoints"][0]
    assert revealed["connection"] == [{"label": "psql", "text": f"psql -h {where['address']} -p {where['port']}"}]
    problem(dana.post(f"/instances/{order['instance']}/credentials"), 410, "already-shown")

    before = instance["lease"]["ends_at"]
    longer = dana.post(f"/instances/{order['instance']}/lease", {"extend_seconds": 60}).json()
    assert longer["ends_at"] > before
    back = dana.post(f"/instances/{order['instance']}/give-back", {"reason": "done"})
    assert (back.status_code, back.json()["kind"]) == (201, "decommission")
    assert dana.get("/orders", kind="decommission").json()["results"][0]["id"] == back.json()["id"]


def test_same_key_same_order(developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]) -> None:
    first, again = (call(developer).post("/orders", wanted(), Idempotency_Key="k-1") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    other = call(developer).post("/orders", wanted(name="other-db"), Idempotency_Key="k-1")
    problem(other, 422, "idempotency-key-reused")
    problem(call(developer).post("/orders", wanted(), Idempotency_Key="한"), 422, "invalid-input")
    assert Order.objects.count() == 1


def test_approval_is_bound_to_what_was_shown(
    developer: User, approver: User, loan: Project, dear_plan: Plan, call: Callable[..., Caller]
) -> None:
    order = call(developer).post("/orders", wanted(plan="dedicated")).json()
    assert order["state"] == "pending_approval"
    where = f"/orders/{order['id']}"
    arun = call(approver)
    problem(arun.post(f"{where}/approve", {"content_hash": "0" * 64}), 409, "approval-stale")
    problem(call(developer).post(f"{where}/approve", {"content_hash": order["content_hash"]}), 403, "forbidden")
    approved = arun.post(f"{where}/approve", {"content_hash": order["content_hash"], "comment": "fine"})
    assert (approved.status_code, approved.json()["state"]) == (200, "dispatched")
    decided = arun.get(where).json()["approvals"]
    assert [(each["decision"], each["decided_by"], each["comment"]) for each in decided] == [
        ("approved", "arun", "fine")
    ]
    problem(arun.post(f"{where}/reject", {"content_hash": order["content_hash"]}), 409, "not-waiting-for-approval")


def test_nobody_approves_their_own(
    tenant_admin: User, loan: Project, dear_plan: Plan, call: Callable[..., Caller]
) -> None:
    tara = call(tenant_admin)
    order = tara.post("/orders", wanted(plan="dedicated")).json()
    given = {"content_hash": order["content_hash"]}
    problem(tara.post(f"/orders/{order['id']}/approve", given), 403, "own-approval")
    assert Order.objects.get().state == "pending_approval"


def test_cancel_before_it_began_then_again(
    developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]
) -> None:
    dana = call(developer)
    order = dana.post("/orders", wanted()).json()
    assert dana.post(f"/orders/{order['id']}/cancel").json()["state"] == "cancelled"
    problem(dana.post(f"/orders/{order['id']}/cancel"), 409, "order-ended")
    problem(dana.post(f"/orders/{order['id']}/retry"), 409, "not-retryable")


def test_filters(running: ServiceInstance, developer: User, call: Callable[..., Caller]) -> None:
    dana = call(developer)
    assert len(dana.get("/orders", state="fulfilled", project="capital/loan").json()["results"]) == 1
    assert dana.get("/orders", state="running").json()["results"] == []
    assert [row["id"] for row in dana.get("/instances", state="active").json()["results"]] == [str(running.pk)]
    problem(dana.get("/orders", state="nonsense"), 422, "invalid-input")
    problem(dana.get("/orders", project="card/points"), 404, "project-unknown")


def test_pages_follow_each_other(developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]) -> None:
    dana = call(developer)
    names = [f"db-{n}" for n in range(5)]
    for name in names:
        assert dana.post("/orders", wanted(name=name)).status_code == 201
    seen, page = [], dana.get("/orders", limit=2).json()
    while True:
        seen += [row["name"] for row in page["results"]]
        if page["next"] is None:
            break
        page = dana.http.get(page["next"], headers=dana.headers).json()
    assert seen == names[::-1]
    for cursor in ("x", "cD0wMDAw", "cD14", "한글"):
        assert "cursor" in problem(dana.get("/orders", cursor=cursor), 422, "invalid-input")["fields"]


def test_failed_order_is_told_and_retried(
    developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]
) -> None:
    dana = call(developer)
    order = dana.post("/orders", wanted()).json()
    row = Order.objects.get()
    fulfilment.begin(row.pk, row.attempt, None, clock.now())
    fulfilment.enter_undo(row.pk, row.attempt, code="build-failed", detail="apt failed", now=clock.now())
    fulfilment.undone(row.pk, row.attempt, residue={"clean": True, "checked": [], "findings": []}, now=clock.now())
    shown = dana.get(f"/orders/{order['id']}").json()
    assert (shown["state"], shown["failure_code"], shown["failure_detail"]) == ("failed", "build-failed", "apt failed")
    # The only host is being wiped now: the retry is refused with the reason, and nothing changes.
    problem(dana.post(f"/orders/{order['id']}/retry"), 409, "no-capacity")
    assert Order.objects.get().state == "failed"
