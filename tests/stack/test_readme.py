"""The README names every setting there is, and none that is not; and every command it names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_settings_is_complete() -> None:
    code = (ROOT / "catalog" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r'\benv(?:_int|_bool|_list)?\(\s*"([A-Z_]+)"', code))
    told = set(re.findall(r"^\| `([A-Z_]+)` \|", README, flags=re.MULTILINE))
    assert told == read


def test_every_make_command_exists() -> None:
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z -]+):$", rules, flags=re.MULTILINE)[0].split())
    assert set(re.findall(r"`make ([a-z-]+)`", README)) == targets


def test_the_first_two_commands_are_the_two_commands() -> None:
    block = re.search(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    assert block is not None
    assert [line.split("#")[0].strip() for line in block[1].splitlines()] == ["make demo", "make test"]
