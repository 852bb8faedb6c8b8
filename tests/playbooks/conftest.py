"""A rack for the tests of the services' playbooks, one in each worker of the tests that has some of them."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playbooks.clients import SERVICES
from tests.playbooks.sources import Files, serving
from tests.rack.driver import Rack

HOST, OUTSIDER = "zone-a-01", "zone-b-01"


@pytest.fixture(scope="session")
def service_rack() -> Iterator[Rack]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    state = Path(os.environ.get("RACK_STATE", Path(tempfile.gettempdir()) / f"pumasi-services-rack-{worker}"))
    image = os.environ.get("RACK_IMAGE")
    rack = Rack(
        state,
        os.environ.get("RACK_NAME", f"pumasisvc{worker}"),
        os.environ.get("RACK_SUBNET", f"10.82.{worker}"),
        Path(image) if image else None,
    )
    rack.build()
    rack.down()
    rack.up(2)
    yield rack
    rack.down()


@pytest.fixture(scope="session")
def workplace() -> Iterator[Path]:
    """Where runs keep their workspaces. Not pytest's own folder: ssh refuses control sockets of more than 108 characters."""
    with tempfile.TemporaryDirectory(prefix="pumasi-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(params=SERVICES)
def slug(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def files(service_rack: Rack, tmp_path: Path) -> Iterator[Files]:
    """A server of files that hosts reach."""
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder, f"{service_rack.subnet}.1") as server:
        yield server
