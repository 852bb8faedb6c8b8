"""A proxy, two applications and a database with its replica: one service, built in order and undone as a whole."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.playbooks.conftest import HOST, OUTSIDER
from tests.playbooks.slices import kinds
from tests.playbooks.stacks import Stack
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack

TOGETHER = [HOST, HOST, OUTSIDER, HOST, OUTSIDER]
"""Where front, app-1, app-2, db-1 and db-2 stand: members that share a host must not be in each other's way."""
CLEAN = {"clean": True, "checked": kinds(), "findings": []}


@pytest.fixture
def tiers(service_rack: Rack) -> Iterator[Stack]:
    stack = Stack(service_rack, "three-tier", "small", TOGETHER)
    yield stack
    stack.done("decommission")


def get(stack: Stack, member: str, *, scheme: str) -> "subprocess.CompletedProcess[str]":
    """A page of a member, asked for from this machine."""
    url = f"{scheme}://{stack.address(member)}:{stack.member(member).port}/"
    words = ["curl", "-sk", "--max-time", "4", "-o", "/dev/null", "-w", "%{http_code}", url]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_it_is_built_in_order_used_and_given_back_as_one(tiers: Stack, service_rack: Rack) -> None:
    tiers.done("provision", "verify")
    order = [each.data["host"] for each in tiers.entries if each.kind == "task" and each.data["status"] == "changed"]
    members = sorted({host for host in order if host != "localhost"}, key=order.index)
    assert [name.split("-")[0] for name in members] == ["db", "db", "app", "app", "front"]
    assert get(tiers, "front", scheme="https").stdout == "200"
    # Only the other members may connect to what stands behind the proxy.
    assert get(tiers, "app-1", scheme="http").stdout == "000"
    assert tiers.member("db-1").clients is False
    env = service_rack.ssh(HOST, f"cat /etc/pumasi/slices/{tiers.member('app-1').unit}/settings.json")
    assert tiers.address("db-1") in env
    assert "target_session_attrs=read-write" in env
    tiers.done("provision")
    assert tiers.changed() == set()
    tiers.done("stop")
    assert get(tiers, "front", scheme="https").stdout == "000"
    tiers.done("start", "verify")
    assert tiers.done("decommission", "residue").outputs["residue"] == CLEAN


def test_where_one_part_fails_the_rest_is_not_built_and_nothing_is_left(tiers: Stack) -> None:
    tiers.all_parameters["source"] = f"http://{tiers.rack.subnet}.1:9/nothing.tar.gz"
    failed = tiers.play("provision")
    assert not failed.ok
    assert {
        each.data["host"] for each in tiers.entries if each.kind == "task" and "proxy" in each.data["task"]
    } == set()
    assert tiers.done("decommission", "residue").outputs["residue"] == CLEAN
