"""One whole stack on real hosts and a real PostgreSQL, shared by every end-to-end test of the session."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.acts import Acts
from tests.harness import templates
from tests.harness.postgres import Postgres, database
from tests.harness.stack import Stack, running, until
from tests.rack.driver import Rack

HOSTS = 4


@pytest.fixture(scope="session")
def state() -> Iterator[Path]:
    """A short path: sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="pumasi-e2e-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def hardware(state: Path) -> Iterator[Rack]:
    image = os.environ.get("RACK_IMAGE")
    rack = Rack(state / "rack", "pumasie2e", os.environ.get("E2E_SUBNET", "10.87.0"), Path(image) if image else None)
    rack.build()
    rack.down()
    try:
        rack.up(HOSTS)
        yield rack
    finally:
        rack.down()


@pytest.fixture(scope="session")
def server(state: Path) -> Iterator[str]:
    """The PostgreSQL server the tests run on, or one for these tests alone."""
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith("postgres"):
        # The tests' own database may not be there: its name only gives theirs its prefix.
        yield given.rpartition("/")[0] + "/postgres"
        return
    with Postgres(state) as started:
        yield started.url("postgres")


@pytest.fixture(scope="session")
def stack(state: Path, hardware: Rack, server: str) -> Iterator[Stack]:
    """Catalog and Prefect have a database each; Redis, workers and web are the supervisor's."""
    made = templates.on_postgresql(server)
    with database(server, "e2e_catalog", template=made) as catalog, database(server, "e2e_prefect") as prefect:
        given = {"PREFECT_API_DATABASE_CONNECTION_URL": prefect.replace("postgres://", "postgresql+asyncpg://")}
        with running(state / "stack", hardware, database_url=catalog, **given) as up:
            yield up


@pytest.fixture
def acts(stack: Stack) -> Acts:
    """What people do, on a pool in which every host is free."""
    stack.all_back()
    return Acts(stack)


@pytest.fixture
def busy(stack: Stack) -> Acts:
    """What people do while the host of somebody before is still being wiped."""

    def one_free() -> bool:
        return any(row["zone"] == "zone-a" for row in stack.operator.every("/hosts", state="available"))

    until("a host available", one_free, within=240)
    return Acts(stack)
