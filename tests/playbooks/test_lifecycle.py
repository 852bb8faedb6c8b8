"""Services on a real host: built, used, built again, neighbours side by side, given back, looked for."""

import re
from pathlib import Path

import pytest

from tests.playbooks.conftest import HOST, OUTSIDER
from tests.playbooks.slices import Slice, changed
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack


def reaches(rack: Rack, host: str, address: str, port: int) -> bool:
    """Whether a host of the rack gets a TCP connection to the address within three seconds."""
    answer = rack.ssh(host, f"timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port}' && echo open || echo shut")
    return answer.strip() == "open"


def test_the_whole_life_of_two_neighbours(service_rack: Rack, slug: str, workplace: Path) -> None:
    first = Slice(service_rack, HOST, slug, workplace)
    neighbour = Slice(service_rack, HOST, slug, workplace, tenant="card", name="points")

    built = first.done("provision", verbosity=3)
    checked = first.done("verify", verbosity=3)
    assert first.password not in built.text + checked.text
    assert first.password not in service_rack.ssh(
        HOST, "journalctl --no-pager; find /var/log -name '*.log' -exec cat {} +"
    )
    assert "password" not in built.outputs
    assert changed(first.done("provision")) == 0
    neighbour.done("provision")

    for one in (first, neighbour):
        assert one.query(one.client.write).stdout.split()[-1] == one.client.shown
        for command in one.client.forbidden:
            answer = one.query(command)
            assert re.search(one.client.refusal, answer.stdout + answer.stderr, re.IGNORECASE), command
    # The host itself answers the outsider; the port that was lent does not.
    assert reaches(service_rack, OUTSIDER, first.address, 22)
    assert not reaches(service_rack, OUTSIDER, first.address, first.port)
    # Nothing of the packages' own listens beside what was ordered.
    places = service_rack.ssh(HOST, "ss -Hltn | awk '{print $4}'").split()
    listening = {place.rpartition(":")[2] for place in places if not re.fullmatch(first.client.inner, place)}
    assert listening == {"22", str(first.port), str(neighbour.port)}

    # The name, and the slice.
    assert changed(first.done("decommission")) == 2
    assert first.leftovers() == []
    assert neighbour.query(neighbour.client.read).stdout.split()[-1] == neighbour.client.shown
    neighbour.done("verify")

    assert changed(first.done("decommission")) == 0
    neighbour.done("decommission")
    assert neighbour.leftovers() == []


def test_verify_fails_without_the_service(service_rack: Rack, slug: str, workplace: Path) -> None:
    played = Slice(service_rack, HOST, slug, workplace, named=False).play("verify")
    assert played.code == 2
    assert "does not work as promised (unreachable)" in played.text


def test_giving_back_what_was_never_built_changes_nothing(service_rack: Rack, workplace: Path) -> None:
    never = Slice(service_rack, OUTSIDER, "postgresql", workplace)
    assert changed(never.done("decommission")) == 0
    assert never.leftovers() == []


ABORTS = [
    ("haproxy", "/etc/pumasi/slices/{unit}/server.pem"),
    ("jupyterhub", "/etc/pumasi/slices/{unit}/settings.json"),
    ("jupyterhub", "/var/lib/pumasi/{unit}/hub/jupyterhub.sqlite"),
    ("mariadb", "/var/lib/pumasi/{unit}/data.new"),
    ("mariadb", "/var/log/pumasi/{unit}/mariadb.log"),
    ("postgresql", "/var/lib/postgresql/15/{unit}"),
    ("postgresql", "/var/lib/postgresql/15/{unit}/postmaster.pid"),
    ("python-app", "/var/lib/pumasi/{unit}/home"),
    ("python-app", "/etc/pumasi/slices/{unit}/settings.json.candidate"),
    ("rabbitmq", "/var/lib/pumasi/{unit}/node/schema.DAT"),
    ("redis", "/etc/pumasi/slices/{unit}"),
    ("static-site", "/var/lib/pumasi/{unit}/releases"),
    ("wordpress", "/var/lib/pumasi/{unit}/db/data.new"),
    ("wordpress", "/var/lib/pumasi/{unit}/db/data/wordpress/wp_options.ibd"),
]


@pytest.mark.parametrize(("slug", "path"), ABORTS)
def test_a_build_killed_halfway_is_given_back_clean(service_rack: Rack, slug: str, path: str, workplace: Path) -> None:
    half = Slice(service_rack, HOST, slug, workplace)
    half.abort(half.on_disk(path).exists)
    half.done("decommission")
    assert half.leftovers() == []


@pytest.mark.parametrize(
    ("slug", "path"),
    [
        ("haproxy", "/etc/pumasi/slices/{unit}/haproxy.cfg"),
        ("jupyterhub", "/etc/pumasi/slices/{unit}/server.pem"),
        ("jupyterhub", "/var/lib/pumasi/{unit}/hub/jupyterhub.sqlite"),
        ("mariadb", "/var/lib/pumasi/{unit}/data.new"),
        ("mariadb", "/etc/pumasi/slices/{unit}/mariadb.cnf"),
        ("postgresql", "/etc/postgresql/15/{unit}/server.key"),
        ("python-app", "/var/lib/pumasi/{unit}/releases"),
        ("python-app", "/etc/pumasi/slices/{unit}/settings.json.candidate"),
        ("python-app", "/etc/pumasi/slices/{unit}/settings.json"),
        ("rabbitmq", "/etc/pumasi/slices/{unit}/server.key"),
        ("redis", "/etc/pumasi/slices/{unit}/redis.conf"),
        ("static-site", "/etc/pumasi/slices/{unit}/nginx.conf"),
        ("wordpress", "/etc/wordpress/config-{unit}.php"),
        ("wordpress", "/var/lib/pumasi/{unit}/db/data/wordpress/wp_options.ibd"),
    ],
)
def test_a_build_killed_halfway_succeeds_when_tried_again(
    service_rack: Rack, slug: str, path: str, workplace: Path
) -> None:
    half = Slice(service_rack, HOST, slug, workplace)
    half.abort(half.on_disk(path).exists)
    half.done("provision")
    half.done("verify")
    half.done("decommission")
    assert half.leftovers() == []


@pytest.mark.parametrize(
    ("slug", "path"),
    [
        ("postgresql", "/etc/postgresql/15/{unit}/conf.d/pumasi.conf"),
        ("python-app", "/etc/pumasi/slices/{unit}/settings.json"),
        ("redis", "/etc/pumasi/slices/{unit}/redis.conf"),
    ],
)
def test_settings_that_a_killed_run_wrote_and_did_not_apply_are_applied_by_the_next(
    service_rack: Rack, slug: str, path: str, workplace: Path
) -> None:
    one = Slice(service_rack, HOST, slug, workplace)
    one.done("provision")
    asked = f"systemctl show --property=MainPID --property=ActiveEnterTimestampMonotonic {one.service}"
    before = service_rack.ssh(HOST, asked)
    assert changed(one.done("provision")) == 0
    assert service_rack.ssh(HOST, asked) == before
    service_rack.ssh(HOST, f"touch {path.format(unit=one.unit)}")
    assert changed(one.done("provision")) == 1
    assert service_rack.ssh(HOST, asked) != before
    assert changed(one.done("provision")) == 0
    one.done("decommission")


def test_an_installation_cut_off_halfway_is_finished_by_the_next_attempt(service_rack: Rack, workplace: Path) -> None:
    service_rack.wipe(HOST)
    half = Slice(service_rack, HOST, "postgresql", workplace)
    half.abort(half.on_disk("/var/lib/dpkg/info/postgresql-client-15.list").exists)
    broken = service_rack.ssh(HOST, "pkill -9 -x apt-get; pkill -9 -x dpkg; dpkg --audit")
    assert "postgresql" in broken
    played = half.done("provision")
    assert "Finish what an interrupted installation left" in played.text
    assert service_rack.ssh(HOST, "dpkg --audit") == ""
    half.done("verify")
    half.done("decommission")
    assert half.leftovers() == []
