"""Primary and replica on two hosts: what is written to the one is on the other, and the other takes over."""

from collections.abc import Iterator

import pytest

from tests.playbooks.conftest import HOST, OUTSIDER
from tests.playbooks.slices import kinds
from tests.playbooks.stacks import Stack
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack


@pytest.fixture
def pair(service_rack: Rack) -> Iterator[Stack]:
    stack = Stack(service_rack, "postgresql", "pair-small", [HOST, OUTSIDER])
    yield stack
    service_rack.on(HOST)
    stack.done("decommission")


def one(stack: Stack, statement: str, at: str = "") -> str:
    """The answer to a statement that has to succeed."""
    done = stack.query(statement, at)
    assert done.returncode == 0, done.stderr
    return str(done.stdout.strip())


def test_a_pair_is_built_used_switched_and_given_back(pair: Stack) -> None:
    built = pair.done("provision", "verify")
    assert built.outputs["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    one(pair, "CREATE TABLE kept (x int); INSERT INTO kept VALUES (7);")
    assert one(pair, "SELECT pg_is_in_recovery();", "node-1") == "f"
    assert one(pair, "SELECT pg_is_in_recovery();", "node-2") == "t"
    refused = pair.query("INSERT INTO kept VALUES (8);", "node-2")
    assert refused.returncode != 0 and "read-only transaction" in refused.stderr
    pair.done("provision")
    assert pair.changed() == set()

    switched = pair.done("failover")
    assert (switched.outputs["front"], switched.outputs["replica"]) == ("node-2", "follows")
    assert switched.outputs["certificate"] != built.outputs["certificate"]
    pair.front = "node-2"
    assert one(pair, "SELECT x FROM kept;") == "7"
    one(pair, "INSERT INTO kept VALUES (8);")
    assert one(pair, "SELECT pg_is_in_recovery();", "node-1") == "t"
    pair.done("provision", "verify")
    assert pair.changed() == set()
    pair.done("stop")
    pair.done("start", "verify")
    assert one(pair, "SELECT sum(x) FROM kept;", "node-1") == "15"

    report = pair.done("decommission", "residue").outputs["residue"]
    assert report == {"clean": True, "checked": kinds(), "findings": []}
    pair.done("decommission", "residue")


def test_the_replica_takes_over_from_a_primary_without_power(pair: Stack, service_rack: Rack) -> None:
    pair.done("provision")
    one(pair, "CREATE TABLE kept (x int); INSERT INTO kept VALUES (7);")
    pair.done("verify")
    service_rack.off(HOST)
    switched = pair.done("failover")
    assert (switched.outputs["front"], switched.outputs["replica"]) == ("node-2", "missing")
    pair.front = "node-2"
    one(pair, "INSERT INTO kept VALUES (8);")

    # It comes back with what it had, and must not serve it.
    service_rack.on(HOST)
    assert pair.query("SELECT 1;", "node-1").returncode != 0
    pair.done("repair", "verify")
    assert one(pair, "SELECT sum(x) FROM kept;", "node-1") == "15"
    assert one(pair, "SELECT pg_is_in_recovery();", "node-1") == "t"


def test_what_is_left_on_either_host_is_found(pair: Stack, service_rack: Rack) -> None:
    pair.done("provision")
    pair.done("decommission")
    left = pair.member("node-2")
    service_rack.ssh(left.host, f"mkdir -p /var/lib/postgresql/15/{left.unit}")
    report = pair.done("residue").outputs["residue"]
    assert report["clean"] is False
    assert {finding["kind"] for finding in report["findings"]} == {"data"}
    assert all(left.unit in finding["what"] for finding in report["findings"])
