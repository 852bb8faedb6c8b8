"""Who grants what to whom, and every refusal with nothing changed."""

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection

from catalog.audit.models import AuditEntry
from catalog.common.errors import DomainError, Forbidden, NotFound
from catalog.people.errors import (
    MembershipEnded,
    MembershipEndInvalid,
    MembershipExists,
    OwnMembership,
    PersonUnknown,
    RoleScopeMismatch,
)
from catalog.people.memberships import active_person, end, grant, set_end
from catalog.tenancy.models import GROUP_ROLES, TENANT_ROLES, Membership, Project, Role, Tenant, User
from tests.factories import NOW, ProjectFactory, UserFactory, acting

pytestmark = pytest.mark.django_db


def rows() -> list[tuple[object, ...]]:
    return sorted(Membership.objects.values_list("user", "role", "tenant", "project", "ends_at"), key=str)


def refused(error: type[DomainError], deed: object, *args: object, **kwargs: object) -> DomainError:
    """The refusal; nothing has changed and nothing was recorded."""
    before = rows(), AuditEntry.objects.count()
    with pytest.raises(error) as said:
        deed(*args, now=NOW, **kwargs)  # type: ignore[operator]
    assert said.type is error
    assert (rows(), AuditEntry.objects.count()) == before
    return said.value


def test_an_affiliate_admin_grants_and_ends_roles_of_their_own(
    capital: Tenant, loan: Project, tenant_admin: User
) -> None:
    tara, ivy = acting(tenant_admin), UserFactory(username="ivy")
    until = NOW + timedelta(days=30)
    row = grant(tara, ivy, Role.DEVELOPER, tenant=capital, project=loan, ends_at=until, now=NOW)
    entry = AuditEntry.objects.get(action="membership.grant")
    assert (entry.actor, entry.source, entry.tenant_id, entry.before) == ("tara", "127.0.0.1", capital.pk, {})
    assert entry.after == {
        "user": "ivy", "role": "developer", "tenant": "capital", "project": "capital/loan", "ends_at": until.isoformat(),
    }  # fmt: skip
    end(tara, row, now=NOW)
    row.refresh_from_db()
    assert row.ends_at == NOW
    entry = AuditEntry.objects.get(action="membership.end")
    assert (entry.before["ends_at"], entry.after["ends_at"]) == (until.isoformat(), NOW.isoformat())
    again = grant(tara, ivy, Role.DEVELOPER, tenant=capital, project=loan, now=NOW)
    assert (again.pk, again.ends_at) == (row.pk, None), "one that ended is revived"


@pytest.mark.parametrize("role", sorted(GROUP_ROLES))
def test_an_affiliate_admin_grants_no_role_of_the_group(role: str, capital: Tenant, tenant_admin: User) -> None:
    ivy = UserFactory(username="ivy")
    refused(Forbidden, grant, acting(tenant_admin), ivy, role, tenant=None)
    refused(RoleScopeMismatch, grant, acting(tenant_admin), ivy, role, tenant=capital)


@pytest.mark.parametrize("role", sorted(TENANT_ROLES))
def test_an_affiliate_admin_touches_no_other(
    role: str, card: Tenant, points: Project, tenant_admin: User, card_developer: User
) -> None:
    ivy, tara = UserFactory(username="ivy"), acting(tenant_admin)
    refused(NotFound, grant, tara, ivy, role, tenant=card)
    refused(NotFound, grant, tara, ivy, role, tenant=card, project=points)
    refused(NotFound, end, tara, card_developer.memberships.get())


def test_a_project_admin_stays_in_the_project(capital: Tenant, loan: Project) -> None:
    second, ivy, otto = ProjectFactory(tenant=capital, slug="second"), UserFactory(), UserFactory()
    Membership.objects.create(user=ivy, role=Role.TENANT_ADMIN, tenant=capital, project=loan)
    actor = acting(ivy)
    refused(NotFound, grant, actor, otto, Role.DEVELOPER, tenant=capital)
    refused(NotFound, grant, actor, otto, Role.DEVELOPER, tenant=capital, project=second)
    grant(actor, otto, Role.DEVELOPER, tenant=capital, project=loan, now=NOW)
    refused(OwnMembership, end, actor, ivy.memberships.get())


def test_nobody_grants_or_ends_their_own(capital: Tenant, tenant_admin: User, group_admin: User) -> None:
    refused(OwnMembership, grant, acting(tenant_admin), tenant_admin, Role.APPROVER, tenant=capital)
    refused(OwnMembership, end, acting(tenant_admin), tenant_admin.memberships.get())
    refused(OwnMembership, grant, acting(group_admin), group_admin, Role.AUDITOR, tenant=None)
    grant(acting(group_admin), tenant_admin, Role.AUDITOR, tenant=None, now=NOW)


@pytest.mark.parametrize("who", ["developer", "approver", "finance", "auditor", "operator", "catalog_admin"])
def test_nobody_else_manages_members(who: str, capital: Tenant, request: pytest.FixtureRequest) -> None:
    actor, ivy = acting(request.getfixturevalue(who)), UserFactory(username="ivy")
    expected = NotFound if who == "catalog_admin" else Forbidden
    refused(expected, grant, actor, ivy, Role.DEVELOPER, tenant=capital)
    refused(Forbidden, grant, actor, ivy, Role.FINANCE, tenant=None)


def test_a_role_for_a_stranger_is_refused(capital: Tenant, tenant_admin: User) -> None:
    gone = UserFactory(username="gone", is_active=False)
    for name in ("nobody", "gone", "", "a\x00b"):
        with pytest.raises(PersonUnknown) as said:
            active_person(name)
        assert said.value.code == "person-unknown"
        assert set(said.value.fields) == {"user"}
    refused(PersonUnknown, grant, acting(tenant_admin), gone, Role.DEVELOPER, tenant=capital)


def test_absurd_places_and_ends_are_refused(
    capital: Tenant, points: Project, tenant_admin: User, developer: User
) -> None:
    tara, ivy = acting(tenant_admin), UserFactory(username="ivy")
    refused(RoleScopeMismatch, grant, tara, ivy, Role.DEVELOPER, tenant=None)
    refused(RoleScopeMismatch, grant, tara, ivy, Role.DEVELOPER, tenant=capital, project=points)
    refused(RoleScopeMismatch, grant, tara, ivy, "emperor", tenant=capital)
    refused(MembershipEndInvalid, grant, tara, ivy, Role.DEVELOPER, tenant=capital, ends_at=NOW)
    refused(MembershipExists, grant, tara, developer, Role.DEVELOPER, tenant=capital)
    row = end(tara, developer.memberships.get(), now=NOW)
    refused(MembershipEnded, end, tara, row)
    refused(MembershipEndInvalid, set_end, tara, row, NOW - timedelta(days=1))


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_role_granted_by_many_at_once_is_granted_once(capital: Tenant) -> None:
    admins = [acting(UserFactory(roles=[(Role.TENANT_ADMIN, capital)])) for _ in range(8)]
    ivy, start, outcomes = UserFactory(username="ivy"), Barrier(8), list[str]()

    def go(number: int) -> None:
        start.wait()
        try:
            grant(admins[number], ivy, Role.DEVELOPER, tenant=capital, now=NOW)
            outcomes.append("granted")
        except MembershipExists as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [Thread(target=go, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["granted", *["membership-exists"] * 7]
    assert ivy.memberships.count() == 1
    assert AuditEntry.objects.filter(action="membership.grant").count() == 1
