"""What an order says about its clients, and the name its service gets, on their way to the playbooks and back."""

import uuid
from typing import Any

import pytest

from catalog.approvals.errors import ApprovalStale
from catalog.common.errors import DomainError
from catalog.instances.models import ServiceInstance
from catalog.instances.services import current_binding
from catalog.ipam import networks
from catalog.ipam.models import DnsName, Endpoint
from catalog.orders import fulfilment, recovery, services
from catalog.orders.errors import IdempotencyKeyReused
from catalog.orders.models import Order
from catalog.placement.errors import NoCapacity
from catalog.pool.models import Zone
from catalog.reclaim import fulfilment as host_fulfilment
from tests.factories import NOW, TESTER, HostFactory, public_key
from tests.ipam.test_networks import SECRET, SERVER
from tests.orders.world import CLEAN, World

pytestmark = pytest.mark.django_db

NAME = "loan-db.loan.capital.pumasi.internal"


@pytest.fixture
def zone(world: World) -> Zone:
    """The world's zone, with a name server and a network of Capital's."""
    zone = Zone.objects.get(slug="zone-a")
    networks.set_zone_network(TESTER, zone, open_to_anyone=False, names=SERVER, now=NOW)
    networks.register_prefix(TESTER, zone=zone, cidr="10.20.0.0/16", tenant=world.project.tenant, now=NOW)
    return zone


def test_the_playbook_is_told_whom_to_let_in_and_what_to_name(world: World, zone: Zone, settings: Any) -> None:
    settings.CLIENT_NETWORKS = ["192.0.2.10/32"]
    told = world.begin(world.place(allow_from=["10.20.4.0/24"]))
    assert told.values["access"] == {"allow_from": ["10.20.4.0/24", "192.0.2.10/32"]}
    assert told.values["endpoint"]["name"] == NAME
    assert set(told.values["endpoint"]) == {"name", "address", "port"}
    assert told.values["dns"]["key"]["secret"] == SECRET
    assert SECRET in told.secrets
    assert set(told.values["credentials"]) == {"username", "password", "database"}

    usual = world.begin(world.place("other-db"))
    network = zone.prefixes.get(tenant__isnull=True).cidr
    assert usual.values["access"] == {"allow_from": sorted([network, "10.20.0.0/16", "192.0.2.10/32"])}


def test_without_a_name_server_the_playbook_hears_of_no_names(world: World) -> None:
    told = world.begin(world.place())
    assert "dns" not in told.values
    assert set(told.values["endpoint"]) == {"address", "port"}
    assert not DnsName.objects.exists()


def test_the_name_comes_back_with_the_claim_and_not_before(world: World, zone: Zone) -> None:
    order = world.built()
    binding = current_binding(ServiceInstance.objects.get())
    assert binding is not None
    assert binding.public["name"] == NAME
    back = services.give_back(world.developer, ServiceInstance.objects.get(), now=world.later(seconds=60))
    told = world.begin(back)
    # Giving back needs the name and the key as much as building did.
    assert (told.values["endpoint"]["name"], told.values["dns"]["domain"]) == (NAME, "pumasi.internal")
    fulfilment.attempt_failed(back.pk, back.attempt, code="playbook-failed", detail="x", now=world.later(seconds=1))
    assert DnsName.objects.get().released_at is None
    told = world.begin(back)
    fulfilment.succeed_decommission(back.pk, told.attempt, residue=CLEAN, now=world.later(seconds=1))
    assert DnsName.objects.get().released_at == Endpoint.objects.get().released_at == world.now
    assert order.allow_from == []


def test_a_wipe_takes_away_the_names_that_still_lead_to_the_host(world: World, zone: Zone) -> None:
    order = world.built()
    host = Endpoint.objects.get().address.host
    assert host is not None
    back = services.give_back(world.developer, ServiceInstance.objects.get(), now=world.later(seconds=60))
    while back.state != "failed_dirty":
        told = world.begin(back)
        fulfilment.attempt_failed(
            back.pk, told.attempt, code="host-unreachable", detail="x", now=world.later(seconds=1)
        )
        back.refresh_from_db()
    recovery.reconcile(world.later(seconds=1))
    host.refresh_from_db()
    wiping = host_fulfilment.begin_wipe(host.pk, host.attempt, uuid.uuid4(), world.later(seconds=1))
    assert wiping.values["names"] == [NAME]
    assert wiping.values["dns"]["domain"] == "pumasi.internal"
    assert wiping.secrets == (SECRET,)
    assert order.instance is not None
    assert DnsName.objects.get().released_at is None

    key, evidence = public_key("anew"), {"method": "reimage", "image": "sha256:0"}
    checking = host_fulfilment.wiped(host.pk, host.attempt, new_key=key, evidence=evidence, now=world.later(seconds=1))
    assert not {"names", "dns"} & set(checking.values)
    verify = {"clean": True, "checked": ["paths"], "findings": [], "digest": "d"}
    host_fulfilment.verified(host.pk, host.attempt, verify=verify, now=world.later(seconds=1))
    recovery.reconcile(world.later(seconds=1))
    assert DnsName.objects.get().released_at == world.now


def test_a_refused_order_leaves_no_name(world: World, zone: Zone) -> None:
    for asked, code in ((["0.0.0.0/0"], "access-open-to-anyone"), (["10.30.0.0/16"], "access-network-unknown")):
        with pytest.raises(DomainError) as refused:
            world.place(allow_from=asked)
        assert refused.value.code == code
    assert (Order.objects.count(), ServiceInstance.objects.count(), DnsName.objects.count()) == (0, 0, 0)


def test_one_key_does_not_place_two_orders_that_differ_in_their_clients(world: World, zone: Zone) -> None:
    first = world.place(allow_from=["10.20.4.0/24"], idempotency_key="k")
    assert world.place(allow_from=["10.20.4.0/24"], idempotency_key="k") == first
    with pytest.raises(IdempotencyKeyReused):
        world.place(allow_from=["10.20.5.0/24"], idempotency_key="k")


def test_an_approval_is_for_the_clients_that_were_shown(world: World, zone: Zone) -> None:
    order = world.place(plan="dedicated", allow_from=["10.20.4.0/24"])
    Order.objects.filter(pk=order.pk).update(allow_from=["10.20.0.0/16"])
    with pytest.raises(ApprovalStale):
        services.approve(world.approver, order, content_hash=order.content_hash, now=world.now)


def test_hosts_in_a_network_of_another_affiliate_are_passed_over(world: World, zone: Zone) -> None:
    networks.register_prefix(TESTER, zone=zone, cidr="10.30.0.0/16", tenant=world.other_project.tenant, now=NOW)
    theirs = [HostFactory(zone=zone, address=f"10.30.0.{number}", vcpu=1) for number in (5, 6)]
    ours = HostFactory(zone=zone, address="10.20.0.5", vcpu=1)
    # The tightest hosts are those of the affiliates; only Capital's own is taken.
    placed = [world.place(f"db-{number}").explanation["host"] for number in range(3)]
    assert placed[0] == ours.name
    assert set(placed) <= {host.name for host in (*world.hosts, ours)}
    assert not set(placed) & {host.name for host in theirs}


def test_why_there_is_no_room_names_the_network(world: World, zone: Zone) -> None:
    networks.register_prefix(TESTER, zone=zone, cidr="10.30.0.0/16", tenant=world.other_project.tenant, now=NOW)
    for host in world.hosts:
        host.addresses.update(prefix=zone.prefixes.get(cidr="10.30.0.0/16"))
    with pytest.raises(NoCapacity) as refused:
        world.place()
    left = {each["filter"]: each["left"] for each in refused.value.context["filters"]}
    assert left["not in a network kept for another affiliate"] == 0
    assert "not in a network kept for another affiliate" in str(refused.value.detail)
