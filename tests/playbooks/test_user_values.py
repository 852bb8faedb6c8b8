"""What a user typed stays data: kept literally by the service, executed nowhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playbooks.clients import SERVICES
from tests.playbooks.conftest import HOST
from tests.playbooks.slices import Slice, manifest
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack

# {mark} is a file that appears where one of these is executed, here or on the host.
# Several at once, because each comment costs a whole play.
ATTACKS = {
    "template": "{{{{ lookup('ansible.builtin.pipe', 'touch {mark}') }}}} {{% set x = 1 %}} "
    "{{\"__ansible_unsafe\": \"{{{{ lookup('pipe', 'touch {mark}') }}}}\"}}",
    "shell": "$(touch {mark}) `touch {mark}`; touch {mark} | touch {mark} & --help "
    "\"'\\'\\\\\" 한글 🦊 é \u202e \\n !unsafe &a *a # > |",
    "sql": "'; DROP DATABASE appdb; COPY (SELECT 1) TO PROGRAM 'touch {mark}'; -- :'HOME' \\gexec \\! touch {mark} \\. $$ %I %s",
}


COMMENTED = [slug for slug in SERVICES if "comment" in manifest(slug)["parameters"]["properties"]]


@pytest.fixture(scope="module", params=COMMENTED)
def built(request: pytest.FixtureRequest, service_rack: Rack, workplace: Path) -> Iterator[Slice]:
    one = Slice(service_rack, HOST, request.param, workplace)
    yield one
    one.done("decommission")
    assert one.leftovers() == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_comment_is_kept_to_the_letter_and_runs_nothing(built: Slice, attack: str) -> None:
    mark = Path("/tmp") / f"p-{built.unit}"
    comment = ATTACKS[attack].format(mark=mark)
    assert len(comment) <= manifest(built.slug)["parameters"]["properties"]["comment"]["maxLength"]
    built.parameters = {"comment": comment}
    built.done("provision")
    assert built.client.comment(built) == comment
    assert not mark.exists()
    assert not built.on_disk(str(mark)).exists()


def test_a_network_that_is_none_is_refused_before_anything_is_opened(
    built: Slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Slice(built.rack, HOST, built.slug, built.folder)
    values = fresh.values() | {"access": {"allow_from": ["0.0.0.0/0 }; accept; #"]}}
    monkeypatch.setattr(fresh, "values", lambda: values)
    played = fresh.play("provision")
    assert played.code == 2
    assert "access.allow_from holds something that is not a network" in played.text
    assert not fresh.on_disk("/etc/pumasi/slices/{unit}").exists()
    assert f"pumasi_{fresh.unit}" not in built.rack.ssh(HOST, "nft list tables")
