"""Is it alive, and can it do its work? ``/healthz`` and ``/readyz``.

``/healthz`` says only that this process answers: what restarts processes asks it. ``/readyz`` looks at everything an order needs
and answers 503 while any of it is missing; what sends traffic, and people, ask that. Accepting orders needs the database alone.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, connections
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from kombu.exceptions import KombuError

from catalog.celery import app as celery_app
from catalog.common import clock
from catalog.dispatch import services as dispatch
from catalog.dispatch.errors import PrefectUnavailable
from catalog.pool.models import Zone

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 2.0
# Probes of several load balancers share one look.
REMEMBER_SECONDS = 1.0


@dataclass(frozen=True)
class Finding:
    """What one check found. ``detail`` is for a person and holds no address and no secret."""

    ok: bool
    detail: str = ""

    def shown(self) -> dict[str, Any]:
        return {"ok": self.ok, "detail": self.detail}


Findings = dict[str, Finding]


def database() -> Findings:
    """The catalog's database answers and has our tables."""
    try:
        Zone.objects.exists()
    except DatabaseError as error:
        log.warning("database_not_ready", error=type(error).__name__)
        return {"database": Finding(False, "The database does not answer, or has not been migrated.")}
    finally:
        connections.close_all()
    return {"database": Finding(True)}


def broker() -> Findings:
    """Redis answers."""
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=TIMEOUT_SECONDS, socket_timeout=TIMEOUT_SECONDS, retry=None
    )
    try:
        client.ping()
    except redis.RedisError as error:
        log.warning("redis_not_ready", error=type(error).__name__)
        return {"redis": Finding(False, "Redis does not answer. Orders are kept; they start more slowly.")}
    finally:
        client.close()
    return {"redis": Finding(True)}


def celery() -> Findings:
    """A Celery worker answers through the broker."""
    try:
        with celery_app.connection_for_write(connect_timeout=TIMEOUT_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=TIMEOUT_SECONDS)
            # The first answer is enough, so an idle system is asked for milliseconds and only a dead one for the whole time.
            replies = celery_app.control.broadcast(
                "ping", reply=True, timeout=TIMEOUT_SECONDS * 0.75, limit=1, connection=connection
            )
    except (KombuError, redis.RedisError, OSError) as error:
        log.warning("celery_not_ready", error=type(error).__name__)
        return {"celery": Finding(False, "The broker of the Celery workers does not answer.")}
    return {"celery": Finding(True) if replies else Finding(False, "No Celery worker answers.")}


def prefect() -> Findings:
    """Prefect answers, and every zone with hosts has a worker that reported lately."""
    try:
        heard = dispatch.workers_heard(timeout=TIMEOUT_SECONDS * 0.75)
    except PrefectUnavailable:
        return {"prefect": Finding(False, "Prefect does not answer. Orders are kept and go on when it is back.")}
    try:
        zones = list(Zone.objects.filter(hosts__isnull=False).distinct().values_list("slug", flat=True))
    except DatabaseError:
        zones = []
    finally:
        connections.close_all()
    return {"prefect": Finding(True)} | {f"worker:{zone}": _worker(heard.get(zone)) for zone in zones}


def _worker(heard: datetime | None) -> Finding:
    if heard is None:
        return Finding(False, "No worker has ever served this zone.")
    silent = (clock.now() - heard).total_seconds()
    if silent > settings.WORKER_SILENT_SECONDS:
        return Finding(False, f"The zone's worker has been silent for {silent:.0f} s.")
    return Finding(True, f"heard {max(silent, 0):.0f} s ago")


CHECKS: Mapping[str, Callable[[], Findings]] = {
    "database": database,
    "redis": broker,
    "celery": celery,
    "prefect": prefect,
}


def examine(checks: Mapping[str, Callable[[], Findings]] = CHECKS, *, timeout: float = TIMEOUT_SECONDS) -> Findings:
    """Run all checks side by side, at most ``timeout`` seconds; one that hangs or breaks is a finding, never an error."""
    answers: SimpleQueue[tuple[str, Findings]] = SimpleQueue()

    def run(name: str, check: Callable[[], Findings]) -> None:
        try:
            answers.put((name, check()))
        except Exception as error:  # a broken check is a finding; it is logged whole
            log.exception("health_check_broken", check=name)
            answers.put((name, {name: Finding(False, f"The check itself failed ({type(error).__name__}).")}))

    # Daemon threads: one that hangs on a dead network must not keep the process from ending.
    for name, check in checks.items():
        threading.Thread(target=run, args=(name, check), name=f"health-{name}", daemon=True).start()
    until = time.monotonic() + timeout
    waiting, found = set(checks), {}
    while waiting and (left := until - time.monotonic()) > 0:
        try:
            name, findings = answers.get(timeout=left)
        except Empty:
            break
        waiting.discard(name)
        found.update(findings)
    found.update({name: Finding(False, f"No answer within {timeout:g} s.") for name in waiting})
    return dict(sorted(found.items()))


class _Memory:
    """The last look, shared by the requests of one second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = float("-inf")
        self._found: Findings = {}

    def look(self) -> Findings:
        with self._lock:
            if time.monotonic() - self._at > REMEMBER_SECONDS:
                self._found = examine()
                self._at = time.monotonic()
            return self._found


_memory = _Memory()


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the process answers at all."""
    return JsonResponse({"alive": True})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when everything an order needs is there, else 503; either way what was found."""
    found = _memory.look()
    ready = all(finding.ok for finding in found.values())
    body = {"ready": ready, "checks": {name: finding.shown() for name, finding in found.items()}}
    return JsonResponse(body, status=200 if ready else 503)
