"""What a stack consists of: its services, how each is started, and what must be done once before some of them."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

CELERY_PROCESSES = 2


@dataclass(frozen=True)
class Service:
    """A process the supervisor keeps running.

    :param grace: seconds it gets to end on its own before it is ended by force.
    :param tier: services of a higher tier are stopped first, all of one tier together.
    :param probe: an address that answers 2xx while the service works; one that is silent for long is restarted.
    """

    name: str
    argv: tuple[str, ...]
    tier: int
    grace: float = 10.0
    probe: str = ""


@dataclass(frozen=True)
class Step:
    """A command that must succeed once before services that need it are started."""

    name: str
    argv: tuple[str, ...]


def _manage(*words: str) -> tuple[str, ...]:
    return (sys.executable, str(settings.BASE_DIR / "manage.py"), *words)


def _module(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *words)


MIGRATE = Step("migrate", _manage("migrate", "--verbosity", "0"))
STATIC = Step("static", _manage("collectstatic", "--no-input", "--verbosity", "0"))


def redis(state: Path, port: int, password: str) -> Service:
    """An embedded Redis on loopback that keeps nothing: it carries nudges, and losing them costs seconds, never an order."""
    home = state / "redis"
    home.mkdir(parents=True, exist_ok=True)
    config = home / "redis.conf"
    config.touch(mode=0o600)
    config.write_text(
        # A process title is written over the environment, by which a new supervisor finds leftovers.
        "set-proc-title no\n"
        f'bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir "{home}"\nsave ""\nappendonly no\ndaemonize no\n'
        'protected-mode yes\nmaxmemory 128mb\nmaxmemory-policy noeviction\nlogfile ""\n',
        encoding="utf-8",
    )
    return Service("redis", ("redis-server", str(config)), tier=0)


def prefect(port: int) -> Service:
    """The Prefect server, on loopback. Its database is SQLite unless ``PREFECT_API_DATABASE_CONNECTION_URL`` names another."""
    return Service(
        "prefect",
        _module("flows.server", "--host", "127.0.0.1", "--port", str(port)),
        tier=1,
        grace=15.0,
        probe=f"http://127.0.0.1:{port}/api/ready",
    )


def celery() -> list[Service]:
    """One worker for seconds and rows, and the clock that makes it look again when nobody nudged."""
    app = ("celery", "--app", "catalog.celery")
    worker = (
        "worker",
        "--concurrency",
        str(CELERY_PROCESSES),
        "--without-gossip",
        "--without-mingle",
        "--loglevel",
        "INFO",
    )
    schedule = str(settings.STATE_DIR / "celerybeat-schedule")
    return [
        Service("celery", _module(*app, *worker), tier=2),
        Service("beat", _module(*app, "beat", "--schedule", schedule, "--pidfile=", "--loglevel", "INFO"), tier=3),
    ]


def web(state: Path, host: str, port: int) -> Service:
    """The web server. Its log goes through Django's settings, one JSON object a line."""
    config = state / "uvicorn-log.json"
    config.write_text(json.dumps({"version": 1, "disable_existing_loggers": False}), encoding="utf-8")
    argv = _module(
        "uvicorn", "catalog.asgi:application", "--host", host, "--port", str(port), "--no-access-log",
        "--log-config", str(config), "--timeout-graceful-shutdown", "5",
    )  # fmt: skip
    return Service("web", argv, tier=3, probe=f"http://127.0.0.1:{port}/healthz")


def deploy(zones: Iterable[str]) -> Step:
    """Tell Prefect the work pools and flows of these zones."""
    return Step("deploy", _module("flows.deploy", *(word for zone in zones for word in ("--zone", zone))))


def worker(zone: str) -> Service:
    """The worker of a zone's Prefect work pool."""
    return Service(f"worker-{zone}", _module("flows.worker", "--zone", zone), tier=3, grace=20.0)


def embedded(environment: Mapping[str, str], name: str) -> bool:
    """Whether the stack brings its own ``REDIS_URL`` or ``PREFECT_API_URL`` instead of the operator's."""
    return not environment.get(name)


def tiers(all_services: Iterable[Service]) -> list[list[Service]]:
    """The services grouped by tier, the tier to be stopped first in front."""
    grouped: dict[int, list[Service]] = {}
    for service in all_services:
        grouped.setdefault(service.tier, []).append(service)
    return [grouped[tier] for tier in sorted(grouped, reverse=True)]
