"""The rack's own playbooks, which are the operator's way, and the linters over all playbooks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rack.driver import PLAYBOOKS, Rack

REPOSITORY = PLAYBOOKS.parent
TOOLS = Path(sys.executable).parent


def environment(**more: str) -> dict[str, str]:
    return {
        "PATH": f"{TOOLS}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_NOCOLOR": "1",
        # An offering may be built with the roles of others, which are put beside it when it is loaded.
        "ANSIBLE_ROLES_PATH": ":".join(map(str, [PLAYBOOKS / "roles", *sorted(PLAYBOOKS.glob("services/*/roles"))])),
        **more,
    }


@pytest.mark.rack
@pytest.mark.xdist_group("rack")
def test_an_operator_puts_hosts_up_and_down_with_playbooks(rack: Rack, tmp_path: Path) -> None:
    a, b, c = rack.subnet.split(".")
    state = tmp_path / "state"
    settings = environment(
        RACK_STATE=str(state),
        RACK_NAME="operator",
        RACK_SUBNET=f"{a}.{b}.{(int(c) + 101) % 256}",
        RACK_IMAGE=str(rack.image or rack.state / "image"),
    )
    mine = Rack(state)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ansible-playbook", *arguments],
            cwd=PLAYBOOKS / "rack",
            env=settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )

    try:
        first = run("up.yml", "-e", "rack_hosts=2")
        assert "changed=1" in first.stdout, first.stdout + first.stderr
        assert "changed=0" in run("up.yml", "-e", "rack_hosts=2").stdout
        assert listed(state) == {"zone-a-01": "on", "zone-b-01": "on"}
        assert run("host.yml", "-e", "rack_host=zone-a-01", "-e", "rack_action=off").returncode == 0
        assert listed(state) == {"zone-a-01": "off", "zone-b-01": "on"}
        refused = run("host.yml", "-e", "rack_host=zone-a-01", "-e", "rack_action=clean")
        assert refused.returncode == 2
        assert "rack_action must be one of wipe, off, on, cut, join, fill, unfill" in refused.stdout
        assert "changed=1" in run("down.yml").stdout
        assert "changed=0" in run("down.yml").stdout
        assert listed(state) == {}
    finally:
        subprocess.run([PLAYBOOKS / "rack" / "rack", "clean"], env=settings, check=True, timeout=60)
    assert not mine.state.exists()


def listed(state: Path) -> dict[str, str]:
    """Hosts of the rack and their power."""
    done = subprocess.run(
        [PLAYBOOKS / "rack" / "rack", "ls"],
        env=environment(RACK_STATE=str(state)),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    rows = [row.split("\t") for row in done.stdout.splitlines()]
    return {row[0]: row[3] for row in rows}


@pytest.mark.rack
@pytest.mark.xdist_group("rack")
def test_twenty_hosts_stand_and_answer(rack: Rack, tmp_path: Path) -> None:
    a, b, c = rack.subnet.split(".")
    many = Rack(tmp_path / "state", "many", f"{a}.{b}.{(int(c) + 102) % 256}", rack.image or rack.state / "image")
    try:
        many.up(20)
        assert len(many.inventory()) == 20
        assert many.run("ls").count("\ton\n") == 20
        assert many.ssh("zone-b-10", "hostname").strip() == "zone-b-10"
    finally:
        many.clean()


def test_every_playbook_passes_ansible_lint_in_its_strictest_profile(tmp_path: Path) -> None:
    done = subprocess.run(
        ["ansible-lint", "--offline", "--nocolor", "-q", "--project-dir", str(REPOSITORY), "playbooks"],
        cwd=REPOSITORY,
        env=environment(XDG_CACHE_HOME=str(tmp_path), ANSIBLE_HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_every_yaml_file_of_the_playbooks_passes_yamllint() -> None:
    done = subprocess.run(
        ["yamllint", "--strict", "playbooks"],
        cwd=REPOSITORY,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(
    not shutil.which("shellcheck"), reason="shellcheck is not installed here (Debian package shellcheck)"
)
def test_the_rack_passes_shellcheck() -> None:
    scripts = [str(PLAYBOOKS / "rack" / name) for name in ("rack", "machine.sh", "image.sh")]
    done = subprocess.run(
        ["shellcheck", "-x", *scripts], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "")
