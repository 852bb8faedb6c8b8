"""The truth about what an order needs, within two seconds, whatever is broken."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.conf import settings
from django.test import Client
from pytest_django.fixtures import Settings

from catalog.stack import health
from catalog.stack.health import Finding
from tests.factories import HostFactory, ZoneFactory


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_memory", health._Memory())


@pytest.fixture
def nothing_answers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses where nobody listens."""
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    settings.PREFECT_API_URL = "http://127.0.0.1:9/api"
    monkeypatch.setattr(health.celery_app.conf, "broker_url", "redis://127.0.0.1:9/0")
    monkeypatch.setattr(health.celery_app.conf, "broker_write_url", "redis://127.0.0.1:9/0")


def test_alive_needs_nothing(nothing_answers: None) -> None:
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"alive": True})
    assert Client().post("/healthz").status_code == 405


@pytest.mark.django_db(transaction=True)
def test_everything_away_is_told_in_time(nothing_answers: None) -> None:
    started = time.monotonic()
    answer = Client().get("/readyz")
    took = time.monotonic() - started
    said = answer.json()
    assert answer.status_code == 503
    assert said["ready"] is False
    assert {name: check["ok"] for name, check in said["checks"].items()} == {
        "database": True, "redis": False, "celery": False, "prefect": False,
    }  # fmt: skip
    assert took < health.TIMEOUT_SECONDS + 2
    assert "127.0.0.1" not in answer.content.decode()
    assert "max-age=0" in answer.headers["Cache-Control"]


class _FakePrefect(BaseHTTPRequestHandler):
    """Answers as Prefect does: one pool, whose worker was heard of at ``heard``."""

    heard = ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b'[{"name": "zone-a"}]' if self.path.endswith("/work_pools/filter") else self._workers()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _workers(self) -> bytes:
        return f'[{{"last_heartbeat_time": "{self.heard}"}}]'.encode()

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def prefect(settings: Settings) -> Iterator[type[_FakePrefect]]:
    server = HTTPServer(("127.0.0.1", 0), _FakePrefect)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    settings.PREFECT_API_URL = f"http://127.0.0.1:{server.server_port}/api"
    yield _FakePrefect
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("silent", "ok"), [(5, True), (settings.WORKER_SILENT_SECONDS + 5, False)])
def test_each_zone_with_hosts_needs_a_worker_that_reports(silent: float, ok: bool, prefect: type[_FakePrefect]) -> None:
    HostFactory(zone=ZoneFactory(slug="zone-a"), to=None)
    HostFactory(zone=ZoneFactory(slug="zone-b"), to=None)
    ZoneFactory(slug="zone-empty")
    prefect.heard = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - silent))
    found = health.prefect()
    assert {name: finding.ok for name, finding in found.items()} == {
        "prefect": True, "worker:zone-a": ok, "worker:zone-b": False,
    }  # fmt: skip


def test_check_that_hangs_is_a_finding() -> None:
    hold = threading.Event()

    def hangs() -> dict[str, Finding]:
        hold.wait(30)
        return {}

    started = time.monotonic()
    found = health.examine({"slow": hangs, "fine": lambda: {"fine": Finding(True)}}, timeout=0.3)
    hold.set()
    assert time.monotonic() - started < 5
    assert (found["slow"].ok, found["fine"].ok) == (False, True)


def test_check_that_breaks_is_a_finding() -> None:
    def breaks() -> dict[str, Finding]:
        raise ZeroDivisionError

    found = health.examine({"odd": breaks}, timeout=5)
    assert found["odd"] == Finding(False, "The check itself failed (ZeroDivisionError).")


def test_one_look_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    monkeypatch.setattr(health, "examine", lambda: looks.append(1) or {"x": Finding(True)})
    answers = [Client().get("/readyz") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len(looks) == 1
