"""The manifests, the schema that judges them, and the roles that must understand the same parameters."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry

from catalog.offerings.operations import HOUSE
from tests.harness.grouping import whose_turn
from tests.playbooks.clients import CLIENTS, SERVICES, STACKS
from tests.playbooks.slices import defaults, manifest
from tests.rack.driver import PLAYBOOKS

SCHEMA = json.loads((PLAYBOOKS / "services" / "manifest.schema.json").read_text())
JUDGE = Draft202012Validator(SCHEMA, registry=Registry())
ANSIBLE_TYPES = {"string": "str", "integer": "int", "boolean": "bool"}
# What a give-back has to look at, whatever the service.
COMMON = yaml.safe_load((PLAYBOOKS / "roles" / "slice" / "files" / "residues.yml").read_text())
KINDS = {"processes", "ports", "users", "data", "config", "units", "cron", "keys", "firewall", "names", "tmp", "logs"}


def role(slug: str) -> Path:
    """The role that builds the service."""
    return PLAYBOOKS / "services" / slug / "roles" / word(slug)


def word(slug: str) -> str:
    """The slug as Ansible has it in names."""
    return slug.replace("-", "_")


def parameters_judge(slug: str) -> Draft202012Validator:
    return Draft202012Validator(manifest(slug)["parameters"], registry=Registry())


def options(slug: str, entry: str = "main") -> dict[str, Any]:
    document = yaml.safe_load((role(slug) / "meta" / "argument_specs.yml").read_text())
    found: dict[str, Any] = document["argument_specs"][entry]["options"]
    return found


def test_the_schema_is_itself_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_every_service_is_used_by_its_real_client() -> None:
    assert sorted(CLIENTS) == list(SERVICES)


def test_every_service_has_its_turn_on_hosts() -> None:
    every = sorted([*SERVICES, *STACKS])
    assert sorted(whose_turn(day) for day in range(len(every))) == every
    assert whose_turn(len(every)) == whose_turn(0)


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
        ("residues.service", "redis-server.service"),
        ("residues.service", "/bin/sh {unit}.service"),
        ("residues.parts", []),
        ("residues.parts", "db@{unit}.service"),
        ("residues.parts", ["mariadb.service"]),
        ("residues.parts", ["db@{unit}.timer"]),
        ("residues.paths.data", ["/var/lib"]),
        ("residues.paths.data", ["var/lib/{unit}"]),
        ("residues.paths.processes", ["/var/lib/{unit}"]),
        ("residues.text_under.config", ["/etc/{unit}"]),
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
        place = place.setdefault(name, {})
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
        ("jupyterhub", "memory_mb_per_user", 255),
        ("jupyterhub", "memory_mb_per_user", 8193),
        ("jupyterhub", "memory_mb_per_user", "1024"),
        ("jupyterhub", "idle_minutes", 9),
        ("jupyterhub", "idle_minutes", 10081),
        ("jupyterhub", "comment", "two\nlines"),
        ("mariadb", "database", "mysql"),
        ("mariadb", "database", "information_schema"),
        ("mariadb", "database", "x`; DROP DATABASE appdb; --"),
        ("mariadb", "database", "app%"),
        ("mariadb", "max_connections", 4),
        ("mariadb", "buffer_pool_percent", 61),
        ("mariadb", "collation", "utf8mb3_general_ci"),
        ("mariadb", "timezone", "SYSTEM"),
        ("mariadb", "comment", "two\nlines"),
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
        ("rabbitmq", "vhost", "/"),
        ("rabbitmq", "vhost", "Loans"),
        ("rabbitmq", "vhost", "a" * 32),
        ("rabbitmq", "max_connections", 4),
        ("rabbitmq", "max_connections", 1001),
        ("rabbitmq", "heartbeat_seconds", 0),
        ("rabbitmq", "heartbeat_seconds", 601),
        ("rabbitmq", "memory_high_watermark_percent", 71),
        ("rabbitmq", "memory_high_watermark_percent", "40"),
        ("rabbitmq", "comment", "tab\there"),
        ("python-app", "source", "https://files.example/a b.zip"),
        ("python-app", "source", "https://files.example/\n--"),
        ("python-app", "source_sha256", "xyz"),
        ("python-app", "entry", "app"),
        ("python-app", "entry", "app:create()"),
        ("python-app", "entry", "--paste:app"),
        ("python-app", "interface", "cgi"),
        ("python-app", "workers", 0),
        ("python-app", "workers", 9),
        ("python-app", "health_path", "health"),
        ("python-app", "health_path", "/a b"),
        ("python-app", "environment", "A=1\nB=2"),
        ("python-app", "environment", "x" * 2001),
        ("python-app", "package_index", "https://index.example/ --pre"),
        ("python-app", "tls", "no"),
        ("python-app", "basic_auth", 1),
        ("python-app", "comment", "two\nlines"),
        ("redis", "maxmemory_policy", "all"),
        ("redis", "appendonly", "yes"),
        ("redis", "comment", "bell\u0007"),
        ("static-site", "source", "two words"),
        ("static-site", "source_sha256", "0x1"),
        ("static-site", "index", ""),
        ("static-site", "index", "../x"),
        ("static-site", "index", "/x"),
        ("static-site", "not_found_page", "a b.html"),
        ("static-site", "spa_fallback", "on"),
        ("static-site", "cache_seconds", -1),
        ("static-site", "cache_seconds", 31536001),
        ("static-site", "proxy_path", "/a;b"),
        ("static-site", "proxy_path", "/{"),
        ("static-site", "proxy_to", "example.org:80"),
        ("static-site", "tls", 0),
        ("static-site", "basic_auth", "yes"),
        ("static-site", "comment", "two\nlines"),
        ("haproxy", "backends", "example.org:80"),
        ("haproxy", "backends", "10.1.2.3:80\n  option"),
        ("haproxy", "balance", "random"),
        ("haproxy", "health_check", "health"),
        ("haproxy", "health_check", "/a b"),
        ("haproxy", "health_check", "/'"),
        ("haproxy", "timeout", 0),
        ("haproxy", "timeout", 301),
        ("haproxy", "max_connections", 9),
        ("haproxy", "max_connections", 2001),
        ("haproxy", "basic_auth", "yes"),
        ("haproxy", "hsts", 1),
        ("haproxy", "comment", "two\nlines"),
        ("wordpress", "title", ""),
        ("wordpress", "title", "two\nlines"),
        ("wordpress", "title", "가" * 81),
        ("wordpress", "admin_mail", "nobody"),
        ("wordpress", "admin_mail", "a b@example.com"),
        ("wordpress", "admin_mail", "a@example"),
        ("wordpress", "language", "ko"),
        ("wordpress", "timezone", "Mars/Olympus"),
        ("wordpress", "upload_mb", 0),
        ("wordpress", "upload_mb", 257),
        ("wordpress", "indexed", "yes"),
        ("wordpress", "plugins", 1),
        ("wordpress", "outgoing", "no"),
        ("wordpress", "xmlrpc", None),
        ("wordpress", "comment", "bell\u0007"),
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
        yaml.safe_load((role(slug) / "defaults" / "main.yml").read_text()),
    )
    for name, schema in manifest(slug)["parameters"]["properties"].items():
        option = declared[f"{word(slug)}_{name}"]
        assert option["type"] == ANSIBLE_TYPES[schema["type"]]
        assert option.get("choices") == schema.get("enum")
        if not option.get("required"):
            assert standing[f"{word(slug)}_{name}"] == schema["default"]


@pytest.mark.parametrize("entry", ["main", "verify"])
def test_the_role_hides_the_password(slug: str, entry: str) -> None:
    assert options(slug, entry)[f"{word(slug)}_password"]["no_log"] is True


def test_the_residue_list_covers_every_kind_and_says_what_each_is() -> None:
    assert sorted(each["kind"] for each in COMMON) == sorted(KINDS)
    assert [each["kind"] for each in COMMON if not each["about"]] == []


def test_give_back_only_removes_what_bears_the_unit() -> None:
    paths = [path for each in COMMON for path in each.get("paths", [])]
    assert [path for path in paths if "{unit}" not in path and "{service}" not in path] == []


def test_the_house_has_a_playbook_for_each_step_that_manifests_may_leave_out() -> None:
    assert {path.stem for path in (PLAYBOOKS / "slices").glob("*.yml")} == HOUSE
