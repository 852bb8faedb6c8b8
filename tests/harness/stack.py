"""A whole stack for tests: PostgreSQL, Redis, Prefect, Celery, the web server, a worker per zone, and real hosts."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from catalog.stack import environment, launch
from catalog.stack import supervisor as supervision
from catalog.stack.client import Api
from catalog.stack.rack import Place, Rack, enrol
from tests.rack.driver import Rack as Hardware

SHORT = {
    "PUMASI_RELAY_SECONDS": "1",
    "PUMASI_RECONCILE_SECONDS": "3",
    "PUMASI_WORKERS_SECONDS": "2",
    "PUMASI_RECLAIM_SECONDS": "10",
    "PUMASI_HOST_CHECK_SECONDS": "60",
    "PUMASI_SWEEP_SECONDS": "60",
    "PUMASI_HEARTBEAT_STALE_SECONDS": "10",
    "PUMASI_PICKUP_SECONDS": "15",
    "PUMASI_PORT_REST_SECONDS": "5",
}


def until(what: str, is_so: Callable[[], Any], *, within: float) -> Any:
    """Look until ``is_so`` answers something true, and return that. Fails the test after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (answer := is_so()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {within:.0f} s")
        time.sleep(0.2)
    return answer


@dataclass
class Stack:
    """A running stack and its hosts. ``a`` and ``b`` are developers of two affiliates, ``operator`` runs the pool."""

    state: Path
    url: str
    hardware: Hardware
    places: list[Place]
    given: dict[str, str]
    people: dict[str, Api] = field(default_factory=dict)

    def person(self, username: str) -> Api:
        """Somebody of the sample, signed in once per session."""
        if username not in self.people:
            self.people[username] = launch.sign_in(self.state, self.url, username)
        return self.people[username]

    @property
    def a(self) -> Api:
        return self.person("minji")

    @property
    def b(self) -> Api:
        return self.person("seoyeon")

    @property
    def operator(self) -> Api:
        return self.person("jihun")

    def pid(self, part: str) -> int:
        """The process id of a part of the stack at this moment."""
        return int(environment.read(self.state)["processes"][part]["pid"])

    def kill(self, part: str) -> None:
        """kill -9 a part, and wait until the supervisor has started another."""
        before = self.pid(part)
        os.kill(before, signal.SIGKILL)
        until(f"a new {part}", lambda: self.pid(part) != before, within=60)

    def books(self) -> None:
        """Assert that nothing is claimed that nobody owns."""
        launch.manage(self.state, "books", given=self.given)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the catalog's database."""
        with psycopg.connect(self.given["DATABASE_URL"]) as connection:
            return connection.execute(query, values).fetchall()

    def host(self, name: str) -> dict[str, Any]:
        """A host as the pool operator sees it."""
        return next(row for row in self.operator.every("/hosts") if row["name"] == name)

    def host_of(self, instance: dict[str, Any]) -> Place:
        """The machine an instance is on, by its address."""
        address = instance["endpoints"][0]["address"]
        return next(place for place in self.places if place.address == address)

    def all_back(self, *, within: float = 240) -> None:
        """Wait until every host of the pool is available again."""

        def available() -> bool:
            return all(row["state"] == "available" for row in self.operator.every("/hosts"))

        until("all hosts available", available, within=within)


@contextmanager
def running(state: Path, hardware: Hardware, *, database_url: str | None, **more: str) -> Iterator[Stack]:
    """A stack on the hosts of ``hardware``, stopped at the end with everything it started.

    :param database_url: a PostgreSQL database; None for SQLite in ``state``.
    """
    rack = Rack(hardware.state)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "RACK_"))}
    for name in ("DATABASE_URL", "REDIS_URL", "PUMASI_SECRET_KEY", "PUMASI_SECRET_KEY_FILE"):
        inherited.pop(name, None)
    given = {
        **inherited,
        "PUMASI_STATE": str(state),
        "PUMASI_SECRET_KEY": environment.secret(state, "secret_key"),
        "PUMASI_CLIENT_NETWORKS": rack.machine(),
        "PUMASI_SSH_KEY": str(rack.private_key),
        "PUMASI_WEB_PORT": str(environment.free_port()),
        "PUMASI_PREFECT_PORT": str(environment.free_port()),
        "PUMASI_REDIS_PORT": str(environment.free_port()),
        **SHORT,
        **({"DATABASE_URL": database_url} if database_url else {}),
        **more,
    }
    places = rack.places()
    try:
        url = launch.start(state, given=given, zones=sorted({place.zone for place in places}))
        launch.manage(state, "sample", "--rack", str(rack.state), given=given)
        stack = Stack(state, url, hardware, places, given)
        enrol(stack.operator, places)
        yield stack
    finally:
        supervision.stop(state)
