"""Real hosts for tests of the flows; the rack's place and name come from the environment."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.runner.workspace import Login
from tests.rack.driver import Rack

HOST = "zone-a-01"


@pytest.fixture(scope="session")
def flow_rack() -> Iterator[Rack]:
    """Two hosts, pristine at the start of the session."""
    image = os.environ.get("RACK_IMAGE")
    rack = Rack(
        Path(os.environ.get("RACK_STATE", Path(tempfile.gettempdir()) / "pumasi-flows-rack")),
        os.environ.get("RACK_NAME", "pumasiflows"),
        os.environ.get("RACK_SUBNET", "10.83.0"),
        Path(image) if image else None,
    )
    rack.build()
    rack.down()
    rack.up(2)
    yield rack
    rack.down()


@pytest.fixture
def login(flow_rack: Rack) -> Login:
    host = flow_rack.inventory()[HOST]
    return Login(host.name, host.address, host.port, "ops", flow_rack.host_key(HOST))
