"""The life of a host between affiliates."""

import uuid

import pytest

from catalog.common.errors import DomainError
from catalog.dispatch.models import Job, JobState
from catalog.orders import fulfilment as order_fulfilment
from catalog.orders import services as orders
from catalog.pool.models import Host, HostKey, WipeCertificate
from catalog.pool.services import verify_certificate
from catalog.pool.states import HostState
from catalog.reclaim import fulfilment, services
from tests.factories import BASELINE, HostFactory, public_key
from tests.orders.world import CLEAN, World, make_world


@pytest.fixture
def world(db: None) -> World:
    return make_world()


@pytest.fixture
def draining(world: World) -> Host:
    """A host whose last service was just given back."""
    order = world.built(parameters={"database": "loans"})
    back = orders.give_back(world.developer, order.instance, now=world.now)
    world.begin(back)
    order_fulfilment.succeed_decommission(back.pk, 1, residue=CLEAN, now=world.now)
    return Host.objects.get(state=HostState.DRAINING)


def code_of(call: object, *args: object, **kwargs: object) -> str:
    with pytest.raises(DomainError) as refusal:
        call(*args, **kwargs)  # type: ignore[operator]  # a service
    return refusal.value.code


class TestEnrolment:
    def test_a_host_joins_with_its_key_its_real_capacity_and_a_certificate(self, world: World) -> None:
        host = HostFactory(zone=world.hosts[0].zone, to=None)
        services.enrol(world.operator, host, now=world.now)
        assignment = fulfilment.begin_enrol(host.pk, 1, uuid.uuid4(), world.now)
        assert (assignment.step, assignment.target.known_key) == ("inspect", "")
        key = public_key("new host")
        assert fulfilment.learn_key(host.pk, 1, key, world.now).known_key == key
        facts = {"vcpu": 2, "memory_mb": 1024, "disk_gb": 8}
        fulfilment.finish_enrol(host.pk, 1, facts=facts, traits=["ssd"], baseline=BASELINE, now=world.now)
        host.refresh_from_db()
        assert (host.state, host.proven_clean, host.generation) == (HostState.AVAILABLE, True, 1)
        assert dict(host.inventories.values_list("resource_class", "total")) == {
            "VCPU": 2,
            "MEMORY_MB": 1024,
            "DISK_GB": 8,
        }
        certificate = host.certificates.get()
        assert certificate.method == "enrolment"
        assert verify_certificate(certificate)
        assert Job.objects.get().state == JobState.DONE

    def test_one_that_does_not_answer_stays_outside_and_says_why(self, world: World) -> None:
        host = HostFactory(zone=world.hosts[0].zone, to=None)
        services.enrol(world.operator, host, now=world.now)
        fulfilment.begin_enrol(host.pk, 1, uuid.uuid4(), world.now)
        fulfilment.attempt_failed(host.pk, 1, code="host-unreachable", detail="No ssh server answers.", now=world.now)
        host.refresh_from_db()
        assert (host.state, host.failure_code) == (HostState.ENROLLED, "host-unreachable")
        assert host.state_reason == "No ssh server answers."
        assert (host.inventories.count(), host.keys.count(), host.certificates.count()) == (0, 0, 0)
        services.enrol(world.operator, host, now=world.now)
        host.refresh_from_db()
        assert (host.state, host.attempt, host.failure_code) == (HostState.INSPECTING, 2, "")

    def test_only_operators_enrol(self, world: World) -> None:
        host = HostFactory(zone=world.hosts[0].zone, to=None)
        assert code_of(services.enrol, world.developer, host, now=world.now) == "forbidden"


class TestWipe:
    def test_a_clean_host_gets_a_certificate_and_a_new_life(self, world: World, draining: Host) -> None:
        holder = draining.holder
        world.wipe(draining)
        assert (draining.state, draining.generation, draining.holder) == (HostState.AVAILABLE, 2, None)
        certificate = draining.certificates.get(generation=2)
        assert (certificate.method, certificate.previous_holder) == ("reimage", holder)
        assert certificate.evidence["verify"]["clean"] is True
        assert certificate.evidence["wipe"]["image"] == "sha256:0"
        assert verify_certificate(certificate)
        WipeCertificate.objects.filter(pk=certificate.pk).update(method="wished")
        assert not verify_certificate(WipeCertificate.objects.get(pk=certificate.pk))

    def test_the_check_is_told_what_only_the_last_services_can_have_left(self, world: World, draining: Host) -> None:
        assignment = fulfilment.begin_wipe(draining.pk, draining.attempt, uuid.uuid4(), world.now)
        instance = draining.allocations.first().instance
        username = instance.bindings.get().public["username"]
        assert assignment.values["tenant_words"] == sorted([instance.unit, str(instance.pk), username])
        assert assignment.values["driver"]["name"] == "rack"
        assert assignment.step == "wipe"

    def test_residues_put_it_into_quarantine(self, world: World, draining: Host) -> None:
        world.wipe(draining, findings=[{"kind": "users", "what": "app_x"}])
        assert (draining.state, draining.proven_clean, draining.failure_code) == (
            HostState.QUARANTINED, False, "residue-found",
        )  # fmt: skip
        assert draining.certificates.filter(generation=2).count() == 0

    def test_the_old_key_means_that_it_was_not_wiped(self, world: World, draining: Host) -> None:
        old = HostKey.objects.get(host=draining).public_key
        fulfilment.begin_wipe(draining.pk, draining.attempt, uuid.uuid4(), world.now)
        refusal = code_of(
            fulfilment.wiped, draining.pk, draining.attempt, new_key=old, evidence={"method": "reimage"}, now=world.now
        )
        draining.refresh_from_db()
        assert (refusal, draining.state, draining.generation) == ("host-key-reused", HostState.WIPING, 1)

    def test_it_is_tried_three_times_then_set_aside(self, world: World, draining: Host) -> None:
        for _attempt in range(3):
            draining.refresh_from_db()
            fulfilment.begin_wipe(draining.pk, draining.attempt, uuid.uuid4(), world.now)
            fulfilment.attempt_failed(
                draining.pk, draining.attempt, code="wipe-failed", detail="no power", now=world.now
            )
        draining.refresh_from_db()
        assert (draining.state, draining.failure_code, draining.state_reason) == (
            HostState.QUARANTINED, "wipe-failed", "no power",
        )  # fmt: skip

    def test_a_run_that_died_after_the_wipe_goes_on_with_the_check(self, world: World, draining: Host) -> None:
        fulfilment.begin_wipe(draining.pk, draining.attempt, uuid.uuid4(), world.now)
        key = public_key("second life")
        fulfilment.wiped(draining.pk, draining.attempt, new_key=key, evidence={"method": "reimage"}, now=world.now)
        fulfilment.reopen(draining.pk, draining.attempt, now=world.now)
        draining.refresh_from_db()
        assignment = fulfilment.begin_wipe(draining.pk, draining.attempt, uuid.uuid4(), world.now)
        assert (assignment.step, assignment.target.known_key, draining.generation) == ("verify", key, 2)
        assert assignment.values["baseline"] == BASELINE
        fulfilment.verified(draining.pk, draining.attempt, verify=CLEAN, now=world.now)
        draining.refresh_from_db()
        assert draining.state == HostState.AVAILABLE

    def test_an_earlier_attempt_may_not_write(self, world: World, draining: Host) -> None:
        fulfilment.begin_wipe(draining.pk, draining.attempt, uuid.uuid4(), world.now)
        old = draining.attempt
        fulfilment.reopen(draining.pk, old, now=world.now)
        late = {"new_key": public_key("late"), "evidence": {}, "now": world.now}
        assert code_of(fulfilment.wiped, draining.pk, old, **late) == "superseded"
        assert code_of(fulfilment.verified, draining.pk, old, verify=CLEAN, now=world.now) == "superseded"
        assert code_of(fulfilment.beat, draining.pk, old, world.now) == "superseded"


class TestOperators:
    def test_quarantine_ends_by_two_people_and_through_a_wipe(self, world: World) -> None:
        host = services.quarantine(world.operator, world.hosts[0], reason="strange traffic", now=world.now)
        assert (host.state, host.state_reason) == (HostState.QUARANTINED, "strange traffic")
        host = services.wipe(world.operator, host, now=world.now)
        assert host.state == HostState.QUARANTINED
        assert code_of(services.wipe, world.operator, host, now=world.now) == "second-person-needed"
        host = services.wipe(world.second_operator, host, now=world.now)
        assert (host.state, Job.objects.get().flow) == (HostState.WIPING, "wipe")
        world.wipe(host)
        assert host.state == HostState.AVAILABLE

    def test_a_host_with_services_cannot_be_wiped_or_retired(self, world: World) -> None:
        host = world.built().instance.allocations.first().host
        assert code_of(services.wipe, world.operator, host, now=world.now) == "host-in-use"
        assert code_of(services.retire, world.operator, host, reason="", now=world.now) == "host-in-use"

    def test_back_from_maintenance_through_a_wipe(self, world: World) -> None:
        host = services.maintenance(world.operator, world.hosts[0], reason="new disk", now=world.now)
        assert host.state == HostState.MAINTENANCE
        assert services.resume(world.operator, host, now=world.now).state == HostState.WIPING
        assert code_of(services.resume, world.operator, world.hosts[1], now=world.now) == "state-conflict"

    def test_a_retired_host_is_out_for_ever(self, world: World) -> None:
        host = services.retire(world.operator, world.hosts[0], reason="old", now=world.now)
        for call in (services.wipe, services.enrol, services.resume):
            assert code_of(call, world.operator, host, now=world.now) == "state-conflict"


class TestChecks:
    def test_three_silences_make_a_host_missing_and_an_answer_brings_it_back(self, world: World) -> None:
        host = world.hosts[0]
        for failures in (1, 2, 3):
            fulfilment.report_check(host.pk, answered=False, now=world.later(minutes=1))
            host.refresh_from_db()
            assert host.failed_checks == failures
        assert host.state == HostState.MISSING
        fulfilment.report_check(host.pk, answered=True, now=world.later(minutes=1))
        host.refresh_from_db()
        assert (host.state, host.failed_checks, host.last_seen_at) == (HostState.AVAILABLE, 0, world.now)

    def test_who_is_checked(self, world: World) -> None:
        targets = services.check_targets("zone-a")
        assert [target.name for target in targets] == [host.name for host in world.hosts]
        assert all(target.known_key for target in targets)
        assert services.check_targets("zone-b") == []
