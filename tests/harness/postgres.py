"""A PostgreSQL server of its own for tests: found in Debian's packages, in a temporary directory, on a free loopback port."""

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psycopg

from catalog.stack.environment import free_port
from catalog.stack.processes import mark_of

READY_WITHIN = 30.0


class PostgresMissing(Exception):
    """There is no PostgreSQL server on this machine; the message says what to install."""


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found:
        raise PostgresMissing(
            "There is no PostgreSQL server here. Install Debian's postgresql, or run make check instead."
        )
    return found[-1].parent


def _as_server_user() -> list[str]:
    """The server refuses to run as root; under pdeathsig it also ends when whoever started it is killed."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig", "INT"]


class Postgres:
    """A running server. ``url(name)`` names one of its databases.

    :param owner: the state directory it belongs to; a new server removes what a killed one of the same owner left on disk.
    :param durable: whether it waits for the disk at each commit, as production does; tests have no use for that.
    """

    def __init__(self, owner: Path, *, durable: bool = False) -> None:
        self.fsync = "on" if durable else "off"
        self.password = secrets.token_urlsafe(16)
        self.port = free_port()
        prefix = f"pumasi-pg-{mark_of(owner)}-"
        for stale in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
            if not (stale / "data" / "postmaster.pid").exists():
                shutil.rmtree(stale, ignore_errors=True)
        self.home = Path(tempfile.mkdtemp(prefix=prefix))
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        programs, user = _binaries(), _as_server_user()
        password_file = self.home / "password"
        password_file.write_text(self.password, encoding="utf-8")
        if user:
            owner = pwd.getpwnam("postgres")
            os.chown(self.home, owner.pw_uid, owner.pw_gid)
            os.chown(password_file, owner.pw_uid, owner.pw_gid)
        words = [
            "-D",
            self.home / "data",
            "-U",
            "pumasi",
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]
        subprocess.run(
            [*user, programs / "initdb", *words, f"--pwfile={password_file}"],
            check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=120,
        )  # fmt: skip
        given = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": self.fsync,
            "max_connections": 200, "shared_buffers": "128MB", "log_destination": "stderr",
        }  # fmt: skip
        words = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
        with (self.home / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*user, programs / "postgres", "-D", self.home / "data", *words], stdout=log, stderr=log, cwd="/",
                start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + READY_WITHIN
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._server.poll() is not None:
                    self.__exit__()
                    raise
                time.sleep(0.1)
            else:
                return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.send_signal(2)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(20)
            self._server.kill()
            self._server.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def url(self, database: str) -> str:
        """The address of one of its databases, as ``DATABASE_URL`` wants it."""
        return f"postgres://pumasi:{self.password}@127.0.0.1:{self.port}/{database}"


@contextlib.contextmanager
def database(server_url: str, name: str, *, template: str = "") -> Iterator[str]:
    """A fresh database on the server of this address; dropped at the end, also when somebody is still connected.

    :param template: another of its databases that it begins as a copy of; empty: it begins empty.
    """
    assert name.isidentifier()
    server = server_url.rpartition("/")[0]
    # Of the database in the address it is not known whether anybody has made it yet; this one is always there.
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template1'}")
    try:
        yield f"{server}/{name}"
    finally:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
