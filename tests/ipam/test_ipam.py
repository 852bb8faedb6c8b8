"""Prefixes, addresses, and ports that are given once and rest."""

from datetime import timedelta
from typing import Any

import pytest

from catalog.common.errors import Forbidden
from catalog.ipam import services as ipam
from catalog.ipam.errors import (
    AddressOutsideZone,
    AddressTaken,
    AddressUnknown,
    PortsExhausted,
    PrefixInvalid,
    PrefixOverlaps,
)
from catalog.ipam.models import Endpoint, IPAddress, Prefix
from catalog.pool.models import Zone
from catalog.pool.services import register_host
from catalog.tenancy.models import User
from tests.factories import NOW, TESTER, HostFactory, InstanceFactory, PlanFactory, ZoneFactory, acting

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("cidr", ["10.9.0.1/24", "10.9.0.0/33", "ten", "", "10.9.0.0/24\n", "0x0a.0.0.0/8"])
def test_what_is_no_network_is_refused(zone_a: Zone, cidr: str) -> None:
    with pytest.raises(PrefixInvalid):
        ipam.register_prefix(TESTER, zone=zone_a, cidr=cidr, now=NOW)
    assert Prefix.objects.count() == 1


def test_prefixes_never_overlap_and_the_same_again_is_the_same(operator: User, zone_a: Zone) -> None:
    first = ipam.register_prefix(acting(operator), zone=zone_a, cidr="10.9.0.0/24", now=NOW)
    assert ipam.register_prefix(acting(operator), zone=zone_a, cidr="10.9.0.0/24", now=NOW) == first
    for zone, cidr in ((zone_a, "10.9.0.0/16"), (zone_a, "10.9.0.128/25"), (ZoneFactory(), "10.9.0.0/24")):
        with pytest.raises(PrefixOverlaps):
            ipam.register_prefix(acting(operator), zone=zone, cidr=cidr, now=NOW)
    six = ipam.register_prefix(acting(operator), zone=zone_a, cidr="2001:db8::/64", now=NOW)
    assert ipam.allow_from(zone_a) == sorted([*zone_a.prefixes.values_list("cidr", flat=True)])
    assert {first.cidr, six.cidr} < set(ipam.allow_from(zone_a))


def test_only_an_operator_registers_networks(developer: User, zone_a: Zone) -> None:
    with pytest.raises(Forbidden):
        ipam.register_prefix(acting(developer), zone=zone_a, cidr="10.9.0.0/24", now=NOW)


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
