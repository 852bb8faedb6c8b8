"""The environment a stack's processes live in: ports, secrets and addresses, made once and kept in the state directory."""

import json
import os
import secrets
import shlex
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catalog.stack.processes import MARK, mark_of

PREFERRED_PORTS = {"web": 8000, "prefect": 4200, "redis": 6379}

# Prefect as this product wants it: local, quiet, nothing reported to anybody, and patient with SQLite.
_PLACES = {"HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"}
_PREFECT = {
    "DO_NOT_TRACK": "1",
    "NO_COLOR": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # On SQLite a transaction that writes may ask for a second connection; with Prefect's own pool of 15 all of them can be held
    # by requests that wait for this very transaction, and the server stands still.
    "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": "40",
    "PREFECT_SERVER_DATABASE_SQLALCHEMY_MAX_OVERFLOW": "60",
    "PREFECT_SERVER_DATABASE_TIMEOUT": "30",
    # Sweeps are due every few seconds: two minutes of them planned ahead are enough, an hour would be thousands of rows.
    "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "30",
    "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT2M",
    # A sweep whose worker was killed gives up its place after this many seconds.
    "PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": "60",
    # The catalog keeps the state of runs; what Prefect records and concludes from events beside that nobody reads.
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER": "json",
    "PREFECT_CLI_PROMPT": "false",
}


def read(state: Path) -> dict[str, Any]:
    """What the last supervisor of this state directory wrote down; empty when there was none."""
    try:
        return dict(json.loads((state / "stack.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def write(state: Path, known: Mapping[str, Any]) -> None:
    """Replace ``stack.json`` as a whole, so that a reader never sees half of it."""
    new = state / "stack.json.new"
    new.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    new.replace(state / "stack.json")


def private_dir(path: Path) -> Path:
    """The directory, made if needed, readable by its owner alone."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def secret(state: Path, name: str, *, strength: int = 32) -> str:
    """The secret of that name: ``strength`` random bytes as text, made at the first call and kept in a file of mode 0600."""
    path = private_dir(state / "secrets") / name
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="utf-8").strip()
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(strength) + "\n")
    return path.read_text(encoding="utf-8").strip()


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A loopback port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def choose_ports(given: Mapping[str, str], remembered: Mapping[str, int]) -> dict[str, int]:
    """A port for web, prefect and redis: what ``PUMASI_<NAME>_PORT`` demands, else the last one, else the usual one, else any."""
    ports: dict[str, int] = {}
    for name, usual in PREFERRED_PORTS.items():
        demanded = given.get(f"PUMASI_{name.upper()}_PORT", "")
        if demanded:
            ports[name] = int(demanded)
            continue
        wishes = [port for port in (remembered.get(name), usual) if port is not None and port not in ports.values()]
        ports[name] = next((port for port in wishes if _free(port)), 0) or free_port()
    return ports


def temporary(state: Path) -> Path:
    """Where the processes of a stack keep what is temporary; a short path, because sockets lie below it. Gone when it stops."""
    return Path(tempfile.gettempdir()) / f"pumasi-{mark_of(state)}"


def compose(state: Path, given: Mapping[str, str], ports: Mapping[str, int]) -> dict[str, str]:
    """The environment of every process of the stack.

    What the operator set stays: ``DATABASE_URL``, ``REDIS_URL`` and ``PREFECT_API_URL`` lead to the real thing, and then the
    embedded one is not started. Nothing is written outside ``state`` and :func:`temporary`: HOME and the tools' own homes point
    into it.
    """
    prefect_url = f"http://127.0.0.1:{ports['prefect']}/api"
    own = {
        **_PREFECT,
        "DJANGO_SETTINGS_MODULE": "catalog.settings",
        "PUMASI_STATE": str(state),
        "PREFECT_API_URL": prefect_url,
        "PREFECT_SERVER_UI_API_URL": prefect_url,
        "PREFECT_HOME": str(private_dir(state / "prefect")),
        "HOME": str(private_dir(state / "home")),
        "TMPDIR": str(private_dir(temporary(state))),
        "ANSIBLE_HOME": str(state / "home" / ".ansible"),
        "REDIS_URL": f"redis://:{secret(state, 'redis')}@127.0.0.1:{ports['redis']}/0",
        "PYTHONUNBUFFERED": "1",
    }
    if "PREFECT_API_URL" not in given:
        # Whoever may call Prefect's API can run code as the worker: other users of this machine must not.
        own["PREFECT_API_AUTH_STRING"] = own["PREFECT_SERVER_API_AUTH_STRING"] = f"pumasi:{secret(state, 'prefect')}"
    if not given.get("PUMASI_SECRET_KEY") and not given.get("PUMASI_SECRET_KEY_FILE"):
        secret(state, "secret_key")
        own["PUMASI_SECRET_KEY_FILE"] = str(state / "secrets" / "secret_key")
    if (state / "rack" / "ssh").is_dir():
        own["PUMASI_SSH_KEY"] = str(state / "rack" / "ssh" / "id_ed25519")
        own["RACK_STATE"] = str(state / "rack")
    kept = {name: value for name, value in given.items() if name not in _PLACES}
    return {**own, **kept, MARK: mark_of(state)}


def write_shell_file(state: Path, environment: Mapping[str, str]) -> Path:
    """Write ``env``, to be sourced by a shell that wants to run ``manage.py`` against this stack. Mode 0600: it holds secrets."""
    prefixes = ("PUMASI_", "PREFECT_", "RACK_", "DATABASE_URL", "REDIS_URL", "DO_NOT_TRACK", "DJANGO_")
    lines = [
        f"export {name}={shlex.quote(value)}\n"
        for name, value in sorted(environment.items())
        if name.startswith(prefixes) and name != MARK
    ]
    path = state / "env"
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text("".join(lines), encoding="utf-8")
    return path
