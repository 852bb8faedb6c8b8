"""Standing in: who for whom, for how long; and every way in which it is refused, with nothing changed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from catalog.approvals import delegations
from catalog.approvals.errors import DelegationPeriodInvalid
from catalog.approvals.models import Delegation
from catalog.audit.models import AuditEntry
from catalog.common.errors import DomainError
from catalog.tenancy.models import Role, Tenant, User
from catalog.tenancy.policy import Actor
from tests.factories import NOW, UserFactory, acting

DAY = timedelta(days=1)
pytestmark = pytest.mark.django_db


def give(person: User, tenant: Tenant | None, to: str, **more: Any) -> Delegation:
    given = {"starts_at": None, "ends_at": NOW + 7 * DAY, "now": NOW}
    return delegations.delegate(acting(person), tenant=tenant, to=to, **{**given, **more})


def refused(deed: Callable[[], object]) -> str:
    before = sorted(Delegation.objects.values_list("pk", "starts_at", "ends_at")), AuditEntry.objects.count()
    with pytest.raises(DomainError) as refusal:
        deed()
    assert (sorted(Delegation.objects.values_list("pk", "starts_at", "ends_at")), AuditEntry.objects.count()) == before
    return refusal.value.code


def test_it_is_written_down(approver: User, developer: User, capital: Tenant) -> None:
    given = give(approver, capital, "dana")
    assert (given.person, given.delegate, given.starts_at, given.ends_at) == (approver, developer, NOW, NOW + 7 * DAY)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.tenant_id) == ("delegation.given", "arun", capital.pk)
    assert (entry.after["person"], entry.after["delegate"]) == ("arun", "dana")


def test_to_whom(approver: User, developer: User, mallory: User, capital: Tenant) -> None:
    inactive = UserFactory(username="gone", roles=[(Role.DEVELOPER, capital)], is_active=False)
    assert refused(lambda: give(approver, capital, "arun")) == "delegation-to-self"
    for name in ("mallory", "nobody", inactive.username, ""):
        assert refused(lambda name=name: give(approver, capital, name)) == "delegate-unsuitable"  # type: ignore[misc]
    assert refused(lambda: give(developer, capital, "arun")) == "nothing-to-delegate"
    assert refused(lambda: give(mallory, capital, "dana")) == "nothing-to-delegate"
    assert refused(lambda: give(approver, None, "dana")) == "nothing-to-delegate"


def test_for_the_group_the_deputy_sees_the_group(operator: User, developer: User, auditor: User) -> None:
    assert refused(lambda: give(operator, None, "dana")) == "delegate-unsuitable"
    assert give(operator, None, "audrey").tenant is None


@pytest.mark.parametrize(
    ("starts_at", "ends_at"),
    [
        (None, NOW), (None, NOW - DAY), (NOW + 2 * DAY, NOW + DAY), (NOW - 3 * DAY, NOW - DAY), (None, NOW + 93 * DAY),
        (NOW + 20 * 365 * DAY, NOW + 20 * 365 * DAY + DAY), (NOW + DAY, NOW + DAY),
    ],
)  # fmt: skip
def test_for_how_long(
    approver: User, developer: User, capital: Tenant, starts_at: datetime | None, ends_at: datetime
) -> None:
    code = refused(lambda: give(approver, capital, "dana", starts_at=starts_at, ends_at=ends_at))
    assert code == DelegationPeriodInvalid.code


def test_nobody_is_away_twice_at_a_time(approver: User, developer: User, tenant_admin: User, capital: Tenant) -> None:
    give(approver, capital, "dana")
    assert refused(lambda: give(approver, capital, "tara")) == "delegation-overlaps"
    later = give(approver, capital, "tara", starts_at=NOW + 7 * DAY, ends_at=NOW + 8 * DAY)
    assert later.starts_at == NOW + 7 * DAY


def test_nothing_is_passed_on(approver: User, tenant_admin: User, capital: Tenant) -> None:
    other = UserFactory(username="ben", roles=[(Role.APPROVER, capital)])
    give(approver, capital, "tara")
    # Tara stands in for Arun, so she gives nothing away; and Arun is away, so nobody gives him anything.
    assert refused(lambda: give(tenant_admin, capital, "ben")) == "delegation-chain"
    assert refused(lambda: give(other, capital, "arun")) == "delegation-chain"
    assert give(tenant_admin, capital, "ben", starts_at=NOW + 7 * DAY, ends_at=NOW + 9 * DAY).delegate == other


def test_ended_by_those_who_may(
    approver: User, developer: User, tenant_admin: User, mallory: User, capital: Tenant
) -> None:
    given = give(approver, capital, "dana")
    half = NOW + DAY

    def end(who: User) -> Delegation:
        actor: Actor = acting(who)
        return delegations.end(actor, given, now=half)

    assert refused(lambda: end(mallory)) == "not-found"
    assert refused(lambda: end(developer)) == "forbidden"
    assert end(tenant_admin).ends_at == half
    assert refused(lambda: end(approver)) == "delegation-over"
    assert AuditEntry.objects.filter(action="delegation.ended").get().actor == "tara"


def test_one_that_has_not_begun_never_does(approver: User, developer: User, capital: Tenant) -> None:
    given = give(approver, capital, "dana", starts_at=NOW + DAY, ends_at=NOW + 2 * DAY)
    ended = delegations.end(acting(approver), given, now=NOW)
    assert ended.starts_at == ended.ends_at == NOW + DAY
