"""Every endpoint, asked by every role: of the affiliate, of one of its projects, of another affiliate, of the group."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.urls import URLPattern

from catalog.approvals.models import Delegation, Request
from catalog.audit import services as record
from catalog.common import clock
from catalog.instances.models import ServiceInstance
from catalog.ipam.models import Prefix, Vlan
from catalog.offerings.models import Plan
from catalog.orders import findings
from catalog.orders.models import Order
from catalog.pool.models import Host
from catalog.tenancy.models import Membership, Project, Role, Tenant, User
from catalog.tenancy.policy import Action, Actor, can, may_anywhere
from tests.api.conftest import Caller, wanted
from tests.api.test_scope import BODIES, OPEN, methods, routes
from tests.factories import ProjectFactory, UserFactory, acting

A = Action
FREE = "whoever is signed in"
OF_PROJECT: dict[tuple[str, str], Action] = {
    ("order", "GET"): A.VIEW, ("order-events", "GET"): A.VIEW, ("order-approve", "POST"): A.APPROVE,
    ("order-finding", "GET"): A.VIEW,
    ("order-reject", "POST"): A.APPROVE, ("order-cancel", "POST"): A.ORDER, ("order-retry", "POST"): A.ORDER,
    ("instance", "GET"): A.VIEW, ("credentials", "POST"): A.REVEAL_SECRET, ("lease", "GET"): A.VIEW,
    ("lease", "POST"): A.ORDER, ("hold", "POST"): A.HOLD, ("lift-hold", "POST"): A.HOLD, ("give-back", "POST"): A.ORDER,
    ("operations", "GET"): A.VIEW, ("operations", "POST"): A.ORDER, ("order-override-freeze", "POST"): A.OVERRIDE_FREEZE,
    ("approval", "GET"): A.VIEW, ("approval-approve", "POST"): A.APPROVE, ("approval-reject", "POST"): A.APPROVE,
}  # fmt: skip
"""About one thing of Capital's project loan: who may not see it is told 404, who sees it and may not do it 403."""
OF_AFFILIATE: dict[tuple[str, str], Action] = {
    ("project", "POST"): A.MANAGE_PROJECTS, ("tenant", "POST"): A.MANAGE_TENANTS,
}  # fmt: skip
"""About Capital as a whole; who has a role in one of its projects sees that it exists."""
OF_GROUP: dict[tuple[str, str], Action] = {
    ("hosts", "GET"): A.VIEW_POOL, ("hosts", "POST"): A.OPERATE_POOL, ("host", "GET"): A.VIEW_POOL,
    ("host-events", "GET"): A.VIEW_POOL, ("certificates", "GET"): A.VIEW_POOL, ("host-wipe", "POST"): A.OPERATE_POOL,
    ("host-quarantine", "POST"): A.OPERATE_POOL, ("host-maintenance", "POST"): A.OPERATE_POOL,
    ("host-resume", "POST"): A.OPERATE_POOL, ("host-retire", "POST"): A.OPERATE_POOL, ("audit", "GET"): A.AUDIT,
    ("tenants", "POST"): A.MANAGE_TENANTS, ("audit-export", "GET"): A.AUDIT, ("audit-head", "GET"): A.AUDIT,
    ("zones", "POST"): A.OPERATE_POOL, ("zone", "POST"): A.OPERATE_POOL, ("zone-close", "POST"): A.OPERATE_POOL,
    ("zone-open", "POST"): A.OPERATE_POOL, ("vlans", "GET"): A.VIEW_POOL, ("vlans", "POST"): A.OPERATE_POOL,
    ("vlan-retire", "POST"): A.OPERATE_POOL, ("prefixes", "GET"): A.VIEW_POOL, ("prefixes", "POST"): A.OPERATE_POOL,
    ("prefix-retire", "POST"): A.OPERATE_POOL,
}  # fmt: skip
"""For roles of the group; others are told 403 whatever there is."""
ANYWHERE: dict[tuple[str, str], Action] = {
    ("handovers", "GET"): A.MANAGE_MEMBERS, ("handovers", "POST"): A.MANAGE_MEMBERS,
}  # fmt: skip
"""For who may do it somewhere; what exactly they reach is tested in tests/people."""
EVERYBODY = {
    ("token", "DELETE"), ("me", "GET"), ("tenants", "GET"), ("projects", "GET"), ("offerings", "GET"), ("offering", "GET"),
    ("orders", "GET"), ("instances", "GET"), ("zones", "GET"), ("quotas", "GET"), ("loans", "GET"), ("memberships", "GET"),
    ("approvals", "GET"), ("delegations", "GET"),
}  # fmt: skip
"""Lists of one's own, and what is common to all."""
BY_BODY = {
    ("orders", "POST"): A.ORDER,
    ("projects", "POST"): A.MANAGE_PROJECTS,
    ("memberships", "POST"): A.MANAGE_MEMBERS,
    ("approval-preview", "POST"): A.VIEW,
    ("delegations", "POST"): A.APPROVE,
}
"""The body names where: what it names and they may not know is refused as unknown, with 404 or 422."""
OF_NO_PROJECT = {"projects", "delegations"}
"""Of those, what is about the affiliate as a whole."""
BY_ROW = {("membership-end", "POST"): A.MANAGE_MEMBERS}
OF_ABSENCE = {("delegation", "DELETE"): (A.APPROVE_AS_ADMIN, A.APPROVE_GROUP)}
"""For administrators of the affiliate as a whole, and of the group; to others the absence of somebody else does not exist."""

WHO = [
    *(f"{role}@capital" for role in (Role.DEVELOPER, Role.APPROVER, Role.TENANT_ADMIN)),
    *(f"{role}@capital/loan" for role in (Role.DEVELOPER, Role.APPROVER, Role.TENANT_ADMIN)),
    *(f"{role}@capital/second" for role in (Role.DEVELOPER, Role.APPROVER, Role.TENANT_ADMIN)),
    *(f"{role}@card" for role in (Role.DEVELOPER, Role.APPROVER, Role.TENANT_ADMIN)),
    *(f"{role}@" for role in (Role.CATALOG_ADMIN, Role.OPERATOR, Role.FINANCE, Role.AUDITOR, Role.GROUP_ADMIN)),
    "nothing@",
]


def endpoints() -> Iterator[tuple[str, str, URLPattern]]:
    for name, pattern in routes():
        if name not in OPEN:
            for method in methods(pattern):
                yield name, method, pattern


def test_every_endpoint_has_its_place_in_the_tables() -> None:
    tables = [set(OF_PROJECT), set(OF_AFFILIATE), set(OF_GROUP), set(ANYWHERE), EVERYBODY, set(BY_BODY), set(BY_ROW)]
    tables.append(set(OF_ABSENCE))
    assert {(name, method) for name, method, _pattern in endpoints()} == set().union(*tables)
    assert sum(len(table) for table in tables) == len(set().union(*tables))


def person(who: str, capital: Tenant, card: Tenant) -> User:
    role, _at, place = who.partition("@")
    user = UserFactory(username="walker")
    if role in set(Role):
        tenant, _slash, project = place.partition("/")
        Membership.objects.create(
            user=user, role=role, tenant={"capital": capital, "card": card}.get(tenant),
            project=Project.objects.get(slug=project) if project else None,
        )  # fmt: skip
    return user


def expected(actor: Actor, key: tuple[str, str], tenant: Tenant, project: Project) -> set[int]:
    """The statuses of a refusal that are right; empty: it must not be refused."""
    here, unseen = (tenant.pk, project.pk), {403} if can(actor, A.VIEW, tenant.pk, project.pk) else {404}
    rules: list[tuple[dict[tuple[str, str], Action], Callable[[Action], bool], set[int]]] = [
        (OF_PROJECT, lambda action: can(actor, action, *here), unseen),
        (OF_AFFILIATE, lambda action: can(actor, action, tenant.pk), {403, 404} if _touches(actor, tenant) else {404}),
        (OF_GROUP, lambda action: can(actor, action), {403}),
        (ANYWHERE, lambda action: may_anywhere(actor, action), {403, 422}),
        (
            BY_BODY,
            lambda action: can(actor, action, tenant.pk, None if key[0] in OF_NO_PROJECT else project.pk),
            {403, 404, 422},
        ),
        (BY_ROW, lambda action: can(actor, action, *here), {403} if can(actor, A.VIEW) else {404}),
    ]
    if key in OF_ABSENCE:
        return set() if any(can(actor, action, tenant.pk) for action in OF_ABSENCE[key]) else {404}
    for table, may, refusal in rules:
        if key in table:
            return set() if may(table[key]) else refusal
    return set()


def _touches(actor: Actor, tenant: Tenant) -> bool:
    return can(actor, A.VIEW) or any(grant.tenant_id == tenant.pk for grant in actor.grants)


@pytest.mark.parametrize("who", WHO)
def test_every_endpoint_answers_every_role_as_the_matrix_says(  # noqa: PLR0917
    who: str,
    running: ServiceInstance,
    host: Host,
    dear_plan: Plan,
    capital: Tenant,
    card: Tenant,
    developer: User,
    approver: User,
    call: Callable[..., Caller],
) -> None:
    ProjectFactory(tenant=capital, slug="second")
    other = UserFactory(username="newcomer")
    there = Membership.objects.create(user=other, role=Role.DEVELOPER, tenant=capital, project=running.project)
    order, user, now = Order.objects.get(), person(who, capital, card), clock.now()
    assert call(developer).post("/orders", wanted(plan="dedicated", name="dear-db")).status_code == 201
    asked = Request.objects.get()
    standin = UserFactory(username="standin", roles=[(Role.DEVELOPER, capital)])
    absence = Delegation.objects.create(
        person=approver,
        delegate=standin,
        tenant=capital,
        starts_at=now,
        ends_at=now + timedelta(days=9),
        created_at=now,
    )
    vlan = Vlan.objects.create(zone=host.zone, vid=7, name="x")
    prefix = Prefix.objects.create(zone=host.zone, cidr="10.8.0.0/24")
    record.seal(now)
    findings.keep(order, {"diagnosis": {}}, now=now)
    actor, caller = acting(user), call(user)
    bodies: dict[str, dict[str, Any]] = BODIES | {
        "orders": {"project": "capital/loan", "offering": "postgresql", "plan": "shared-small", "name": "walked-db"},
        "projects": {"tenant": "capital", "slug": "walked", "title": "Walked"},
        "tenants": {"slug": "walked", "name_ko": "걷기", "name_en": "Walked"},
        "memberships": {"user": "newcomer", "role": "approver", "project": "capital/loan"},
        "handovers": {"leaver": "nobody", "successor": "newcomer"},
        "approval-preview": {"project": "capital/loan", "offering": "postgresql", "plan": "dedicated"},
        "delegations": {
            "tenant": "capital", "delegate": UserFactory(username="ersatz", roles=[(Role.DEVELOPER, capital)]).username,
            "ends_at": (now + timedelta(days=3)).isoformat(),
        },
        "zones": {"slug": "walked", "name_ko": "걷기", "name_en": "Walked"},
        "zone": {"name_en": "Walked"},
    }  # fmt: skip
    walked = []
    ways = sorted(endpoints(), key=lambda way: (way[0] == "token", way[0], way[1]))
    for name, method, pattern in ways:
        path = str(pattern.pattern).removeprefix("v1")
        for part, value in {
            "<uuid:order_id>": asked.subject_id if name in {"order-approve", "order-reject"} else order.pk,
            "<uuid:approval_id>": asked.pk, "<uuid:delegation_id>": absence.pk, "<uuid:vlan_id>": vlan.pk,
            "<uuid:prefix_id>": prefix.pk, "<uuid:instance_id>": running.pk, "<uuid:host_id>": host.pk,
            "<slug:slug>": "zone-a" if name.startswith("zone") else "postgresql",
            "<slug:tenant>": "capital", "<slug:project>": "loan",
            "<int:membership_id>": there.pk,
        }.items():  # fmt: skip
            path = path.replace(part, str(value))
        if method == "GET":
            answer = caller.get(path, **(bodies["handovers"] if name == "handovers" else {}))
        elif method == "DELETE":
            answer = caller.send("DELETE", f"/api/v1{path}")
        else:
            answer = caller.post(path, bodies.get(name, {}))
        right = expected(actor, (name, method), capital, running.project)
        said = b"" if answer.streaming else answer.content[:200]
        if not right:
            assert answer.status_code not in {401, 403, 404}, f"{method} {path} {answer.status_code} {said!r}"
            assert answer.status_code < 500
        else:
            assert answer.status_code in right, f"{method} {path} {answer.status_code} {said!r}"
        walked.append((name, method))
    assert len(walked) == len(set(walked)) == len(list(endpoints()))
