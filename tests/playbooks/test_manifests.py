"""The manifests, the schema that judges them, and the roles that must understand the same parameters."""

import copy
import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry

from tests.playbooks.slices import SERVICES, defaults, manifest, residues
from tests.rack.driver import PLAYBOOKS

SCHEMA = json.loads((PLAYBOOKS / "services" / "manifest.schema.json").read_text())
JUDGE = Draft202012Validator(SCHEMA, registry=Registry())
ANSIBLE_TYPES = {"string": "str", "integer": "int", "boolean": "bool"}
# What a give-back has to look at, whatever the service.
KINDS = {"processes", "ports", "users", "data", "config", "units", "cron", "keys", "firewall", "names", "tmp", "logs"}


def parameters_judge(slug: str) -> Draft202012Validator:
    return Draft202012Validator(manifest(slug)["parameters"], registry=Registry())


def options(slug: str, entry: str = "main") -> dict[str, Any]:
    document = yaml.safe_load((PLAYBOOKS / "roles" / slug / "meta" / "argument_specs.yml").read_text())
    found: dict[str, Any] = document["argument_specs"][entry]["options"]
    return found


def test_the_schema_is_itself_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_every_service_folder_has_a_test_here() -> None:
    assert sorted(path.parent.name for path in (PLAYBOOKS / "services").glob("*/service.yml")) == sorted(SERVICES)


def test_the_manifest_is_valid_and_lies_in_its_own_folder(slug: str) -> None:
    assert [error.message for error in JUDGE.iter_errors(manifest(slug))] == []
    assert manifest(slug)["slug"] == slug


def test_its_playbooks_exist(slug: str) -> None:
    names = manifest(slug)["playbooks"].values()
    assert [name for name in names if not (PLAYBOOKS / "services" / slug / name).is_file()] == []


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("manifest", 2),
        ("version", "15"),
        ("category", "magic"),
        ("slug", "Postgre SQL"),
        ("surprise", 1),
        ("parameters.additionalProperties", True),
        ("parameters.properties.comment.pattern", "^(a+)+$"),
        ("parameters.properties.comment.pattern", "[a-z]{1,9}"),
        ("parameters.properties.comment.$ref", "https://example.com/schema.json"),
        ("parameters.properties.comment.type", "object"),
        ("parameters.properties.ansible_connection", {"type": "boolean", "default": True}),
        ("credentials.password.length", 8),
        ("credentials.password.generate", "md5"),
        ("plans", []),
        ("port.range", [80, 90]),
        ("playbooks.provision", "../../other.yml"),
        ("connection", [{"label": "url", "text": "redis://{password}@{address}"}]),
    ],
)
def test_a_broken_manifest_is_refused(slug: str, where: str, value: object) -> None:
    broken = copy.deepcopy(manifest(slug))
    *path, last = where.split(".")
    place = broken
    for name in path:
        place = place[name]
    place[last] = value
    assert not JUDGE.is_valid(broken)


@pytest.mark.parametrize("missing", ["parameters", "plans", "credentials", "playbooks", "engine"])
def test_a_manifest_without_a_part_is_refused(slug: str, missing: str) -> None:
    broken = manifest(slug)
    del broken[missing]
    assert not JUDGE.is_valid(broken)


def test_the_defaults_are_valid_and_nothing_else_is_taken(slug: str) -> None:
    judge = parameters_judge(slug)
    assert [error.message for error in judge.iter_errors(defaults(slug))] == []
    assert manifest(slug)["parameters"]["additionalProperties"] is False
    assert not judge.is_valid(defaults(slug) | {"surprise": 1})


@pytest.mark.parametrize(
    ("slug", "name", "value"),
    [
        ("postgresql", "database", "postgres"),
        ("postgresql", "database", 'x"; DROP DATABASE appdb; --'),
        ("postgresql", "database", "-x"),
        ("postgresql", "database", "a" * 32),
        ("postgresql", "max_connections", 201),
        ("postgresql", "max_connections", "20"),
        ("postgresql", "timezone", "Mars/Olympus"),
        ("postgresql", "locale", "C"),
        ("postgresql", "comment", "x" * 201),
        ("postgresql", "comment", "two\nlines"),
        ("redis", "maxmemory_policy", "all"),
        ("redis", "appendonly", "yes"),
        ("redis", "comment", "bell\u0007"),
    ],
)
def test_a_value_outside_its_schema_is_refused(slug: str, name: str, value: object) -> None:
    assert not parameters_judge(slug).is_valid(defaults(slug) | {name: value})


def test_plans_only_narrow(slug: str) -> None:
    properties = manifest(slug)["parameters"]["properties"]
    for plan in manifest(slug)["plans"]:
        for name, bounds in plan["parameters"].items():
            wide = properties[name]
            assert bounds.get("maximum", wide.get("maximum")) == min(
                bounds.get("maximum", wide.get("maximum")), wide.get("maximum")
            )
            assert set(bounds.get("enum", [])) <= set(wide.get("enum", []))
            narrow = Draft202012Validator(wide | bounds, registry=Registry())
            assert narrow.is_valid((wide | bounds)["default"])


def test_plan_slugs_are_unique(slug: str) -> None:
    slugs = [plan["slug"] for plan in manifest(slug)["plans"]]
    assert sorted(set(slugs)) == sorted(slugs)


def test_the_role_declares_the_same_parameters(slug: str) -> None:
    declared, standing = (
        options(slug),
        yaml.safe_load((PLAYBOOKS / "roles" / slug / "defaults" / "main.yml").read_text()),
    )
    for name, schema in manifest(slug)["parameters"]["properties"].items():
        option = declared[f"{slug}_{name}"]
        assert option["type"] == ANSIBLE_TYPES[schema["type"]]
        assert option.get("choices") == schema.get("enum")
        if not option.get("required"):
            assert standing[f"{slug}_{name}"] == schema["default"]


@pytest.mark.parametrize("entry", ["main", "verify"])
def test_the_role_hides_the_password(slug: str, entry: str) -> None:
    assert options(slug, entry)[f"{slug}_password"]["no_log"] is True


def test_the_residue_list_covers_every_kind(slug: str) -> None:
    listed = [kind["kind"] for kind in residues(slug)["kinds"]]
    assert sorted(listed) == sorted(KINDS)
    assert [kind["kind"] for kind in residues(slug)["kinds"] if not kind["about"]] == []


def test_give_back_only_removes_what_bears_the_unit(slug: str) -> None:
    paths = [path for kind in residues(slug)["kinds"] for path in kind.get("paths", [])]
    assert [path for path in paths if "{unit}" not in path] == []
