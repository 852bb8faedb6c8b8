"""What people do with the public API and the real clients."""

import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from catalog.stack.client import Api
from catalog.stack.rack import Place
from tests.harness.stack import Stack, until

BUILT_WITHIN = 240
GONE_WITHIN = 240
PROJECT = {"minji": "capital/loan", "seoyeon": "card/points"}


@dataclass
class Service:
    """An instance that was delivered, and how to reach it."""

    id: str
    unit: str
    name: str
    place: Place
    access: dict[str, Any]


class Acts:
    """The steps of the stories."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def order(self, username: str, offering: str, **more: Any) -> dict[str, Any]:
        """Order the smallest slice; returns the order as it was accepted."""
        body = {
            "project": PROJECT[username],
            "offering": offering,
            "plan": "shared-small",
            "name": f"{offering}-{uuid.uuid4().hex[:8]}",
            "zone": "zone-a",
            "lease_seconds": 86_400,
            **more,
        }
        accepted: dict[str, Any] = self.stack.person(username).post("/orders", body, key=str(uuid.uuid4()))
        return accepted

    def first_task(self, username: str, order: dict[str, Any]) -> None:
        """Wait until the first task of the order's playbook has ended."""
        api = self.stack.person(username)

        def begun() -> bool:
            events = api.get(f"/orders/{order['id']}/events", after=0)["results"]
            return any(event["kind"] == "task" and event["data"]["status"] in {"ok", "changed"} for event in events)

        until("the first task", begun, within=120)

    def end_of(self, username: str, order: dict[str, Any], *, within: float = BUILT_WITHIN) -> dict[str, Any]:
        """The order when it has ended."""
        ends = {"fulfilled", "failed", "failed_dirty", "cancelled", "rejected", "expired"}
        api = self.stack.person(username)
        return api.until("the order's end", f"/orders/{order['id']}", lambda row: row["state"] in ends, within=within)

    def service(self, username: str, offering: str, **more: Any) -> Service:
        """Order, wait, and look at the credentials."""
        return self.delivered(username, self.order(username, offering, **more))

    def delivered(self, username: str, order: dict[str, Any]) -> Service:
        ended = self.end_of(username, order)
        assert (ended["state"], ended["failure_code"]) == ("fulfilled", ""), ended
        api = self.stack.person(username)
        instance = api.get(f"/instances/{ended['instance']}")
        assert instance["state"] == "active"
        access = api.post(f"/instances/{instance['id']}/credentials")["credentials"]
        place = self.stack.host_of(instance)
        return Service(
            instance["id"], instance["unit"], instance["name"], place, {**access, **instance["endpoints"][0]}
        )

    def give_back(self, username: str, service: Service) -> None:
        api = self.stack.person(username)
        order = api.post(f"/instances/{service.id}/give-back", {"reason": "test"}, key=f"back-{service.id}")
        assert self.end_of(username, order, within=GONE_WITHIN)["state"] == "fulfilled"

    def available_again(self, place: Place, *, within: float = GONE_WITHIN) -> dict[str, Any]:
        """The host once it is available."""
        return dict(
            until(
                f"{place.name} available",
                lambda: (host := self.stack.host(place.name))["state"] == "available" and host,
                within=within,
            )
        )

    def nothing_left(self, service: Service) -> None:
        """Assert that no name of a service is found on its host, by looking there as root."""
        words = [service.unit, service.id, service.access["username"]]
        looks = [
            "ps axww -o args=",
            "getent passwd",
            "getent group",
            "nft list ruleset",
            "systemctl list-units --all --no-legend --plain",
            "crontab -l -u root",
            "find /etc /var /home /root /opt /srv /tmp /run -xdev",
            "journalctl --no-pager -q",
        ]
        seen = self.stack.hardware.ssh(service.place.name, "\n".join(f"{look} 2>/dev/null || :" for look in looks))
        contents = self.stack.hardware.ssh(
            service.place.name,
            "grep -rlIF "
            + " ".join(f"-e {word}" for word in words)
            + " /etc /var /home /root /opt /srv /tmp 2>/dev/null || :",
        )
        named = [line for line in seen.splitlines() if any(word in line for word in words)]
        assert not named + contents.splitlines(), f"{words} still stand in {named + contents.splitlines()}"


def psql(access: dict[str, Any], typed: str, *, password: str | None = None) -> subprocess.CompletedProcess[str]:
    """PostgreSQL's own client."""
    where = f"host={access['address']} port={access['port']} dbname={access['database']} user={access['username']}"
    words = ["psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", f"{where} sslmode=require connect_timeout=5"]
    return _client(words, typed, {"PGPASSWORD": password or access["password"]})


def redis_cli(access: dict[str, Any], typed: str, *, password: str | None = None) -> subprocess.CompletedProcess[str]:
    """Redis' own client."""
    words = [
        "redis-cli",
        "-h",
        access["address"],
        "-p",
        str(access["port"]),
        "--user",
        access["username"],
        "--no-auth-warning",
    ]
    return _client(words, typed, {"REDISCLI_AUTH": password or access["password"]})


def _client(words: Sequence[str], typed: str, secret: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **secret}
    return subprocess.run(words, input=typed, env=environment, capture_output=True, text=True, check=False, timeout=30)


def tasks(api: Api, order: dict[str, Any]) -> list[dict[str, Any]]:
    """The ended tasks of an order's playbooks."""
    events = api.get(f"/orders/{order['id']}/events", after=0)["results"]
    return [event["data"] for event in events if event["kind"] == "task" and event["data"]["status"] != "started"]
