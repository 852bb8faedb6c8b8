"""An operator registers, retires and sets up networks in the admin; a rule that refuses says why, and nothing has changed."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from catalog.audit.models import AuditEntry
from catalog.ipam import networks
from catalog.ipam.models import Prefix, Vlan, ZoneNetwork
from catalog.pool.models import Zone
from catalog.tenancy.models import Tenant, User
from tests.factories import HostFactory
from tests.ipam.test_networks import SECRET


@pytest.fixture
def otto(operator: User) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(operator)
    return client


def url(model: str, page: str) -> str:
    return reverse(f"admin:ipam_{model}_{page}")


def said(answer: HttpResponse) -> str:
    return " ".join(str(each) for each in get_messages(answer.wsgi_request))


def test_vlans_and_prefixes_are_registered_and_recorded(otto: Client, zone_a: Zone, capital: Tenant) -> None:
    vlan = {"zone": str(zone_a.pk), "vid": 100, "name": "Capital's", "tenant": str(capital.pk)}
    assert otto.post(url("vlan", "add"), vlan).status_code == 302
    row = Vlan.objects.get()
    prefix = {"zone": str(zone_a.pk), "cidr": "10.9.0.0/24", "vlan": str(row.pk), "tenant": ""}
    assert otto.post(url("prefix", "add"), prefix).headers["Location"] == url("prefix", "changelist")
    assert Prefix.objects.get(vlan=row).tenant == capital
    assert sorted(AuditEntry.objects.values_list("action", "actor")) == [
        ("prefix.registered", "otto"), ("vlan.registered", "otto"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cidr", "words"),
    [("10.0.0.0/8", "Another prefix covers some of these addresses."), ("0.0.0.0/0", "This is no network.")],
)
def test_a_network_that_is_refused_says_why(otto: Client, zone_a: Zone, cidr: str, words: str) -> None:
    answer = otto.post(url("prefix", "add"), {"zone": str(zone_a.pk), "cidr": cidr, "vlan": "", "tenant": ""})
    assert said(answer).startswith(words)
    assert (Prefix.objects.count(), AuditEntry.objects.count()) == (1, 0)


def test_retiring_asks_first(otto: Client, zone_a: Zone) -> None:
    HostFactory(zone=zone_a)
    used = zone_a.prefixes.get()
    empty = Prefix.objects.create(zone=zone_a, cidr="10.9.0.0/24")
    asked = {"action": "retire", "_selected_action": [str(empty.pk), str(used.pk)]}
    page = otto.post(url("prefix", "changelist"), asked)
    assert "Retire these networks?" in page.content.decode()
    assert not Prefix.objects.filter(retired_at__isnull=False).exists()
    answer = otto.post(url("prefix", "changelist"), asked | {"confirmed": "yes"})
    assert "10.9.0.0/24 is retired." in said(answer)
    assert f"{used.cidr}: Hosts of the pool still have addresses of this prefix." in said(answer)
    assert list(Prefix.objects.filter(retired_at__isnull=False)) == [empty]


def test_a_name_server_is_set_up_and_its_key_is_never_shown(otto: Client, zone_a: Zone) -> None:
    form: dict[str, Any] = {
        "zone": str(zone_a.pk), "open_to_anyone": "on", "domain": "pumasi.internal", "dns_server": "10.77.0.2",
        "dns_port": 53, "dns_key_name": "catalog", "dns_key_algorithm": "hmac-sha256", "dns_key": SECRET,
    }  # fmt: skip
    wrong = otto.post(url("zonenetwork", "add"), form | {"domain": "Not A Domain", "dns_key": "short"})
    assert wrong.status_code == 200
    assert set(wrong.context["adminform"].form.errors) == {"domain", "dns_key"}
    assert not ZoneNetwork.objects.exists()

    assert otto.post(url("zonenetwork", "add"), form).status_code == 302
    found = ZoneNetwork.objects.get()
    assert (networks.key_of(found), found.open_to_anyone) == (SECRET, True)
    change = reverse("admin:ipam_zonenetwork_change", args=[found.pk])
    assert SECRET not in otto.get(change).content.decode()
    moved = form | {"dns_server": "10.77.0.3", "dns_key": "", "open_to_anyone": ""}
    assert otto.post(change, moved).status_code == 302
    found.refresh_from_db()
    assert (networks.key_of(found), found.dns_server) == (SECRET, "10.77.0.3")
    # Without domain and address, the zone gives no names any more.
    assert otto.post(change, form | {"domain": "", "dns_server": "", "dns_key": ""}).status_code == 302
    found.refresh_from_db()
    assert (found.domain, found.dns_server, found.dns_key) == ("", None, "")
    assert SECRET not in str(list(AuditEntry.objects.values()))
    assert AuditEntry.objects.filter(action="zone-network.set", actor="otto").count() == 3
