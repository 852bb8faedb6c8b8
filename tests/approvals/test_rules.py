"""Which rule decides, what it demands, and how it says so."""

from dataclasses import replace

import pytest
from django.utils import translation

from catalog.approvals.explanations import because, by_whom, reasons_of
from catalog.approvals.rules import (
    CostsMoreThan,
    Does,
    Facts,
    HoldsData,
    InProduction,
    InZone,
    OfAffiliate,
    OfOffering,
    OfPlan,
    Rule,
    Step,
    condition,
    demanded,
)
from catalog.common.data import DataClass

FACTS = Facts(
    tenant="capital", offering="postgresql", plan="small", price_krw_month=100_000, data_class="internal", zone="zone-a",
    deed="create", production=False,
)  # fmt: skip
TWO_LEVELS = (Step("tenant_admin"), Step("operator", 2))
HOLDING = [
    (OfAffiliate("capital"), {"tenant": "card"}),
    (OfOffering("postgresql"), {"offering": "redis"}),
    (OfPlan("postgresql/small"), {"plan": "large"}),
    (InZone("zone-a"), {"zone": "zone-b"}),
    (CostsMoreThan(99_999), {"price_krw_month": 99_999}),
    (HoldsData("internal"), {"data_class": "public"}),
    (Does("create"), {"deed": "operate"}),
    (InProduction(False), {"production": True}),
]


def demand(*rules: Rule, facts: Facts = FACTS, zones: tuple[str, ...] = (), threshold: int = 10**9) -> tuple[Step, ...]:
    return demanded(rules, facts, zones=zones, threshold=threshold).steps


@pytest.mark.parametrize(("asked", "other"), HOLDING, ids=lambda each: getattr(each, "kind", ""))
def test_a_condition_holds_where_it_says_and_nowhere_else(asked: object, other: dict[str, object]) -> None:
    rule = Rule("r", (asked,), TWO_LEVELS)  # type: ignore[arg-type]  # one of the conditions
    assert demand(rule) == TWO_LEVELS
    assert demand(rule, facts=replace(FACTS, **other)) == ()  # type: ignore[arg-type]  # a field of it


@pytest.mark.parametrize("asked", [each for each, _other in HOLDING], ids=lambda each: each.kind)
def test_a_condition_survives_being_kept_and_reads_in_both_languages(asked: OfAffiliate) -> None:
    kept = condition(asked.kind, asked.value)
    assert kept == asked
    with translation.override("en"):
        english = kept.words()
    with translation.override("ko"):
        korean = kept.words()
    assert english
    assert any("가" <= letter <= "힣" for letter in korean), korean


def test_more_protected_data_is_meant_too() -> None:
    rule = Rule("r", (HoldsData("personal-credit"),), TWO_LEVELS)
    asked = {each: bool(demand(rule, facts=replace(FACTS, data_class=each))) for each in DataClass.values}
    assert asked == {"public": False, "internal": False, "personal-credit": True, "unique-id": True}


def test_the_first_by_priority_decides_and_at_equal_priority_the_one_that_asks_more() -> None:
    anything = Rule("anything", (), (Step("approver"),), 10)
    ours = Rule("ours", (OfAffiliate("capital"),), TWO_LEVELS, 10)
    earlier = Rule("earlier", (), (), 9)
    assert demand(anything, ours) == demand(ours, anything) == TWO_LEVELS
    assert demand(anything, ours, earlier) == ()


@pytest.mark.parametrize(
    ("deed", "price", "steps", "code"),
    [
        ("create", 100_000, (), "under-threshold"),
        ("create", 100_001, (Step("approver"),), "threshold"),
        ("update", 100_001, (Step("approver"),), "threshold"),
        ("operate", 10**9, (), "operate"),
        ("decommission", 10**9, (), "give-back"),
    ],
)
def test_without_rules_it_is_the_price(deed: str, price: int, steps: tuple[Step, ...], code: str) -> None:
    found = demanded([], replace(FACTS, deed=deed, price_krw_month=price), zones=(), threshold=100_000)
    assert (found.steps, found.code) == (steps, code)


def test_nobody_gets_round_a_zones_rule_by_leaving_the_zone_open() -> None:
    strict = Rule("strict", (InZone("zone-x"),), (Step("group_admin"),), 1)
    lenient = Rule("lenient", (InZone("zone-y"),), (), 2)
    rest = Rule("rest", (), (Step("approver", 2),), 3)
    open_zone = replace(FACTS, zone=None)
    assert demand(strict, lenient, rest, facts=replace(FACTS, zone="zone-y")) == ()
    both = demanded([strict, lenient, rest], open_zone, zones=("zone-x", "zone-y"), threshold=0)
    assert both.steps == (Step("approver", 2), Step("group_admin"))
    assert [rule.name for rule in both.rules] == ["rest", "strict"]
    # A zone that is local to others is none of those it may come to stand in.
    assert demand(strict, lenient, rest, facts=open_zone, zones=("zone-y",)) == (Step("approver", 2),)


def test_it_says_why_and_who() -> None:
    rule = Rule("Protected data", (HoldsData("unique-id"), Does("create")), TWO_LEVELS)
    found = demanded([rule], replace(FACTS, data_class="unique-id"), zones=(), threshold=0)
    with translation.override("en"):
        assert because(reasons_of(found)) == (
            "It must be approved by the rule “Protected data” because its data are at least: unique identifiers, the action is: "
            "create."
        )
        assert [by_whom(step) for step in found.steps] == [
            "an administrator of the affiliate", "a pool operator (2 people)",
        ]  # fmt: skip
    with translation.override("ko"):
        assert because(reasons_of(found)) == (
            "“Protected data” 규칙에 따라 승인이 필요합니다. 해당 조건: 데이터 등급이 고유식별정보 이상, 작업이 신규."
        )
        assert [by_whom(step) for step in found.steps] == ["계열사 관리자", "자원 풀 운영자 2명"]
    dear = demanded([], replace(FACTS, price_krw_month=200_000), zones=(), threshold=100_000)
    with translation.override("en"):
        assert because(reasons_of(dear)) == (
            "It must be approved because the action is: create, it costs more than ₩100,000 a month."
        )
