"""Role × action × where: the whole matrix, written out a second time by hand."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

import pytest

from catalog.common.errors import Forbidden, NotFound
from catalog.tenancy.models import GROUP_ROLES, TENANT_ROLES, Membership, Project, Role, Tenant, User
from catalog.tenancy.policy import (
    Action,
    Actor,
    Grant,
    actor_for,
    can,
    covers,
    privileged,
    require,
    scope,
    system,
    visible_tenants,
)
from catalog.tenancy.selectors import memberships_for, people_who, projects_for, tenants_for
from tests.factories import NOW, ProjectFactory, TenantFactory, UserFactory, acting

A = Action
IN_AFFILIATE = {
    Role.DEVELOPER: {A.VIEW, A.ORDER, A.REVEAL_SECRET},
    Role.APPROVER: {A.VIEW, A.APPROVE},
    Role.TENANT_ADMIN: {
        A.VIEW, A.ORDER, A.APPROVE, A.APPROVE_AS_ADMIN, A.REVEAL_SECRET, A.MANAGE_MEMBERS, A.MANAGE_PROJECTS,
    },
}  # fmt: skip
"""Within what the role was granted for."""
IN_GROUP = {
    Role.CATALOG_ADMIN: {A.CURATE, A.APPROVE_CATALOG},
    Role.OPERATOR: {A.VIEW, A.VIEW_POOL, A.OPERATE_POOL, A.APPROVE_POOL},
    Role.FINANCE: {A.VIEW},
    Role.AUDITOR: {A.VIEW, A.VIEW_POOL, A.AUDIT, A.HOLD},
    Role.GROUP_ADMIN: {
        A.VIEW,
        A.VIEW_POOL,
        A.HOLD,
        A.MANAGE_MEMBERS,
        A.MANAGE_PROJECTS,
        A.MANAGE_TENANTS,
        A.APPROVE_GROUP,
        A.OVERRIDE_FREEZE,
    },
}
"""Everywhere."""

pytestmark = pytest.mark.django_db


@dataclass
class Places:
    """Where something may be done: the group, two affiliates as a whole, and two projects of each."""

    group: tuple[None, None]
    own: tuple[uuid.UUID, None]
    own_project: tuple[uuid.UUID, uuid.UUID]
    own_other_project: tuple[uuid.UUID, uuid.UUID]
    other: tuple[uuid.UUID, None]
    other_project: tuple[uuid.UUID, uuid.UUID]


@pytest.fixture
def places(capital: Tenant, card: Tenant, loan: Project, points: Project) -> Places:
    second = ProjectFactory(tenant=capital, slug="second")
    return Places(
        (None, None), (capital.pk, None), (capital.pk, loan.pk), (capital.pk, second.pk), (card.pk, None),
        (card.pk, points.pk),
    )  # fmt: skip


def table(actor: Actor, places: Places) -> dict[str, set[Action]]:
    return {name: {action for action in Action if can(actor, action, *where)} for name, where in vars(places).items()}


def person(role: str, tenant: Tenant | None = None, project: Project | None = None) -> User:
    user = UserFactory()
    Membership.objects.create(user=user, role=role, tenant=tenant, project=project)
    return user


def test_the_two_lists_name_every_role() -> None:
    assert set(IN_AFFILIATE) == TENANT_ROLES
    assert set(IN_GROUP) == GROUP_ROLES
    assert set(Role) == TENANT_ROLES | GROUP_ROLES


@pytest.mark.parametrize("role", IN_AFFILIATE)
def test_a_role_of_an_affiliate_counts_in_all_of_it_and_nowhere_else(
    role: Role, capital: Tenant, places: Places
) -> None:
    actor = acting(person(role, capital))
    mine, nothing = IN_AFFILIATE[role], set[Action]()
    assert table(actor, places) == {
        "group": nothing, "own": mine, "own_project": mine, "own_other_project": mine, "other": nothing,
        "other_project": nothing,
    }  # fmt: skip
    assert visible_tenants(actor) == {capital.pk}
    assert {str(each) for each in projects_for(actor)} == {"capital/loan", "capital/second"}


@pytest.mark.parametrize("role", IN_AFFILIATE)
def test_a_role_of_a_project_counts_in_it_alone(role: Role, capital: Tenant, loan: Project, places: Places) -> None:
    actor = acting(person(role, capital, loan))
    mine, nothing = IN_AFFILIATE[role], set[Action]()
    assert table(actor, places) == {
        "group": nothing, "own": nothing, "own_project": mine, "own_other_project": nothing, "other": nothing,
        "other_project": nothing,
    }  # fmt: skip
    assert visible_tenants(actor) == frozenset(), "what belongs to the affiliate as a whole is not theirs"
    assert [str(each) for each in projects_for(actor)] == ["capital/loan"]
    assert [each.slug for each in tenants_for(actor)] == ["capital"], "whose project it is may be known"


@pytest.mark.parametrize("role", IN_GROUP)
def test_a_role_of_the_group_counts_everywhere(role: Role, places: Places) -> None:
    actor = acting(person(role))
    assert table(actor, places) == dict.fromkeys(vars(places), IN_GROUP[role])
    assert visible_tenants(actor) == (None if A.VIEW in IN_GROUP[role] else frozenset())
    assert projects_for(actor).count() == (3 if A.VIEW in IN_GROUP[role] else 0)


@pytest.mark.parametrize("action", Action)
def test_the_scope_of_rows_says_the_same_as_the_matrix(action: Action, places: Places, capital: Tenant) -> None:
    """For every role, wherever granted: the projects a scope selects are those the action is allowed in."""
    loan = Project.objects.get(slug="loan")
    people = [person(role, capital) for role in IN_AFFILIATE] + [person(role, capital, loan) for role in IN_AFFILIATE]
    for user in [*people, *(person(role) for role in IN_GROUP), UserFactory()]:
        actor = acting(user)
        rows = scope(actor, action).rows(Project.objects.all(), project="pk")
        allowed = {each.pk for each in Project.objects.all() if can(actor, action, each.tenant_id, each.pk)}
        assert {each.pk for each in rows} == allowed, str(user.memberships.first())
        assert scope(actor, action).empty is not bool(allowed)


def test_mallory_is_told_that_nothing_exists(mallory: User, capital: Tenant, loan: Project) -> None:
    actor = acting(mallory)
    for action in Action:
        for where in ((capital.pk, None), (capital.pk, loan.pk)):
            with pytest.raises(NotFound):
                require(actor, action, *where)
    assert capital.pk not in visible_tenants(actor)  # type: ignore[operator]


def test_who_may_look_but_not_touch_is_told_so(
    approver: User, finance: User, capital: Tenant, loan: Project, places: Places
) -> None:
    with pytest.raises(Forbidden):
        require(acting(approver), A.ORDER, capital.pk)
    with pytest.raises(Forbidden):
        require(acting(finance), A.REVEAL_SECRET, capital.pk, loan.pk)
    require(acting(approver), A.APPROVE, capital.pk, loan.pk)
    of_project = acting(person(Role.APPROVER, capital, loan))
    with pytest.raises(Forbidden):
        require(of_project, A.ORDER, capital.pk, loan.pk)
    with pytest.raises(NotFound):
        require(of_project, A.APPROVE, *places.own_other_project)


def test_a_membership_ends(capital: Tenant) -> None:
    user = UserFactory(roles=[(Role.DEVELOPER, capital)])
    Membership.objects.update(ends_at=NOW)
    assert can(actor_for(user, now=NOW - timedelta(seconds=1)), A.ORDER, capital.pk)
    assert not can(actor_for(user, now=NOW), A.ORDER, capital.pk)


def test_the_platform_may_everything_and_a_superuser_by_itself_nothing(places: Places) -> None:
    assert table(system("test"), places) == {name: set(Action) for name in vars(places)}
    root = UserFactory(username="root", is_staff=True, is_superuser=True)
    assert table(acting(root), places) == {name: set() for name in vars(places)}


def test_roles_add_up(capital: Tenant, card: Tenant, points: Project) -> None:
    user = UserFactory(roles=[(Role.DEVELOPER, capital)])
    Membership.objects.create(user=user, role=Role.APPROVER, tenant=card, project=points)
    actor = acting(user)
    assert {action for action in Action if can(actor, action, capital.pk)} == IN_AFFILIATE[Role.DEVELOPER]
    assert {action for action in Action if can(actor, action, card.pk, points.pk)} == IN_AFFILIATE[Role.APPROVER]
    assert visible_tenants(actor) == {capital.pk}
    assert scope(actor).touched == {capital.pk, card.pk}


def test_a_role_that_covers_another_may_all_of_it_in_all_of_its_place(capital: Tenant, loan: Project) -> None:
    admin, of_project = acting(person(Role.TENANT_ADMIN, capital)), acting(person(Role.TENANT_ADMIN, capital, loan))
    for role in IN_AFFILIATE:
        assert covers(admin, Grant(role, capital.pk))
        assert covers(admin, Grant(role, capital.pk, loan.pk))
        assert covers(of_project, Grant(role, capital.pk, loan.pk))
        assert not covers(of_project, Grant(role, capital.pk))
        for group in IN_GROUP:
            assert not covers(acting(person(group)), Grant(role, capital.pk))
    assert not covers(admin, Grant(Role.FINANCE))
    assert covers(acting(person(Role.AUDITOR)), Grant(Role.FINANCE)), "an auditor sees whatever finance sees"


def test_a_look_is_privileged_where_no_role_of_ones_own_allows_it(capital: Tenant, loan: Project, card: Tenant) -> None:
    user = UserFactory(roles=[(Role.AUDITOR, None)])
    Membership.objects.create(user=user, role=Role.DEVELOPER, tenant=capital, project=loan)
    actor = acting(user)
    assert not privileged(actor, capital.pk, loan.pk)
    assert privileged(actor, capital.pk)
    assert privileged(actor, card.pk)
    assert privileged(actor, None)
    assert not privileged(system("sweep"), card.pk)


def test_people_who_may_act_are_found_by_place(capital: Tenant, loan: Project, approver: User) -> None:
    second = ProjectFactory(tenant=capital, slug="second")
    of_loan, gone = person(Role.APPROVER, capital, loan), person(Role.APPROVER, capital)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    ended = person(Role.TENANT_ADMIN, capital)
    Membership.objects.filter(user=ended).update(ends_at=NOW)
    assert set(people_who(A.APPROVE, capital.pk, loan.pk, now=NOW)) == {approver, of_loan}
    assert set(people_who(A.APPROVE, capital.pk, second.pk, now=NOW)) == {approver}
    assert set(people_who(A.APPROVE, capital.pk, now=NOW)) == {approver}


def test_memberships_are_seen_by_who_manages_them(
    capital: Tenant, loan: Project, developer: User, tenant_admin: User, finance: User
) -> None:
    of_loan = person(Role.TENANT_ADMIN, capital, loan)
    UserFactory(roles=[(Role.DEVELOPER, TenantFactory())])
    assert {row.user for row in memberships_for(acting(tenant_admin))} == {developer, tenant_admin, of_loan}
    assert {row.user for row in memberships_for(acting(of_loan))} == {of_loan}
    assert not memberships_for(acting(developer)).exists()
    assert memberships_for(acting(finance)).count() == 5
