"""Every sentence is there in both languages, and what runs is what was written."""

import ast
import gettext
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.utils import translation
from django.utils.translation.template import templatize

from catalog.web import tasknames
from tests.factories import SERVICES

CATALOG = Path(tasknames.__file__).parent.parent
FOLDER = CATALOG / "locale" / "ko" / "LC_MESSAGES"
_CALLS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
_PLACES = re.compile(r"%\(\w+\)[sdr]|%[sdr]")


def _entries() -> dict[str, str]:
    """msgid → msgstr of the .po file."""
    found: dict[str, str] = {}
    entry: dict[str, str] = {}
    key = ""
    for line in [*(FOLDER / "django.po").read_text(encoding="utf-8").splitlines(), ""]:
        if match := re.match(r'(msgid|msgid_plural|msgstr|msgstr\[0\]) (".*")$', line):
            key = match.group(1)
            entry[key] = ast.literal_eval(match.group(2))
        elif line.startswith('"'):
            entry[key] += ast.literal_eval(line)
        elif not line and "msgid" in entry:
            found[entry["msgid"]] = entry.get("msgstr", entry.get("msgstr[0]", ""))
            entry = {}
    return found


def _said_in(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args and getattr(node.func, "id", "") in _CALLS:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def _all_said() -> dict[str, str]:
    """msgid → a file that says it."""
    said: dict[str, str] = {}
    for path in CATALOG.rglob("*.py"):
        if "migrations" not in path.parts:
            said.update(dict.fromkeys(_said_in(path.read_text(encoding="utf-8")), path.name))
    for path in CATALOG.rglob("templates/**/*.html"):
        calls = re.findall(
            r"n?gettext\((.*?)\) ?(?:;|$|,|X|\s)", templatize(path.read_text(encoding="utf-8"), origin=path.name)
        )
        for call in calls:
            if match := re.match(r"""\s*u?((?:"(?:[^"\\]|\\.)*")|(?:'(?:[^'\\]|\\.)*'))""", call):
                said[ast.literal_eval(match.group(1))] = path.name
    return said


def test_every_sentence_is_translated() -> None:
    known, said = _entries(), _all_said()
    assert len(said) > 400
    assert "Order something" in said
    assert "%(price)s a month" in said
    missing = {text: where for text, where in said.items() if not known.get(text)}
    assert missing == {}


def test_a_translation_has_the_same_places_to_fill() -> None:
    wrong = {
        text: korean
        for text, korean in _entries().items()
        if text and sorted(_PLACES.findall(text)) != sorted(_PLACES.findall(korean))
    }
    assert wrong == {}


def test_what_runs_is_what_was_written() -> None:
    with (FOLDER / "django.mo").open("rb") as file:
        compiled: dict[Any, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    running = {(key[0] if isinstance(key, tuple) else key): text for key, text in compiled.items()}
    running.pop("")
    written = _entries()
    written.pop("")
    assert running == written


def _task_names(tasks: Any) -> Iterator[str]:
    for task in tasks or ():
        if isinstance(task, dict):
            if "name" in task:
                yield str(task["name"])
            for inner in ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always"):
                yield from _task_names(task.get(inner))


def _task_names_in(paths: Iterable[Path]) -> set[str]:
    names: set[str] = set()
    for path in paths:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for each in content if isinstance(content, list) else ():
            is_play = "hosts" in each
            names.update(_task_names([{**each, "name": "Gathering Facts"}] if is_play else [each]))
    return names


def test_every_task_of_the_house_can_be_read_in_korean() -> None:
    playbooks = SERVICES.parent
    paths = [
        *playbooks.glob("slices/*.yml"),
        *playbooks.glob("roles/*/tasks/*.yml"),
        *playbooks.glob("roles/*/handlers/*.yml"),
    ]
    assert _task_names_in(paths) - tasknames.NAMES == set()
    known = _entries()
    assert [name for name in tasknames.NAMES if not known.get(name)] == []


@pytest.mark.parametrize("manifest", sorted(SERVICES.glob("*/service.yml")), ids=lambda path: path.parent.name)
def test_every_task_of_a_service_can_be_read_in_korean(manifest: Path) -> None:
    said = yaml.safe_load(manifest.read_text(encoding="utf-8"))["tasks"]
    own = [path for path in manifest.parent.glob("*.yml") if path != manifest]
    assert set(said) == _task_names_in([*own, *manifest.parent.glob("roles/*/tasks/*.yml")]) - {"Gathering Facts"}
    with translation.override("ko"):
        assert [name for name in said if tasknames.translated(f"role : {name}", said) != said[name]] == []
    with translation.override("en"):
        assert [name for name in said if tasknames.translated(f"role : {name}", said) != name] == []
