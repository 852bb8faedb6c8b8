"""Real hosts for tests. The rack is named by the same settings as the command's (RACK_STATE, RACK_NAME, RACK_SUBNET,
RACK_IMAGE); without RACK_STATE it lives in a temporary directory and goes with it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rack.driver import Rack, RackError

HOSTS = 4


@pytest.fixture(scope="session")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    """Four hosts in two zones, pristine and reachable at the start of the session."""
    lasting = os.environ.get("RACK_STATE")
    shared = os.environ.get("RACK_IMAGE")
    held = Rack(
        state=Path(lasting) if lasting else tmp_path_factory.mktemp("rack"),
        name=os.environ.get("RACK_NAME", "pumasi-test"),
        subnet=os.environ.get("RACK_SUBNET", "10.79.0"),
        image=Path(shared) if shared else None,
    )
    held.down()  # what an earlier session that was killed may have left
    held.build()
    try:
        held.up(HOSTS)
        yield held
    finally:
        held.down() if lasting else held.clean()


@pytest.fixture
def host(rack: Rack) -> Iterator[str]:
    """One pristine host; reinstalled before the test, so that no test sees what another left."""
    name = "zone-b-02"
    rack.wipe(name)
    yield name


@pytest.fixture
def refused() -> type[RackError]:
    return RackError
