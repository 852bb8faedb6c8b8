"""A leaver's services, decisions, roles and tokens go to a successor: wholly, recorded, or not at all."""

from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from knox.models import get_token_model

from catalog.approvals.models import ApprovalRule
from catalog.audit.models import AuditEntry
from catalog.common.errors import DomainError, Forbidden
from catalog.instances.models import InstanceEvent, ServiceInstance
from catalog.leases.letters import recipients
from catalog.mail.models import Mail
from catalog.orders.models import Order
from catalog.people.errors import (
    HandoverToSelf,
    OwnMembership,
    PersonBeyondAffiliate,
    PersonUnknown,
    SuccessorApprovesOwn,
    SuccessorLacksRoles,
)
from catalog.people.handover import handover, people, plan
from catalog.tenancy.models import Membership, Project, Role, Tenant, User
from catalog.tenancy.policy import Action, Actor, can
from tests.api.conftest import Caller, problem, wanted
from tests.factories import NOW, UserFactory, acting

pytestmark = pytest.mark.django_db


def everything() -> tuple[Any, ...]:
    """What a refusal leaves as it was."""
    return (
        sorted(Membership.objects.values_list(), key=str), sorted(User.objects.values_list("pk", "is_active")),
        sorted(ServiceInstance.objects.values_list("pk", "responsible", "seq")), get_token_model().objects.count(),
        Mail.objects.count(), AuditEntry.objects.count(),
    )  # fmt: skip


def refused(error: type[DomainError], actor: Actor, leaver: User, successor: User, **more: Any) -> DomainError:
    before = everything()
    with pytest.raises(DomainError) as said:
        handover(actor, leaver, successor, now=NOW, **more)
    assert said.type is error
    assert everything() == before
    return said.value


@pytest.fixture
def heir(capital: Tenant) -> User:
    return UserFactory(username="hana", roles=[(Role.DEVELOPER, capital)], first_name="Hana", language="en")


def test_everything_of_a_leaver_goes_to_the_successor(
    running: ServiceInstance, developer: User, heir: User, tenant_admin: User
) -> None:
    session = Client()
    session.force_login(developer)
    assert session.get("/services/").status_code == 200
    tara = acting(tenant_admin)
    made = handover(tara, developer, heir, reason="left", now=NOW)
    assert ([row.pk for row in made.instances], made.missing, made.tokens) == ([running.pk], [], 1)
    running.refresh_from_db()
    developer.refresh_from_db()
    assert (running.responsible, running.created_by, developer.is_active) == (heir, developer, False)
    assert developer.memberships.get().ends_at == NOW
    assert not get_token_model().objects.filter(user=developer).exists()
    assert session.get("/services/").status_code == 302, "the session ends with the account"
    assert recipients(running, now=NOW) == [heir], "letters about the lease go to whoever answers for it"
    event = InstanceEvent.objects.get(kind="handed-over")
    assert (event.instance, event.data) == (running, {"from": "dana", "to": "hana"})
    entry = AuditEntry.objects.get(action="person.handover")
    assert (entry.actor, entry.subject_id) == ("tara", str(developer.pk))
    assert (entry.before, entry.after) == (
        {"user": "dana", "active": True},
        {
            "successor": "hana", "active": False, "reason": "left", "services": [str(running.pk)],
            "roles": ["developer @ capital"], "given": [], "decisions": [], "tokens": 1,
        },
    )  # fmt: skip
    moved = AuditEntry.objects.get(action="instance.handed-over")
    assert (moved.before, moved.after) == ({"responsible": "dana"}, {"responsible": "hana"})
    letters = {mail.address: (mail.subject, mail.body) for mail in Mail.objects.filter(subject_type="handover")}
    assert letters["dana@group.example"][0] == "Your work was handed over to Hana"
    assert letters["hana@group.example"][0] == "You take over from dana"
    assert "- loan-db (capital/loan)" in letters["hana@group.example"][1]


def test_again_it_moves_what_appeared_meanwhile(
    running: ServiceInstance, developer: User, heir: User, tenant_admin: User
) -> None:
    handover(acting(tenant_admin), developer, heir, now=NOW)
    ServiceInstance.objects.update(responsible=developer)
    made = handover(acting(tenant_admin), developer, heir, now=NOW)
    assert (len(made.instances), made.roles, made.tokens) == (1, [], 0)
    assert ServiceInstance.objects.get().responsible == heir


def test_missing_roles_are_refused_and_given_only_on_purpose(
    running: ServiceInstance, developer: User, tenant_admin: User, capital: Tenant
) -> None:
    newcomer, tara = UserFactory(username="nora"), acting(tenant_admin)
    said = refused(SuccessorLacksRoles, tara, developer, newcomer)
    assert "capital" in str(said.fields["successor"])
    assert plan(tara, developer, newcomer, now=NOW).missing_codes == ["developer @ capital"]
    handover(tara, developer, newcomer, give_roles=True, now=NOW)
    assert can(acting(newcomer), Action.ORDER, capital.pk)
    assert AuditEntry.objects.get(action="membership.grant").actor == "tara"


def test_a_wider_role_will_do_and_services_without_a_role_ask_for_one(
    running: ServiceInstance, developer: User, tenant_admin: User, loan: Project, group_admin: User
) -> None:
    greta = acting(group_admin)
    assert plan(greta, developer, tenant_admin, now=NOW).missing == [], "an administrator may all a developer may"
    developer.memberships.all().delete()
    newcomer = UserFactory(username="nora")
    assert plan(greta, developer, newcomer, now=NOW).missing_codes == ["developer @ capital/loan"]


def test_decisions_only_the_leaver_could_make_fall_to_the_successor(
    developer: User, approver: User, loan: Project, dear_plan: Any, tenant_admin: User
) -> None:
    Caller(developer).post("/orders", wanted(plan="dedicated"))
    order, heir = Order.objects.get(), UserFactory(username="hana")
    assert order.state == "pending_approval"
    tara = acting(tenant_admin)
    assert plan(tara, approver, heir, now=NOW).decisions == [], "the administrator could decide too"
    greta = UserFactory(username="greta", roles=[(Role.GROUP_ADMIN, None)])
    tenant_admin.memberships.all().delete()
    made = handover(acting(greta), approver, heir, give_roles=True, now=NOW)
    assert made.decisions == [order]
    assert can(acting(heir), Action.APPROVE, loan.tenant_id, loan.pk)
    letter = Mail.objects.get(subject_type="handover", person=heir).body
    assert "Orders that wait for your decision:\n- loan-db" in letter
    answer = Caller(heir).post(f"/orders/{order.pk}/approve", {"content_hash": order.content_hash})
    assert answer.status_code == 200, answer.content


def test_a_successor_who_would_approve_their_own_is_refused(
    developer: User, approver: User, loan: Project, dear_plan: Any, group_admin: User
) -> None:
    """Their own order, of which the leaver was the only approver; and the leaver's order, of which they are."""
    Caller(developer).post("/orders", wanted(plan="dedicated"))
    greta, order = acting(group_admin), Order.objects.get()
    said = refused(SuccessorApprovesOwn, greta, approver, developer, give_roles=True)
    assert said.fields == {"successor": "loan-db (postgresql/dedicated, capital/loan)"}
    refused(SuccessorApprovesOwn, greta, developer, approver, give_roles=True)
    assert plan(greta, developer, UserFactory(username="hana"), now=NOW).missing_codes == ["developer @ capital"]
    # With somebody else to decide it goes, and the successor still may not decide on what is theirs now.
    UserFactory(roles=[(Role.APPROVER, loan.tenant)])
    handover(greta, developer, approver, give_roles=True, now=NOW)
    answer = Caller(approver).post(f"/orders/{order.pk}/approve", {"content_hash": order.content_hash})
    problem(answer, 403, "own-approval")
    page = Client()
    page.force_login(approver)
    assert b"content_hash" not in page.get(f"/orders/{order.pk}/").content
    assert b"loan-db" not in page.get("/approvals/").content
    assert Caller(approver).get("/approvals").json()["results"] == []


def test_who_may_not(
    running: ServiceInstance, developer: User, heir: User, tenant_admin: User, request: pytest.FixtureRequest
) -> None:
    mallory, finance, card = (request.getfixturevalue(name) for name in ("mallory", "finance", "card"))
    tara = acting(tenant_admin)
    refused(HandoverToSelf, tara, developer, developer)
    refused(OwnMembership, tara, tenant_admin, heir)
    refused(Forbidden, acting(finance), developer, heir)
    refused(Forbidden, acting(heir), developer, heir)
    refused(PersonBeyondAffiliate, acting(mallory), developer, heir)
    User.objects.filter(pk=heir.pk).update(is_active=False)
    refused(PersonUnknown, tara, developer, heir)
    User.objects.filter(pk=heir.pk).update(is_active=True)
    extra = Membership.objects.create(user=developer, role=Role.DEVELOPER, tenant=card)
    refused(PersonBeyondAffiliate, tara, developer, heir)
    extra.delete()
    User.objects.filter(pk=developer.pk).update(is_superuser=True)
    refused(PersonBeyondAffiliate, tara, developer, heir)
    User.objects.filter(pk=developer.pk).update(is_superuser=False)
    of_project = UserFactory()
    Membership.objects.create(user=of_project, role=Role.TENANT_ADMIN, tenant=running.tenant, project=running.project)
    refused(PersonBeyondAffiliate, acting(of_project), developer, heir)


def test_a_leaver_one_has_nothing_to_do_with_does_not_exist(
    developer: User, heir: User, tenant_admin: User, mallory: User
) -> None:
    for name in ("mallory", "nobody", "a\x00b"):
        with pytest.raises(PersonUnknown) as said:
            people(acting(tenant_admin), name, "hana")
        assert set(said.value.fields) == {"leaver"}
    with pytest.raises(PersonUnknown) as said:
        people(acting(tenant_admin), "dana", "nobody")
    assert set(said.value.fields) == {"successor"}
    assert people(acting(tenant_admin), "dana", "hana") == (developer, heir)


def test_nobody_takes_over_roles_by_their_own_word(capital: Tenant, loan: Project, group_admin: User) -> None:
    leaver = UserFactory(username="lena", roles=[(Role.AUDITOR, None)])
    refused(OwnMembership, acting(group_admin), leaver, group_admin, give_roles=True)


def test_through_the_api(
    running: ServiceInstance, developer: User, heir: User, tenant_admin: User, call: Callable[..., Caller]
) -> None:
    tara = call(tenant_admin)
    shown = tara.get("/handovers", leaver="dana", successor="hana").json()
    assert (shown["services"], shown["missing"], shown["tokens"]) == ([str(running.pk)], [], 1)
    assert [row["role"] for row in shown["roles"]] == ["developer"]
    before = everything()
    problem(tara.post("/handovers", {"leaver": "dana", "successor": "dana"}), 422, "handover-to-self")
    problem(tara.post("/handovers", {"leaver": "mallory", "successor": "hana"}), 422, "person-unknown")
    problem(tara.post("/handovers", {"leaver": "dana"}), 422, "invalid-input")
    problem(tara.post("/handovers", {"leaver": "tara", "successor": "hana"}), 403, "own-membership")
    assert everything() == before
    done = tara.post("/handovers", {"leaver": "dana", "successor": "hana"})
    assert (done.status_code, done.json()["services"]) == (200, [str(running.pk)])
    assert call(heir).get(f"/instances/{running.pk}").json()["responsible"] == "hana"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_administrators_at_once_hand_over_once(
    running: ServiceInstance, developer: User, heir: User, group_admin: User, capital: Tenant
) -> None:
    other, start = UserFactory(username="hugo", roles=[(Role.DEVELOPER, capital)]), Barrier(2)
    done: list[tuple[str, int, int]] = []

    def go(successor: User) -> None:
        start.wait()
        try:
            made = handover(acting(group_admin), developer, successor, now=NOW)
            done.append((successor.username, len(made.instances), len(made.roles)))
        finally:
            connection.close()

    threads = [Thread(target=go, args=(person,)) for person in (heir, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(moved for _name, *moved in done) == [[0, 0], [1, 1]]
    winner = next(name for name, services, _roles in done if services)
    assert ServiceInstance.objects.get().responsible == User.objects.get(username=winner)


@pytest.mark.usefixtures("approver", "loan")
def test_a_decision_on_a_later_level_that_only_the_leaver_could_make_is_handed_over(
    developer: User, dear_plan: Any, operator: User, group_admin: User
) -> None:
    levels = [{"who": Role.APPROVER, "people": 1}, {"who": Role.OPERATOR, "people": 1}]
    ApprovalRule.objects.create(name="both sides", priority=1, steps=levels)
    Caller(developer).post("/orders", wanted(plan="dedicated"))
    greta, order, heir = acting(group_admin), Order.objects.get(), UserFactory(username="hana")
    assert plan(greta, operator, heir, now=NOW).decisions == [order]
    UserFactory(username="olga", roles=[(Role.OPERATOR, None)])
    assert plan(greta, operator, heir, now=NOW).decisions == []
