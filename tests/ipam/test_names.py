"""DNS names: given with the port, back with it, and not to a stranger while they rest."""

from datetime import timedelta
from typing import Any

import pytest

from catalog.ipam import names, networks
from catalog.ipam import services as ipam
from catalog.ipam.errors import AddressUnknown, NameResting
from catalog.ipam.models import DnsName, Endpoint
from catalog.offerings.models import Plan
from catalog.pool.models import Zone
from catalog.tenancy.models import Tenant
from tests.factories import NOW, TESTER, HostFactory, InstanceFactory, PlanFactory, ProjectFactory, TenantFactory
from tests.ipam.test_networks import SECRET, SERVER

pytestmark = pytest.mark.django_db


@pytest.fixture
def named(zone_a: Zone) -> Zone:
    """The zone with a name server."""
    networks.set_zone_network(TESTER, zone_a, open_to_anyone=False, names=SERVER, now=NOW)
    return zone_a


@pytest.fixture
def plan() -> Plan:
    return PlanFactory()


def claim(zone: Zone, plan: Plan, tenant: Tenant, *, now: Any = NOW) -> Endpoint:
    """``cache`` of the affiliate's project ``loan``, on a host of its own."""
    project = tenant.projects.filter(slug="loan").first() or ProjectFactory(tenant=tenant, slug="loan")
    instance = InstanceFactory(plan=plan, project=project, name="cache")
    return ipam.claim_endpoint(instance, HostFactory(zone=zone), port_range=(20000, 20001), now=now)


def test_a_name_comes_with_the_port_and_goes_back_with_it(
    named: Zone, plan: Plan, capital: Tenant, settings: Any
) -> None:
    settings.NAME_REST_SECONDS = 3600
    endpoint = claim(named, plan, capital)
    name = DnsName.objects.get()
    assert endpoint.name == name
    assert (name.name, name.instance) == ("cache.loan.capital.pumasi.internal", endpoint.instance)
    assert ipam.release_endpoints(endpoint.instance, now=NOW) == 1
    name.refresh_from_db()
    assert (name.released_at, name.rests_until) == (NOW, NOW + timedelta(hours=1))
    assert names.release_names(endpoint.instance, now=NOW + timedelta(days=1)) == 0


def test_a_zone_without_a_name_server_gives_addresses_only(zone_a: Zone, plan: Plan, capital: Tenant) -> None:
    assert claim(zone_a, plan, capital).name is None
    networks.set_zone_network(TESTER, zone_a, open_to_anyone=True, names=None, now=NOW)
    ipam.release_endpoints(Endpoint.objects.get().instance, now=NOW)
    assert claim(zone_a, plan, TenantFactory()).name is None
    assert not DnsName.objects.exists()
    assert names.name_server(zone_a) is None


def test_a_resting_name_is_for_its_own_affiliate_only(named: Zone, plan: Plan, capital: Tenant, settings: Any) -> None:
    settings.NAME_REST_SECONDS = 3600
    first = claim(named, plan, capital)
    ipam.release_endpoints(first.instance, now=NOW)
    type(first.instance).objects.update(state="decommissioned")
    again = claim(named, plan, capital)
    assert again.name is not None
    ipam.release_endpoints(again.instance, now=NOW)
    type(first.instance).objects.update(state="decommissioned")

    # The affiliate is renamed, and another takes its short name.
    Tenant.objects.filter(pk=capital.pk).update(slug="former")
    stranger = TenantFactory(slug="capital")
    before = Endpoint.objects.count(), DnsName.objects.count()
    with pytest.raises(NameResting) as refused:
        claim(named, plan, stranger, now=NOW + timedelta(seconds=3599))
    assert refused.value.code == "name-resting"
    assert (Endpoint.objects.count(), DnsName.objects.count()) == before
    type(first.instance).objects.update(state="decommissioned")
    later = claim(named, plan, stranger, now=NOW + timedelta(seconds=3600))
    assert str(later.name) == "cache.loan.capital.pumasi.internal"


def test_a_name_is_held_once(named: Zone, plan: Plan, capital: Tenant) -> None:
    claim(named, plan, capital)
    Tenant.objects.filter(pk=capital.pk).update(slug="former")
    with pytest.raises(NameResting):
        claim(named, plan, TenantFactory(slug="capital"))
    assert Endpoint.objects.count() == DnsName.objects.count() == 1


def test_the_playbook_is_told_the_server_and_the_key(named: Zone) -> None:
    assert names.name_server(named) == {
        "domain": "pumasi.internal", "address": "10.77.0.2", "port": 53,
        "key": {"name": "catalog", "algorithm": "hmac-sha256", "secret": SECRET},
    }  # fmt: skip


def test_addresses_of_an_affiliates_prefix_are_for_its_services_only(
    zone_a: Zone, plan: Plan, capital: Tenant, card: Tenant
) -> None:
    networks.register_prefix(TESTER, zone=zone_a, cidr="10.9.0.0/24", tenant=capital, now=NOW)
    host = HostFactory(zone=zone_a, address="10.9.0.5")
    ours = InstanceFactory(plan=plan, project=ProjectFactory(tenant=capital))
    theirs = InstanceFactory(plan=plan, project=ProjectFactory(tenant=card))
    with pytest.raises(AddressUnknown):
        ipam.claim_endpoint(theirs, host, port_range=(20000, 20001), now=NOW)
    assert not Endpoint.objects.exists()
    assert str(ipam.claim_endpoint(ours, host, port_range=(20000, 20001), now=NOW)) == "10.9.0.5:20000"
