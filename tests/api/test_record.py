"""Nothing is changed through the API without an entry in the record; nobody reads an affiliate's things unseen."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command

from catalog.approvals.models import Delegation, FreezeWindow, Request
from catalog.audit import services
from catalog.audit.models import AuditEntry
from catalog.common import clock
from catalog.instances.models import ServiceInstance
from catalog.ipam.models import Prefix, Vlan
from catalog.offerings.models import Plan
from catalog.orders.models import Order
from catalog.people.memberships import grant
from catalog.pool.models import Host, Zone
from catalog.tenancy.models import Membership, Project, Role, Tenant, User
from catalog.tenancy.policy import system
from tests.api.conftest import PASSWORD, Caller, problem, wanted
from tests.api.test_scope import methods, routes
from tests.factories import NOW, TESTER, HostFactory, UserFactory

READS = {
    "me", "offerings", "offering", "instances", "instance", "quotas", "loans", "host", "host-events", "certificates",
    "order", "order-events", "order-finding", "audit", "audit-export", "audit-head", "schema", "docs", "approvals", "approval",
}  # fmt: skip
"""Routes that change nothing."""
ASKS = {("approval-preview", "POST")}
"""Requests with a body that change nothing all the same."""


class Deeds:
    """For each route that changes something: a request that succeeds, by somebody who may make it."""

    def __init__(self, request: pytest.FixtureRequest, running: ServiceInstance, dear: Plan) -> None:
        self.running, self.dear, self.zone = running, dear, Zone.objects.get(slug="zone-a")
        people = ("developer", "approver", "tenant_admin", "auditor", "operator", "second_operator")
        self.users: dict[str, User] = {name: request.getfixturevalue(name) for name in people}
        self.users["group_admin"] = UserFactory(username="greta", roles=[(Role.GROUP_ADMIN, None)])
        self.by = {name: Caller(user) for name, user in self.users.items()}

    def _dear(self) -> Order:
        """An order that waits for a decision."""
        asked = wanted(plan="dedicated", name=f"dear-{Order.objects.count()}")
        return Order.objects.get(pk=self.by["developer"].post("/orders", asked).json()["id"])

    def _host(self, state: str = "available") -> Host:
        return HostFactory(zone=self.zone, to=state)

    def _decide(self, what: str) -> Any:
        order = self._dear()
        return self.by["approver"].post(f"/orders/{order.pk}/{what}", {"content_hash": order.content_hash})

    def _inbox(self, what: str) -> Any:
        order = self._dear()
        asked = Request.objects.get(subject_id=order.pk)
        return self.by["approver"].post(f"/approvals/{asked.pk}/{what}", {"content_hash": order.content_hash})

    def _overridden(self) -> Any:
        now = clock.now()
        window = FreezeWindow.objects.create(
            reason="Closing", deeds=["create"], starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=9)
        )
        order = self.by["developer"].post("/orders", wanted(name="frozen-db")).json()["id"]
        answer = self.by["group_admin"].post(f"/orders/{order}/override-freeze", {"reason": "outage"})
        window.delete()
        return answer

    def _absent(self) -> Any:
        ends = (clock.now() + timedelta(days=3)).isoformat()
        return self.by["tenant_admin"].post("/delegations", {"tenant": "capital", "delegate": "stan", "ends_at": ends})

    def _back(self) -> Any:
        given = Delegation.objects.get(person=self.users["tenant_admin"])
        return self.by["tenant_admin"].send("DELETE", f"/api/v1/delegations/{given.pk}")

    def _failed(self) -> Order:
        order = self._dear()
        Request.objects.filter(subject_id=order.pk).update(outcome="approved", closed_at=clock.now(), remind_at=None)
        Order.objects.filter(pk=order.pk).update(state="failed")
        ServiceInstance.objects.filter(pk=order.instance_id).update(state="failed")
        return order

    def _membership(self, person: str = "newcomer") -> Membership:
        user = User.objects.filter(username=person).first() or UserFactory(username=person)
        return grant(system("test"), user, Role.DEVELOPER, tenant=self.running.tenant, now=NOW)

    def _on(self, host: Host, what: str) -> Any:
        return self.by["operator"].post(
            f"/hosts/{host.pk}/{what}", {"reason": "x"} if what not in {"wipe", "resume"} else {}
        )

    def _signed_in(self) -> Any:
        return Caller(None).post("/tokens", {"username": "dana", "password": PASSWORD})

    def table(self) -> dict[tuple[str, str], Callable[[], Any]]:
        by, it = self.by, f"/instances/{self.running.pk}"
        return {
            ("tokens", "POST"): self._signed_in,
            ("token", "DELETE"): lambda: Caller(self.users["approver"]).send("DELETE", "/api/v1/tokens/current"),
            ("orders", "POST"): lambda: by["developer"].post("/orders", wanted(name="another-db")),
            ("order-approve", "POST"): lambda: self._decide("approve"),
            ("order-reject", "POST"): lambda: self._decide("reject"),
            ("order-cancel", "POST"): lambda: by["developer"].post(f"/orders/{self._dear().pk}/cancel"),
            ("order-retry", "POST"): lambda: by["developer"].post(f"/orders/{self._failed().pk}/retry"),
            ("credentials", "POST"): lambda: by["developer"].post(f"{it}/credentials"),
            ("lease", "POST"): lambda: by["developer"].post(f"{it}/lease", {"extend_seconds": 60}),
            ("approval-approve", "POST"): lambda: self._inbox("approve"),
            ("approval-reject", "POST"): lambda: self._inbox("reject"),
            ("order-override-freeze", "POST"): self._overridden,
            ("delegations", "POST"): self._absent,
            ("delegation", "DELETE"): self._back,
            ("operations", "POST"): lambda: by["developer"].post(f"{it}/operations", {"operation": "stop"}),
            ("hold", "POST"): lambda: by["auditor"].post(f"{it}/hold", {"reason": "case 17"}),
            ("lift-hold", "POST"): lambda: by["auditor"].post(f"{it}/lift-hold", {"reason": "closed"}),
            ("give-back", "POST"): lambda: by["developer"].post(f"{it}/give-back"),
            ("hosts", "POST"): lambda: by["operator"].post(
                "/hosts", {"name": "new-host", "zone": "zone-a", "address": "10.0.0.250"}
            ),
            ("host-wipe", "POST"): lambda: self._on(self._host(), "wipe"),
            ("host-quarantine", "POST"): lambda: self._on(self._host(), "quarantine"),
            ("host-maintenance", "POST"): lambda: self._on(self._host(), "maintenance"),
            ("host-resume", "POST"): lambda: self._on(self._host("maintenance"), "resume"),
            ("host-retire", "POST"): lambda: self._on(self._host(), "retire"),
            ("zones", "POST"): lambda: by["operator"].post(
                "/zones", {"slug": "busan", "name_ko": "부산 존", "name_en": "Busan"}
            ),
            ("zone", "POST"): lambda: by["operator"].post("/zones/busan", {"name_en": "Busan 2"}),
            ("zone-close", "POST"): lambda: by["operator"].post("/zones/busan/close", {"reason": "flood"}),
            ("zone-open", "POST"): lambda: by["operator"].post("/zones/busan/open"),
            ("vlans", "POST"): lambda: by["operator"].post("/vlans", {"zone": "busan", "vid": 9, "name": "x"}),
            ("vlan-retire", "POST"): lambda: by["operator"].post(f"/vlans/{Vlan.objects.get().pk}/retire"),
            ("prefixes", "POST"): lambda: by["operator"].post("/prefixes", {"zone": "busan", "cidr": "10.9.0.0/24"}),
            ("prefix-retire", "POST"): lambda: by["operator"].post(
                f"/prefixes/{Prefix.objects.get(cidr='10.9.0.0/24').pk}/retire"
            ),
            ("tenants", "POST"): lambda: by["group_admin"].post(
                "/tenants", {"slug": "insurance", "name_ko": "보험", "name_en": "Insurance"}
            ),
            ("tenant", "POST"): lambda: by["group_admin"].post("/tenants/capital", {"name_en": "Capital Co."}),
            ("projects", "POST"): lambda: by["tenant_admin"].post(
                "/projects", {"tenant": "capital", "slug": "second", "title": "Second"}
            ),
            ("project", "POST"): lambda: by["tenant_admin"].post("/projects/capital/loan", {"title": "Loans"}),
            ("memberships", "POST"): lambda: by["tenant_admin"].post(
                "/memberships", {"user": UserFactory(username="ivy").username, "role": "developer", "tenant": "capital"}
            ),
            ("membership-end", "POST"): lambda: by["tenant_admin"].post(f"/memberships/{self._membership().pk}/end"),
            ("handovers", "POST"): lambda: by["tenant_admin"].post(
                "/handovers", {"leaver": self._membership("lena").user.username, "successor": "dana"}
            ),
        }  # fmt: skip


def changing() -> Iterator[tuple[str, str]]:
    """Every route and method of the API that is there to change something."""
    for name, pattern in routes():
        yield from ((name, method) for method in methods(pattern) if method != "GET" and (name, method) not in ASKS)


@pytest.fixture
def deeds(request: pytest.FixtureRequest, running: ServiceInstance, dear_plan: Plan) -> Deeds:
    HostFactory(zone=running.zone)
    HostFactory(zone=running.zone)
    UserFactory(username="stan", roles=[(Role.DEVELOPER, running.tenant)])
    return Deeds(request, running, dear_plan)


def test_every_change_through_the_api_leaves_an_entry(deeds: Deeds) -> None:
    table = deeds.table()
    assert set(changing()) == set(table), "a new route needs a deed here"
    names = {user.username for user in deeds.users.values()}
    for (route, method), deed in table.items():
        last = AuditEntry.objects.latest("id").pk
        answer = deed()
        assert 200 <= answer.status_code < 300, (route, answer.content[:300])
        entries = AuditEntry.objects.filter(pk__gt=last, actor__in=names)
        assert entries.exists(), f"{method} {route} left no entry of who did it"
        assert all(entry.source == "127.0.0.1" for entry in entries), f"{route}: from where is not said"


def test_every_other_route_only_reads() -> None:
    assert {name for name, pattern in routes() if methods(pattern) == ["GET"]} | {"schema", "docs"} == READS


def test_asking_what_an_order_would_need_changes_nothing(deeds: Deeds) -> None:
    before = (Order.objects.count(), AuditEntry.objects.count())
    asked = {"project": "capital/loan", "offering": "postgresql", "plan": "dedicated"}
    assert deeds.by["developer"].post("/approvals/preview", asked).json()["needed"] is True
    assert (Order.objects.count(), AuditEntry.objects.count()) == before


def looks(user: User) -> set[tuple[str, str, str | None]]:
    rows = AuditEntry.objects.filter(actor=user.username, action="look")
    return {(row.subject_type, row.subject_id, str(row.tenant_id) if row.tenant_id else None) for row in rows}


@pytest.mark.parametrize("who", ["auditor", "operator", "finance", "group_admin"])
def test_a_look_by_a_role_of_the_group_is_recorded(
    who: str, running: ServiceInstance, capital: Tenant, request: pytest.FixtureRequest
) -> None:
    user = (
        UserFactory(username="greta", roles=[(Role.GROUP_ADMIN, None)])
        if who == "group_admin"
        else request.getfixturevalue(who)
    )
    caller, order = Caller(user), Order.objects.get()
    for path in (
        f"/orders/{order.pk}",
        f"/orders/{order.pk}/events",
        f"/instances/{running.pk}",
        f"/instances/{running.pk}/lease",
        f"/instances/{running.pk}/operations",
    ):
        assert caller.get(path).status_code == 200
    one = {("order", str(order.pk), str(capital.pk)), ("instance", str(running.pk), str(capital.pk))}
    assert looks(user) == one
    for path in ("/orders", "/instances", "/quotas", "/loans", "/projects", "/memberships"):
        assert caller.get(path).status_code == 200
    kinds = ("order", "instance", "quota", "loan", "project", "membership")
    assert looks(user) == one | {(kind, "*", None) for kind in kinds}
    count = AuditEntry.objects.count()
    assert caller.get(f"/orders/{order.pk}").status_code == 200
    assert AuditEntry.objects.count() == count, "who keeps a page open looks once"
    caller.get("/orders", state="fulfilled")
    entry = AuditEntry.objects.latest("id")
    assert (entry.source, entry.after) == ("127.0.0.1", {"via": "api", "asked": {"state": "fulfilled"}})


def test_who_looks_at_what_is_their_own_is_not_recorded(running: ServiceInstance, developer: User) -> None:
    caller, order = Caller(developer), Order.objects.get()
    Membership.objects.create(user=developer, role=Role.OPERATOR)
    before = AuditEntry.objects.count()
    for path in (f"/orders/{order.pk}", f"/instances/{running.pk}"):
        assert caller.get(path).status_code == 200
    assert AuditEntry.objects.count() == before


def test_the_record_is_found_by_who_what_whose_and_when(
    running: ServiceInstance, auditor: User, developer: User, card: Tenant, call: Callable[..., Caller]
) -> None:
    audrey = call(auditor)
    services.record(TESTER, "thing.done", subject_type="thing", subject_id="1", tenant_id=card.pk, now=NOW)

    def found(**asked: str) -> set[str]:
        answer = audrey.get("/audit", limit="200", **asked)
        assert answer.status_code == 200, answer.content
        return {row["action"] for row in answer.json()["results"]}

    assert found(tenant="card") == {"thing.done"}
    assert found(until=(NOW + timedelta(seconds=1)).isoformat(), subject_type="thing") == {"thing.done"}
    assert found(since=(NOW + timedelta(seconds=1)).isoformat(), subject_type="thing") == set()
    assert "order.submitted" in found(actor="dana")
    assert found(actor="dana", action="order.submitted") == {"order.submitted"}
    assert found(source="203.0.113.9") == set()
    problem(audrey.get("/audit", tenant="nowhere"), 422, "invalid-input")
    problem(audrey.get("/audit", since="yesterday"), 422, "invalid-input")
    reads = AuditEntry.objects.filter(action="audit.read", actor="audrey")
    assert {"asked": {"actor": "dana"}, "via": "api"} in [row.after for row in reads]
    problem(call(developer).get("/audit", tenant="capital"), 403, "forbidden")


def test_the_record_is_exported_whole_and_in_order(
    running: ServiceInstance, auditor: User, developer: User, call: Callable[..., Caller]
) -> None:
    services.record(
        TESTER, "thing.done", subject_type="=cmd|' /C calc'!A0", subject_id="x", after={"이름": '값, "둘"'}, now=NOW
    )
    answer = call(auditor).get("/audit/export")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    text = "".join(part.decode() for part in answer)
    rows = list(csv.DictReader(io.StringIO(text)))
    exported = AuditEntry.objects.exclude(action="audit.read").order_by("pk")
    assert [int(row["id"]) for row in rows] == list(exported.values_list("pk", flat=True))
    odd = next(row for row in rows if row["action"] == "thing.done")
    assert (odd["subject_type"], json.loads(odd["after"])) == ("'=cmd|' /C calc'!A0", {"이름": '값, "둘"'})
    assert AuditEntry.objects.get(action="audit.export").actor == "audrey"
    narrow = call(auditor).get("/audit/export", actor="dana")
    assert {row["actor"] for row in csv.DictReader(io.StringIO("".join(part.decode() for part in narrow)))} == {"dana"}
    problem(call(developer).get("/audit/export"), 403, "forbidden")
    assert AuditEntry.objects.filter(action="audit.export").count() == 2


def test_the_last_link_is_given_out_signed_and_judges_the_chain(
    running: ServiceInstance, auditor: User, call: Callable[..., Caller], tmp_path: Any
) -> None:
    audrey, kept = call(auditor), tmp_path / "head.json"
    problem(audrey.get("/audit/head"), 404, "not-found")
    services.seal(clock.now())
    document = audrey.get("/audit/head").json()
    assert (document["number"], document["digest"]) == services.head()[1:]  # type: ignore[index]
    assert AuditEntry.objects.get(action="audit.head").after["digest"] == document["digest"]
    kept.write_text(json.dumps(document), encoding="utf-8")
    call_command("audit", "verify", "--head-file", str(kept))
    AuditEntry.objects.filter(chain_seq=document["number"]).delete()
    with pytest.raises(SystemExit):
        call_command("audit", "verify", "--head-file", str(kept))


def test_who_comes_in_and_goes_is_recorded(developer: User, loan: Project) -> None:
    nobody = Caller(None)
    nobody.headers["Authorization"] = (
        f"Token {nobody.post('/tokens', {'username': 'dana', 'password': PASSWORD}).json()['token']}"
    )
    nobody.send("DELETE", "/api/v1/tokens/current")
    said = AuditEntry.objects.order_by("id").values_list("action", "actor", "source", "after__via")
    assert list(said) == [
        ("person.sign-in", "dana", "127.0.0.1", "api"), ("person.sign-out", "dana", "127.0.0.1", "api"),
    ]  # fmt: skip
