"""What MariaDB does with what was ordered, where it differs from the other databases."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playbooks.clients import Access
from tests.playbooks.conftest import HOST
from tests.playbooks.slices import Slice, changed
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack

ORDERED = {"database": "a_b", "max_connections": 5, "timezone": "Europe/London", "collation": "utf8mb4_uca1400_as_cs"}


@pytest.fixture(scope="module")
def built(service_rack: Rack, workplace: Path) -> Iterator[Slice]:
    one = Slice(service_rack, HOST, "mariadb", workplace, parameters=ORDERED)
    one.done("provision")
    one.done("verify")
    yield one
    one.done("decommission")
    assert one.leftovers() == []


def said(one: Slice, statement: str) -> list[str]:
    return one.query(statement).stdout.split()


def test_a_grant_on_a_name_with_an_underscore_covers_no_other_name(built: Slice) -> None:
    assert "Access denied" in built.query("CREATE DATABASE axb;").stderr
    assert said(built, "SHOW DATABASES;") == ["a_b", "information_schema"]


def test_the_settings_are_those_that_were_ordered(built: Slice) -> None:
    assert said(built, "SELECT @@collation_database, @@max_user_connections;") == [ORDERED["collation"], "5"]
    # London in winter and in summer, without the server's own tables of time zones.
    assert said(built, "SELECT TIME(FROM_UNIXTIME(1768478400)), TIME(FROM_UNIXTIME(1784116800));") == [
        "12:00:00",
        "13:00:00",
    ]


def test_a_client_that_does_not_encrypt_is_refused(built: Slice) -> None:
    argv, environment = built.client.command(Access(built.address, built.port, built.credentials))
    words = [word.replace("--ssl", "--skip-ssl") for word in argv]
    done = subprocess.run(words, input="SELECT 1;", env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Access denied" in done.stderr


def test_nobody_but_the_hosts_root_is_the_servers_root(built: Slice) -> None:
    socket = f"--socket=/run/mariadb-{built.unit}/mariadb.sock"
    ask = f"mariadb --no-defaults --user=root {socket} --batch --skip-column-names -e"
    accounts = "SELECT User, Host FROM mysql.global_priv ORDER BY User"
    assert built.rack.ssh(HOST, f"{ask} '{accounts}'").split() == [
        built.username,
        "%",
        "mariadb.sys",
        "localhost",
        "root",
        "localhost",
    ]
    assert "Access denied" in built.rack.ssh(HOST, f"runuser -u {built.unit} -- {ask} 'SELECT 1' 2>&1 || :")
    assert "Access denied" in built.rack.ssh(
        HOST, f"runuser -u {built.unit} -- {ask} 'SELECT 1' --user=mariadb.sys 2>&1 || :"
    )


def test_settings_that_an_interrupted_run_wrote_are_in_force_after_the_next(built: Slice) -> None:
    path = f"/etc/pumasi/slices/{built.unit}/mariadb.cnf"
    built.rack.ssh(
        HOST, f"sed -i 's/user_connections = 5/user_connections = 6/; s/connections = 5/connections = 6/' {path}"
    )
    built.parameters = ORDERED | {"max_connections": 6}
    assert changed(built.done("provision")) == 1
    assert said(built, "SELECT @@max_user_connections;") == ["6"]
    assert changed(built.done("provision")) == 0
