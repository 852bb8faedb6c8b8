"""Hosts from their registration to the evidence that they are clean."""

import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from catalog.audit.models import AuditEntry
from catalog.common.errors import Forbidden
from catalog.pool import services as pool
from catalog.pool.errors import (
    AddressInvalid,
    BaselineMissing,
    HostAddressTaken,
    HostKeyChanged,
    HostKeyMalformed,
    HostKeyReused,
    HostKeyUnknown,
    HostNameInvalid,
    HostNameTaken,
    InspectionIncomplete,
    InventoryBelowClaims,
)
from catalog.pool.keys import fingerprint_of
from catalog.pool.models import ANYONE, VCPU, Baseline, Host, HostEvent, HostKey, Inventory, WipeCertificate, Zone
from catalog.pool.states import HostState
from catalog.tenancy.models import Tenant, User
from tests.factories import BASELINE, NOW, TESTER, HostFactory, acting, public_key

pytestmark = pytest.mark.django_db
FACTS = {"vcpu": 4, "memory_mb": 8000, "disk_gb": 50, "kernel": "6.1"}


def test_a_registered_host_is_known_and_nothing_more(operator: User, zone_a: Zone, capital: Tenant) -> None:
    host = pool.register_host(acting(operator), name="rack-1", zone=zone_a, address="10.0.0.11", owner=capital, now=NOW)
    assert (host.state, host.proven_clean, host.generation, host.owner) == (HostState.ENROLLED, False, 1, capital)
    assert list(host.events.values_list("seq", "kind", "actor")) == [(1, "registered", "otto")]
    assert AuditEntry.objects.get().action == "host.registered"
    with pytest.raises(HostKeyUnknown):
        pool.known_key(host)
    with pytest.raises(BaselineMissing):
        pool.baseline_document(host)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"name": "taken"}, HostNameTaken),
        ({"address": "10.0.0.11"}, HostAddressTaken),
        ({"name": "Upper"}, HostNameInvalid),
        ({"name": "-rm"}, HostNameInvalid),
        ({"name": "a b"}, HostNameInvalid),
        ({"name": "line\n"}, HostNameInvalid),
        ({"name": ""}, HostNameInvalid),
        ({"address": "10.0.0"}, AddressInvalid),
        ({"address": "10.0.0.0/24"}, AddressInvalid),
        ({"address": "0.0.0.0"}, AddressInvalid),
        ({"address": "224.0.0.1"}, AddressInvalid),
        ({"address": "fe80::1%eth0"}, AddressInvalid),
        ({"address": "host.example"}, AddressInvalid),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else value.__name__,
)
def test_bad_input_at_registration_changes_nothing(
    zone_a: Zone, changes: dict[str, Any], error: type[Exception]
) -> None:
    pool.register_host(TESTER, name="taken", zone=zone_a, address="10.0.0.11", now=NOW)
    before = (Host.objects.count(), HostEvent.objects.count(), AuditEntry.objects.count())
    with pytest.raises(error) as refused:
        pool.register_host(TESTER, **({"name": "fresh", "zone": zone_a, "address": "10.0.0.12", "now": NOW} | changes))
    assert list(refused.value.fields) == [next(iter(changes))]  # type: ignore[attr-defined]
    assert (Host.objects.count(), HostEvent.objects.count(), AuditEntry.objects.count()) == before


def test_only_an_operator_registers(developer: User, catalog_admin: User, zone_a: Zone) -> None:
    for user in (developer, catalog_admin):
        with pytest.raises(Forbidden):
            pool.register_host(acting(user), name="rack-1", zone=zone_a, address="10.0.0.11", now=NOW)
    assert not Host.objects.exists()


def test_an_inspection_says_what_the_host_has(zone_a: Zone) -> None:
    host = HostFactory(zone=zone_a, to=None)
    pool.record_inspection(host, facts=FACTS, traits=["ssd", "gpu", "ssd"], baseline=BASELINE, now=NOW, actor=TESTER)
    host.refresh_from_db()
    assert host.facts == FACTS
    assert pool.baseline_document(host) == BASELINE
    assert sorted(host.traits.values_list("name", flat=True)) == ["gpu", "ssd"]
    assert dict(host.inventories.values_list("resource_class", "total")) == {
        "VCPU": 4,
        "MEMORY_MB": 8000,
        "DISK_GB": 50,
    }
    assert set(host.inventories.values_list("open_to", "zone")) == {(None, zone_a.pk)}


def test_hosts_of_one_image_share_a_baseline(zone_a: Zone) -> None:
    one, two = HostFactory.create_batch(2, zone=zone_a)
    assert one.baseline == two.baseline
    reordered = dict(reversed(BASELINE.items()))
    pool.record_inspection(two, facts=FACTS, traits=[], baseline=reordered, now=NOW, actor=TESTER)
    assert Baseline.objects.count() == 1


def test_a_second_inspection_keeps_what_an_operator_set_and_never_undercuts_claims(zone_a: Zone) -> None:
    host = HostFactory(zone=zone_a, vcpu=8)
    Inventory.objects.filter(host=host, resource_class=VCPU).update(reserved=2, allocation_ratio=200, used=12)
    with pytest.raises(InventoryBelowClaims):
        pool.record_inspection(host, facts=FACTS | {"vcpu": 7}, traits=[], baseline=BASELINE, now=NOW, actor=TESTER)
    assert host.inventories.get(resource_class=VCPU).total == 8
    Inventory.objects.filter(host=host, resource_class=VCPU).update(used=0)
    pool.record_inspection(host, facts=FACTS | {"vcpu": 16}, traits=[], baseline=BASELINE, now=NOW, actor=TESTER)
    row = host.inventories.get(resource_class=VCPU)
    assert (row.total, row.reserved, row.allocation_ratio, row.free, row.open_to) == (16, 2, 200, 28, ANYONE)


@pytest.mark.parametrize(
    "facts", [{}, FACTS | {"vcpu": 0}, FACTS | {"vcpu": "4"}, FACTS | {"memory_mb": True}], ids=str
)
def test_an_inspection_without_figures_changes_nothing(zone_a: Zone, facts: dict[str, Any]) -> None:
    host = HostFactory(zone=zone_a, to=None)
    with pytest.raises(InspectionIncomplete):
        pool.record_inspection(host, facts=facts, traits=[], baseline=BASELINE, now=NOW, actor=TESTER)
    with pytest.raises(InspectionIncomplete):
        pool.record_inspection(host, facts=FACTS, traits=[], baseline={}, now=NOW, actor=TESTER)
    assert not Inventory.objects.exists()
    assert host.events.count() == 1


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path, kind: str) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "a comment", "-f", tmp_path / "key"], check=True)
    said = subprocess.run(
        ["ssh-keygen", "-lf", tmp_path / "key.pub"], check=True, capture_output=True, text=True
    ).stdout
    plain, fingerprint = fingerprint_of((tmp_path / "key.pub").read_text())
    assert fingerprint == said.split()[1]
    assert (tmp_path / "key.pub").read_text() == f"{plain} a comment\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 %%%",
        "ssh-ed25519 AAAA",
        "ssh-dss AAAA",
        public_key("x").replace("ssh-ed25519 ", "ssh-rsa "),
        public_key("x") + "\nssh-ed25519 AAAA",
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(HostKeyMalformed):
        fingerprint_of(text)


def test_a_key_is_pinned_once_per_life_and_never_comes_back(zone_a: Zone) -> None:
    host = HostFactory(zone=zone_a)
    first = pool.known_key(host)
    assert pool.learn_key(host, public_key=first.public_key + " again", learnt_by="enrolment", now=NOW) == first
    with pytest.raises(HostKeyChanged):
        pool.learn_key(host, public_key=public_key("another"), learnt_by="enrolment", now=NOW)
    Host.objects.filter(pk=host.pk).update(generation=2)
    host.refresh_from_db()
    with pytest.raises(HostKeyUnknown):
        pool.known_key(host)
    with pytest.raises(HostKeyReused):
        pool.learn_key(host, public_key=first.public_key, learnt_by="wipe", now=NOW)
    assert HostKey.objects.count() == 1
    second = pool.learn_key(host, public_key=public_key("another"), learnt_by="wipe", now=NOW)
    assert pool.known_key(host) == second


@pytest.mark.parametrize(
    "change",
    [
        {"method": "none"},
        {"evidence": {"findings": []}},
        {"generation": 2},
        {"issued_at": NOW + timedelta(seconds=1)},
        {"signature": "0" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_certificate_is_no_certificate(zone_a: Zone, capital: Tenant, change: dict[str, Any]) -> None:
    host = HostFactory(zone=zone_a, to=None)
    certificate = pool.issue_certificate(
        host, method="rack", evidence={"이름": "값", "passes": 1}, previous_holder=capital, now=NOW, actor=TESTER
    )
    assert pool.verify_certificate(WipeCertificate.objects.get())
    WipeCertificate.objects.update(**change)
    assert not pool.verify_certificate(WipeCertificate.objects.get())
    assert AuditEntry.objects.get(action="certificate.issued").after["certificate"] == str(certificate.pk)


def test_a_certificate_is_for_its_own_host(zone_a: Zone) -> None:
    one, two = HostFactory.create_batch(2, zone=zone_a)
    WipeCertificate.objects.filter(host=two).delete()
    WipeCertificate.objects.filter(host=one).update(host=two)
    assert not pool.verify_certificate(WipeCertificate.objects.get())


def test_the_database_itself_refuses_dirty_availability(zone_a: Zone, capital: Tenant) -> None:
    host = HostFactory(zone=zone_a)
    for change in ({"proven_clean": False}, {"holder": capital}, {"exclusive": True}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Host.objects.filter(pk=host.pk).update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        Host.objects.filter(pk=host.pk).update(state=HostState.IN_USE)
    with pytest.raises(IntegrityError), transaction.atomic():
        Inventory.objects.filter(host=host, resource_class=VCPU).update(used=9)


def test_a_host_is_missing_after_the_third_silence_and_returns_when_seen(zone_a: Zone) -> None:
    host = HostFactory(zone=zone_a)
    for silence in (1, 2):
        pool.unanswered(host, now=NOW, actor=TESTER)
        assert (host.state, host.failed_checks) == (HostState.AVAILABLE, silence)
    pool.seen(host, now=NOW)
    assert (host.failed_checks, host.last_seen_at) == (0, NOW)
    for _ in range(3):
        pool.unanswered(host, now=NOW, actor=TESTER)
    assert (host.state, host.failed_checks) == (HostState.MISSING, 3)
    assert host.state_reason == "did not answer 3 checks in a row"
    assert set(host.inventories.values_list("open_to", flat=True)) == {None}
    pool.seen(host, now=NOW)
    assert (host.state, host.failed_checks) == (HostState.AVAILABLE, 0)
    assert set(host.inventories.values_list("open_to", flat=True)) == {ANYONE}


@pytest.mark.parametrize(
    ("frm", "used", "back_to"),
    [
        (HostState.RESERVED, 1, HostState.RESERVED),
        (HostState.RESERVED, 0, HostState.AVAILABLE),
        (HostState.IN_USE, 1, HostState.IN_USE),
        (HostState.IN_USE, 0, HostState.DRAINING),
        (HostState.DRAINING, 0, HostState.DRAINING),
        (HostState.DRAINING, 1, HostState.DRAINING),
    ],
)
def test_a_missing_host_returns_to_where_the_books_say(
    zone_a: Zone, capital: Tenant, frm: HostState, used: int, back_to: HostState
) -> None:
    host = HostFactory(zone=zone_a)
    pool.move_host(host, HostState.RESERVED, actor=TESTER, now=NOW, holder=capital)
    for state in (HostState.IN_USE, HostState.DRAINING):
        if frm in {state, HostState.DRAINING} and frm != HostState.RESERVED:
            pool.move_host(host, state, actor=TESTER, now=NOW, proven_clean=False)
    assert (host.state, host.proven_clean) == (frm, frm == HostState.RESERVED)
    for _ in range(3):
        pool.unanswered(host, now=NOW, actor=TESTER)
    assert host.state == HostState.MISSING
    # What a release does meanwhile.
    Inventory.objects.filter(host=host).update(used=used)
    pool.seen(host, now=NOW)
    assert host.state == back_to
    assert host.holder == (None if back_to == HostState.AVAILABLE else capital)


def test_a_host_that_is_being_wiped_does_not_go_missing(zone_a: Zone) -> None:
    host = HostFactory(zone=zone_a, to=HostState.WIPING)
    for _ in range(5):
        pool.unanswered(host, now=NOW, actor=TESTER)
    assert (host.state, host.failed_checks) == (HostState.WIPING, 5)
