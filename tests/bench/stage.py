"""What is measured on: PostgreSQL, a rack, the whole stack as it is delivered, and hosts beside it for working by hand."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg

from catalog.stack import environment
from catalog.stack import supervisor as supervision
from tests.harness.postgres import database
from tests.harness.stack import Stack, running, until
from tests.rack.driver import PLAYBOOKS, Rack

HERE = Path(__file__).parent
POOL, BY_HAND = 4, ("zone-a-03", "zone-b-03")
"""Hosts of the pool; and hosts that the pool does not know: one for ansible-playbook, one for the shell script."""

AS_DELIVERED = {
    # The tests' stack looks more often than a data centre needs to; a bench measures what is delivered.
    "PUMASI_RELAY_SECONDS": "5", "PUMASI_RECONCILE_SECONDS": "15", "PUMASI_RECLAIM_SECONDS": "30",
    "PUMASI_HOST_CHECK_SECONDS": "60", "PUMASI_SWEEP_SECONDS": "60", "PUMASI_HEARTBEAT_STALE_SECONDS": "20",
    "PUMASI_PICKUP_SECONDS": "30",
}  # fmt: skip
FIRST_TASK = (
    "SELECT min(at) FROM orders_orderevent WHERE order_id = %s AND kind = 'task' AND data->>'status' = 'started'"
)
ENDED = ("fulfilled", "failed", "cancelled", "failed_dirty")


class BenchFailed(Exception):
    """Something that was to be measured did not work; the message says what."""


@dataclass(frozen=True)
class Placed:
    """An order that was accepted; times in seconds since the epoch, on the clock that also stamps the events."""

    order: UUID
    instance: UUID
    asked: float
    accepted: float


@dataclass
class Stage:
    """A running stack whose hosts are ``rack``'s, and a way to order from it."""

    stack: Stack
    rack: Rack
    folder: Path
    _names: Iterator[int] = field(default_factory=count)

    def place(self, offering: str, plan: str, *, zone: str) -> Placed:
        """Order through the API, as a developer does."""
        body = {
            "project": "capital/loan", "offering": offering, "plan": plan, "zone": zone,
            "name": f"bench-{next(self._names)}",
        }  # fmt: skip
        asked = time.time()
        order = self.stack.a.post("/orders", body)
        return Placed(UUID(order["id"]), UUID(order["instance"]), asked, time.time())

    def ended(self, placed: Placed, *, within: float = 300) -> None:
        """Wait until the order has ended. Raises BenchFailed unless it was fulfilled."""
        query = "SELECT state, failure_code, failure_detail FROM orders_order WHERE id = %s AND state = ANY(%s)"
        rows = until("the order's end", lambda: self.stack.rows(query, placed.order, list(ENDED)), within=within)
        state, code, detail = rows[0]
        if state != "fulfilled":
            raise BenchFailed(f"The order {placed.order} ended as {state}: {code} {detail}")

    def moment(self, query: str, *values: Any) -> float:
        """The one time that a query answers, in seconds since the epoch."""
        [(at,)] = self.stack.rows(query, *values)
        if not isinstance(at, datetime):
            raise BenchFailed(f"There is no such moment: {query} {values}")
        return at.timestamp()

    def first_task(self, placed: Placed) -> float:
        """When the first task of the order's playbook started, as its event says."""
        return self.moment(FIRST_TASK, placed.order)

    def active(self, placed: Placed) -> float:
        """When the service was ready: built, verified, delivered."""
        return self.moment("SELECT active_at FROM instances_serviceinstance WHERE id = %s", placed.instance)

    def host_of(self, placed: Placed) -> tuple[UUID, str]:
        """Id and name of the host it was placed on."""
        query = (
            "SELECT DISTINCT host.id, host.name FROM pool_host host JOIN placement_allocation held ON held.host_id = host.id"
            " WHERE held.instance_id = %s"
        )
        [(host, name)] = self.stack.rows(query, placed.instance)
        return host, name

    def give_back(self, placed: Placed) -> float:
        """Give the service back through the API; returns when that was asked, in seconds since the epoch."""
        asked = time.time()
        self.stack.a.post(f"/instances/{placed.instance}/give-back", {"reason": "measured"})
        return asked

    def gone(self, placed: Placed, *, within: float = 300) -> None:
        """Wait until it is off its host and proven gone."""
        query = "SELECT 1 FROM instances_serviceinstance WHERE id = %s AND state = 'decommissioned'"
        until("the end of a give-back", lambda: self.stack.rows(query, placed.instance), within=within)

    def available(self, host: UUID, *, within: float = 300) -> float:
        """Wait until the next affiliate may have the host; returns when it became so."""
        until(
            "a host's return",
            lambda: self.stack.rows("SELECT 1 FROM pool_host WHERE id = %s AND state = 'available'", host),
            within=within,
        )
        query = "SELECT max(at) FROM pool_hostevent WHERE host_id = %s AND kind = 'state' AND data->>'to' = 'available'"
        return self.moment(query, host)

    def clear(self) -> None:
        """Give everything back and wait until the pool is as it was."""
        query = "SELECT id FROM instances_serviceinstance WHERE state = 'active'"
        for (instance,) in self.stack.rows(query):
            self.stack.a.post(f"/instances/{instance}/give-back", {"reason": "measured"})
        self.stack.all_back(within=900)

    def prefect_states(self, placed: Placed) -> dict[str, float]:
        """State type → when the order's run at Prefect entered it first, in seconds since the epoch."""
        [(run,)] = self.stack.rows("SELECT flow_run_id FROM dispatch_job WHERE subject_id = %s", placed.order)
        state = self.stack.state
        whole = environment.compose(state, self.stack.given, environment.read(state)["ports"])
        user, _, password = whole["PREFECT_API_AUTH_STRING"].partition(":")
        answer = httpx.get(
            f"{whole['PREFECT_API_URL']}/flow_run_states/", params={"flow_run_id": str(run)}, auth=(user, password),
            trust_env=False,
        )  # fmt: skip
        seen: dict[str, float] = {}
        for each in answer.raise_for_status().json():
            at = datetime.fromisoformat(each["timestamp"].replace("Z", "+00:00")).timestamp()
            seen[each["type"]] = min(at, seen.get(each["type"], at))
        return seen


def offerings_with_bench(folder: Path) -> Path:
    """A copy of the playbooks with the bench's own service among the services."""
    copy = folder / "playbooks"
    shutil.copytree(PLAYBOOKS, copy)
    shutil.copytree(HERE / "services" / "bench", copy / "services" / "bench")
    return copy


def empty_play() -> float:
    """Seconds of an empty ``ansible-playbook`` on this machine: the floor of everything that is done with Ansible."""
    words = ["ansible-playbook", "-i", "localhost,", str(HERE / "scripts" / "empty.yml")]
    began = time.monotonic()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=120)
    return time.monotonic() - began


def _more_room(url: str) -> None:
    """Let many tiny slices share a host's processors, and an affiliate hold them all, as an operator would allow."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE pool_inventory SET allocation_ratio = 5000 WHERE resource_class = 'VCPU'")
        connection.execute("UPDATE quotas_quota SET guaranteed = 1000000")


@contextmanager
def stage(home: Path, server_url: str) -> Iterator[Stage]:
    """Everything up, and down again at the end with nothing left.

    :param home: a directory for the rack, the stack and their files. Where something fails, the stack's logs stay there.
    :param server_url: PostgreSQL, for the catalog and for Prefect.
    """
    shared = os.environ.get("RACK_IMAGE")
    demo = Path(os.environ.get("PUMASI_STATE", "")) / "rack" / "image"
    image = Path(shared) if shared else demo if (demo / "digest").exists() else None
    rack = Rack(
        home / "rack", os.environ.get("RACK_NAME", "pumasibench"), os.environ.get("RACK_SUBNET", "10.86.0"), image
    )
    # What a bench left that was killed.
    if (home / "stack").exists():
        supervision.stop(home / "stack")
    if rack.state.exists():
        rack.clean()
    for remains in (home / "stack", home / "logs"):
        shutil.rmtree(remains, ignore_errors=True)
    # Ansible's control sockets need a short path.
    with tempfile.TemporaryDirectory(prefix="pumasi-bench-", dir="/tmp") as short:
        try:
            rack.build()
            rack.up(POOL)
            with (
                database(server_url, "pumasi_bench") as catalog,
                database(server_url, "prefect_bench") as prefect,
                running(
                    home / "stack", rack, database_url=catalog,
                    PREFECT_API_DATABASE_CONNECTION_URL=prefect.replace("postgres://", "postgresql+asyncpg://", 1),
                    PUMASI_PLAYBOOKS=str(offerings_with_bench(Path(short))), **AS_DELIVERED,
                ) as stack,
            ):  # fmt: skip
                _more_room(catalog)
                rack.up(POOL + len(BY_HAND))
                yield Stage(stack, rack, Path(short))
        except Exception:
            logs = home / "stack" / "logs"
            if logs.is_dir():
                logs.replace(home / "logs")
            raise
        finally:
            rack.clean()
            shutil.rmtree(home / "stack", ignore_errors=True)
