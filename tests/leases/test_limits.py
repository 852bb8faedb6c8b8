"""Which policy holds, what it refuses, and what a project's end does to orders and extensions."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from catalog.common.errors import DomainError
from catalog.instances.models import ServiceInstance
from catalog.leases import services as leases
from catalog.leases.errors import ExtensionTooLong, LeaseOutlivesProject, LeaseTooLong, LeaseTooShort, NoExtensionLeft
from catalog.leases.limits import Limits, extension_room, limits_for, merged, order_seconds
from catalog.leases.models import Lease, LeasePolicy
from catalog.offerings.models import Plan
from catalog.tenancy.models import Project, Tenant, User
from tests.factories import NOW, TESTER, InstanceFactory, OfferingFactory, PlanFactory, acting

HOUR, DAY = 3600, 86_400
spans = st.none() | st.integers(1, 10 * DAY)


@pytest.fixture(autouse=True)
def by_the_settings(settings: Any) -> None:
    settings.LEASE_DEFAULT_SECONDS, settings.LEASE_MAX_SECONDS, settings.TIME_ZONE = 30 * DAY, 90 * DAY, "Asia/Seoul"


@pytest.fixture
def plan(db: None) -> Plan:
    return PlanFactory()


@pytest.fixture
def lease(loan: Project, plan: Plan) -> Lease:
    """An hour."""
    return leases.start(InstanceFactory(project=loan, plan=plan), seconds=HOUR, now=NOW, actor=TESTER)


def test_settings_hold_where_no_policy_says(loan: Project, plan: Plan) -> None:
    assert limits_for(loan.tenant_id, plan.offering_id) == Limits(30 * DAY, 90 * DAY, None, None)


def test_each_member_comes_from_the_most_specific_policy_that_sets_it(
    loan: Project, points: Project, plan: Plan
) -> None:
    mine, offering, other = loan.tenant, plan.offering, OfferingFactory(slug="redis")
    LeasePolicy.objects.create(default_seconds=1 * DAY, longest_seconds=2 * DAY, most_extensions=9)
    LeasePolicy.objects.create(offering=offering, longest_seconds=3 * DAY, longest_extension_seconds=HOUR)
    LeasePolicy.objects.create(tenant=mine, longest_seconds=4 * DAY, most_extensions=0)
    assert limits_for(mine.pk, offering.pk) == Limits(1 * DAY, 4 * DAY, HOUR, 0)
    assert limits_for(mine.pk, other.pk) == Limits(1 * DAY, 4 * DAY, None, 0)
    assert limits_for(points.tenant_id, offering.pk) == Limits(1 * DAY, 3 * DAY, HOUR, 9)
    assert limits_for(points.tenant_id, other.pk) == Limits(1 * DAY, 2 * DAY, None, 9)
    LeasePolicy.objects.create(tenant=mine, offering=offering, longest_seconds=HOUR)
    assert limits_for(mine.pk, offering.pk) == Limits(HOUR, HOUR, HOUR, 0), "a default is never above the longest"


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), spans, spans, spans, st.none() | st.integers(0, 5)), max_size=6)
)
def test_whatever_policies_there_are_their_order_does_not_matter_and_the_default_fits(rows: list[Any]) -> None:
    tenant, offering = Tenant(), OfferingFactory.build()
    unique = {(row[0], row[1]): row for row in rows}
    policies = [
        LeasePolicy(
            tenant=tenant if own else None, offering=offering if this else None, default_seconds=default,
            longest_seconds=longest, longest_extension_seconds=extension, most_extensions=most,
        )
        for own, this, default, longest, extension, most in unique.values()
    ]  # fmt: skip
    found = merged(policies, default_seconds=30 * DAY, longest_seconds=90 * DAY)
    assert found == merged(policies[::-1], default_seconds=30 * DAY, longest_seconds=90 * DAY)
    assert 1 <= found.default_seconds <= found.longest_seconds
    assert found.longest_seconds in {row[3] for row in unique.values()} | {90 * DAY}


def test_there_is_one_policy_for_each_pair(capital: Tenant, plan: Plan) -> None:
    for tenant, offering in [(None, None), (capital, None), (None, plan.offering), (capital, plan.offering)]:
        LeasePolicy.objects.create(tenant=tenant, offering=offering)
        again = LeasePolicy(tenant=tenant, offering=offering)
        with pytest.raises(ValidationError, match="There is a policy for this affiliate and this offering"):
            again.full_clean()
        with pytest.raises(IntegrityError), transaction.atomic():
            again.save()
    assert LeasePolicy.objects.count() == 4


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"default_seconds": 2, "longest_seconds": 1}, "may not be longer than the longest lease"),
        ({"default_seconds": 0}, "greater than or equal to 1"),
        ({"longest_seconds": -1}, "greater than or equal to 1"),
        ({"longest_extension_seconds": 10**12}, "less than or equal to"),
        ({"most_extensions": -1}, "greater than or equal to 0"),
    ],
)
def test_an_absurd_policy_is_refused(db: None, members: dict[str, int], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LeasePolicy(**members).full_clean()


@pytest.mark.parametrize(("asked", "got"), [(None, 30 * DAY), (1, 1), (90 * DAY, 90 * DAY)])
def test_an_order_gets_what_the_policy_allows(loan: Project, plan: Plan, asked: int | None, got: int) -> None:
    assert order_seconds(loan, plan, asked, now=NOW) == got


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        (0, LeaseTooShort, "The time must be at least one second, and end in the future. Choose a later end."),
        (-1, LeaseTooShort, "The time must be at least one second, and end in the future. Choose a later end."),
        (90 * DAY + 1, LeaseTooLong, "A service may stay 90 days from its start. Choose an earlier end."),
        (10**15, LeaseTooLong, "A service may stay 90 days from its start. Choose an earlier end."),
    ],
)
def test_an_order_beyond_it_is_refused_with_the_limit(
    loan: Project, plan: Plan, asked: int, error: type[DomainError], said: str
) -> None:
    with pytest.raises(error) as refused:
        order_seconds(loan, plan, asked, now=NOW)
    assert {name: str(text) for name, text in refused.value.fields.items()} == {"lease_seconds": said}


def test_a_project_that_ends_cuts_the_default_and_refuses_what_was_asked(loan: Project, plan: Plan) -> None:
    loan.ends_on = date(2026, 11, 4)
    until = datetime(2026, 11, 4, 15, tzinfo=UTC)
    left = int((until - NOW).total_seconds())
    assert order_seconds(loan, plan, None, now=NOW) == left
    assert order_seconds(loan, plan, left, now=NOW) == left
    with pytest.raises(LeaseOutlivesProject) as refused:
        order_seconds(loan, plan, left + 1, now=NOW)
    assert str(refused.value.detail) == (
        "The project capital/loan may use services until the end of 2026-11-04. Choose an earlier end."
    )
    assert order_seconds(loan, plan, None, now=until - timedelta(microseconds=1)) == 1


def test_a_lease_starts_no_longer_than_its_project_lasts(loan: Project, plan: Plan) -> None:
    Project.objects.update(ends_on=date(2026, 11, 2))
    until = datetime(2026, 11, 2, 15, tzinfo=UTC)
    first = leases.start(InstanceFactory(project=loan, plan=plan), seconds=DAY, now=NOW, actor=TESTER)
    assert first.ends_at == until
    late = leases.start(InstanceFactory(project=loan, plan=plan), seconds=DAY, now=until, actor=TESTER)
    assert late.ends_at == until + timedelta(seconds=1)


def test_what_was_approved_is_built_whatever_the_policy_says_by_then(loan: Project, plan: Plan) -> None:
    LeasePolicy.objects.create(longest_seconds=HOUR)
    long = leases.start(InstanceFactory(project=loan, plan=plan), seconds=DAY, now=NOW, actor=TESTER)
    assert long.ends_at == NOW + timedelta(days=1)


def _unchanged(lease: Lease) -> None:
    lease.refresh_from_db()
    assert (lease.ends_at, lease.extensions, lease.events.count()) == (NOW + timedelta(hours=1), 0, 1)


def test_an_extension_is_bounded_at_once_and_in_number(lease: Lease, developer: User) -> None:
    policy = LeasePolicy.objects.create(longest_extension_seconds=2 * HOUR, most_extensions=1)
    with pytest.raises(ExtensionTooLong) as refused:
        leases.extend(acting(developer), lease, seconds=2 * HOUR + 1, now=NOW)
    assert str(refused.value.detail) == "A lease may be extended by at most 2 h at a time. Choose an earlier end."
    _unchanged(lease)
    leases.extend(acting(developer), lease, seconds=2 * HOUR, now=NOW)
    assert (lease.extensions, lease.ends_at) == (1, NOW + timedelta(hours=3))
    with pytest.raises(NoExtensionLeft) as last:
        leases.extend(acting(developer), lease, seconds=1, now=NOW)
    assert str(last.value.detail).startswith("This lease was extended 1 time, as often as it may be.")
    LeasePolicy.objects.filter(pk=policy.pk).update(most_extensions=0)
    with pytest.raises(NoExtensionLeft) as never:
        leases.extend(acting(developer), lease, seconds=1, now=NOW)
    assert str(never.value.detail).startswith("Leases of this offering are not extended.")


def test_an_extension_beyond_the_project_is_refused(lease: Lease, developer: User) -> None:
    Project.objects.update(ends_on=date(2026, 11, 2))
    left = int((datetime(2026, 11, 2, 15, tzinfo=UTC) - lease.ends_at).total_seconds())
    with pytest.raises(LeaseOutlivesProject) as refused:
        leases.extend(acting(developer), lease, seconds=left + 1, now=NOW)
    assert "until the end of 2026-11-02" in str(refused.value.fields["seconds"])
    _unchanged(lease)
    assert leases.extend(acting(developer), lease, seconds=left, now=NOW).ends_at == datetime(
        2026, 11, 2, 15, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "case",
    [
        ({}, None, 0, 90 * DAY - HOUR),
        ({"longest_extension_seconds": DAY}, None, 0, DAY),
        ({"most_extensions": 2}, None, 1, 90 * DAY - HOUR),
        ({"most_extensions": 2}, None, 2, 0),
        ({"longest_seconds": HOUR}, None, 0, 0),
        ({"longest_seconds": 60}, None, 0, 0),
        ({}, date(2026, 11, 2), 0, 5 * HOUR),
        ({}, date(2026, 11, 1), 0, 0),
    ],
)
def test_what_is_said_to_be_room_is_granted_and_a_second_more_is_not(
    lease: Lease, developer: User, case: tuple[dict[str, int], date | None, int, int]
) -> None:
    policy, ends_on, made, room = case
    LeasePolicy.objects.create(**policy)
    Project.objects.update(ends_on=ends_on)
    Lease.objects.update(extensions=made)
    fresh = ServiceInstance.objects.select_related("project", "plan", "lease").get().lease
    assert extension_room(fresh, NOW) == room
    with pytest.raises(DomainError):
        leases.extend(acting(developer), fresh, seconds=room + 1, now=NOW)
    if room:
        leases.extend(acting(developer), fresh, seconds=room, now=NOW)
