"""The rules of the house that a tool can check."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from catalog.common.errors import DomainError

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def tracked(*patterns: str) -> list[Path]:
    """Files git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [path for line in sorted(set(listed.splitlines())) if (path := ROOT / line).is_file()]


def modules(*patterns: str) -> list[Path]:
    return [path for path in tracked(*patterns) if path.suffix == ".py" and "migrations" not in path.parts]


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


OURS = ("catalog", "flows", "tests", "playbooks")


@pytest.mark.parametrize(
    "command",
    [
        ["lint-imports", "--no-cache"],
        ["ruff", "check", "--no-cache", "catalog", "flows", "tests"],
        ["mypy"],
    ],
    ids=["import-linter", "ruff", "mypy"],
)
def test_the_tool_finds_nothing(command: list[str]) -> None:
    done = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, check=False, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.django_db
def test_migrations_are_complete() -> None:
    out = StringIO()
    call_command("makemigrations", "--check", "--dry-run", stdout=out)
    assert out.getvalue() == "No changes detected\n"


def errors() -> list[type[DomainError]]:
    for path in modules("catalog/*/errors.py"):
        import_module(f"catalog.{path.parent.name}.errors")
    found: list[type[DomainError]] = []
    todo = [DomainError]
    while todo:
        error = todo.pop()
        todo += error.__subclasses__()
        if error.__module__.startswith("catalog."):
            found.append(error)
    return sorted(found, key=lambda error: error.__name__)


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in errors()]
    assert sorted(set(codes)) == sorted(codes)
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)] == []


def test_every_error_says_what_happened_in_a_sentence_of_its_own() -> None:
    silent = [
        error.__name__
        for error in errors()
        if "code" not in vars(error) or "title" not in vars(error) or not str(error.title).endswith(".")
    ]
    assert silent == []
    assert {error.status for error in errors()} <= {
        400,
        401,
        403,
        404,
        405,
        406,
        409,
        410,
        413,
        415,
        422,
        429,
        500,
        503,
    }


def test_no_file_is_longer_than_a_person_reads() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in modules(*OURS)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}


def test_files_are_named_by_what_they_hold() -> None:
    assert [name for name in names(modules(*OURS)) if Path(name).stem in {"utils", "helpers", "signals", "misc"}] == []


def test_nothing_is_imported_inside_a_function() -> None:
    found = []
    for path in modules("catalog", "flows"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = [each for each in ast.walk(node) if isinstance(each, ast.Import | ast.ImportFrom)]
                found += [f"{path.relative_to(ROOT)}:{each.lineno}" for each in inner]
    assert found == []


def test_rows_are_locked_in_one_place() -> None:
    users = [path for path in modules("catalog", "flows") if "select_for_update(" in path.read_text(encoding="utf-8")]
    assert names(users) == ["catalog/common/locks.py"]


def test_models_do_nothing_behind_the_callers_back() -> None:
    found = []
    for path in modules("catalog/*/models.py", "catalog/*/models/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name in {"save", "delete"}:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_a_module_says_what_it_is_for() -> None:
    silent = [
        path
        for path in modules("catalog", "flows")
        if path.name not in {"__init__.py", "apps.py"}
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert names(silent) == []
