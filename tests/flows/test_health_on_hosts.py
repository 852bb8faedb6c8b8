"""The regular check through Prefect, our worker and Ansible: what fails is tainted, what cannot be seen is not."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flows.conftest import HOST
from tests.flows.engine import Engine
from tests.flows.plays import until
from tests.flows.test_orders_on_hosts import settle, traces_of, with_a_host
from tests.rack.driver import Rack

ANSWERS = "for s in /run/postgresql/.s.PGSQL.*[0-9]; do pg_isready -h /run/postgresql -p ${s##*.}; done || true"

pytestmark = [pytest.mark.rack, pytest.mark.stack, pytest.mark.long]


@pytest.fixture(scope="module")
def engine(flow_rack: Rack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A server, a worker, and one enrolled host; checks are looked for every few seconds."""
    environment = {
        "PUMASI_HEALTH_LOOK_SECONDS": "3",
        "PUMASI_HEALTH_SECONDS": "86400",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "10",
    }
    with with_a_host(flow_rack, tmp_path_factory.mktemp("engine"), **environment) as running:
        yield running


def checked(engine: Engine, order: str) -> dict[str, Any]:
    """Have the service checked once more, and say what people are shown then."""
    before = engine.scene("health", order=order)["checks"]
    engine.scene("check_health", order=order)
    assert until(lambda: engine.scene("health", order=order)["checks"] > before, 240), engine.log("worker")
    return engine.scene("health", order=order)


def test_a_service_that_stops_answering_is_tainted_and_active_again_when_it_answers(
    engine: Engine, flow_rack: Rack
) -> None:
    placed: dict[str, Any] = engine.scene("order", name="loan-db")
    order = placed["order"]
    assert settle(engine, order) == "fulfilled", engine.log("worker")
    assert until(lambda: bool(engine.ask("SELECT 1 FROM health_health")), 120), engine.log("worker")
    well = checked(engine, order)
    assert (well["outcome"], well["state"], well["letters"]) == ("healthy", "active", [])

    unit = engine.ask("SELECT unit FROM instances_serviceinstance")[0][0]
    flow_rack.ssh(HOST, f"systemctl stop postgresql@15-{unit}.service")
    first = checked(engine, order)
    assert (first["outcome"], first["state"]) == ("failed", "active")
    second = checked(engine, order)
    assert (second["outcome"], second["state"]) == ("failed", "tainted")
    assert "unreachable" in second["state_reason"]
    assert len(second["letters"]) == 1

    # The host is away: nothing is known of the service, and what was seen last stands.
    flow_rack.off(HOST)
    try:
        away = checked(engine, order)
    finally:
        flow_rack.on(HOST)
    assert (away["outcome"], away["state"]) == ("failed", "tainted")
    assert away["unknown"]

    # It starts with its host, and is found well.
    assert until(
        lambda: flow_rack.ssh(HOST, "systemctl is-system-running || true").strip() in {"running", "degraded"}, 90
    )
    flow_rack.ssh(HOST, f"systemctl start postgresql@15-{unit}.service")
    assert until(lambda: "accepting" in flow_rack.ssh(HOST, ANSWERS), 60)
    again = checked(engine, order)
    assert (again["outcome"], again["state"], again["state_reason"]) == ("healthy", "active", "")
    assert len(again["letters"]) == 2

    # Somebody looks into it: it stays what it is, and what was found is kept without its secrets.
    looked = engine.scene("operate", order=order, operation="diagnostics")
    assert settle(engine, looked["order"]) == "fulfilled", engine.log("worker")
    assert engine.scene("health", order=order)["state"] == "active"
    found = json.loads(engine.ask("SELECT content FROM orders_orderfinding")[0][0])["diagnosis"]
    assert (found["unit"]["ActiveState"], bool(found["journal"])) == ("active", True)
    assert traces_of(engine, placed["secrets"]) == []
