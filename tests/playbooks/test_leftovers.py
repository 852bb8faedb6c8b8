"""The residue check finds what somebody left behind, each kind by itself, and is not fooled by ordinary words."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.playbooks.clients import SERVICES
from tests.playbooks.conftest import HOST
from tests.playbooks.slices import Slice
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack


@dataclass(frozen=True)
class Plant:
    """Something left on a host: how it gets there, how it goes, and what the finding says of it."""

    kind: str
    put: str
    take: str
    what: str


PLANTS = {
    "process": Plant("processes", "setsid bash -c 'exec -a keeper-{unit} sleep 600' >/dev/null 2>&1 &",
                     "pkill -f keeper-{unit}", "keeper-{unit}"),
    "port": Plant("ports", "systemd-run -q --unit=squatter python3 -c "
                  "'import socket,time; s=socket.create_server((\"0.0.0.0\",{port})); time.sleep(600)'",
                  "systemctl stop squatter", "port {port} "),
    "user": Plant("users", "useradd -M -d /nonexistent {unit}", "userdel {unit}", "user {unit}"),
    "gecos": Plant("users", "useradd -M -c '{id}' guest1", "userdel guest1", "user guest1"),
    "data": Plant("data", "mkdir -p /var/lib/postgresql/15/{unit}", "rmdir /var/lib/postgresql/15/{unit}",
                  "/var/lib/postgresql/15/{unit}"),
    "backup": Plant("data", "touch /var/backups/{unit}.dump", "rm /var/backups/{unit}.dump", "/var/backups/{unit}.dump"),
    "config": Plant("config", "mkdir -p /etc/pumasi/slices/{unit}", "rmdir /etc/pumasi/slices/{unit}",
                    "/etc/pumasi/slices/{unit}"),
    "unit": Plant("units", "systemd-run -q --unit=left-{unit} sleep 600", "systemctl stop left-{unit}", "left-{unit}.service"),
    "cron": Plant("cron", "echo '0 4 * * * root backup {unit}' >/etc/cron.d/nightly", "rm /etc/cron.d/nightly",
                  "/etc/cron.d/nightly"),
    "key": Plant("keys", "echo '# ssh-ed25519 AAAA dba@{name}' >>/home/ops/.ssh/authorized_keys",
                 "sed -i '/dba@{name}/d' /home/ops/.ssh/authorized_keys", "/home/ops/.ssh/authorized_keys"),
    "table": Plant("firewall", "nft add table inet pumasi_{unit}", "nft delete table inet pumasi_{unit}", "pumasi_{unit}"),
    "rule": Plant("firewall", "nft 'add table ip hole; add chain ip hole c; add rule ip hole c tcp dport {port} accept'",
                  "nft delete table ip hole", "tcp dport {port} accept"),
    "socket": Plant("tmp", "touch /run/postgresql-{unit}.sock", "rm /run/postgresql-{unit}.sock", "/run/postgresql-{unit}.sock"),
    "scrap": Plant("tmp", "echo 'dump of {tenant}' >/tmp/scrap", "rm /tmp/scrap", "/tmp/scrap"),
    "log": Plant("logs", "echo 'login by {tenant}' >/var/log/app.log", "rm /var/log/app.log", "/var/log/app.log"),
    "rotated": Plant("logs", "touch /var/log/{unit}.log.1", "rm /var/log/{unit}.log.1", "/var/log/{unit}.log.1"),
    "journal": Plant("logs", "logger -t app 'restored {name}'; journalctl --sync",
                     "while journalctl -q -g 'restored {name}' >/dev/null; do journalctl -q --rotate --vacuum-time=1s; done",
                     "app"),
    # Last: what the system keeps of deleted accounts names those above, too.
    "account": Plant("config", "useradd -M -c {id} guest2; userdel guest2", "useradd -M guest2; userdel guest2", "/etc/passwd-"),
}  # fmt: skip


@pytest.fixture(scope="module", params=SERVICES)
def found(request: pytest.FixtureRequest, service_rack: Rack, workplace: Path) -> tuple[Slice, list[dict[str, str]]]:
    """What the check finds with every plant in place; the same check is clean when all are gone."""
    one = Slice(service_rack, HOST, request.param, workplace)
    everything = list(PLANTS.values())
    service_rack.ssh(HOST, "\n".join(planted(plant.put, one) for plant in everything))
    findings = one.leftovers()
    service_rack.ssh(HOST, "\n".join(planted(plant.take, one) for plant in everything))
    assert one.leftovers() == []
    return one, findings


def planted(text: str, one: Slice) -> str:
    return text.format(unit=one.unit, id=one.id, port=one.port, name=one.name, tenant=one.tenant)


@pytest.mark.parametrize("plant", PLANTS)
def test_a_leftover_is_found(found: tuple[Slice, list[dict[str, str]]], plant: str) -> None:
    one, findings = found
    wanted = PLANTS[plant]
    what = planted(wanted.what, one)
    assert [finding for finding in findings if finding["kind"] == wanted.kind and what in finding["what"]], findings


def test_giving_back_also_clears_the_journal_and_the_logs(service_rack: Rack, workplace: Path) -> None:
    one = Slice(service_rack, HOST, "redis", workplace)
    service_rack.ssh(
        HOST,
        f"echo before >/var/log/app.log; echo 'about {one.unit}' >>/var/log/app.log; logger 'about {one.unit}'; "
        "journalctl --sync",
    )
    assert {finding["what"].split(":")[0] for finding in one.leftovers()} == {"/var/log/app.log", "journal"}
    one.done("decommission")
    assert one.leftovers() == []
    assert one.on_disk("/var/log/app.log").read_text() == "before\n"


def test_names_that_are_the_systems_own_words_are_not_findings(service_rack: Rack, workplace: Path) -> None:
    ordinary = Slice(service_rack, HOST, "redis", workplace, tenant="systemd", name="redis")
    service_rack.ssh(HOST, "logger -t systemd-test 'started redis for systemd'; journalctl --sync")
    assert ordinary.leftovers() == []


def test_words_in_the_text_of_a_package_are_not_findings_until_somebody_adds_to_it(
    service_rack: Rack, workplace: Path
) -> None:
    ordinary = Slice(service_rack, HOST, "redis", workplace, tenant="command", name="points")
    service_rack.ssh(HOST, "grep -qw command /etc/crontab")
    assert ordinary.leftovers() == []
    service_rack.ssh(HOST, "cp -p /etc/crontab ~root/crontab; echo '0 4 * * * root command' >>/etc/crontab")
    found = ordinary.leftovers()
    service_rack.ssh(HOST, "mv ~root/crontab /etc/crontab")
    assert found == [{"kind": "cron", "what": "/etc/crontab"}]


def test_the_logs_of_a_neighbour_of_the_same_tenant_are_not_findings(service_rack: Rack, workplace: Path) -> None:
    gone = Slice(service_rack, HOST, "postgresql", workplace)
    stays = Slice(service_rack, HOST, "postgresql", workplace, parameters={"database": "capital"})
    stays.done("provision")
    assert stays.query("SELECT nothing FROM capital;").returncode != 0
    log = stays.on_disk("/var/log/postgresql/postgresql-15-{unit}.log").read_text()
    assert "capital" in log
    assert gone.leftovers() == []
    stays.done("decommission")
    assert stays.leftovers() == []
