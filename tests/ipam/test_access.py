"""Who may connect: what an order may name, and what counts where it names nothing."""

from typing import Any

import pytest

from catalog.common.errors import DomainError
from catalog.ipam import access, networks
from catalog.ipam.models import ZoneNetwork
from catalog.pool.models import Zone
from catalog.tenancy.models import Tenant
from tests.factories import NOW, TESTER, ZoneFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def zones(capital: Tenant, card: Tenant) -> tuple[Zone, Zone]:
    """Two zones with a network each; in the first also one of Capital's and one of Card's."""
    first, second = ZoneFactory(slug="zone-a", cidr="10.1.0.0/16"), ZoneFactory(slug="zone-b", cidr="10.2.0.0/16")
    networks.register_prefix(TESTER, zone=first, cidr="10.20.0.0/16", tenant=capital, now=NOW)
    networks.register_prefix(TESTER, zone=first, cidr="10.21.0.0/16", tenant=capital, now=NOW)
    networks.register_prefix(TESTER, zone=first, cidr="10.30.0.0/16", tenant=card, now=NOW)
    return first, second


def test_known_are_the_affiliates_own_and_those_of_the_zone(
    zones: tuple[Zone, Zone], capital: Tenant, card: Tenant
) -> None:
    first, second = zones
    assert access.known_networks(capital, [first]) == ["10.1.0.0/16", "10.20.0.0/15"]
    assert access.known_networks(capital, [second]) == ["10.2.0.0/16", "10.20.0.0/15"]
    assert access.known_networks(card, [first, second]) == ["10.1.0.0/16", "10.2.0.0/16", "10.30.0.0/16"]
    networks.retire_prefix(TESTER, first.prefixes.get(cidr="10.21.0.0/16"), now=NOW)
    assert access.known_networks(capital, [first]) == ["10.1.0.0/16", "10.20.0.0/16"]


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ([], []),
        (["10.20.3.0/24"], ["10.20.3.0/24"]),
        (["10.20.3.4"], ["10.20.3.4/32"]),
        ([" 10.20.3.4/32 "], ["10.20.3.4/32"]),
        (["10.20.0.0/15"], ["10.20.0.0/15"]),  # two registered networks side by side
        (["10.1.9.0/24", "10.20.3.0/25", "10.20.3.128/25"], ["10.1.9.0/24", "10.20.3.0/24"]),
        (["192.0.2.10"], ["192.0.2.10/32"]),  # one of the installation's own clients
    ],
)
def test_what_lies_in_known_networks_is_taken(
    zones: tuple[Zone, Zone], capital: Tenant, settings: Any, asked: list[str], kept: list[str]
) -> None:
    settings.CLIENT_NETWORKS = ["192.0.2.0/28"]
    assert access.check(asked, tenant=capital, zones=[zones[0]]) == kept


BAD = [
    ("ten", "bad-access-network"),
    ("", "bad-access-network"),
    ("10.20.3.4/24", "bad-access-network"),
    ("10.20.3.0/33", "bad-access-network"),
    ("10.20.3.0/24; drop", "bad-access-network"),
    ("224.0.0.1", "bad-access-network"),
    ("0.0.0.0/0", "access-open-to-anyone"),
    ("::/0", "access-open-to-anyone"),
    ("0.0.0.0/1", "access-network-unknown"),
    ("10.0.0.0/8", "access-network-unknown"),
    ("10.30.1.0/24", "access-network-unknown"),  # Card's
    ("10.2.0.0/24", "access-network-unknown"),  # of the other zone
    ("10.20.0.0/14", "access-network-unknown"),
    ("2001:db8::1", "access-network-unknown"),
]


@pytest.mark.parametrize(("asked", "code"), BAD)
def test_what_does_not_is_refused_with_a_code(zones: tuple[Zone, Zone], capital: Tenant, asked: str, code: str) -> None:
    with pytest.raises(DomainError) as refused:
        access.check(["10.20.3.0/24", asked], tenant=capital, zones=[zones[0]])
    assert (refused.value.code, refused.value.status, set(refused.value.fields)) == (code, 422, {"allow_from"})


def test_no_order_names_more_networks_than_a_firewall_should_hold(zones: tuple[Zone, Zone], capital: Tenant) -> None:
    asked = [f"10.20.{number}.1" for number in range(access.MOST)]
    assert len(access.check(asked, tenant=capital, zones=[zones[0]])) == access.MOST
    with pytest.raises(DomainError) as refused:
        access.check([*asked, "10.20.99.1"], tenant=capital, zones=[zones[0]])
    assert refused.value.code == "bad-access-network"


def test_a_zone_may_allow_anyone_but_only_for_itself(zones: tuple[Zone, Zone], capital: Tenant) -> None:
    first, second = zones
    networks.set_zone_network(TESTER, first, open_to_anyone=True, names=None, now=NOW)
    networks.set_zone_network(TESTER, second, open_to_anyone=False, names=None, now=NOW)
    assert ZoneNetwork.objects.count() == 2
    assert access.check(["0.0.0.0/0"], tenant=capital, zones=[first]) == ["0.0.0.0/0"]
    assert access.check(["203.0.113.0/24"], tenant=capital, zones=[first]) == ["203.0.113.0/24"]
    for where in ([second], [first, second], []):
        with pytest.raises(DomainError) as refused:
            access.check(["0.0.0.0/0"], tenant=capital, zones=where)
        assert refused.value.code == "access-open-to-anyone"


def test_the_platform_itself_may_always_try_what_it_delivers(
    zones: tuple[Zone, Zone], capital: Tenant, settings: Any
) -> None:
    settings.CLIENT_NETWORKS = ["192.0.2.10/32"]
    assert access.allowed(["10.20.3.0/24"], tenant=capital, zone=zones[0]) == ["10.20.3.0/24", "192.0.2.10/32"]
    assert access.allowed([], tenant=capital, zone=zones[1]) == ["10.2.0.0/16", "10.20.0.0/15", "192.0.2.10/32"]
