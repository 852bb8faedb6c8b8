"""Who reaches a service and by which name, seen from real clients inside and outside of what was allowed."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playbooks.conftest import HOST, OUTSIDER
from tests.playbooks.slices import Slice, changed
from tests.rack.driver import Rack
from tests.rack.plays import play, values_for

pytestmark = pytest.mark.rack


@pytest.fixture
def second_address(service_rack: Rack) -> Iterator[str]:
    """Another address of the other host, and so another client."""
    address = f"{service_rack.subnet}.200"
    service_rack.ssh(OUTSIDER, f"ip addr add {address}/24 dev eth0")
    yield address
    service_rack.ssh(OUTSIDER, f"ip addr del {address}/24 dev eth0")


def connects(rack: Rack, source: str, address: str, port: int) -> bool:
    """Whether a client on the other host gets a TCP connection when it comes from ``source``."""
    said = rack.ssh(
        OUTSIDER,
        f"""python3 - <<'PY'
import socket
try:
    socket.create_connection(("{address}", {port}), timeout=3, source_address=("{source}", 0))
    print("connected")
except TimeoutError:
    print("nothing came back")
PY""",
    ).strip()
    assert said in {"connected", "nothing came back"}
    return said == "connected"


def asked(rack: Rack, name: str) -> tuple[str, list[str]]:
    """What the rack's name server says of a name: the status and the addresses."""
    argv = ["kdig", f"@{rack.dns()['address']}", name, "A"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10).stdout.splitlines()
    status = next(line.split("status: ")[1].split(";")[0] for line in lines if "status: " in line)
    return status, [line.split()[-1] for line in lines if line.startswith(name)]


def test_only_clients_of_the_allowed_networks_connect(
    service_rack: Rack, slug: str, workplace: Path, second_address: str
) -> None:
    inside = service_rack.inventory()[OUTSIDER].address
    one = Slice(service_rack, HOST, slug, workplace, allow_from=[f"{inside}/32"])
    one.done("provision")
    assert one.query(one.client.ping).returncode == 0
    assert connects(service_rack, inside, one.address, one.port)
    assert not connects(service_rack, second_address, one.address, one.port)
    # The host itself answers both: it is the service's own rules that tell them apart.
    assert connects(service_rack, second_address, one.address, 22)

    one.allow_from = [f"{second_address}/32"]
    assert changed(one.done("provision")) >= 1
    assert not connects(service_rack, inside, one.address, one.port)
    assert connects(service_rack, second_address, one.address, one.port)
    one.done("verify")

    one.done("decommission")
    assert one.leftovers() == []
    assert one.unit not in service_rack.ssh(HOST, "nft list ruleset")


def test_the_name_lives_as_long_as_the_service_and_leads_to_it(service_rack: Rack, slug: str, workplace: Path) -> None:
    one = Slice(service_rack, HOST, slug, workplace, name="points-cache")
    assert asked(service_rack, one.full_name) == ("NXDOMAIN", [])
    built = one.done("provision", verbosity=3)
    assert asked(service_rack, one.full_name) == ("NOERROR", [one.address])
    verified = one.done("verify", verbosity=3)
    assert changed(one.done("provision")) == 0
    # A client on a host of the pool, whose resolver is the zone's name server.
    server = service_rack.dns()["address"]
    found = service_rack.ssh(
        OUTSIDER,
        f"cp /etc/resolv.conf /tmp/kept; echo nameserver {server} > /etc/resolv.conf; getent ahostsv4 {one.full_name}; "
        "cat /tmp/kept > /etc/resolv.conf; rm /tmp/kept",
    )
    assert found.split()[0] == one.address

    gone = one.done("decommission", verbosity=3)
    assert asked(service_rack, one.full_name) == ("NXDOMAIN", [])
    assert one.leftovers() == []
    assert changed(one.done("decommission")) == 0
    secret = service_rack.dns()["key"]["secret"]
    assert len(secret) == 44
    for played in (built, verified, gone):
        assert secret not in played.text
    journal = service_rack.ssh(
        HOST, "journalctl --no-pager; grep -rlF '" + secret + "' /etc /tmp /var /root /home || :"
    )
    assert secret not in journal


def test_a_name_that_is_left_is_found(service_rack: Rack, workplace: Path) -> None:
    one = Slice(service_rack, OUTSIDER, "redis", workplace, name="left-behind")
    change(service_rack, f"update add {one.full_name}. 60 A {one.address}")
    assert one.leftovers() == [{"kind": "names", "what": f"name {one.full_name}"}]
    one.done("decommission")
    assert one.leftovers() == []


def test_a_wipe_takes_away_the_names_that_still_lead_to_the_host(service_rack: Rack, workplace: Path) -> None:
    one = Slice(service_rack, OUTSIDER, "redis", workplace, name="wiped-away")
    change(service_rack, f"update add {one.full_name}. 60 A {one.address}")
    values = values_for(service_rack, OUTSIDER) | {"names": [one.full_name], "dns": service_rack.dns()}
    played = play(service_rack, "hosts/wipe.yml", OUTSIDER, values, workplace / "wipe")
    assert played.code == 0, played.text
    assert asked(service_rack, one.full_name) == ("NXDOMAIN", [])
    assert played.outputs["wipe"]["method"] == "reimage"


def test_verify_fails_where_the_name_leads_elsewhere(service_rack: Rack, workplace: Path) -> None:
    one = Slice(service_rack, HOST, "redis", workplace, name="elsewhere")
    change(service_rack, f"update add {one.full_name}. 60 A {service_rack.subnet}.250")
    played = one.play("verify")
    assert played.code == 2
    assert "Ask the name server for your service" in played.text
    # The build puts it right.
    one.done("provision")
    assert asked(service_rack, one.full_name) == ("NOERROR", [one.address])
    one.done("decommission")
    assert one.leftovers() == []


def test_a_zone_without_a_name_server_hands_out_addresses(service_rack: Rack, slug: str, workplace: Path) -> None:
    one = Slice(service_rack, HOST, slug, workplace, named=False)
    one.done("provision")
    one.done("verify")
    assert asked(service_rack, one.full_name) == ("NXDOMAIN", [])
    one.done("decommission")
    assert one.leftovers() == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"key": {"name": "catalog", "algorithm": "hmac-sha256", "secret": "A" * 43 + "="}}, "did not take the change"),
        ({"domain": "example.org"}, "does not lie in the zone's domain"),
        ({"key": {"name": "catalog", "algorithm": "hmac-sha256", "secret": "x\nsend"}}, "is malformed"),
        ({"address": "10.0.0.300"}, "is no IP address"),
        ({"port": 5399}, "gave no answer"),
    ],
    ids=["key", "domain", "script", "address", "silent"],
)
def test_a_name_server_that_refuses_ends_the_give_back_before_anything_is_touched(
    service_rack: Rack, workplace: Path, wrong: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Slice(service_rack, OUTSIDER, "redis", workplace, name="refused")
    change(service_rack, f"update add {one.full_name}. 60 A {one.address}")
    right = one.values()
    with monkeypatch.context() as patched:
        patched.setattr(Slice, "values", lambda _self: right | {"dns": right["dns"] | wrong})
        played = one.play("decommission")
    assert played.code == 2
    assert said in played.text
    assert asked(service_rack, one.full_name) == ("NOERROR", [one.address])
    one.done("decommission")
    assert asked(service_rack, one.full_name) == ("NXDOMAIN", [])


def change(rack: Rack, *lines: str) -> None:
    """An update of the rack's zone by hand."""
    dns = rack.dns()
    script = [
        f"server {dns['address']} {dns['port']}",
        f"zone {dns['domain']}.",
        f"key {dns['key']['algorithm']}:{dns['key']['name']} {dns['key']['secret']}",
        *lines,
        "send",
        "",
    ]
    subprocess.run(["knsupdate"], input="\n".join(script), text=True, check=True, timeout=10, capture_output=True)
