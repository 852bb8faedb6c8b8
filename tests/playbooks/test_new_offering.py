"""The page about writing an offering, taken at its word: its files are checked, loaded, built, used, and given back clean."""

import re
import subprocess
import sys
import urllib.request
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from catalog.offerings.models import Offering, OfferingFolder
from catalog.offerings.services import folder_of
from tests.playbooks.conftest import HOST
from tests.playbooks.slices import OURS, Slice, changed
from tests.rack.driver import Rack

_FILE = re.compile(r"^`(?P<place>greeting/[a-z.]+)`\n\n```yaml\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def services(tmp_path: Path) -> Path:
    """A folder of manifests with nothing in it but the page's offering."""
    root = tmp_path / "services"
    (root / "greeting").mkdir(parents=True)
    (root / "manifest.schema.json").write_bytes((OURS / "manifest.schema.json").read_bytes())
    page = (OURS / "README.md").read_text(encoding="utf-8")
    for found in _FILE.finditer(page):
        (root / found["place"]).write_text(found["text"], encoding="utf-8")
    return root


def test_its_files_pass_what_ours_pass(services: Path) -> None:
    assert sorted(path.name for path in (services / "greeting").iterdir()) == [
        "provision.yml", "service.yml", "verify.yml",
    ]  # fmt: skip
    rules = OURS.parents[1] / ".yamllint"
    words = [sys.executable, "-m", "yamllint", "--strict", "-c", str(rules), str(services)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.django_db
def test_the_catalog_takes_it_from_nothing_but_its_folder(services: Path, tmp_path: Path) -> None:
    out = StringIO()
    call_command("offerings", "check", "--root", str(services), stdout=out)
    assert out.getvalue() == "greeting 1.0.0: valid\n"
    call_command("offerings", "load", "--root", str(services), "--git-revision", "abc", "--publish", stdout=out)
    offering = Offering.objects.get()
    assert (offering.slug, offering.name_ko, offering.publication) == ("greeting", "인사", "published")
    kept = folder_of(OfferingFolder.objects.get().version_id, tmp_path / "kept")
    assert (kept / "provision.yml").read_bytes() == (services / "greeting" / "provision.yml").read_bytes()


@pytest.mark.rack
def test_it_is_built_used_and_given_back_clean(service_rack: Rack, services: Path, workplace: Path) -> None:
    one = Slice(
        service_rack,
        HOST,
        "greeting",
        workplace,
        services=services,
        parameters={"sentence": "안녕 {{ 7 * 7 }} $(id) \"'"},
    )
    neighbour = Slice(service_rack, HOST, "greeting", workplace, services=services, tenant="card", name="points")
    for each in (one, neighbour):
        each.done("provision")
        each.done("verify")
    assert changed(one.done("provision")) == 0
    assert read(one) == "안녕 {{ 7 * 7 }} $(id) \"'\n"
    assert changed(one.done("restart")) == 1
    one.done("verify")
    for name in ("stop", "start"):
        assert changed(one.done(name)) == 1
    one.done("verify")
    assert changed(one.done("decommission")) == 1
    assert one.leftovers() == []
    assert read(neighbour) == "Hello\n"
    neighbour.done("decommission")
    assert neighbour.leftovers() == []


def read(one: Slice) -> str:
    where = f"http://{one.address}:{one.port}/{one.credentials['page']}/index.html"
    with urllib.request.urlopen(where, timeout=10) as answer:
        body: bytes = answer.read()
    return body.decode()
