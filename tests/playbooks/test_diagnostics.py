"""What is collected of a service on a real host: its own, nothing of its neighbour's, bounded, and nothing is changed by it."""

import json
from pathlib import Path

import pytest

from tests.playbooks.conftest import HOST
from tests.playbooks.slices import Slice, changed
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack


def test_diagnostics_show_one_s_own_and_change_nothing(service_rack: Rack, slug: str, workplace: Path) -> None:
    one = Slice(service_rack, HOST, slug, workplace)
    neighbour = Slice(service_rack, HOST, slug, workplace, tenant="card", name="points")
    for each in (one, neighbour):
        each.done("provision")

    played = one.done("diagnostics")
    seen = played.outputs["diagnosis"]
    assert changed(played) == 0
    assert (seen["unit"]["Id"], seen["unit"]["ActiveState"]) == (one.service, "active")
    assert int(seen["unit"]["MainPID"]) in [each["pid"] for each in seen["processes"]]
    assert any(f"]:{one.port}" in each for each in seen["sockets"])
    assert any(f"dport {one.port} drop" in each for each in seen["firewall"])
    assert seen["disk"]["total_mb"] >= seen["disk"]["free_mb"] > 0
    assert seen["files"]["count"] >= len(seen["files"]["newest"]) > 0
    assert 0 < len(seen["journal"]) <= 200
    said = json.dumps(seen)
    assert len(said) < 128 * 1024
    assert one.unit in said
    assert neighbour.unit not in said
    assert f":{neighbour.port}" not in said
    assert one.password not in said

    one.done("stop")
    stopped = one.done("diagnostics").outputs["diagnosis"]
    assert (stopped["unit"]["ActiveState"], stopped["processes"], stopped["sockets"]) != ("active", [], [])
    assert stopped["files"]["count"] > 0
    assert stopped["processes"] == stopped["sockets"] == []
    one.done("decommission")
    assert one.leftovers() == []
    neighbour.done("decommission")
