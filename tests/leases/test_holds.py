"""Legal holds: who sets them, what they stop, how they end."""

from datetime import UTC, datetime, timedelta

import pytest

from catalog.audit.models import AuditEntry
from catalog.common.errors import DomainError, Forbidden, NotFound
from catalog.leases import services as leases
from catalog.leases.errors import HoldEndInvalid, HoldWithoutReason, LeaseEnded, LegalHold, NotHeld
from catalog.leases.holds import hold, lift_hold
from catalog.leases.models import Lease
from catalog.leases.notices import give_notices
from catalog.tenancy.models import Project, Role, User
from catalog.tenancy.policy import Actor
from tests.factories import NOW, TESTER, InstanceFactory, UserFactory, acting

pytestmark = pytest.mark.django_db
LATER = NOW + timedelta(days=30)


@pytest.fixture
def lease(loan: Project) -> Lease:
    """A day."""
    return leases.start(InstanceFactory(project=loan), seconds=86_400, now=NOW, actor=TESTER)


@pytest.fixture
def audrey(auditor: User) -> Actor:
    return acting(auditor)


def test_what_is_held_is_neither_reclaimed_nor_given_back(lease: Lease, audrey: Actor) -> None:
    hold(audrey, lease, reason=" Case 17 ", until=None, now=NOW)
    assert (lease.held_at, lease.held_until, lease.held_by, lease.hold_reason) == (NOW, None, "audrey", "Case 17")
    assert list(leases.due(LATER, None)) == []
    assert give_notices(lease.ends_at - timedelta(hours=1), actor=TESTER) == 0
    with pytest.raises(LegalHold):
        leases.end(lease.instance, now=LATER, actor=TESTER)
    lift_hold(audrey, lease, reason="Case closed", now=LATER)
    assert list(leases.due(LATER, None)) == [lease]
    leases.end(lease.instance, now=LATER, actor=TESTER)


def test_a_hold_with_an_end_ends_then_and_not_before(lease: Lease, audrey: Actor) -> None:
    hold(audrey, lease, reason="Case 17", until=LATER, now=NOW)
    assert list(leases.due(LATER - timedelta(microseconds=1), None)) == []
    assert list(leases.due(LATER, None)) == [lease]
    with pytest.raises(NotHeld):
        lift_hold(audrey, lease, reason="too late", now=LATER)


def test_both_are_recorded_and_the_reason_is_not_told_to_the_service_s_people(lease: Lease, audrey: Actor) -> None:
    hold(audrey, lease, reason="Case 17", until=LATER, now=NOW)
    hold(audrey, lease, reason="Case 18", until=None, now=NOW + timedelta(hours=1))
    assert lease.held_at == NOW, "it is the same hold, under another name"
    lift_hold(audrey, lease, reason="Case closed", now=NOW + timedelta(hours=2))
    said = AuditEntry.objects.filter(subject_type="lease", actor="audrey").values_list("action", "before", "after")
    nothing, until = {"until": None, "reason": ""}, LATER.isoformat()
    assert list(said) == [
        ("lease.held", nothing, {"until": until, "reason": "Case 17"}),
        ("lease.held", {"until": until, "reason": "Case 17"}, {"until": None, "reason": "Case 18"}),
        ("lease.hold-lifted", {"until": None, "reason": "Case 18"}, {"until": None, "reason": "Case closed"}),
    ]
    events = list(lease.events.filter(seq__gt=1).values_list("kind", "data"))
    assert events == [("held", {"until": until}), ("held", {"until": None}), ("hold-lifted", {"until": None})]


@pytest.mark.parametrize(
    ("reason", "until", "error"),
    [
        ("", None, HoldWithoutReason),
        (" \n", None, HoldWithoutReason),
        ("Case", NOW, HoldEndInvalid),
        ("Case", NOW - timedelta(days=1), HoldEndInvalid),
        ("Case", datetime(9999, 12, 31, 23, 59, tzinfo=UTC), HoldEndInvalid),
    ],
)
def test_a_hold_that_makes_no_sense_changes_nothing(
    lease: Lease, audrey: Actor, reason: str, until: datetime | None, error: type[DomainError]
) -> None:
    with pytest.raises(error):
        hold(audrey, lease, reason=reason, until=until, now=NOW)
    lease.refresh_from_db()
    assert (lease.held_at, lease.events.count()) == (None, 1)


def test_there_is_nothing_to_lift_and_nothing_to_hold(lease: Lease, audrey: Actor) -> None:
    with pytest.raises(NotHeld):
        lift_hold(audrey, lease, reason="why not", now=NOW)
    leases.end(lease.instance, now=NOW, actor=TESTER)
    with pytest.raises(LeaseEnded):
        hold(audrey, lease, reason="Case 17", until=None, now=NOW)


def test_only_auditors_and_group_administrators_hold(
    lease: Lease, developer: User, tenant_admin: User, operator: User, mallory: User
) -> None:
    hold(acting(UserFactory(roles=[(Role.GROUP_ADMIN, None)])), lease, reason="Case 17", until=None, now=NOW)
    for person, error in (
        (developer, Forbidden),
        (tenant_admin, Forbidden),
        (operator, Forbidden),
        (mallory, NotFound),
    ):
        with pytest.raises(error):
            hold(acting(person), lease, reason="Case 18", until=None, now=NOW)
        with pytest.raises(error):
            lift_hold(acting(person), lease, reason="no", now=NOW)
    lease.refresh_from_db()
    assert lease.hold_reason == "Case 17"


def test_what_was_missed_under_a_hold_is_announced_when_it_ends(loan: Project, audrey: Actor) -> None:
    month = leases.start(InstanceFactory(project=loan), seconds=20 * 86_400, now=NOW, actor=TESTER)
    hold(audrey, month, reason="Case 17", until=NOW + timedelta(days=18), now=NOW)
    assert give_notices(NOW + timedelta(days=17), actor=TESTER) == 0
    assert give_notices(NOW + timedelta(days=18), actor=TESTER) == 1
    assert month.events.get(kind="notice").data["days"] == 3
