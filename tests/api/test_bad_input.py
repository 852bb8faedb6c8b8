"""Every refusal the issue names: its own stable code, and nothing changes."""

from collections.abc import Callable
from typing import Any

import pytest

from catalog.audit.models import AuditEntry
from catalog.dispatch.models import Job
from catalog.instances.models import ServiceBinding, ServiceInstance
from catalog.ipam.models import Endpoint
from catalog.offerings.models import Plan, Publication
from catalog.orders.models import Order
from catalog.placement.models import Allocation
from catalog.pool.models import Host, Inventory
from catalog.quotas.models import Quota
from catalog.tenancy.models import Project, User
from tests.api.conftest import Caller, build, problem, wanted


def everything() -> dict[str, Any]:
    """All that an order could have touched."""
    counted = {
        model: model._default_manager.count() for model in (Order, ServiceInstance, ServiceBinding, Job, AuditEntry)
    }
    return counted | {
        "held": Allocation.objects.filter(released_at__isnull=True).count(),
        "ports": Endpoint.objects.filter(released_at__isnull=True).count(),
        "used": sorted(Inventory.objects.values_list("resource_class", "used")),
        "hosts": sorted(Host.objects.values_list("name", "state", "seq")),
        "orders": sorted(Order.objects.values_list("id", "state", "seq")),
    }  # fmt: skip


WRONG: list[tuple[str, dict[str, Any], int, str, str | None]] = [
    ("unknown plan", {"plan": "gigantic"}, 404, "plan-unavailable", None),
    ("unknown offering", {"offering": "oracle"}, 404, "plan-unavailable", None),
    ("outside the schema", {"parameters": {"max_connections": 51}}, 422, "parameters-invalid", "max_connections"),
    ("wrong type", {"parameters": {"max_connections": "20"}}, 422, "parameters-invalid", "max_connections"),
    ("extra parameter", {"parameters": {"fsync": False}}, 422, "parameters-invalid", "fsync"),
    (
        "a name for Ansible",
        {"parameters": {"ansible_connection": "local"}},
        422,
        "parameter-forbidden",
        "ansible_connection",
    ),
    ("a wrapped value", {"parameters": {"database": {"__ansible_unsafe": "x"}}}, 422, "parameter-forbidden", None),
    ("for Prefect", {"parameters": {"database": {"__prefect_kind": "jinja"}}}, 422, "parameter-forbidden", None),
    ("a control character", {"parameters": {"database": "a\x00b"}}, 422, "parameter-forbidden", "database"),
    ("a bad name", {"name": "Loan DB"}, 422, "name-invalid", "name"),
    ("an unknown project", {"project": "capital/none"}, 404, "project-unknown", "project"),
    ("another affiliate's project", {"project": "card/points"}, 404, "project-unknown", "project"),
    ("half a project", {"project": "loan"}, 404, "project-unknown", "project"),
    ("an unknown zone", {"zone": "moon"}, 422, "zone-unknown", "zone"),
    ("too long a lease", {"lease_seconds": 9_000_000_000}, 422, "lease-too-long", "lease_seconds"),
    ("no lease at all", {"lease_seconds": 0}, 422, "invalid-input", "lease_seconds"),
    ("a member nobody knows", {"colour": "red"}, 422, "invalid-input", "colour"),
    ("a number for a text", {"name": 7}, 422, "invalid-input", "name"),
    ("a text for parameters", {"parameters": "x"}, 422, "invalid-input", "parameters"),
]


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_wrong_order(  # noqa: PLR0917  # a row of the table, and the cast
    changes: dict[str, Any],
    status: int,
    code: str,
    field: str | None,
    developer: User,
    loan: Project,
    points: Project,
    plan: Plan,
    call: Callable[..., Caller],
) -> None:
    before = everything()
    said = problem(call(developer).post("/orders", wanted(**changes)), status, code)
    if field is not None:
        assert field in said["fields"]
    assert everything() == before


@pytest.mark.parametrize("publication", [Publication.HIDDEN, Publication.DRAFT])
def test_plan_not_on_sale(
    publication: str, developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]
) -> None:
    Plan.objects.update(publication=publication)
    before = everything()
    problem(call(developer).post("/orders", wanted()), 404, "plan-unavailable")
    assert call(developer).get("/offerings/postgresql").json()["plans"] == []
    assert everything() == before


def test_name_taken(running: ServiceInstance, developer: User, call: Callable[..., Caller]) -> None:
    before = everything()
    assert "name" in problem(call(developer).post("/orders", wanted()), 409, "name-taken")["fields"]
    assert everything() == before


def test_no_capacity(developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]) -> None:
    Plan.objects.update(resources={"VCPU": 64, "MEMORY_MB": 512, "DISK_GB": 2})
    before = everything()
    said = problem(call(developer).post("/orders", wanted()), 409, "no-capacity")
    assert said["detail"] != said["title"], "it says why"
    assert everything() == before


def test_no_quota(developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]) -> None:
    Quota.objects.filter(resource_class="MEMORY_MB").update(guaranteed=511)
    before = everything()
    said = problem(call(developer).post("/orders", wanted()), 409, "quota-exceeded")
    assert list(said["fields"]) == ["MEMORY_MB"]
    assert everything() == before


def test_second_give_back(running: ServiceInstance, developer: User, call: Callable[..., Caller]) -> None:
    assert call(developer).post(f"/instances/{running.pk}/give-back").status_code == 201
    before = everything()
    problem(call(developer).post(f"/instances/{running.pk}/give-back"), 409, "already-giving-back")
    problem(call(developer).post(f"/instances/{running.pk}/lease", {"extend_seconds": 9}), 409, "lease-ended")
    assert everything() == before


def test_give_back_while_building(developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]) -> None:
    order = call(developer).post("/orders", wanted()).json()
    before = everything()
    problem(call(developer).post(f"/instances/{order['instance']}/give-back"), 409, "order-under-way")
    assert everything() == before


def test_cancel_after_the_end(developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]) -> None:
    order = call(developer).post("/orders", wanted()).json()
    build(order["id"])
    before = everything()
    problem(call(developer).post(f"/orders/{order['id']}/cancel"), 409, "order-ended")
    assert everything() == before


def test_lease_beyond_the_longest(running: ServiceInstance, developer: User, call: Callable[..., Caller]) -> None:
    before = everything()
    body = {"extend_seconds": 8_000_000_000}
    problem(call(developer).post(f"/instances/{running.pk}/lease", body), 422, "lease-too-long")
    assert everything() == before


def test_refusal_in_korean(developer: User, loan: Project, plan: Plan, call: Callable[..., Caller]) -> None:
    said = problem(call(developer, language="ko").post("/orders", wanted(plan="none")), 404, "plan-unavailable")
    assert said["code"] == "plan-unavailable", "the code is the same in every language"
