"""The demo's story, told through the public API: an order, its use, its return without anybody's help, and the next affiliate."""

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from catalog.stack.client import Api
from catalog.stack.rack import Place, Rack

LEASE_SECONDS = 20
BUILD_WITHIN = 300.0
RETURN_WITHIN = 300.0
UNTOLD = "Validating arguments"
"""What Ansible calls a task of its own, before each role."""
SEARCHED = "/etc /var /home /root /opt /srv /tmp /usr/local"


class StoryFailed(Exception):
    """Something in the story did not come out as it must; the message says what was expected and what was seen."""


@dataclass
class Teller:
    """Prints one plain line a step, with the seconds since the line before."""

    write: Callable[[str], Any]
    at: float = field(default_factory=time.monotonic)

    def chapter(self, text: str) -> None:
        """A headline."""
        self.write(f"\n{text}")
        self.at = time.monotonic()

    def step(self, text: str) -> None:
        """What has just been done, and how long it took."""
        now = time.monotonic()
        self.write(f"{now - self.at:6.1f} s  {text}")
        self.at = now

    def detail(self, seconds: float | None, text: str) -> None:
        """A line below a step, with a time of its own."""
        took = f"{seconds:6.1f} s" if seconds is not None else " " * 8
        self.write(f"{took}    - {text}")


@dataclass
class Story:
    """Who takes part. ``a`` and ``b`` are developers of two affiliates, ``operator`` runs the pool."""

    a: Api
    b: Api
    operator: Api
    rack: Rack
    tell: Teller

    def run(self, places: Sequence[Place]) -> None:
        """The whole way. Raises :class:`StoryFailed`, or what the client raises, at the first thing that is not as it must be."""
        zone = self._free_zone()
        self.tell.chapter(f"1. Pumasi Capital orders PostgreSQL in {zone}, for {LEASE_SECONDS} seconds")
        order = self._order(
            self.a, project="capital/loan", offering="postgresql", name="loan-db", zone=zone, lease=LEASE_SECONDS
        )
        instance, access = self._ready(self.a, order)
        host = self._host_at(instance["endpoints"][0]["address"], places)
        self._use_postgresql(access)

        self.tell.chapter("2. The lease ends. From here on nobody touches anything")
        self._comes_back(instance)
        self._is_wiped(host)

        self.tell.chapter(f"3. Pumasi Card orders Redis in {zone}, and gets the same host")
        aside = self._set_aside(zone, host)
        order = self._order(
            self.b, project="card/points", offering="redis", name="points-cache", zone=zone, lease=86_400
        )
        other, other_access = self._ready(self.b, order)
        if other["endpoints"][0]["address"] != host.address:
            raise StoryFailed(
                f"Redis was built on {other['endpoints'][0]['address']}, not on {host.name} ({host.address})."
            )
        self._use_redis(other_access)
        self._nothing_left(host, instance, access)
        for host_id in aside:
            self.operator.post(f"/hosts/{host_id}/resume")
        if aside:
            self.tell.step("The pool operator lets the hosts set aside come back, through a wipe of their own")

    # ---- before the story

    def _free_zone(self) -> str:
        """A zone with as many clean, free hosts as possible; services of an earlier demo are given back, without waiting."""
        earlier = [row for api in (self.a, self.b) for row in self._open_instances(api)]
        hosts = list(self.operator.every("/hosts"))
        free = [host["zone"] for host in hosts if host["state"] == "available"]
        for api, row in earlier:
            if row["state"] in {"active", "tainted", "stopped"}:
                api.post(f"/instances/{row['id']}/give-back", {"reason": "a new demo begins"}, key=f"demo-{row['id']}")
        if earlier:
            self.tell.step(f"{len(earlier)} services of an earlier demo are given back, while this one goes on")
        if not free:
            wanted = hosts[0]
            self.operator.until(
                "a free host", f"/hosts/{wanted['id']}", lambda host: host["state"] == "available", within=RETURN_WITHIN
            )
            free = [wanted["zone"]]
            self.tell.step(f"{wanted['name']} has come back to the pool")
        return max(sorted(set(free)), key=free.count)

    @staticmethod
    def _open_instances(api: Api) -> list[tuple[Api, dict[str, Any]]]:
        gone = {"decommissioned", "failed"}
        return [(api, row) for row in api.every("/instances") if row["state"] not in gone]

    def _host_at(self, address: str, places: Sequence[Place]) -> Place:
        for place in places:
            if place.address == address:
                return place
        raise StoryFailed(f"No host of the rack has the address {address}.")

    # ---- ordering and using

    def _order(self, api: Api, *, project: str, offering: str, name: str, zone: str, lease: int) -> dict[str, Any]:
        plans = api.get(f"/offerings/{offering}")["plans"]
        plan = next(plan for plan in plans if plan["topology"] == "slice" and not plan["needs_approval"])
        number = sum(1 for _ in api.every("/instances")) + 1
        body = {
            "project": project, "offering": offering, "plan": plan["slug"], "name": f"{name}-{number}", "zone": zone,
            "lease_seconds": lease,
        }  # fmt: skip
        order: dict[str, Any] = api.post("/orders", body, key=f"demo-{time.time_ns()}")
        price = f"{plan['price_krw_month']:,} KRW a month"
        self.tell.step(f"Ordered {body['name']}: {plan['name']}, {price}; no approval needed at this price")
        return order

    def _ready(self, api: Api, order: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        self._follow(api, order["id"], BUILD_WITHIN)
        order = api.get(f"/orders/{order['id']}")
        if order["state"] != "fulfilled":
            raise StoryFailed(f"The order ended as {order['state']}: {order['failure_code']} {order['failure_detail']}")
        instance = api.get(f"/instances/{order['instance']}")
        where = instance["endpoints"][0]
        self.tell.step(
            f"Built and verified: {instance['name']} answers at {where['name'] or where['address']}:{where['port']}"
        )
        access = api.post(f"/instances/{instance['id']}/credentials")["credentials"]
        self.tell.step("The credentials are shown, once")
        return instance, {**access, **where, "host": self._resolved(where)}

    def _resolved(self, where: dict[str, Any]) -> str:
        """What the client connects to: the name, if a client that asks the rack's name server finds the service by it."""
        name, address = where["name"], where["address"]
        if not name:
            return str(address)
        asked = subprocess.run(
            self.rack.asking_it(["getent", "ahosts", name]), capture_output=True, text=True, check=False, timeout=30
        )
        if address in asked.stdout.split():
            self.tell.step(f"{name} resolves to {address}, says the rack's name server")
            return str(name)
        self.tell.step(f"{name} does not resolve from here, so its address is used: {address}")
        return str(address)

    def _follow(self, api: Api, order_id: str, within: float) -> None:
        for event in api.follow(order_id, within=within):
            data = event["data"]
            if (
                event["kind"] == "task"
                and data["status"] in {"ok", "changed", "failed"}
                and not data["task"].startswith(UNTOLD)
            ):
                failed = f": {data.get('message')}" if data["status"] == "failed" else ""
                self.tell.detail(data.get("seconds"), f"{data['task']}{failed}")
            elif event["kind"] == "problem":
                self.tell.detail(None, str(data.get("message") or data))

    def _client(self, words: Sequence[str], typed: str, **secrets: str) -> str:
        done = subprocess.run(
            self.rack.asking_it(words),
            input=typed,
            env={**os.environ, **secrets},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        if done.returncode != 0:
            raise StoryFailed(f"{words[0]} could not use the service: {done.stderr.strip()}")
        return done.stdout

    def _use_postgresql(self, access: dict[str, Any]) -> None:
        where = f"host={access['host']} port={access['port']} dbname={access['database']} user={access['username']}"
        typed = (
            "CREATE TABLE loans (customer text, amount bigint);\n"
            "INSERT INTO loans VALUES ('홍길동', 3000000), ('성춘향', 12000000), ('이몽룡', 700000);\n"
            "SELECT count(*) FROM loans;\n"
        )
        words = [
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            f"{where} sslmode=require",
        ]
        rows = self._client(words, typed, PGPASSWORD=access["password"], PGCLIENTENCODING="UTF8").strip()
        if rows != "3":
            raise StoryFailed(f"psql wrote 3 rows and read {rows} back.")
        self.tell.step(f'psql "{where}" wrote 3 rows and read them back')

    def _use_redis(self, access: dict[str, Any]) -> None:
        words = [
            "redis-cli",
            "-h",
            access["host"],
            "-p",
            str(access["port"]),
            "--user",
            access["username"],
            "--no-auth-warning",
        ]
        answer = self._client(words, "SET points:seoyeon 1200\nGET points:seoyeon\n", REDISCLI_AUTH=access["password"])
        if answer.split() != ["OK", "1200"]:
            raise StoryFailed(f"redis-cli wrote 1200 and read {answer!r} back.")
        self.tell.step(f"{' '.join(words[:-1])} wrote a key and read it back")

    # ---- coming back

    def _comes_back(self, instance: dict[str, Any]) -> None:
        instance = self.a.get(f"/instances/{instance['id']}")
        ends_at = instance["lease"]["ends_at"]
        self.a.until(
            "the reclaim after the end of the lease", f"/instances/{instance['id']}",
            lambda row: row["state"] != "active", within=LEASE_SECONDS + 90,
        )  # fmt: skip
        order = next(row for row in self.a.every("/orders", kind="decommission") if row["instance"] == instance["id"])
        late = datetime.fromisoformat(order["created_at"]) - datetime.fromisoformat(ends_at)
        self.tell.step(
            f"The lease ended; {late.total_seconds():.0f} s later the reclaim flow ordered the give-back, on its own"
        )
        self._follow(self.a, order["id"], RETURN_WITHIN)
        order = self.a.get(f"/orders/{order['id']}")
        if order["state"] != "fulfilled":
            raise StoryFailed(
                f"The give-back ended as {order['state']}: {order['failure_code']} {order['failure_detail']}"
            )
        self.tell.step("Given back: the slice is gone and was looked for")

    def _is_wiped(self, place: Place) -> None:
        host = next(row for row in self.operator.every("/hosts") if row["name"] == place.name)
        self.operator.until(
            f"{place.name} clean and available", f"/hosts/{host['id']}",
            lambda row: row["state"] in {"available", "quarantined"}, within=RETURN_WITHIN,
        )  # fmt: skip
        host = self.operator.get(f"/hosts/{host['id']}")
        newest = max(
            self.operator.every(f"/hosts/{host['id']}/certificates"), key=lambda row: row["generation"], default=None
        )
        if (
            host["state"] != "available"
            or newest is None
            or newest["generation"] != host["generation"]
            or not newest["valid"]
        ):
            raise StoryFailed(
                f"{place.name} is {host['state']} ({host['state_reason']}) without a valid certificate of this life."
            )
        self.tell.step(f"{place.name} is wiped as a whole, checked, and available again")
        self.tell.detail(
            None,
            f"wipe certificate {newest['id'][:8]}: method {newest['method']}, previous holder {newest['previous_holder']}, "
            f"life {newest['generation']} of the host, signature valid",
        )

    def _set_aside(self, zone: str, host: Place) -> list[str]:
        """Leave one free host in the zone, so that the next order must land on it; the demo says so."""
        others = [
            row for row in self.operator.every("/hosts", zone=zone, state="available") if row["name"] != host.name
        ]
        for row in others:
            self.operator.post(f"/hosts/{row['id']}/maintenance", {"reason": "the demo shows one host changing hands"})
        if others:
            names = ", ".join(row["name"] for row in others)
            self.tell.step(f"The pool operator sets {names} aside, so {host.name} is the only free host of {zone}")
        return [row["id"] for row in others]

    def _nothing_left(self, host: Place, instance: dict[str, Any], access: dict[str, Any]) -> None:
        words = [instance["unit"], instance["name"], access["username"]]
        patterns = " ".join(f"-e {shlex.quote(word)}" for word in words)
        looks = {
            "processes": f"ps axww -o args= | grep -F {patterns} | grep -v grep",
            "users": f"getent passwd | grep -F {patterns}",
            "ports": f"ss -Htln 'sport = :{int(access['port'])}'",
            "packages": "dpkg-query -W -f '${Package}\\n' | grep -x 'postgresql-[0-9]*'",
            "names of files": f"find {SEARCHED} -xdev 2>/dev/null | grep -F {patterns}",
            "contents of files": f"grep -rlIF {patterns} {SEARCHED} 2>/dev/null",
            "journal": f"journalctl --no-pager -q 2>/dev/null | grep -F {patterns}",
        }
        for what, command in looks.items():
            found = self.rack.ask(host, f"{command} || :").strip()
            if found:
                raise StoryFailed(
                    f"Something of Pumasi Capital is left on {host.name} ({what}): {found.splitlines()[0]}"
                )
        self.tell.step(f"Over ssh on {host.name}: nothing of {', '.join(words)} in {', '.join(looks)}")
