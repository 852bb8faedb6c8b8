"""The few calls to Prefect's REST API that the catalog needs.

Plain HTTP, because importing Prefect's own client costs every web and Celery process about two CPU-seconds and 100 MB.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx
from django.conf import settings
from django.utils.dateparse import parse_datetime

from catalog.dispatch.errors import DeploymentMissing, PrefectUnavailable

_PAGE = 200
TERMINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})


@dataclass(frozen=True)
class RunState:
    """What Prefect says of a run: its state type (``SCHEDULED``, ``PENDING``, ``RUNNING``, …) and since when."""

    type: str
    since: datetime


class Prefect:
    """A short-lived connection to the Prefect server. Every method raises :class:`PrefectUnavailable` when it cannot answer."""

    def __init__(self, url: str | None = None, *, timeout: float = 10.0) -> None:
        auth = settings.PREFECT_API_AUTH_STRING
        user, _, password = auth.partition(":")
        self._http = httpx.Client(
            base_url=url or settings.PREFECT_API_URL,
            timeout=timeout,
            auth=(user, password) if auth else None,
        )
        self._deployments: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def _call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            response = self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise PrefectUnavailable(reason=type(error).__name__) from error
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise PrefectUnavailable(reason=str(response.status_code))
        return response

    def _ok(self, method: str, path: str, body: Any = None) -> Any:
        response = self._call(method, path, body)
        if response.is_error:
            raise PrefectUnavailable(reason=f"{response.status_code} {path}")
        return response.json()

    def _deployment(self, name: str) -> str:
        if name not in self._deployments:
            response = self._call("GET", f"/deployments/name/{name}")
            if response.status_code == httpx.codes.NOT_FOUND:
                raise DeploymentMissing(deployment=name)
            if response.is_error:
                raise PrefectUnavailable(reason=f"{response.status_code} {name}")
            self._deployments[name] = response.json()["id"]
        return self._deployments[name]

    def start(self, deployment: str, *, parameters: dict[str, Any], key: str, tags: list[str]) -> uuid.UUID:
        """Ask for a run. The same ``key`` always answers with the same run, also after it has ended.

        :raises DeploymentMissing: nobody deployed ``deployment`` (``<flow>/<zone>``).
        """
        body = {"parameters": parameters, "idempotency_key": key, "tags": tags, "name": key}
        run = self._ok("POST", f"/deployments/{self._deployment(deployment)}/create_flow_run", body)
        return uuid.UUID(run["id"])

    def states(self, runs: Iterable[uuid.UUID]) -> dict[uuid.UUID, RunState]:
        """The states of these runs; those Prefect does not know are left out."""
        ids = [str(run) for run in runs]
        found: dict[uuid.UUID, RunState] = {}
        for start in range(0, len(ids), 200):
            body = {"flow_runs": {"id": {"any_": ids[start : start + 200]}}, "limit": 200}
            for run in self._ok("POST", "/flow_runs/filter", body):
                since = parse_datetime(run["state"]["timestamp"])
                if since is not None:
                    found[uuid.UUID(run["id"])] = RunState(run["state_type"], since)
        return found

    def end(self, run: uuid.UUID, state: str, message: str) -> None:
        """Force a run into a terminal state (``CRASHED``, ``CANCELLED``), whatever it is doing. A run that is gone is fine."""
        body = {"state": {"type": state, "name": state.capitalize(), "message": message}, "force": True}
        response = self._call("POST", f"/flow_runs/{run}/set_state", body)
        if response.is_error and response.status_code != httpx.codes.NOT_FOUND:
            raise PrefectUnavailable(reason=f"{response.status_code} set_state")

    def healthy(self) -> bool:
        """Whether the server answers its health check."""
        try:
            return self._call("GET", "/health").is_success
        except PrefectUnavailable:
            return False

    def last_heartbeats(self) -> dict[str, datetime]:
        """Work pool → when one of its workers was last heard of."""
        seen: dict[str, datetime] = {}
        for pool in self._pools():
            # Prefect names the worker heard of last first, and never forgets one.
            workers = self._ok("POST", f"/work_pools/{pool}/workers/filter", {"limit": 1})
            beats = [
                parse_datetime(worker["last_heartbeat_time"]) for worker in workers if worker["last_heartbeat_time"]
            ]
            heard = [beat for beat in beats if beat is not None]
            if heard:
                seen[pool] = max(heard)
        return seen

    def _pools(self) -> list[str]:
        names: list[str] = []
        while True:
            page = self._ok("POST", "/work_pools/filter", {"limit": _PAGE, "offset": len(names)})
            names += [str(pool["name"]) for pool in page]
            if len(page) < _PAGE:
                return names
