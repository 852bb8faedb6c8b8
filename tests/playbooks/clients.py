"""How the owner of each service uses it: the real client, with nothing but what was delivered."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.rack.driver import PLAYBOOKS

if TYPE_CHECKING:
    from tests.playbooks.slices import Slice


@dataclass(frozen=True)
class Access:
    """What the owner is given."""

    address: str
    port: int
    credentials: Mapping[str, str]


@dataclass(frozen=True)
class Client:
    """The real client of one service.

    :param command: its words, and what its environment holds.
    :param write: statements that keep a seven and show it.
    :param read: statements that show the seven.
    :param ping: a statement that any service of the kind answers with ``pong``.
    :param forbidden: statements with which an owner could leave the service or look at a neighbour.
    :param refusal: what it says of these, as a regular expression.
    :param data: a file that is there as long as the data is; ``{unit}`` in its name.
    :param comment: the comment as the service keeps it.
    """

    command: Callable[[Access], tuple[list[str], dict[str, str]]]
    write: str
    read: str
    ping: str
    pong: str
    forbidden: tuple[str, ...]
    refusal: str
    data: str
    comment: Callable[["Slice"], str]

    def query(self, access: Access, statement: str) -> "subprocess.CompletedProcess[str]":
        """One statement, from this machine."""
        argv, environment = self.command(access)
        environment |= {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            argv, input=statement, env=environment, capture_output=True, text=True, timeout=20, check=False
        )


def _psql(access: Access) -> tuple[list[str], dict[str, str]]:
    given = access.credentials
    return ["psql", "-XAtw", "-v", "ON_ERROR_STOP=1", "-f", "-"], {
        "PGHOST": access.address, "PGPORT": str(access.port), "PGDATABASE": given["database"], "PGUSER": given["username"],
        "PGPASSWORD": given["password"], "PGCONNECT_TIMEOUT": "5",
    }  # fmt: skip


def _postgresql_comment(one: "Slice") -> str:
    kept = one.query("SELECT to_json(shobj_description(oid, 'pg_database')) FROM pg_database WHERE datname = 'appdb'")
    comment: str = json.loads(kept.stdout)
    return comment


def _mariadb(access: Access) -> tuple[list[str], dict[str, str]]:
    given = access.credentials
    where = ["-h", access.address, "-P", str(access.port), "-u", given["username"], given["database"]]
    words = ["mariadb", "--no-defaults", "--ssl", "--connect-timeout=5", "--batch", "--skip-column-names"]
    return [*words, *where], {"MYSQL_PWD": given["password"]}


def _mariadb_comment(one: "Slice") -> str:
    comment: str = json.loads(one.on_disk("/etc/pumasi/slices/{unit}/comment.json").read_text())
    return comment


def _redis_cli(access: Access) -> tuple[list[str], dict[str, str]]:
    where = ["-h", access.address, "-p", str(access.port)]
    words = ["redis-cli", *where, "--no-auth-warning", "--user", access.credentials["username"]]
    return words, {"REDISCLI_AUTH": access.credentials["password"]}


def _redis_comment(one: "Slice") -> str:
    config = one.on_disk("/etc/pumasi/slices/{unit}/redis.conf").read_text().splitlines()
    assert config[1] == f"bind {one.address}"
    comment: str = json.loads(config[0].removeprefix("# comment: "))
    return comment


CLIENTS = {
    "mariadb": Client(
        _mariadb,
        write="CREATE TABLE loans (id int); INSERT INTO loans VALUES (7); SELECT id FROM loans;",
        read="SELECT id FROM loans;",
        ping="SELECT 1;",
        pong="1",
        forbidden=(
            "SELECT 1 INTO OUTFILE '/tmp/out';",
            "LOAD DATA INFILE '/etc/passwd' INTO TABLE loans;",
            "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE loans;",
            "SELECT * FROM mysql.global_priv;",
            "CREATE USER other;",
            "GRANT SELECT ON appdb.* TO PUBLIC;",
            "CREATE DATABASE other;",
            "SET GLOBAL local_infile = 1;",
            "INSTALL SONAME 'auth_pam';",
            "CREATE FUNCTION sys_exec RETURNS int SONAME 'udf.so';",
            "CREATE DEFINER = root@localhost PROCEDURE whoami() SELECT user();",
            "SHUTDOWN;",
        ),
        refusal="Access denied|command denied|LOAD DATA LOCAL INFILE is disabled|command is not allowed",
        data="/var/lib/pumasi/{unit}/data/ibdata1",
        comment=_mariadb_comment,
    ),
    "postgresql": Client(
        _psql,
        write="CREATE TABLE loans (id int); INSERT INTO loans VALUES (7); SELECT id FROM loans;",
        read="SELECT id FROM loans;",
        ping="SELECT 1;",
        pong="1",
        forbidden=(
            "COPY (SELECT 1) TO PROGRAM 'id';",
            "SELECT pg_read_file('/etc/passwd');",
            "CREATE ROLE other SUPERUSER;",
            "CREATE DATABASE other;",
            "ALTER SYSTEM SET port = 1;",
            "\\connect postgres",
        ),
        refusal="permission denied|must be superuser",
        data="/var/lib/postgresql/15/{unit}/PG_VERSION",
        comment=_postgresql_comment,
    ),
    "redis": Client(
        _redis_cli,
        write="SET loans 7\nGET loans\n",
        read="GET loans\n",
        ping="PING\n",
        pong="PONG",
        forbidden=(
            "CONFIG SET dir /etc\n",
            "ACL LIST\n",
            "DEBUG SLEEP 0\n",
            "REPLICAOF 10.82.0.12 1\n",
            "SHUTDOWN\n",
            "MODULE LIST\n",
        ),
        refusal="NOPERM",
        data="/var/lib/pumasi/{unit}/dump.rdb",
        comment=_redis_comment,
    ),
}
SERVICES = tuple(sorted(path.parent.name for path in (PLAYBOOKS / "services").glob("*/service.yml")))
