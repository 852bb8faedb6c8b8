"""A service stopped and started again on a real host: nothing listens, its data stays, and nothing but a start brings it back."""

from pathlib import Path

import pytest

from tests.playbooks.conftest import HOST
from tests.playbooks.slices import Slice, changed
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack


def listening(one: Slice) -> str:
    return one.rack.ssh(HOST, f"ss -Hltn 'sport = :{one.port}'").strip()


def main_process(one: Slice, service: str) -> str:
    return one.rack.ssh(HOST, f"systemctl show --property=MainPID --value {service}").strip()


def test_stopped_it_stays_stopped_and_started_it_has_what_it_had(
    service_rack: Rack, slug: str, workplace: Path
) -> None:
    one = Slice(service_rack, HOST, slug, workplace)
    neighbour = Slice(service_rack, HOST, slug, workplace, tenant="card", name="points")
    service = one.service
    for each in (one, neighbour):
        each.done("provision")
    assert one.query(one.client.write).stdout.split()[-1] == one.client.shown

    assert changed(one.done("stop")) == 1
    assert listening(one) == ""
    assert one.query(one.client.read).returncode != 0 or "Could not connect" in one.query(one.client.read).stderr
    assert one.on_disk(one.client.data).exists()
    assert changed(one.done("stop")) == 0
    # Neither the start of the host nor anybody by hand brings it back, nor does the package's own unit of all clusters.
    tried = service_rack.ssh(HOST, f"systemctl start {service} 2>&1; systemctl restart postgresql.service 2>&1; true")
    assert "masked" in tried
    service_rack.off(HOST)
    service_rack.on(HOST)
    neighbour.done("verify")
    assert service_rack.ssh(HOST, f"systemctl is-active {service}; systemctl is-enabled {service}; true").split() == [
        "inactive", "masked",
    ]  # fmt: skip
    assert listening(one) == ""
    assert one.on_disk(one.client.data).exists()

    assert changed(one.done("start")) == 1
    one.done("verify")
    assert one.query(one.client.read).stdout.split()[-1] == one.client.shown
    assert changed(one.done("start")) == 0
    assert changed(one.done("provision")) == 0
    before = main_process(one, service)
    assert changed(one.done("restart")) == 1
    one.done("verify")
    assert one.query(one.client.read).stdout.split()[-1] == one.client.shown
    assert main_process(one, service) != before
    rules = service_rack.ssh(HOST, f"nft list table inet pumasi_{one.unit}")
    assert f"tcp dport {one.port} drop" in rules

    one.done("stop")
    # The name, and the slice.
    assert changed(one.done("decommission")) == 2
    assert one.leftovers() == []
    assert neighbour.query(neighbour.client.ping).stdout.strip() == neighbour.client.pong
    neighbour.done("decommission")
    assert neighbour.leftovers() == []


def test_what_has_no_data_is_neither_stopped_nor_started(service_rack: Rack, slug: str, workplace: Path) -> None:
    never = Slice(service_rack, HOST, slug, workplace)
    for name in ("stop", "start", "restart"):
        played = never.play(name)
        assert played.code == 2
        assert "The data of the service is not where it belongs." in played.text
    assert never.leftovers() == []
