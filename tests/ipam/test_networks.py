"""VLANs and prefixes: registered without overlaps, an affiliate's its own, retired when nobody is left in them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from catalog.audit.models import AuditEntry
from catalog.common.errors import DomainError, Forbidden
from catalog.ipam import errors, networks
from catalog.ipam import services as ipam
from catalog.ipam.models import Prefix, Vlan, ZoneNetwork
from catalog.ipam.networks import NameServer
from catalog.pool.models import Host, Zone
from catalog.tenancy.models import Tenant, User
from tests.factories import NOW, TESTER, HostFactory, ZoneFactory, acting

pytestmark = pytest.mark.django_db

SECRET = "c2l4dGVlbiBieXRlcyBvZiBub3RoaW5nIGF0IGFsbC4uLg=="
SERVER = NameServer(domain="pumasi.internal", address="10.77.0.2", key_name="catalog", secret=SECRET)


def rows() -> tuple[list[Any], ...]:
    """Everything a refusal must leave as it is."""
    return (
        sorted(Vlan.objects.values_list("zone__slug", "vid", "retired_at")),
        sorted(Prefix.objects.values_list("cidr", "retired_at")),
        list(ZoneNetwork.objects.values()),
        AuditEntry.objects.count(),
    )  # type: ignore[return-value]  # lists of rows of different shapes


@pytest.mark.parametrize(
    "cidr",
    [
        "10.9.0.1/24",
        "10.9.0.0/33",
        "ten",
        "",
        "10.9.0.0/24\n",
        "0x0a.0.0.0/8",
        "0.0.0.0/0",
        "::/0",
        "-1.0.0.0/8",
        "10.9.0.0/-1",
    ],
)
def test_what_is_no_network_is_refused(zone_a: Zone, cidr: str) -> None:
    before = rows()
    with pytest.raises(errors.PrefixInvalid) as refused:
        networks.register_prefix(TESTER, zone=zone_a, cidr=cidr, now=NOW)
    assert (refused.value.code, set(refused.value.fields)) == ("bad-prefix", {"cidr"})
    assert rows() == before


def test_prefixes_never_overlap_and_the_same_again_is_the_same(operator: User, zone_a: Zone, capital: Tenant) -> None:
    otto = acting(operator)
    first = networks.register_prefix(otto, zone=zone_a, cidr="10.9.0.0/24", now=NOW)
    before = rows()
    assert networks.register_prefix(otto, zone=zone_a, cidr="10.9.0.0/24", now=NOW) == first
    other = ZoneFactory(cidr="10.10.0.0/24")
    wrong: list[dict[str, Any]] = [
        {"zone": zone_a, "cidr": "10.9.0.0/16"},
        {"zone": zone_a, "cidr": "10.9.0.128/25"},
        {"zone": other, "cidr": "10.9.0.0/24"},
        {"zone": zone_a, "cidr": "10.9.0.0/24", "tenant": capital},
    ]
    before = rows()
    for each in wrong:
        with pytest.raises(errors.PrefixOverlaps):
            networks.register_prefix(otto, now=NOW, **each)
    assert rows() == before
    assert networks.register_prefix(otto, zone=zone_a, cidr="2001:db8::/64", now=NOW).cidr == "2001:db8::/64"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_who_register_at_once_do_not_look_past_each_other() -> None:
    zone, gate = ZoneFactory(slug="zone-a", cidr="10.0.0.0/24"), threading.Barrier(8)

    def register(number: int) -> str:
        gate.wait()
        try:
            networks.register_prefix(TESTER, zone=zone, cidr=f"10.9.0.0/{16 + number}", now=NOW)
        except DomainError as error:
            return error.code
        finally:
            connections.close_all()
        return "registered"

    with ThreadPoolExecutor(8) as threads:
        said = sorted(threads.map(register, range(8)))
    assert said == ["prefix-overlaps"] * 7 + ["registered"]
    assert Prefix.objects.filter(cidr__startswith="10.9.").count() == 1


def test_a_vlan_has_a_number_once_a_zone(operator: User, zone_a: Zone) -> None:
    otto = acting(operator)
    vlan = networks.register_vlan(otto, zone=zone_a, vid=100, name="services", now=NOW)
    assert networks.vlan_of(zone_a, 100) == vlan
    assert networks.register_vlan(otto, zone=ZoneFactory(), vid=100, name="services", now=NOW) != vlan
    before = rows()
    with pytest.raises(errors.VlanTaken):
        networks.register_vlan(otto, zone=zone_a, vid=100, name="again", now=NOW)
    for vid, name in ((0, "x"), (4095, "x"), (-1, "x"), (10**9, "x"), (5, " "), (5, "x" * 101)):
        with pytest.raises(errors.VlanInvalid):
            networks.register_vlan(otto, zone=zone_a, vid=vid, name=name, now=NOW)
    for vid in (5, 0, -1, 10**12):
        with pytest.raises(errors.VlanUnknown):
            networks.vlan_of(zone_a, vid)
    assert rows() == before


def test_a_prefix_fits_its_vlan_and_its_zone(operator: User, zone_a: Zone, capital: Tenant, card: Tenant) -> None:
    otto = acting(operator)
    ours = networks.register_vlan(otto, zone=zone_a, vid=7, name="capital", tenant=capital, now=NOW)
    local = ZoneFactory(kind=Zone.Kind.LOCAL, tenant=capital)
    before = rows()
    with pytest.raises(errors.VlanUnknown):
        networks.register_prefix(otto, zone=local, cidr="10.9.0.0/24", vlan=ours, now=NOW)
    with pytest.raises(errors.NetworkOfAnother):
        networks.register_prefix(otto, zone=zone_a, cidr="10.9.0.0/24", vlan=ours, tenant=card, now=NOW)
    with pytest.raises(errors.NetworkOfAnother):
        networks.register_prefix(otto, zone=local, cidr="10.9.0.0/24", tenant=card, now=NOW)
    with pytest.raises(errors.NetworkOfAnother):
        networks.register_vlan(otto, zone=local, vid=8, name="card", tenant=card, now=NOW)
    assert rows() == before
    prefix = networks.register_prefix(otto, zone=zone_a, cidr="10.9.0.0/24", vlan=ours, now=NOW)
    assert prefix.tenant == capital
    entry = AuditEntry.objects.get(action="prefix.registered")
    assert (entry.actor, entry.tenant_id) == ("otto", capital.pk)
    assert entry.after == {"zone": "zone-a", "cidr": "10.9.0.0/24", "vlan": 7, "tenant": "capital"}


def test_networks_are_retired_when_nobody_is_left_in_them(operator: User, zone_a: Zone) -> None:
    otto = acting(operator)
    vlan = networks.register_vlan(otto, zone=zone_a, vid=7, name="services", now=NOW)
    prefix = networks.register_prefix(otto, zone=zone_a, cidr="10.9.0.0/24", vlan=vlan, now=NOW)
    host = HostFactory(zone=zone_a, address="10.9.0.5")
    before = rows()
    with pytest.raises(errors.PrefixInUse):
        networks.retire_prefix(otto, prefix, now=NOW)
    with pytest.raises(errors.VlanInUse):
        networks.retire_vlan(otto, vlan, now=NOW)
    assert rows() == before

    Host.objects.filter(pk=host.pk).update(state="retired")
    assert networks.retire_prefix(otto, prefix, now=NOW).retired_at == NOW
    assert networks.retire_vlan(otto, vlan, now=NOW).retired_at == NOW
    before = rows()
    with pytest.raises(errors.NetworkRetired):
        networks.retire_prefix(otto, prefix, now=NOW)
    with pytest.raises(errors.NetworkRetired):
        networks.retire_vlan(otto, vlan, now=NOW)
    with pytest.raises(errors.VlanUnknown):
        networks.register_prefix(otto, zone=zone_a, cidr="10.11.0.0/24", vlan=vlan, now=NOW)
    with pytest.raises(errors.AddressOutsideZone):
        ipam.register_address(host, now=NOW, actor=TESTER)
    assert rows() == before
    # Both can be registered anew.
    anew = networks.register_vlan(otto, zone=zone_a, vid=7, name="services", now=NOW)
    assert networks.register_prefix(otto, zone=zone_a, cidr="10.9.0.0/16", vlan=anew, now=NOW).retired_at is None


def test_only_operators_touch_networks(developer: User, auditor: User, zone_a: Zone) -> None:
    prefix, vlan = zone_a.prefixes.get(), networks.register_vlan(TESTER, zone=zone_a, vid=7, name="x", now=NOW)
    before = rows()
    for actor in (acting(developer), acting(auditor)):
        for deed in (
            lambda who: networks.register_vlan(who, zone=zone_a, vid=9, name="x", now=NOW),
            lambda who: networks.register_prefix(who, zone=zone_a, cidr="10.9.0.0/24", now=NOW),
            lambda who: networks.retire_vlan(who, vlan, now=NOW),
            lambda who: networks.retire_prefix(who, prefix, now=NOW),
            lambda who: networks.set_zone_network(who, zone_a, open_to_anyone=True, names=SERVER, now=NOW),
        ):
            with pytest.raises(Forbidden):
                deed(actor)
    assert rows() == before


def test_a_zone_gets_its_name_server_and_the_key_stays_secret(operator: User, zone_a: Zone) -> None:
    otto = acting(operator)
    found = networks.set_zone_network(otto, zone_a, open_to_anyone=False, names=SERVER, now=NOW)
    assert SECRET not in found.dns_key
    assert networks.key_of(ZoneNetwork.objects.get()) == SECRET
    networks.set_zone_network(otto, zone_a, open_to_anyone=False, names=SERVER, now=NOW)
    assert AuditEntry.objects.filter(action="zone-network.set").count() == 1, "the same again changes nothing"

    # Without a secret, the one that is known stays.
    moved = NameServer(domain="pumasi.internal", address="10.77.0.3", key_name="catalog", secret="")
    networks.set_zone_network(otto, zone_a, open_to_anyone=True, names=moved, now=NOW)
    found = ZoneNetwork.objects.get()
    assert (found.dns_server, found.open_to_anyone, networks.key_of(found)) == ("10.77.0.3", True, SECRET)
    assert SECRET not in str(list(AuditEntry.objects.values()))
    assert found.dns_key not in str(list(AuditEntry.objects.values()))

    networks.set_zone_network(otto, zone_a, open_to_anyone=False, names=None, now=NOW)
    found = ZoneNetwork.objects.get()
    assert (found.domain, found.dns_server, found.dns_key) == ("", None, "")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"domain": "internal"}, "domain"),
        ({"domain": "pumasi.internal\nsend"}, "domain"),
        ({"domain": "Pumasi.Internal"}, "domain"),
        ({"domain": "a" * 64 + ".internal"}, "domain"),
        ({"address": "ns.pumasi.internal"}, "dns_server"),
        ({"port": 0}, "dns_port"),
        ({"port": 65536}, "dns_port"),
        ({"key_name": "a key"}, "dns_key_name"),
        ({"algorithm": "hmac-md5"}, "dns_key_algorithm"),
        ({"secret": ""}, "dns_key"),
        ({"secret": "short"}, "dns_key"),
        ({"secret": SECRET + "\nsend"}, "dns_key"),
    ],
)
def test_a_name_server_that_cannot_work_is_refused(zone_a: Zone, wrong: dict[str, Any], field: str) -> None:
    before = rows()
    given = {
        "domain": SERVER.domain, "address": SERVER.address, "key_name": SERVER.key_name, "secret": SECRET,
    } | wrong  # fmt: skip
    with pytest.raises(errors.NameServerInvalid) as refused:
        networks.set_zone_network(TESTER, zone_a, open_to_anyone=False, names=NameServer(**given), now=NOW)
    assert (refused.value.code, set(refused.value.fields)) == ("bad-name-server", {field})
    assert rows() == before
