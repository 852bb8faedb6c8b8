"""Rules nobody could satisfy and freezes without a time are refused; nothing of them is saved."""

from datetime import time, timedelta
from typing import Any

import pytest

from catalog.approvals.calendar import Recurrence
from catalog.approvals.curation import check_freeze, check_rule, read_steps
from catalog.approvals.models import DEAREST, ApprovalRule, FreezeWindow
from catalog.common.errors import DomainError
from catalog.pool.models import Zone
from catalog.tenancy.models import Role, Tenant, User
from tests.factories import NOW, OfferingFactory, PlanFactory, UserFactory, ZoneFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "raw",
    [
        None, "approver", {}, [{}], [{"who": "approver"}], [{"who": "developer", "people": 1}], [{"who": "", "people": 1}],
        [{"who": "approver", "people": 0}], [{"who": "approver", "people": -1}], [{"who": "approver", "people": 6}],
        [{"who": "approver", "people": True}], [{"who": "approver", "people": 1.5}], [{"who": "approver", "people": "2"}],
        [{"who": "approver", "people": 1, "more": 1}], [{"who": "approver", "people": 1}] * 5, [["approver", 1]],
    ],
    ids=str,
)  # fmt: skip
def test_impossible_levels(raw: Any) -> None:
    with pytest.raises(DomainError) as refusal:
        read_steps(raw)
    assert refusal.value.code == "approval-steps-impossible"
    assert set(refusal.value.fields) == {"steps"}


def test_possible_levels() -> None:
    assert read_steps([]) == ()
    assert [step.people for step in read_steps([{"who": "approver", "people": 5}] * 4)] == [5] * 4


def code_of(**values: Any) -> tuple[str, set[str]]:
    with pytest.raises(DomainError) as refusal:
        check_rule(ApprovalRule(name="rule", **values), now=NOW)
    assert not ApprovalRule.objects.exists()
    return refusal.value.code, set(refusal.value.fields)


def steps(*levels: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"who": who, "people": people} for who, people in levels]


def test_more_people_than_hold_the_role(operator: User, capital: Tenant, approver: User, tenant_admin: User) -> None:
    assert code_of(steps=steps((Role.OPERATOR, 2)))[0] == "too-few-deciders"
    assert code_of(steps=steps((Role.GROUP_ADMIN, 1)))[0] == "too-few-deciders"
    # Nobody counts twice: Tara would be needed on both levels.
    twice = steps((Role.APPROVER, 2), (Role.TENANT_ADMIN, 1))
    assert code_of(steps=twice, tenant=capital) == ("too-few-deciders", {"steps"})
    check_rule(
        ApprovalRule(name="rule", steps=steps((Role.APPROVER, 1), (Role.TENANT_ADMIN, 1)), tenant=capital), now=NOW
    )
    check_rule(ApprovalRule(name="rule", steps=twice), now=NOW)
    UserFactory(roles=[(Role.APPROVER, capital)])
    check_rule(ApprovalRule(name="rule", steps=twice, tenant=capital), now=NOW)
    # One that is put aside may wait for the roles to be granted.
    check_rule(ApprovalRule(name="rule", steps=steps((Role.OPERATOR, 2)), active=False), now=NOW)


@pytest.mark.parametrize("price", [-1, DEAREST + 1])
def test_absurd_prices(price: int) -> None:
    assert code_of(price_over_krw=price) == ("approval-rule-invalid", {"price_over_krw"})


def test_conditions_that_exclude_each_other(capital: Tenant, card: Tenant) -> None:
    theirs = ZoneFactory(slug="card-zone", kind=Zone.Kind.LOCAL, tenant=card)
    other = OfferingFactory(slug="other")
    assert code_of(plan=PlanFactory(), offering=other, zone=theirs, tenant=capital) == (
        "approval-rule-invalid", {"plan", "zone"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"deeds": []}, {"deeds"}),
        ({"deeds": ["explode"]}, {"deeds"}),
        ({"reason": " "}, {"reason"}),
        ({"ends_at": None}, {"ends_at"}),
        ({"ends_at": NOW}, {"ends_at"}),
        ({"ends_at": NOW - timedelta(days=1)}, {"ends_at"}),
        ({"recurrence": "weekly", "ends_at": None}, {"weekday", "time_from", "time_until"}),
        ({"recurrence": "month_end"}, {"working_days"}),
        ({"recurrence": "month_end", "working_days": 0}, {"working_days"}),
        ({"recurrence": "month_end", "working_days": 21}, {"working_days"}),
    ],
)
def test_freezes_that_never_are_or_never_end(values: dict[str, Any], fields: set[str]) -> None:
    given = {"reason": "x", "deeds": ["create"], "starts_at": NOW, "ends_at": NOW + timedelta(days=1)}
    with pytest.raises(DomainError) as refusal:
        check_freeze(FreezeWindow(**{**given, **values}))
    assert (refusal.value.code, set(refusal.value.fields)) == ("freeze-invalid", fields)


@pytest.mark.parametrize(
    "values",
    [
        {"recurrence": Recurrence.ONCE, "ends_at": NOW + timedelta(days=1)},
        {"recurrence": Recurrence.WEEKLY, "weekday": 0, "time_from": time(18), "time_until": time(6)},
        {"recurrence": Recurrence.MONTH_END, "working_days": 3},
    ],
)
def test_freezes_that_make_sense(values: dict[str, Any]) -> None:
    window = FreezeWindow(reason="x", deeds=["create"], starts_at=NOW, **values)
    check_freeze(window)
    window.save()
