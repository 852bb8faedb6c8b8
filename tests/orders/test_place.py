"""Placing an order: claimed at once or waiting for a person, once per key, and a refusal leaves no trace."""

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.utils.timezone import localtime

from catalog.approvals.models import Request
from catalog.audit.models import AuditEntry
from catalog.common.errors import DomainError
from catalog.dispatch.models import Job, JobState
from catalog.dispatch.selectors import USUAL_WIPE
from catalog.instances.services import secret_of
from catalog.leases.models import Lease
from catalog.offerings.models import OfferingVersion
from catalog.orders import claims, fulfilment, services
from catalog.orders.models import Order, OrderEvent
from catalog.orders.states import OrderState
from catalog.pool.models import Zone
from catalog.pool.states import HostState
from catalog.quotas.models import Quota
from tests.factories import ZoneFactory
from tests.orders.world import World, holdings


def states_of(order: Order) -> list[str]:
    return [event.data["to"] for event in order.events.filter(kind="state")]


def test_a_cheap_order_is_claimed_and_dispatched_at_once(world: World) -> None:
    order = world.place()
    assert states_of(order) == ["submitted", "approved", "dispatched"]
    assert [event.seq for event in order.events.all()] == [1, 2, 3, 4]
    assert order.instance is not None
    allocations = {row.resource_class: row.amount for row in order.instance.allocations.all()}
    assert allocations == {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 2}
    host = order.instance.allocations.first().host
    assert (host.state, host.holder, host.proven_clean) == (HostState.RESERVED, order.tenant, True)
    endpoint = order.instance.endpoints.get()
    assert (endpoint.address.address, endpoint.port) == (host.address, 20000)
    job = Job.objects.get()
    assert (job.flow, job.zone, job.attempt, job.state) == ("provision", "zone-a", 1, JobState.QUEUED)
    assert job.key == f"order:{order.pk}:provision:1"
    assert (order.slug, order.manifest_version, order.git_revision) == ("postgresql", "1.0.0", "0" * 40)
    assert list(
        AuditEntry.objects.filter(subject_type="order", subject_id=str(order.pk))
        .order_by("id")
        .values_list("action", flat=True)
    ) == ["order.submitted", "order.approved", "order.dispatched"]


def test_its_credentials_are_generated_and_encrypted_before_the_run(world: World) -> None:
    order = world.place(parameters={"database": "loans"})
    assert order.instance is not None
    binding = order.instance.bindings.get()
    assert binding.public["database"] == "loans"
    assert binding.public["username"].startswith("app_")
    password = secret_of(binding)["password"]
    assert len(password) == 32
    assert password not in binding.secret
    assert "password" not in binding.public


def test_an_expensive_order_waits_and_holds_only_its_name(world: World) -> None:
    order = world.place(plan="dedicated")
    assert order.state == OrderState.PENDING_APPROVAL
    assert order.deadline == world.now + timedelta(hours=72)
    assert holdings() == {"orders": 1, "instances": 1, "allocations": 0, "used": 0, "endpoints": 0, "open jobs": 0}


def test_the_same_key_answers_with_the_same_order(world: World) -> None:
    first = world.place(idempotency_key="k-1")
    before = holdings()
    assert world.place(idempotency_key="k-1") == first
    assert holdings() == before
    # Another person's key is another key.
    assert world.place("other-db", idempotency_key="k-1", actor=world.colleague) != first


def test_one_key_for_two_requests_is_refused(world: World) -> None:
    world.place(idempotency_key="k-1")
    before = holdings()
    with pytest.raises(DomainError) as refusal:
        world.place("another-db", idempotency_key="k-1")
    assert refusal.value.code == "idempotency-key-reused"
    assert holdings() == before


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"offering": "oracle"}, "plan-unavailable"),
        ({"plan": "huge"}, "plan-unavailable"),
        ({"parameters": {"max_connections": 51}}, "parameters-invalid"),
        ({"parameters": {"max_connections": "many"}}, "parameters-invalid"),
        ({"parameters": {"surprise": 1}}, "parameters-invalid"),
        ({"parameters": {"ansible_connection": "local"}}, "parameter-forbidden"),
        ({"parameters": {"database": {"__ansible_unsafe": "x"}}}, "parameter-forbidden"),
        ({"name": "Loan DB"}, "name-invalid"),
        ({"name": "../../etc"}, "name-invalid"),
        ({"name": "taken-db"}, "name-taken"),
        ({"zone": "moon"}, "zone-unknown"),
        ({"lease_seconds": 0}, "lease-too-short"),
        ({"lease_seconds": settings.LEASE_MAX_SECONDS + 1}, "lease-too-long"),
    ],
)
def test_a_refusal_has_its_code_and_changes_nothing(world: World, changed: dict[str, Any], code: str) -> None:
    world.place("taken-db")
    before, events = holdings(), OrderEvent.objects.count()
    with pytest.raises(DomainError) as refusal:
        world.place(**{"name": "loan-db", **changed})
    assert refusal.value.code == code
    assert (holdings(), OrderEvent.objects.count()) == (before, events)


def test_another_affiliates_project_does_not_exist(world: World) -> None:
    before = holdings()
    with pytest.raises(DomainError) as refusal:
        world.place(project=world.other_project)
    assert refusal.value.code == "project-unknown"
    assert holdings() == before


def test_an_approver_alone_may_not_order(world: World) -> None:
    with pytest.raises(DomainError) as refusal:
        world.place(actor=world.operator)
    assert refusal.value.code == "forbidden"


def test_an_ended_project_takes_no_orders(world: World) -> None:
    world.project.ends_on = world.now.date() - timedelta(days=1)
    world.project.save()
    with pytest.raises(DomainError) as refusal:
        world.place()
    assert refusal.value.code == "project-ended"


def test_a_zone_local_to_another_affiliate_is_unknown(world: World) -> None:
    ZoneFactory(slug="their-zone", kind=Zone.Kind.LOCAL, tenant=world.other_project.tenant)
    with pytest.raises(DomainError) as refusal:
        world.place(zone="their-zone")
    assert refusal.value.code == "zone-unknown"


def test_over_quota_is_refused_with_the_figures(world: World) -> None:
    Quota.objects.filter(tenant=world.project.tenant, resource_class="VCPU").update(guaranteed=1)
    world.place()
    before = holdings()
    with pytest.raises(DomainError) as refusal:
        world.place("second-db")
    assert refusal.value.code == "quota-exceeded"
    assert refusal.value.context["classes"] == {"VCPU": {"limit": 1, "used": 1, "wanted": 1}}
    assert holdings() == before


def test_a_whole_host_counts_with_all_it_has(world: World) -> None:
    # The plan asks for 4 VCPU; a host has 8, and all of them would be held.
    Quota.objects.filter(tenant=world.project.tenant, resource_class="VCPU").update(guaranteed=7)
    order = world.place(plan="dedicated")
    before = holdings()
    with pytest.raises(DomainError) as refusal:
        services.approve(world.approver, order, content_hash=order.content_hash, now=world.now)
    assert refusal.value.code == "quota-exceeded"
    order.refresh_from_db()
    assert (order.state, holdings()) == (OrderState.PENDING_APPROVAL, before)


def test_a_refusal_says_when_there_may_be_room(world: World) -> None:
    for number, days in enumerate((3, 2)):
        whole = world.place(f"whole-{number}", plan="dedicated", lease_seconds=days * 86_400)
        services.approve(world.approver, whole, content_hash=whole.content_hash, now=world.now)
        world.begin(whole)
        fulfilment.succeed_create(whole.pk, 1, outputs={}, now=world.now)
    ends = Lease.objects.order_by("ends_at").values_list("ends_at", flat=True)
    with pytest.raises(DomainError) as refusal:
        world.place()
    assert refusal.value.code == "no-capacity"
    # A lease ends, and nobody has measured yet how long a wipe takes here.
    expected = f"Room may come on {localtime(ends[0] + USUAL_WIPE):%F %R} KST"
    assert f"{expected}: a lease ends, and wiping the host takes about 15 min." in str(refusal.value.detail)


def test_a_full_pool_refuses_at_once_or_lets_wait(world: World) -> None:
    for number, _host in enumerate(world.hosts):
        whole = world.place(f"whole-{number}", plan="dedicated")
        services.approve(world.approver, whole, content_hash=whole.content_hash, now=world.now)
    before = holdings()
    with pytest.raises(DomainError) as refusal:
        world.place()
    assert refusal.value.code == "no-capacity"
    assert holdings() == before
    waiting = world.place(wait_for_capacity=True)
    assert states_of(waiting) == ["submitted", "approved", "waiting_capacity"]
    assert holdings()["allocations"] == before["allocations"]


def test_a_host_without_a_free_port_is_passed_over(world: World) -> None:
    version = OfferingVersion.objects.get()
    version.manifest["port"]["range"] = [20000, 20000]
    version.save()
    orders = [world.place(f"db-{number}") for number in range(2)]
    # There is room on the first host, and the second order would stand there but for the port.
    assert {order.instance.endpoints.get().address.host for order in orders if order.instance} == set(world.hosts)
    before = holdings()
    with pytest.raises(DomainError) as refusal:
        world.place("db-3")
    assert refusal.value.code == "no-port"
    assert holdings() == before


def test_after_so_many_hosts_without_a_port_a_claim_looks_no_further(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = OfferingVersion.objects.get()
    version.manifest["port"]["range"] = [20000, 20000]
    version.save()
    world.place("db-0")
    before = holdings()
    monkeypatch.setattr(claims, "HOSTS_WITHOUT_PORT", 1)
    with pytest.raises(DomainError) as refusal:
        world.place("db-1")
    assert refusal.value.code == "no-port"
    assert holdings() == before
    monkeypatch.setattr(claims, "HOSTS_WITHOUT_PORT", 2)
    assert world.place("db-1").state == OrderState.DISPATCHED


def test_requests_from_before_they_named_their_service_get_that_of_their_order(world: World) -> None:
    """The data migration, on today's tables."""
    order, other = world.place("db-0", plan="dedicated"), world.place("db-1", plan="dedicated")
    Request.objects.filter(subject_id=order.pk).update(instance=None)
    migration = import_module("catalog.orders.migrations.0007_open_requests_name_their_service")
    migration.name_services(apps, connection.schema_editor())
    named = dict(Request.objects.values_list("subject_id", "instance"))
    assert named == {order.pk: order.instance_id, other.pk: other.instance_id}
