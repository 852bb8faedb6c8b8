"""The demo itself, on SQLite: what the README's first command runs after the installation."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from catalog.stack import environment, supervisor
from catalog.stack.processes import mark_of, marked
from tests.rack.driver import Rack

# It has a stack and hosts of its own, so it need not wait for the others here.
pytestmark = [pytest.mark.stack, pytest.mark.rack, pytest.mark.long, pytest.mark.xdist_group("demo")]

STEPS = (
    r"4 hosts are up: zone-a-01, zone-a-02, zone-b-01, zone-b-02",
    r"4 hosts are taken into the pool",
    r"Ordered loan-db-1: Shared small",
    r"- Create your database and its user",
    r"Built and verified: loan-db-1 answers at loan-db-1\.loan\.capital\.pumasi\.internal:2\d{4}",
    r"loan-db-1\.loan\.capital\.pumasi\.internal resolves to [\d.]+, says the rack's name server",
    r'psql "host=loan-db-1\.loan\.capital\.pumasi\.internal port=.*" wrote 3 rows and read them back',
    r"The lease ended; \d+ s later the reclaim flow ordered the give-back",
    r"Given back",
    r"zone-[ab]-0\d is wiped as a whole, checked, and available again",
    r"wipe certificate .*previous holder capital, life 2 of the host, signature valid",
    r"Ordered points-cache-1",
    r"redis-cli .* wrote a key and read it back",
    r"Over ssh on zone-[ab]-0\d: nothing of s[a-z0-9]{11}, loan-db-1, app_\w+ in processes",
    r"portal      http://127\.0\.0\.1:\d+/",
    r"make stop      To remove every trace: make clean",
)


@pytest.fixture
def given() -> Iterator[dict[str, str]]:
    """The environment of a demo of its own; everything it leaves running is ended."""
    ours = ("PUMASI_", "PREFECT_", "RACK_", "DATABASE_URL", "REDIS_URL", "DJANGO_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ours) or name in {"PUMASI_TESTS", "RACK_IMAGE"}
    }
    with tempfile.TemporaryDirectory(prefix="pumasi-demo-") as directory:
        state = Path(directory)
        ports = {f"PUMASI_{name}_PORT": str(environment.free_port()) for name in ("WEB", "PREFECT", "REDIS")}
        rack = {"RACK_NAME": "pumasidemo", "RACK_SUBNET": "10.88.0"}
        yield {
            **kept,
            **ports,
            **rack,
            "PUMASI_STATE": directory,
            "PUMASI_SECRET_KEY": "only-for-tests-0123456789abcdef",
        }
        supervisor.stop(state)
        Rack(state / "rack", "pumasidemo", "10.88.0").clean()


def test_the_whole_story_and_an_interrupted_second_one(given: dict[str, str]) -> None:
    state = Path(given["PUMASI_STATE"])
    words = [sys.executable, str(settings.BASE_DIR / "manage.py"), "demo"]
    done = subprocess.run(words, env=given, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [step for step in STEPS if not re.search(step, done.stdout)] == []
    locked = [
        log.name for log in (state / "logs").glob("*.log") if "OperationalError: database is locked" in log.read_text()
    ]
    assert [name for name in locked if not name.startswith("prefect")] == []

    # Ctrl-C in the middle of the next one leaves nothing half alive.
    again = subprocess.Popen(words, env=given, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert again.stdout is not None
    for line in again.stdout:
        if "Ordered loan-db-2" in line:
            again.send_signal(signal.SIGINT)
            break
    rest = again.communicate(timeout=180)[0]
    assert again.returncode == 130
    assert "Interrupted: everything is being stopped." in rest
    assert marked(mark_of(state)) == []
    hosts = subprocess.run(
        [str(settings.PLAYBOOKS_DIR / "rack" / "rack"), "ls"], env={**given, "RACK_STATE": str(state / "rack")},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert [line.split("\t")[-1] for line in hosts.splitlines()] == ["off"] * 4
