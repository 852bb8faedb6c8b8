"""What the browser is given: as it came, complete, from here, and clean under the strict policy."""

import hashlib
import re
from pathlib import Path

from catalog.instances.states import InstanceState
from catalog.orders.states import OrderState
from catalog.pool.states import HostState
from catalog.web import badges, progress, words

WEB = Path(badges.__file__).parent
VENDOR = WEB / "static" / "web" / "vendor"


def _templates() -> dict[str, str]:
    return {
        str(path.relative_to(WEB)): path.read_text(encoding="utf-8") for path in (WEB / "templates").rglob("*.html")
    }


def test_vendored_files_are_what_they_were() -> None:
    listed = {}
    for line in (VENDOR / "CHECKSUMS").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            digest, _blank, name = line.partition("  ")
            listed[name] = digest
    there = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "CHECKSUMS"
    }
    assert there == listed
    assert {"pretendard/LICENSE", "tabler/LICENSE", "tabler-icons/LICENSE"} <= there.keys()


def test_the_sprite_has_what_is_used_and_nothing_else() -> None:
    sprite = (VENDOR / "tabler-icons" / "icons.svg").read_text(encoding="utf-8")
    there = set(re.findall(r'<symbol id="([a-z0-9-]+)"', sprite))
    used = {"circle-x"} | set(words.OFFERING_ICONS) | set(progress.SIGNS.values())
    used |= {look.icon for looks in (badges.ORDER, badges.INSTANCE, badges.HOST) for look in looks.values()}
    for text in _templates().values():
        used |= set(re.findall(r'{% icon "([a-z0-9-]+)"', text)) | set(re.findall(r'sign="([a-z0-9-]+)"', text))
    assert there == used


def test_no_page_has_a_style_or_script_of_its_own() -> None:
    for name, text in _templates().items():
        assert not re.search(r"\sstyle=|\son\w+=|javascript:|<style", text), name
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), name
        assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", text), name


def test_every_state_has_a_look() -> None:
    assert set(badges.ORDER) == set(OrderState)
    assert set(badges.INSTANCE) == set(InstanceState)
    assert set(badges.HOST) == set(HostState)
