"""What a user typed: checked against the schema, completed, and refused where no schema may allow it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.offerings.errors import NarrowingInvalid, ParameterForbidden, ParametersInvalid
from catalog.offerings.models import Plan
from catalog.offerings.schemas import narrowed, refuse_forbidden, validator, with_defaults
from catalog.offerings.services import parameter_schema, validate_parameters
from tests.factories import PlanFactory, manifest

SCHEMA = manifest()["parameters"]


@pytest.mark.django_db
def test_a_plan_is_narrowed_by_its_manifest_and_then_by_the_curator() -> None:
    plan: Plan = PlanFactory()
    assert parameter_schema(plan)["properties"]["max_connections"]["maximum"] == 50
    plan.narrowing = {"max_connections": {"maximum": 100, "minimum": 10}}
    assert parameter_schema(plan)["properties"]["max_connections"] == SCHEMA["properties"]["max_connections"] | {
        "minimum": 10,
        "maximum": 50,
    }
    assert validate_parameters(plan, {"max_connections": 50}) == {"database": "appdb", "max_connections": 50}
    with pytest.raises(ParametersInvalid) as refused:
        validate_parameters(plan, {"max_connections": 51})
    assert refused.value.fields == {"max_connections": "Must be at most 50."}
    assert plan.version.manifest["parameters"] == SCHEMA


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"max_connections": "20"}, {"max_connections": "Must be of type integer."}),
        ({"max_connections": True}, {"max_connections": "Must be of type integer."}),
        ({"max_connections": 20.5}, {"max_connections": "Must be of type integer."}),
        ({"max_connections": None}, {"max_connections": "Must be of type integer."}),
        ({"max_connections": 4}, {"max_connections": "Must be at least 5."}),
        ({"max_connections": 10**30}, {"max_connections": "Must be at most 200."}),
        ({"database": "1abc"}, {"database": "Must match ^[a-z][a-z0-9_]{0,30}$."}),
        ({"extra": 1, "other": 2}, {"extra": "There is no such parameter.", "other": "There is no such parameter."}),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, Any], fields: dict[str, str]) -> None:
    with pytest.raises(ParametersInvalid) as refused:
        with_defaults(SCHEMA, values)
    assert refused.value.fields == fields


@pytest.mark.parametrize("values", [None, [], "text", 3])
def test_parameters_are_an_object(values: Any) -> None:
    with pytest.raises(ParametersInvalid):
        with_defaults(SCHEMA, values)


def test_a_required_parameter_without_default_is_named() -> None:
    schema = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}
    with pytest.raises(ParametersInvalid) as refused:
        with_defaults(schema, {})
    assert refused.value.fields == {"size": "This parameter is required."}


def test_five_point_nought_becomes_five() -> None:
    values = with_defaults(SCHEMA, {"max_connections": 50.0})
    assert (values["max_connections"], type(values["max_connections"])) == (50, int)


DEEP: Any = "x"
for _ in range(21):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ({"__ansible_unsafe": "x"}, ["__ansible_unsafe"]),
        ({"__ansible_vault": "x"}, ["__ansible_vault"]),
        ({"ansible_connection": "local"}, ["ansible_connection"]),
        ({"database": {"deep": [{"__prefect_kind": "jinja"}]}}, ["database.deep.0.__prefect_kind"]),
        ({"database": "a\nb"}, ["database"]),
        ({"database": "a\x00"}, ["database"]),
        ({"database": "\x1b[31m"}, ["database"]),
        ({"database": "\x7f"}, ["database"]),
        ({"database": "\x85"}, ["database"]),
        ({"database": "\ud800"}, ["database"]),
        ({"a\tb": 1}, ["a?b"]),
        ({"max_connections": float("nan")}, ["max_connections"]),
        ({"max_connections": float("inf")}, ["max_connections"]),
    ],
    ids=repr,
)
def test_what_no_schema_may_allow_is_refused_first(values: dict[str, Any], places: list[str]) -> None:
    with pytest.raises(ParameterForbidden) as refused:
        with_defaults(SCHEMA, values)
    assert list(refused.value.fields) == places


def test_depth_is_limited_to_twenty() -> None:
    with pytest.raises(ParameterForbidden):
        refuse_forbidden(DEEP)
    refuse_forbidden(DEEP[0])


@pytest.mark.parametrize(
    "text", ["{{ 7 * 7 }}", "$(reboot)", "'; DROP TABLE", "-rf", "값 😀", "!unsafe x", "a: b", "%(x)s"]
)
def test_text_that_only_looks_dangerous_stays_data(text: str) -> None:
    schema = {"type": "object", "properties": {"note": {"type": "string"}}}
    assert with_defaults(schema, {"note": text}) == {"note": text}


@pytest.mark.parametrize(
    "narrowing",
    [
        {"nothing": {"maximum": 1}},
        {"max_connections": 5},
        {"max_connections": {"pattern": "x"}},
        {"max_connections": {"maximum": "5"}},
        {"max_connections": {"maximum": 10}},
        {"max_connections": {"default": 1000}},
        {"max_connections": {"enum": [1, 2]}},
        {"max_connections": {"enum": 5}},
        {"database": {"maximum": 5}},
        {"max_connections": {"maxLength": 5}},
    ],
    ids=repr,
)
def test_a_narrowing_that_does_not_narrow_is_refused(narrowing: dict[str, Any]) -> None:
    with pytest.raises(NarrowingInvalid) as refused:
        narrowed(SCHEMA, narrowing)
    assert list(refused.value.fields) == list(narrowing)


@given(
    st.fixed_dictionaries(
        {}, optional={"minimum": st.integers(-10, 300), "maximum": st.integers(-10, 300), "default": st.integers(-10, 300),
                      "enum": st.lists(st.integers(-10, 300), min_size=1, max_size=5)},
    ),
    st.integers(-20, 320),
)  # fmt: skip
def test_narrowing_never_allows_more(keywords: dict[str, Any], value: int) -> None:
    try:
        narrow = narrowed(SCHEMA, {"max_connections": keywords})
    except NarrowingInvalid:
        return
    values = {"max_connections": value}
    if validator(narrow).is_valid(values):
        assert validator(SCHEMA).is_valid(values)
        assert value >= keywords.get("minimum", value)
        assert value <= keywords.get("maximum", value)
        assert value in keywords.get("enum", [value])
    assert validator(narrow).is_valid({"max_connections": narrow["properties"]["max_connections"]["default"]})
