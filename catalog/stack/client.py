"""A small client of the public API, as a user would write one: used by the demo and by the end-to-end tests."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import httpx

POLL = 0.5
WAIT = 5
"""Seconds the server holds a question for new events open."""


class ApiError(Exception):
    """The API refused; ``code`` is its stable code, ``problem`` the whole answer (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code", ""))
        super().__init__(f"{status} {self.code}: {problem.get('detail') or problem.get('title')}")


class TooSlow(Exception):
    """Something did not happen before its deadline; the message says what was waited for and what was seen last."""


class Api:
    """One person's connection to the API.

    Reading is repeated while the server is away, for up to ``patience`` seconds; writing is not, except with an idempotency key.
    """

    def __init__(self, url: str, *, patience: float = 60.0, language: str = "en") -> None:
        self.patience = patience
        self._http = httpx.Client(
            base_url=url.rstrip("/") + "/api/v1", timeout=30, headers={"Accept-Language": language}, trust_env=False
        )

    def sign_in(self, username: str, password: str) -> Self:
        """Get a token and use it from now on."""
        token = self.post("/tokens", {"username": username, "password": password})["token"]
        self._http.headers["Authorization"] = f"Token {token}"
        return self

    def _send(self, method: str, path: str, *, again: bool, **more: Any) -> Any:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                response = self._http.request(method, path, **more)
            except httpx.TransportError:
                if not again or time.monotonic() > deadline:
                    raise
                time.sleep(POLL)
                continue
            if response.is_error:
                is_json = "json" in response.headers.get("content-type", "")
                raise ApiError(response.status_code, response.json() if is_json else {"title": response.text[:200]})
            return response.json() if response.content else None

    def get(self, path: str, **query: Any) -> Any:
        """What is at ``path``."""
        return self._send("GET", path, again=True, params=query)

    def post(self, path: str, body: dict[str, Any] | None = None, *, key: str | None = None) -> Any:
        """Do something; with ``key`` the same request may be sent twice and is done once."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._send("POST", path, again=key is not None, json=body or {}, headers=headers)

    def every(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """All rows of a list, page after page."""
        page = self.get(path, **query)
        while True:
            yield from page["results"]
            if not page.get("next"):
                return
            page = self._send("GET", page["next"], again=True)

    def until(self, what: str, path: str, is_so: Callable[[dict[str, Any]], bool], *, within: float) -> dict[str, Any]:
        """Look at ``path`` until it is as wanted. Raises :class:`TooSlow` after ``within`` seconds."""
        deadline = time.monotonic() + within
        while True:
            seen: dict[str, Any] = self.get(path)
            if is_so(seen):
                return seen
            if time.monotonic() > deadline:
                words = {name: seen.get(name) for name in ("state", "state_reason", "failure_code", "failure_detail")}
                raise TooSlow(f"{what}: not within {within:.0f} s; last seen {words}")
            time.sleep(POLL)

    def follow(self, order_id: str, *, within: float) -> Iterator[dict[str, Any]]:
        """The events of an order as they happen, until it has ended. Raises :class:`TooSlow` after ``within`` seconds."""
        deadline = time.monotonic() + within
        after = 0
        while True:
            answer = self.get(f"/orders/{order_id}/events", after=after, wait=WAIT)
            yield from answer["results"]
            after = answer["next_after"]
            if answer["ended"] and not answer["results"]:
                return
            if time.monotonic() > deadline:
                raise TooSlow(f"The order {order_id} did not end within {within:.0f} s; it is {answer['state']}.")
