"""The rack itself: what its hosts are, and that every fault can be made and undone."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.rack.driver import COMMAND, Rack, RackError

pytestmark = [pytest.mark.rack, pytest.mark.xdist_group("rack")]


def answers(address: str, port: int = 22) -> bool:
    """Whether a server greets there within a second."""
    try:
        with socket.create_connection((address, port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def test_four_hosts_are_spread_over_two_zones_with_fixed_addresses(rack: Rack) -> None:
    hosts = rack.inventory()
    assert {name: (host.zone, host.address) for name, host in hosts.items()} == {
        "zone-a-01": ("zone-a", f"{rack.subnet}.11"),
        "zone-b-01": ("zone-b", f"{rack.subnet}.12"),
        "zone-a-02": ("zone-a", f"{rack.subnet}.13"),
        "zone-b-02": ("zone-b", f"{rack.subnet}.14"),
    }
    assert len({host.mac for host in hosts.values()}) == 4
    assert len({rack.host_key(name) for name in hosts}) == 4


def test_the_name_server_answers_beside_the_hosts_and_is_none_of_them(rack: Rack) -> None:
    server = rack.dns()["address"]
    assert server == f"{rack.subnet}.2"
    asked = ["kdig", "+short", f"@{server}", "ns.pumasi.internal", "A"]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip() == server
    assert server not in rack.run("ls")
    assert rack.ssh("zone-a-01", "ls /usr/sbin/knotd 2>&1 || :").strip().endswith("No such file or directory")
    assert (rack.state / "nameserver" / "key").stat().st_mode & 0o777 == 0o600
    assert not answers(server)
    # Nothing but its own domain, and no change without the key.
    asked = ["kdig", f"@{server}", "debian.org"]
    assert "status: REFUSED" in subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    script = f"server {server}\nzone pumasi.internal.\nupdate add x.pumasi.internal. 60 A 10.0.0.1\nsend\n"
    assert subprocess.run(["knsupdate"], input=script, text=True, capture_output=True, check=False).returncode == 1


def test_a_host_has_its_own_name_processes_and_disk(rack: Rack, host: str) -> None:
    name, first, machine, disk = rack.ssh(
        host, "hostname; cat /proc/1/comm; cat /etc/machine-id; df --output=source / | tail -1"
    ).split()
    assert (name, first) == (host, "systemd")
    assert machine != rack.ssh("zone-a-01", "cat /etc/machine-id").strip()
    assert disk.endswith(host)
    assert rack.ssh(host, "systemctl is-system-running").strip() == "running"


def test_apt_works_on_a_host_and_its_lists_are_not_believed(rack: Rack, host: str) -> None:
    assert rack.ssh(host, "stat --format %Y /var/lib/apt/lists").strip() == "0"
    rack.ssh(host, "apt-get -qq update && apt-get -qq install -y --no-install-recommends hello", seconds=120)
    assert rack.ssh(host, "hello").strip() == "Hello, world!"


def test_a_host_that_lost_power_comes_back_with_its_disk_and_its_key(rack: Rack, host: str) -> None:
    address, key = rack.inventory()[host].address, rack.host_key(host)
    rack.ssh(host, "echo kept > /srv/note; sync")
    rack.off(host)
    assert not answers(address)
    assert f"{host}\t" in rack.run("ls") and rack.run("ls").count("\toff\n") == 1
    rack.on(host)
    assert rack.ssh(host, "cat /srv/note").strip() == "kept"
    assert rack.host_key(host) == key


def test_a_host_whose_monitor_was_killed_can_still_be_switched_and_keeps_its_disk(rack: Rack, host: str) -> None:
    address = rack.inventory()[host].address
    rack.ssh(host, "echo kept > /srv/note; sync")
    kill_monitor(rack, host)
    rack.off(host)
    assert not answers(address)
    rack.on(host)
    assert rack.ssh(host, "cat /srv/note").strip() == "kept"


def test_a_cut_host_is_unreachable_and_unharmed(rack: Rack, host: str) -> None:
    address = rack.inventory()[host].address
    rack.ssh(host, "echo running > /run/note")
    rack.cut(host)
    assert not answers(address)
    rack.join(host)
    assert rack.ssh(host, "cat /run/note").strip() == "running"


def test_a_full_disk_takes_nothing_until_it_is_freed(rack: Rack, host: str) -> None:
    write = "dd if=/dev/zero of=/srv/data bs=1M count=1 2>&1; echo exit $?"
    rack.fill(host)
    answer = rack.ssh(host, write)
    assert "No space left on device" in answer
    assert rack.ssh("zone-a-01", write).strip().endswith("exit 0")  # only this host's disk is full
    rack.unfill(host)
    assert rack.ssh(host, write).strip().endswith("exit 0")


@pytest.mark.parametrize("condition", ["on", "off", "cut", "full"])
def test_a_wipe_leaves_nothing_whatever_state_the_host_is_in(rack: Rack, host: str, condition: str) -> None:
    old = rack.host_key(host)
    plant = """
    mkdir /srv/empty; echo secret > /etc/secret.conf; useradd --create-home intruder; groupadd bystanders
    echo '* * * * * root true' > /etc/cron.d/left; nft add table inet left; echo ssh-ed25519 AAAA x >> ~root/.authorized
    """
    rack.ssh(host, plant)
    {"on": lambda _: None, "off": rack.off, "cut": rack.cut, "full": rack.fill}[condition](host)
    report = rack.wipe(host)
    left = rack.ssh(
        host,
        "ls -d /srv/* /etc/secret.conf /home/intruder /etc/cron.d/left ~root/.authorized 2>/dev/null;"
        "getent passwd intruder; getent group bystanders; nft list ruleset; true",
    )
    assert left == ""
    assert report["method"] == "reimage"
    assert report["old_host_key"] == old
    assert report["new_host_key"] == rack.host_key(host) != old
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", report["image"])
    assert report["started_at"] < report["finished_at"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["wipe", "zone-z-01"], "no host 'zone-z-01'"),
        (["off", "../../etc"], "no host '../../etc'"),
        (["on"], "name a host"),
        (["up", "0"], "say how many hosts"),
        (["up", "-1"], "say how many hosts"),
        (["burn", "zone-a-01"], "unknown command 'burn'"),
        (["image"], "in use by hosts"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(rack: Rack, arguments: list[str], said: str) -> None:
    before = rack.run("ls")
    keys = [rack.host_key(name) for name in rack.inventory()]
    with pytest.raises(RackError, match=re.escape(said)) as error:
        rack.run(*arguments)
    assert error.value.code == 2
    assert rack.run("ls") == before
    assert [rack.host_key(name) for name in rack.inventory()] == keys


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("RACK_STATE", "relative/path", "absolute path"),
        ("RACK_STATE", "/tmp/a b", "spaces"),
        ("RACK_NAME", "Rack_1", "RACK_NAME must be"),
        ("RACK_SUBNET", "10.77", "RACK_SUBNET must be"),
        ("RACK_SUBNET", "10.300.1", "over 255"),
        ("RACK_ZONES", "zone-a /etc", "a zone's name"),
        ("RACK_MEM", "much", "RACK_MEM must be"),
        ("RACK_DISK", "-1", "RACK_DISK must be"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_made(
    tmp_path: Path, setting: str, value: str, said: str
) -> None:
    fresh = Rack(tmp_path / "state", extra=((setting, value),))
    with pytest.raises(RackError, match=said) as error:
        fresh.run("up", "1")
    assert error.value.code == 2
    assert not (tmp_path / "state").exists()


def test_the_doctor_names_what_is_missing_and_changes_nothing() -> None:
    """As a user who is not root, on a machine where neither packages nor loop devices nor namespaces are to be had."""
    with tempfile.TemporaryDirectory() as readable:
        shutil.copytree(COMMAND.parent, f"{readable}/rack")
        for tool in ("dpkg-query", "losetup", "unshare"):
            (Path(readable) / tool).write_text("#!/bin/sh\nexit 1\n")
            (Path(readable) / tool).chmod(0o755)
        Path(readable).chmod(0o755)
        before = sorted(Path(readable).rglob("*"))
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"{readable}/rack/rack", "doctor"],
            env={"PATH": f"{readable}:{os.environ['PATH']}", "RACK_STATE": f"{readable}/state"},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert sorted(Path(readable).rglob("*")) == before
    assert done.returncode == 2
    for said in ("not root", "packages missing", "no namespaces", "no loop devices: set RACK_DISK=none"):
        assert said in done.stderr


def test_two_racks_stand_side_by_side_and_going_leaves_no_trace(rack: Rack, tmp_path: Path) -> None:
    """A rack of its own, with everything in the state directory that `clean` then removes."""
    a, b, c = rack.subnet.split(".")
    subnet = f"{a}.{b}.{(int(c) + 100) % 256}"
    image = rack.image or rack.state / "image"
    other = Rack(tmp_path / "state", "neighbour", subnet, image, extra=(("RACK_ZONES", "annex"), ("RACK_DISK", "none")))
    other.up(1)
    try:
        assert list(other.inventory()) == ["annex-01"]
        assert other.ssh("annex-01", "hostname").strip() == "annex-01"
        with pytest.raises(RackError, match="no disk of their own"):
            other.fill("annex-01")
        with pytest.raises(RackError, match="RACK_ZONES is 'elsewhere' but this rack was made with 'annex'"):
            Rack(other.state, "neighbour", subnet, extra=(("RACK_ZONES", "elsewhere"),)).up(1)
        assert f"unreachable {subnet}.0/24" in routes()
    finally:
        other.clean()
    assert not other.state.exists()
    assert subnet not in routes()
    assert str(other.state) not in Path("/proc/self/mountinfo").read_text()
    assert not [text for text in command_lines() if str(other.state) in text]
    assert (image / "digest").exists()
    assert rack.ssh("zone-a-01", "hostname").strip() == "zone-a-01"


def test_up_again_adds_only_what_is_missing(rack: Rack) -> None:
    keys = {name: rack.host_key(name) for name in rack.inventory()}
    rack.up(4)
    assert {name: rack.host_key(name) for name in rack.inventory()} == keys


def kill_monitor(rack: Rack, host: str) -> None:
    """End podman's monitor of one host of this rack, as a killed session may do."""
    storage = str(rack.state / "podman")
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it ended
            continue
        if words[0].endswith("conmon") and host in words and any(storage in word for word in words):
            os.kill(int(place.name), signal.SIGKILL)
            return
    raise AssertionError(f"no monitor of {host} was found")


def routes() -> str:
    return subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout


def command_lines() -> list[str]:
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(place.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it ended
            continue
    return found
