"""Networks through the API: an operator lists, registers and retires them; orders say who may connect."""

from collections.abc import Callable
from typing import Any

import pytest

from catalog.ipam import networks
from catalog.ipam.models import Prefix, Vlan
from catalog.offerings.models import Plan
from catalog.orders.models import Order
from catalog.pool.models import Zone
from catalog.tenancy.models import Project, Tenant, User
from tests.api.conftest import Caller, build, problem, wanted
from tests.factories import NOW, TESTER
from tests.ipam.test_networks import SERVER


@pytest.fixture
def otto(operator: User, zone_a: Zone, capital: Tenant, card: Tenant, call: Callable[..., Caller]) -> Caller:
    """An operator, in whose zone Capital has a VLAN."""
    networks.register_vlan(TESTER, zone=zone_a, vid=7, name="Capital's", tenant=capital, now=NOW)
    return call(operator)


@pytest.fixture
def dana(developer: User, loan: Project, plan: Plan, zone_a: Zone, call: Callable[..., Caller]) -> Caller:
    """A developer of Capital, which has a network of its own."""
    networks.register_prefix(TESTER, zone=zone_a, cidr="10.20.0.0/16", tenant=loan.tenant, now=NOW)
    return call(developer)


def test_an_operator_registers_lists_and_retires(otto: Caller) -> None:
    vlan = otto.post("/vlans", {"zone": "zone-a", "vid": 100, "name": "Capital's", "tenant": "capital"})
    assert vlan.status_code == 201
    body = {"zone": "zone-a", "cidr": "10.9.0.0/24", "vlan": 100}
    prefix = otto.post("/prefixes", body)
    assert prefix.status_code == 201
    said = prefix.json()
    assert said == {
        "id": said["id"], "zone": "zone-a", "cidr": "10.9.0.0/24", "vlan": 100, "tenant": "capital", "retired_at": None,
    }  # fmt: skip
    assert otto.post("/prefixes", body).json() == said
    assert [row["vid"] for row in otto.get("/vlans", zone="zone-a").json()["results"]] == [7, 100]
    assert otto.get("/vlans", zone="zone-b").json()["results"] == []
    assert [row["cidr"] for row in otto.get("/prefixes", tenant="capital").json()["results"]] == ["10.9.0.0/24"]
    assert len(otto.get("/prefixes").json()["results"]) == 2
    problem(otto.post(f"/vlans/{vlan.json()['id']}/retire"), 409, "vlan-in-use")
    assert otto.post(f"/prefixes/{said['id']}/retire").json()["retired_at"] is not None
    problem(otto.post(f"/prefixes/{said['id']}/retire"), 409, "network-retired")
    assert otto.post(f"/vlans/{vlan.json()['id']}/retire").json()["retired_at"] is not None


@pytest.mark.parametrize(
    "refused",
    [
        ("/vlans", {"vid": 0}, 422, "invalid-input", "vid"),
        ("/vlans", {"vid": 4095}, 422, "invalid-input", "vid"),
        ("/vlans", {"vid": "100"}, 422, "invalid-input", "vid"),
        ("/vlans", {"name": ""}, 422, "invalid-input", "name"),
        ("/vlans", {"zone": "nowhere"}, 422, "zone-unknown", "zone"),
        ("/vlans", {"tenant": "nobody"}, 422, "invalid-input", "tenant"),
        ("/vlans", {"surprise": 1}, 422, "invalid-input", "surprise"),
        ("/vlans", {"vid": 7}, 409, "vlan-taken", "vid"),
        ("/prefixes", {"cidr": "10.9.0.1/24"}, 422, "bad-prefix", "cidr"),
        ("/prefixes", {"cidr": "0.0.0.0/0"}, 422, "bad-prefix", "cidr"),
        ("/prefixes", {"cidr": 10}, 422, "invalid-input", "cidr"),
        ("/prefixes", {"cidr": "10.0.0.0/8"}, 409, "prefix-overlaps", "cidr"),
        ("/prefixes", {"vlan": 8}, 422, "vlan-unknown", "vlan"),
        ("/prefixes", {"vlan": 7, "tenant": "card"}, 422, "network-of-another-affiliate", "tenant"),
    ],
)
def test_a_wrong_network_is_refused_and_nothing_is_registered(otto: Caller, refused: tuple[Any, ...]) -> None:
    path, body, status, code, field = refused
    usual = {
        "/vlans": {"zone": "zone-a", "vid": 9, "name": "x"},
        "/prefixes": {"zone": "zone-a", "cidr": "10.9.0.0/24"},
    }
    said = problem(otto.post(path, usual[path] | body), status, code)
    assert set(said["fields"]) == {field}
    assert (Vlan.objects.count(), Prefix.objects.count()) == (1, 1)


def test_an_order_says_who_may_connect_and_the_service_has_a_name(dana: Caller, zone_a: Zone) -> None:
    networks.set_zone_network(TESTER, zone_a, open_to_anyone=False, names=SERVER, now=NOW)
    order = dana.post("/orders", wanted(allow_from=["10.20.4.0/23", "10.20.4.7"]))
    assert order.status_code == 201, order.content
    assert order.json()["allow_from"] == ["10.20.4.0/23"]
    instance = build(order.json()["id"])
    said = dana.get(f"/instances/{instance.pk}").json()
    name = "loan-db.loan.capital.pumasi.internal"
    assert said["allow_from"] == ["10.20.4.0/23"]
    assert [(each["name"], each["port"]) for each in said["endpoints"]] == [(name, 20000)]
    shown = dana.post(f"/instances/{instance.pk}/credentials").json()
    assert (shown["credentials"]["name"], shown["credentials"]["address"]) == (name, said["endpoints"][0]["address"])
    assert [line["text"] for line in shown["connection"]] == [f"psql -h {name} -p 20000"]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (["0.0.0.0/0"], "access-open-to-anyone"),
        (["10.30.0.0/16"], "access-network-unknown"),
        (["10.20.0.1/16"], "bad-access-network"),
        (["10.20.0.0/16"] * 51, "invalid-input"),
        ("10.20.0.0/16", "invalid-input"),
        ([10], "invalid-input"),
        ([["10.20.0.0/16"]], "invalid-input"),
        (["x" * 44], "invalid-input"),
    ],
)
def test_an_order_open_to_the_wrong_clients_is_refused(dana: Caller, asked: Any, code: str) -> None:
    said = problem(dana.post("/orders", wanted(allow_from=asked)), 422, code)
    assert {name.split(".")[0] for name in said["fields"]} == {"allow_from"}
    assert not Order.objects.exists()
