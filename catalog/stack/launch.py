"""Starting a whole stack in the background, with the rack's hosts and the sample data in it: for the demo and for tests."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from django.conf import settings

from catalog.stack import environment, sample
from catalog.stack.client import Api
from catalog.stack.rack import Rack
from catalog.stack.supervisor import StackError, supervisor_of

READY_WITHIN = 180.0


def manage(state: Path, *words: str, given: Mapping[str, str]) -> None:
    """Run a ``manage.py`` command inside the stack of ``state``. Raises :class:`StackError` with its last words."""
    whole = environment.compose(state, given, environment.read(state)["ports"])
    done = subprocess.run(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), *words],
        env=whole,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StackError(f"manage.py {' '.join(words)} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")


def start(state: Path, *, given: Mapping[str, str], zones: Sequence[str]) -> str:
    """Start the stack of ``state`` unless it runs, and wait until it is ready. Returns the portal's address.

    :raises StackError: it ended, or was not ready in time; the message ends with its log.
    """
    if supervisor_of(state) is not None and environment.read(state).get("ready"):
        return str(environment.read(state)["url"])
    log = environment.private_dir(state) / "logs" / "supervisor.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as output:
        words = [sys.executable, str(settings.BASE_DIR / "manage.py"), "up", "--zones", ",".join(zones)]
        process = subprocess.Popen(
            words,
            env=dict(given),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        known = environment.read(state)
        if known.get("ready") and known.get("supervisor", {}).get("pid") == process.pid:
            return str(known["url"])
        if process.poll() is not None:
            break
        time.sleep(0.2)
    process.terminate()
    process.wait(60)
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
    raise StackError(f"The stack did not get ready:\n{tail}")


def sign_in(state: Path, url: str, username: str) -> Api:
    """Somebody of the sample, signed in to the API."""
    return Api(url).sign_in(username, sample.password_of(state, username))


def environment_for(rack: Rack, **more: str) -> dict[str, str]:
    """The environment to start a stack in whose hosts are the rack's."""
    return {**os.environ, "PUMASI_CLIENT_NETWORKS": rack.machine(), "PUMASI_SSH_KEY": str(rack.private_key), **more}
