"""Zones at the API: what people read of them, and what operators do; and orders that say what data they hold."""

from collections.abc import Callable
from typing import Any

import pytest

from catalog.audit.models import AuditEntry
from catalog.instances.models import ServiceInstance
from catalog.offerings.models import Plan
from catalog.orders.models import Order
from catalog.pool.models import WorkerState, Zone
from catalog.tenancy.models import Project, Tenant, User
from tests.api.conftest import Caller, problem, wanted
from tests.factories import NOW, ZoneFactory

NEW = {"slug": "busan", "name_ko": "부산 존", "name_en": "Busan"}


def zones(caller: Caller) -> dict[str, dict[str, Any]]:
    return {row["slug"]: row for row in caller.get("/zones").json()["results"]}


def test_people_read_what_a_zone_holds_and_whether_somebody_works_there(
    developer: User, zone_a: Zone, card: Tenant, call: Callable[..., Caller]
) -> None:
    Zone.objects.update(worker_state=WorkerState.SILENT, worker_seen_at=NOW)
    ZoneFactory(slug="club", admission="chosen").admitted.set([card])
    assert zones(call(developer)) == {
        "zone-a": {
            "slug": "zone-a", "name": "Zone-A", "kind": "shared", "tenant": None, "admission": "all",
            "data_classes": ["public", "internal"], "closed_at": None, "closed_reason": "",
            "worker_state": "silent", "worker_seen_at": "2026-11-02T18:00:00+09:00",
        }
    }  # fmt: skip


def test_an_operator_makes_changes_closes_and_opens_a_zone(
    operator: User, developer: User, card: Tenant, call: Callable[..., Caller]
) -> None:
    otto, dana = call(operator), call(developer)
    made = otto.post("/zones", NEW | {"admission": "chosen", "admitted": ["capital"], "data_classes": ["unique-id"]})
    assert made.status_code == 201, made.content
    assert (made.json()["admitted"], made.json()["data_classes"]) == (["capital"], ["unique-id"])
    assert set(zones(dana)) == {"busan"}
    changed = otto.post("/zones/busan", {"admitted": ["card"], "name_en": "Busan 2"})
    assert (changed.status_code, changed.json()["admitted"], changed.json()["name_en"]) == (200, ["card"], "Busan 2")
    assert changed.json()["data_classes"] == ["unique-id"]
    assert zones(dana) == {}
    closed = otto.post("/zones/busan/close", {"reason": "flood"})
    assert (closed.status_code, closed.json()["closed_reason"]) == (200, "flood")
    problem(otto.post("/zones/busan/close", {"reason": "flood"}), 409, "zone-already-closed")
    assert otto.post("/zones/busan/open").json()["closed_at"] is None
    problem(otto.post("/zones/busan/open"), 409, "zone-already-open")
    assert list(AuditEntry.objects.order_by("id").values_list("actor", "source", "action")) == [
        ("otto", "127.0.0.1", f"zone.{deed}") for deed in ("created", "changed", "closed", "opened")
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field"),
    [
        ("/zones", NEW | {"slug": "zone-a"}, 409, "zone-slug-taken", "slug"),
        ("/zones", NEW | {"slug": "-"}, 422, "invalid-input", "slug"),
        ("/zones", {"slug": "busan"}, 422, "invalid-input", "name_ko"),
        ("/zones", NEW | {"kind": "local"}, 422, "invalid-input", "tenant"),
        ("/zones", NEW | {"kind": "local", "tenant": "nobody"}, 422, "invalid-input", "tenant"),
        ("/zones", NEW | {"admitted": ["nobody"]}, 422, "invalid-input", "admitted"),
        ("/zones", NEW | {"data_classes": []}, 422, "invalid-input", "data_classes"),
        ("/zones", NEW | {"wipe_driver": "../../etc/passwd"}, 422, "invalid-input", "wipe_driver"),
        (
            "/zones",
            NEW | {"kind": "external", "data_classes": ["unique-id"]},
            422,
            "protected-data-outside",
            "data_classes",
        ),
        ("/zones/zone-a", {"slug": "other"}, 422, "invalid-input", "slug"),
        ("/zones/zone-a", {"closed_reason": "x"}, 422, "invalid-input", "closed_reason"),
        ("/zones/zone-a", {"kind": "local", "tenant": "capital"}, 409, "zone-in-use", None),
        ("/zones/zone-a/close", {}, 422, "invalid-input", "reason"),
        ("/zones/zone-a/close", {"reason": "  "}, 422, "zone-reason-missing", "reason"),
        ("/zones/moon", {}, 404, "not-found", None),
    ],
)
def test_wrong_zones(  # noqa: PLR0917  # a row of the table, and the cast
    path: str,
    body: dict[str, Any],
    status: int,
    code: str,
    field: str | None,
    plan: Plan,
    capital: Tenant,
    operator: User,
    call: Callable[..., Caller],
) -> None:
    before = list(Zone.objects.values())
    said = problem(call(operator).post(path, body), status, code)
    if field is not None:
        assert field in said["fields"]
    assert list(Zone.objects.values()) == before
    assert not AuditEntry.objects.filter(subject_type="zone").exists()


@pytest.mark.parametrize("who", ["developer", "mallory", "catalog_admin", "finance", "auditor"])
def test_nobody_else_makes_zones(who: str, call: Callable[..., Caller], request: pytest.FixtureRequest) -> None:
    problem(call(request.getfixturevalue(who)).post("/zones", NEW), 403, "forbidden")
    assert not Zone.objects.exists()


def test_a_local_zone_of_others_does_not_exist(mallory: User, capital: Tenant, call: Callable[..., Caller]) -> None:
    ZoneFactory(slug="capitals", kind="local", tenant=capital)
    for path in ("/zones/capitals", "/zones/capitals/close", "/zones/nowhere"):
        problem(call(mallory).post(path, {"reason": "x"} if path.endswith("close") else {}), 404, "not-found")


def test_an_order_says_its_data(
    developer: User, loan: Project, plan: Plan, zone_a: Zone, call: Callable[..., Caller]
) -> None:
    dana = call(developer)
    assert dana.get("/offerings").json()["results"][0]["plans"][0]["data_classes"] == ["public", "internal"]
    placed = dana.post("/orders", wanted(data_class="public"))
    assert (placed.status_code, placed.json()["data_class"], placed.json()["waiting"]) == (201, "public", None)
    assert dana.get(f"/instances/{placed.json()['instance']}").json()["data_class"] == "public"
    assert dana.post("/orders", wanted(name="other-db")).json()["data_class"] == "internal"
    before = Order.objects.count(), ServiceInstance.objects.count()
    problem(dana.post("/orders", wanted(name="third-db", data_class="secret")), 422, "invalid-input")
    problem(dana.post("/orders", wanted(name="third-db", data_class="unique-id")), 422, "data-class-not-allowed")
    Zone.objects.update(data_classes=["public"])
    said = problem(dana.post("/orders", wanted(name="third-db")), 409, "zone-data-class")
    assert list(said["fields"]) == ["data_class"]
    zone_a.refresh_from_db()
    Zone.objects.update(data_classes=["internal"], closed_at=NOW, closed_reason="flood")
    said = problem(dana.post("/orders", wanted(name="third-db", zone="zone-a")), 409, "zone-closed")
    assert "flood" in said["detail"]
    assert (Order.objects.count(), ServiceInstance.objects.count()) == before


def test_an_order_in_a_silent_zone_says_what_it_waits_for(
    developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]
) -> None:
    Zone.objects.update(worker_state=WorkerState.SILENT, worker_seen_at=NOW)
    dana = call(developer)
    placed = dana.post("/orders", wanted()).json()
    assert placed["state"] == "dispatched"
    assert placed["waiting"] == {
        "code": "zone-worker-silent", "room_at": None, "place": None, "of": None, "expected_at": None, "filters": [],
        "why": "The zone's worker has been silent since 2 Nov 2026, 18:00.",
    }  # fmt: skip
    korean = call(developer, language="ko").get(f"/orders/{placed['id']}").json()["waiting"]["why"]
    assert korean == "2026. 11. 2. 18:00부터 존의 워커가 응답하지 않습니다."
    Zone.objects.update(worker_state=WorkerState.LIVE)
    assert dana.get(f"/orders/{placed['id']}").json()["waiting"] is None
