"""Role × action × own, other or no tenant: the whole matrix, written out a second time by hand."""

from datetime import timedelta

import pytest

from catalog.common.errors import Forbidden, NotFound
from catalog.tenancy.models import Membership, Role, Tenant, User
from catalog.tenancy.policy import Action, Actor, actor_for, can, require, system, visible_tenants
from tests.factories import NOW, TenantFactory, UserFactory, acting

OWN = {
    Role.DEVELOPER: {Action.VIEW, Action.ORDER, Action.REVEAL_SECRET},
    Role.APPROVER: {Action.VIEW, Action.APPROVE},
    Role.TENANT_ADMIN: {Action.VIEW, Action.ORDER, Action.APPROVE, Action.REVEAL_SECRET, Action.APPROVE_AS_ADMIN},
}
GROUP = {
    Role.CATALOG_ADMIN: {Action.CURATE, Action.APPROVE_CATALOG},
    Role.OPERATOR: {Action.VIEW, Action.VIEW_POOL, Action.OPERATE_POOL, Action.APPROVE_POOL},
    Role.FINANCE: {Action.VIEW},
    Role.AUDITOR: {Action.VIEW, Action.VIEW_POOL, Action.AUDIT, Action.HOLD},
    Role.GROUP_ADMIN: {Action.VIEW, Action.VIEW_POOL, Action.HOLD, Action.APPROVE_GROUP, Action.OVERRIDE_FREEZE},
}

pytestmark = pytest.mark.django_db


def allowed(actor: Actor, tenant: Tenant | None) -> set[Action]:
    return {action for action in Action if can(actor, action, tenant.pk if tenant else None)}


@pytest.mark.parametrize("role", OWN)
def test_a_role_of_an_affiliate_counts_there_and_nowhere_else(role: Role, capital: Tenant, card: Tenant) -> None:
    actor = acting(UserFactory(roles=[(role, capital)]))
    assert allowed(actor, capital) == OWN[role]
    assert allowed(actor, card) == set()
    assert allowed(actor, None) == set()
    assert visible_tenants(actor) == {capital.pk}


@pytest.mark.parametrize("role", GROUP)
def test_a_role_of_the_group_counts_everywhere(role: Role, capital: Tenant) -> None:
    actor = acting(UserFactory(roles=[(role, None)]))
    assert allowed(actor, capital) == GROUP[role]
    assert allowed(actor, None) == GROUP[role]
    assert visible_tenants(actor) == (None if Action.VIEW in GROUP[role] else frozenset())


def test_the_two_lists_name_every_role() -> None:
    assert set(OWN) | set(GROUP) == set(Role)


def test_mallory_is_told_that_nothing_exists(mallory: User, capital: Tenant) -> None:
    actor = acting(mallory)
    for action in Action:
        with pytest.raises(NotFound):
            require(actor, action, capital.pk)
    assert capital.pk not in visible_tenants(actor)  # type: ignore[operator]


def test_who_may_look_but_not_touch_is_told_so(approver: User, finance: User, capital: Tenant) -> None:
    with pytest.raises(Forbidden):
        require(acting(approver), Action.ORDER, capital.pk)
    with pytest.raises(Forbidden):
        require(acting(finance), Action.REVEAL_SECRET, capital.pk)
    require(acting(approver), Action.APPROVE, capital.pk)


def test_a_membership_ends(capital: Tenant) -> None:
    user = UserFactory(roles=[(Role.DEVELOPER, capital)])
    Membership.objects.update(ends_at=NOW)
    assert can(actor_for(user, now=NOW - timedelta(seconds=1)), Action.ORDER, capital.pk)
    assert not can(actor_for(user, now=NOW), Action.ORDER, capital.pk)


def test_the_platform_may_everything_and_a_superuser_by_itself_nothing(capital: Tenant) -> None:
    assert allowed(system("test"), capital) == set(Action)
    root = UserFactory(username="root", is_staff=True, is_superuser=True)
    assert allowed(acting(root), capital) == set()


def test_two_roles_add_up() -> None:
    one, two = TenantFactory(), TenantFactory()
    actor = acting(UserFactory(roles=[(Role.DEVELOPER, one), (Role.APPROVER, two)]))
    assert allowed(actor, one) == OWN[Role.DEVELOPER]
    assert allowed(actor, two) == OWN[Role.APPROVER]
    assert visible_tenants(actor) == {one.pk, two.pk}
