"""hosts/{inspect,wipe,verify,check}.yml on real hosts."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rack.driver import PLAYBOOKS, Rack
from tests.rack.plays import play, values_for

pytestmark = [pytest.mark.rack, pytest.mark.xdist_group("rack")]

WORDS = ["capital", "loan-db", "s4f9c2d1a7b3"]
OTHER = "zone-a-02"

# What a careless tenant leaves, one thing of each kind on the list of residues.
LEFT = """
set -e
(cd /; setsid nohup sleep 86399 >/dev/null 2>&1 &)
setsid nohup python3 -c 'import socket,time; s=socket.create_server(("0.0.0.0", 20001)); time.sleep(86399)' >/dev/null 2>&1 &
useradd --create-home intruder
groupadd bystanders
mkdir -p /srv/empty
mknod /srv/pipe p
apt-get -qq update && apt-get -qq install -y --no-install-recommends hello >/dev/null
echo '17 3 * * * root /bin/true' > /etc/cron.d/nightly
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG7yYFHaXgH9G2a2cY1rYlbQm0T6BkLWkN2o3uC2qv7z intruder' >> /home/ops/.ssh/authorized_keys
nft add table inet left_behind
printf '[Service]\\nExecStart=/bin/sleep 86398\\n' > /etc/systemd/system/left.service
systemctl daemon-reload && systemctl start left.service
mkdir -p /var/log/app && echo 'connected as CAPITAL to loan' > /var/log/app/app.log
echo x > /var/log/loan-db.log
logger 'backup of s4f9c2d1a7b3 done'
"""
FOUND = [
    ("processes", "root sleep is new (/usr/bin/sleep)"),
    ("processes", "root python3 is new (/usr/bin/python3.11)"),
    ("ports", "tcp 20001 is new (any address, root)"),
    ("users", "intruder is new (1001:1001:/home/intruder:/bin/sh)"),
    ("groups", "bystanders is new (1002:)"),
    ("paths", "/srv/empty is new (d 755 0:0)"),
    ("paths", "/srv/pipe is new (p 644 0:0)"),
    ("packages", "hello is new (2.10-3 ii)"),
    ("units", "left.service is new (static active)"),
    ("tenant_words", "/var/log/app/app.log names capital"),
    ("tenant_words", "the name of /var/log/loan-db.log holds loan-db"),
    ("tenant_words", "the journal names s4f9c2d1a7b3"),
]
FOUND_STARTING = [
    ("cron", "/etc/cron.d/nightly is new ("),
    ("keys", "ops: "),
    ("firewall", "table inet left_behind is new ("),
    ("paths", "/usr/bin changed from "),
    ("paths", "/etc/systemd/system/left.service is new ("),
]


@pytest.fixture(scope="module")
def baseline(rack: Rack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    rack.wipe(OTHER)
    played = play(rack, "hosts/inspect.yml", OTHER, values_for(rack, OTHER), tmp_path_factory.mktemp("inspect") / "run")
    assert played.code == 0, played.text
    document: dict[str, Any] = played.outputs["baseline"]
    return document


@pytest.fixture(scope="module")
def dirty(rack: Rack, baseline: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The verdict on a host that a tenant has used and nobody has wiped."""
    rack.ssh(OTHER, LEFT, seconds=120)
    values = values_for(rack, OTHER, baseline=baseline, tenant_words=WORDS)
    played = play(rack, "hosts/verify.yml", OTHER, values, tmp_path_factory.mktemp("verify") / "run")
    assert played.code == 0, played.text
    verdict: dict[str, Any] = played.outputs["verify"]
    return verdict


def test_inspect_reads_what_the_host_is(rack: Rack, host: str, tmp_path: Path) -> None:
    outputs = play(rack, "hosts/inspect.yml", host, values_for(rack, host), tmp_path / "run").outputs
    facts = outputs["facts"]
    assert facts["hostname"] == host
    assert facts["memory_mb"] == 2048  # the host's own limit, not the memory of the machine it runs on
    assert facts["disk_gb"] == 19
    assert facts["vcpu"] == int(rack.ssh(host, "nproc"))
    assert facts["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert facts["machine_id"] == rack.ssh(host, "cat /etc/machine-id").strip()
    assert {"os-debian-12", "virt-podman"} <= set(outputs["traits"])


def test_baselines_of_one_image_are_equal_across_hosts_and_times(
    rack: Rack, baseline: dict[str, Any], host: str, tmp_path: Path
) -> None:
    once = play(rack, "hosts/inspect.yml", host, values_for(rack, host), tmp_path / "once").outputs["baseline"]
    twice = play(rack, "hosts/inspect.yml", host, values_for(rack, host), tmp_path / "twice").outputs["baseline"]
    assert once["sections"] == baseline["sections"]
    assert once["digest"] == twice["digest"] == baseline["digest"]


@pytest.mark.parametrize(("kind", "what"), FOUND)
def test_verify_names_what_was_left(dirty: dict[str, Any], kind: str, what: str) -> None:
    assert {"kind": kind, "what": what} in dirty["findings"]
    assert dirty["clean"] is False


@pytest.mark.parametrize(("kind", "beginning"), FOUND_STARTING)
def test_verify_names_what_was_left_or_changed(dirty: dict[str, Any], kind: str, beginning: str) -> None:
    assert [f for f in dirty["findings"] if f["kind"] == kind and f["what"].startswith(beginning)]


def test_every_kind_on_the_written_list_is_checked(dirty: dict[str, Any]) -> None:
    listed = [residue["kind"] for residue in yaml.safe_load((PLAYBOOKS / "hosts/residues.yml").read_text())["residues"]]
    assert dirty["checked"] == listed
    planted = {kind for kind, _ in FOUND + FOUND_STARTING}
    assert planted == set(listed) - {"mounts"}  # a host of the rack may not mount; the next test covers it


def test_verify_names_a_file_system_that_the_baseline_does_not_know(
    rack: Rack, baseline: dict[str, Any], host: str, tmp_path: Path
) -> None:
    sections = baseline["sections"] | {
        "mounts": {k: v for k, v in baseline["sections"]["mounts"].items() if k != "/tmp"}
    }
    values = values_for(rack, host, baseline=baseline | {"sections": sections})
    verdict = play(rack, "hosts/verify.yml", host, values, tmp_path / "run").outputs["verify"]
    assert verdict["findings"] == [{"kind": "mounts", "what": "/tmp is new (tmpfs)"}]


def test_after_a_wipe_the_host_is_proven_clean(
    rack: Rack, baseline: dict[str, Any], dirty: dict[str, Any], tmp_path: Path
) -> None:
    assert dirty["findings"]
    old = rack.host_key(OTHER)
    wiped = play(rack, "hosts/wipe.yml", OTHER, values_for(rack, OTHER), tmp_path / "wipe")
    assert wiped.code == 0, wiped.text
    assert wiped.outputs["wipe"]["old_host_key"] == old
    assert wiped.outputs["wipe"]["new_host_key"] == rack.host_key(OTHER) != old
    values = values_for(rack, OTHER, baseline=baseline, tenant_words=WORDS)
    verdict = play(rack, "hosts/verify.yml", OTHER, values, tmp_path / "verify").outputs["verify"]
    assert verdict["findings"] == []
    assert (verdict["clean"], verdict["digest"]) == (True, baseline["digest"])


@pytest.mark.parametrize(
    "given", [{}, {"baseline": None}, {"baseline": {}}, {"baseline": {"snapshot": 0, "sections": {}}}]
)
def test_verify_refuses_a_host_without_a_baseline(rack: Rack, tmp_path: Path, given: dict[str, Any]) -> None:
    played = play(rack, "hosts/verify.yml", OTHER, values_for(rack, OTHER, **given), tmp_path / "run")
    assert played.code == 2
    assert "here is no baseline of this host" in played.text
    assert played.outputs == {}


def test_verify_refuses_a_baseline_that_lacks_a_section(rack: Rack, baseline: dict[str, Any], tmp_path: Path) -> None:
    short = baseline | {"sections": {name: rows for name, rows in baseline["sections"].items() if name != "cron"}}
    played = play(rack, "hosts/verify.yml", OTHER, values_for(rack, OTHER, baseline=short), tmp_path / "run")
    assert played.code == 2
    assert "the list of residues, the baseline and the check differ: cron" in played.text


@pytest.mark.parametrize("condition", ["off", "cut", "full"])
def test_a_host_that_cannot_be_reached_is_wiped_all_the_same(
    rack: Rack, host: str, tmp_path: Path, condition: str
) -> None:
    old = rack.host_key(host)
    {"off": rack.off, "cut": rack.cut, "full": rack.fill}[condition](host)
    played = play(rack, "hosts/wipe.yml", host, values_for(rack, host), tmp_path / "run")
    assert played.code == 0, played.text
    assert played.outputs["wipe"]["new_host_key"] == rack.host_key(host) != old


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"driver": {"name": "abacus"}}, "There is no wipe driver 'abacus' (known: rack)"),
        ({"driver": {}}, "There is no wipe driver '' (known: rack)"),
        ({"host": {"name": "zone-z-09"}}, "no host 'zone-z-09' in this rack"),
        ({"host": {"name": "../../etc"}}, "no host '../../etc' in this rack"),
        ({"host": {"name": "{{ 7 * 7 }}"}}, "no host '{{ 7 * 7 }}' in this rack"),
    ],
)
def test_a_wipe_of_nobody_knows_what_fails_and_wipes_nothing(
    rack: Rack, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    keys = {name: rack.host_key(name) for name in rack.inventory()}
    values = values_for(rack, "zone-a-01") | changed
    played = play(rack, "hosts/wipe.yml", "zone-a-01", values, tmp_path / "run")
    assert played.code == 2
    assert said in played.text
    assert played.outputs == {}
    assert {name: rack.host_key(name) for name in rack.inventory()} == keys


def test_check_tells_a_healthy_host_from_a_full_one_with_a_failed_unit(rack: Rack, host: str, tmp_path: Path) -> None:
    healthy = play(rack, "hosts/check.yml", host, values_for(rack, host), tmp_path / "healthy").outputs["health"]
    assert (healthy["healthy"], healthy["problems"], healthy["failed_units"]) == (True, [], [])
    assert healthy["disk_free_percent"] > 90
    assert abs(healthy["clock_offset_s"]) < 30
    rack.ssh(
        host, "systemd-run --quiet --unit=broken /bin/false; until systemctl -q is-failed broken; do sleep 0.1; done"
    )
    rack.fill(host)
    sick = play(rack, "hosts/check.yml", host, values_for(rack, host), tmp_path / "sick").outputs["health"]
    assert sick["healthy"] is False
    assert sick["problems"] == ["only 0 % of the disk is free", "units have failed: broken.service"]


def test_check_fails_on_a_host_that_is_off(rack: Rack, host: str, tmp_path: Path) -> None:
    rack.off(host)
    played = play(rack, "hosts/check.yml", host, values_for(rack, host), tmp_path / "run")
    assert played.code == 4  # ansible-playbook's code for an unreachable host
    assert "UNREACHABLE!" in played.text
