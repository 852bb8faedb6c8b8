"""What is not theirs does not exist: every route, with every object of somebody else."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.urls import URLPattern, get_resolver

from catalog.approvals.models import Delegation, Request
from catalog.instances.models import ServiceInstance
from catalog.ipam.models import Prefix, Vlan
from catalog.orders.models import Order
from catalog.pool.models import Host
from catalog.quotas.models import Loan
from catalog.tenancy.models import Membership, Project, Role, Tenant, User
from tests.api.conftest import Caller, problem, wanted
from tests.factories import NOW, ProjectFactory, UserFactory

OPEN = {"tokens", "schema", "docs"}
"""Routes that anybody may ask."""
COMMON = {
    "token", "me", "tenants", "projects", "offerings", "offering", "orders", "instances", "zones", "quotas", "loans",
    "memberships", "handovers", "approvals", "approval-preview", "delegations",
}  # fmt: skip
"""Routes that answer with what is one's own; lists are looked at below."""
OF_THE_POOL = {
    "hosts", "host", "host-events", "certificates", "host-wipe", "host-quarantine", "host-maintenance", "host-resume",
    "host-retire", "audit", "audit-export", "audit-head",
    "zone", "zone-close", "zone-open", "vlans", "vlan-retire", "prefixes", "prefix-retire",
}  # fmt: skip
NAMED = {"tenant", "project", "membership-end"}
"""Routes about one thing that is named by something else than a UUID."""
BODIES: dict[str, dict[str, Any]] = {
    "order-approve": {"content_hash": "0" * 64},
    "order-reject": {"content_hash": "0" * 64},
    "approval-approve": {"content_hash": "0" * 64},
    "approval-reject": {"content_hash": "0" * 64},
    "order-override-freeze": {"reason": "x"},
    "lease": {"extend_seconds": 5},
    "operations": {"operation": "stop"},
    "hold": {"reason": "x"},
    "lift-hold": {"reason": "x"},
    "zone-close": {"reason": "x"},
    "hosts": {"name": "x", "zone": "zone-a", "address": "10.0.0.99"},
    "vlans": {"zone": "zone-a", "vid": 9, "name": "x"},
    "prefixes": {"zone": "zone-a", "cidr": "10.9.0.0/24"},
}


IDS = ("order_id", "instance_id", "approval_id", "delegation_id")


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
    for name, value in ({"slug": "zone-a"} | ids).items() if "zones/" in route else ids.items():
        route = route.replace(f"<slug:{name}>", str(value))
        route = route.replace(f"<uuid:{name}>", str(value))
    return route


def test_every_route_has_been_thought_of() -> None:
    with_ids = {name for name, pattern in routes() if "<uuid:" in str(pattern.pattern)}
    assert {name for name, _ in routes()} == OPEN | COMMON | OF_THE_POOL | NAMED | with_ids


def waiting(order: Order, approver: User) -> tuple[Request, Delegation]:
    """A request about this order, and the absence of its approver."""
    asked = Request.objects.create(
        subject_type="order", subject_id=order.pk, tenant=order.tenant, project=order.project, title="x", deed="create",
        content_hash="0" * 64, steps=[{"who": "approver", "people": 1}], who="approver", opened_at=NOW,
    )  # fmt: skip
    given = Delegation.objects.create(
        person=approver, delegate=User.objects.get(username="dana"), tenant=order.tenant, starts_at=NOW,
        ends_at=NOW + timedelta(days=9999), created_at=NOW,
    )  # fmt: skip
    return asked, given


def test_stranger_meets_404_everywhere(
    running: ServiceInstance, host: Host, mallory: User, approver: User, call: Callable[..., Caller]
) -> None:
    order = Order.objects.get()
    asked, given = waiting(order, approver)
    before = (
        sorted(Order.objects.values_list("id", "state", "seq")),
        sorted(ServiceInstance.objects.values_list("id", "state")),
    )
    stranger, walked = call(mallory), 0
    for name, pattern in routes():
        if name in OPEN | COMMON | OF_THE_POOL | NAMED:
            continue
        theirs = address(
            pattern, order_id=order.pk, instance_id=running.pk, approval_id=asked.pk, delegation_id=given.pk
        )
        nobodys = address(pattern, **dict.fromkeys(IDS, uuid.uuid4()))
        for method in methods(pattern):
            answers = []
            for path in (theirs, nobodys):
                if method == "DELETE":
                    answer = stranger.send(method, f"/api/v1{path}")
                else:
                    answer = stranger.get(path) if method == "GET" else stranger.post(path, BODIES.get(name, {}))
                answers.append(problem(answer, 404, "not-found") | {"request_id": None})
            assert answers[0] == answers[1], f"{method} {theirs} tells that it exists"
            walked += 1
    assert walked == 21
    assert list(Delegation.objects.values_list("ends_at", flat=True)) == [NOW + timedelta(days=9999)]
    assert Request.objects.get().outcome == ""
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
    assert stranger.get("/approvals").json()["results"] == []
    assert stranger.get("/delegations").json()["results"] == []
    assert [row["slug"] for row in stranger.get("/tenants").json()["results"]] == ["insurance"]


def test_a_developer_of_one_project_has_nothing_to_do_with_the_others(
    running: ServiceInstance, loan: Project, capital: Tenant, approver: User, call: Callable[..., Caller]
) -> None:
    """Whatever of the affiliate lies outside the project does not exist; inside it they work as others do."""
    second, order = ProjectFactory(tenant=capital, slug="second"), Order.objects.get()
    inside, outside = UserFactory(username="ivy"), UserFactory(username="oscar")
    asked, given = waiting(order, approver)
    for person, project in ((inside, loan), (outside, second)):
        Membership.objects.create(user=person, role=Role.TENANT_ADMIN, tenant=capital, project=project)
    ivy, oscar = call(inside), call(outside)

    def seen(caller: Caller, path: str) -> int:
        return len(caller.get(path).json()["results"])

    lists = ["/orders", "/instances", "/projects", "/loans", "/quotas", "/tenants"]
    Loan.objects.create(
        borrower=capital, instance=running, zone=running.zone, resource_class="VCPU", amount=1, began_at=NOW
    )
    assert {path: seen(ivy, path) for path in lists} == dict.fromkeys(lists, 1) | {"/quotas": 0}
    assert {path: seen(oscar, path) for path in lists} == {
        "/orders": 0, "/instances": 0, "/projects": 1, "/loans": 0, "/quotas": 0, "/tenants": 1,
    }  # fmt: skip
    assert [row["name"] for row in oscar.get("/projects").json()["results"]] == ["capital/second"]
    for name, pattern in routes():
        if name in OPEN | COMMON | OF_THE_POOL | NAMED:
            continue
        path = address(pattern, order_id=order.pk, instance_id=running.pk, approval_id=asked.pk, delegation_id=given.pk)
        for method in methods(pattern):
            if method == "DELETE":
                answer = oscar.send(method, f"/api/v1{path}")
            else:
                answer = oscar.get(path) if method == "GET" else oscar.post(path, BODIES.get(name, {}))
            problem(answer, 404, "not-found")
    problem(oscar.post("/orders", wanted()), 404, "project-unknown")
    assert oscar.post("/orders", wanted(project="capital/second", name="second-db")).status_code == 201
    problem(ivy.post("/orders", wanted(project="capital/second", name="third-db")), 404, "project-unknown")
    assert ivy.get(f"/orders/{order.pk}").status_code == 200
    assert ivy.post(f"/instances/{running.pk}/give-back").status_code == 201


@pytest.mark.parametrize("who", ["developer", "mallory", "catalog_admin", "finance"])
def test_pool_and_record_are_not_for_everybody(
    who: str, host: Host, call: Callable[..., Caller], request: pytest.FixtureRequest
) -> None:
    caller, before = call(request.getfixturevalue(who)), (host.state, host.seq)
    for name, pattern in routes():
        if name not in OF_THE_POOL:
            continue
        for method in methods(pattern):
            path = address(pattern, host_id=host.pk, vlan_id=uuid.uuid4(), prefix_id=host.zone.prefixes.get().pk)
            answer = caller.get(path) if method == "GET" else caller.post(path, BODIES.get(name, {}))
            problem(answer, 403, "forbidden")
    host.refresh_from_db()
    assert (host.state, host.seq) == before
    assert Host.objects.count() == 1
    assert (Vlan.objects.count(), Prefix.objects.filter(retired_at__isnull=True).count()) == (0, 1)


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
        ids = {**dict.fromkeys(IDS, running.pk), "order_id": order.pk, "host_id": host.pk}
        path = address(pattern, vlan_id=uuid.uuid4(), prefix_id=uuid.uuid4(), **ids).replace(
            "<slug:slug>", "postgresql"
        )
        for part, value in (("<slug:tenant>", "capital"), ("<slug:project>", "loan"), ("<int:membership_id>", "1")):
            path = path.replace(part, value)
        for method in methods(pattern):
            problem(nobody.send(method, f"/api/v1{path}"), 401, "not-signed-in")
