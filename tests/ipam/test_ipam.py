"""Addresses, and ports that are given once and rest."""

from datetime import timedelta
from typing import Any

import pytest

from catalog.ipam import services as ipam
from catalog.ipam.errors import (
    AddressOutsideZone,
    AddressTaken,
    AddressUnknown,
    PortsExhausted,
)
from catalog.ipam.models import Endpoint, IPAddress
from catalog.pool.models import Zone
from catalog.pool.services import register_host
from tests.factories import NOW, TESTER, HostFactory, InstanceFactory, PlanFactory

pytestmark = pytest.mark.django_db


def test_an_address_lies_in_its_zone_and_belongs_to_one_host(zone_a: Zone) -> None:
    host = HostFactory(zone=zone_a, to=None)
    assert ipam.register_address(host, now=NOW, actor=TESTER) == IPAddress.objects.get()
    outside = register_host(TESTER, name="outside", zone=zone_a, address="192.0.2.9", now=NOW)
    with pytest.raises(AddressOutsideZone):
        ipam.register_address(outside, now=NOW, actor=TESTER)
    outside.address = host.address
    with pytest.raises(AddressTaken):
        ipam.register_address(outside, now=NOW, actor=TESTER)
    assert list(IPAddress.objects.values_list("host", flat=True)) == [host.pk]


def claim(host: Any, plan: Any, *, last: int = 20002, now: Any = NOW) -> Endpoint:
    return ipam.claim_endpoint(InstanceFactory(plan=plan), host, port_range=(20000, last), now=now)


def test_the_lowest_port_is_given_until_none_is_left(zone_a: Zone, settings: Any) -> None:
    settings.PORT_REST_SECONDS = 600
    host, plan = HostFactory(zone=zone_a), PlanFactory()
    held = [claim(host, plan) for _ in range(3)]
    assert [each.port for each in held] == [20000, 20001, 20002]
    with pytest.raises(PortsExhausted):
        claim(host, plan)
    assert Endpoint.objects.count() == 3
    assert claim(HostFactory(zone=zone_a), plan).port == 20000

    assert ipam.release_endpoints(held[1].instance, now=NOW) == 1
    assert ipam.release_endpoints(held[1].instance, now=NOW) == 0
    with pytest.raises(PortsExhausted):
        claim(host, plan, now=NOW + timedelta(seconds=599))
    again = claim(host, plan, now=NOW + timedelta(seconds=600))
    assert again.port == 20001


def test_a_port_needs_a_registered_address(zone_a: Zone) -> None:
    host = register_host(TESTER, name="bare", zone=zone_a, address="10.0.0.200", now=NOW)
    with pytest.raises(AddressUnknown):
        claim(host, PlanFactory())
    assert not Endpoint.objects.exists()
