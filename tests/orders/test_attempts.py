"""Attempts of a run: fenced, repeated, undone; and what ends them."""

import uuid
from datetime import timedelta

import pytest

from catalog.audit.gate import Happening
from catalog.common.errors import DomainError
from catalog.dispatch.models import Job, JobState
from catalog.instances.states import InstanceState
from catalog.leases.models import Lease
from catalog.orders import fulfilment, selectors, services
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.pool.states import HostState
from tests.orders.world import CLEAN, World, holdings


def test_a_good_run_delivers(world: World) -> None:
    order = world.place(parameters={"database": "loans"})
    assignment = world.begin(order)
    host = order.instance.allocations.first().host
    assert (host.state, host.proven_clean) == (HostState.IN_USE, False)
    (part,) = assignment.parts
    assert (part.name, part.target.name, part.target.address) == (host.name, host.name, host.address)
    assert part.target.known_key.startswith("ssh-ed25519 ")
    assert (part.groups, part.values) == (("role_main",), assignment.values)
    assert assignment.values["instance"] | {"id": "", "unit": ""} == {
        "id": "", "name": "loan-db", "unit": "", "tenant": "capital", "project": "loan",
    }  # fmt: skip
    assert assignment.values["size"] == {"vcpu": 1, "memory_mb": 512, "disk_gb": 2}
    assert assignment.values["parameters"] == {"database": "loans", "max_connections": 20}
    assert assignment.values["credentials"]["password"] in assignment.secrets
    assert assignment.values["endpoint"] == {"address": host.address, "port": 20000}
    assert assignment.playbooks["verify"] == "verify.yml"
    fulfilment.succeed_create(order.pk, 1, outputs={"engine": "15"}, now=world.later(seconds=20))
    order.refresh_from_db()
    assert (order.state, order.ended_at, order.deadline) == (OrderState.FULFILLED, world.now, None)
    assert (order.instance.state, order.instance.active_at) == (InstanceState.ACTIVE, world.now)
    assert Lease.objects.get().ends_at == world.now + timedelta(seconds=3600)
    assert Job.objects.get().state == JobState.DONE


def test_an_attempt_is_begun_once(world: World) -> None:
    order = world.place()
    world.begin(order)
    with pytest.raises(DomainError) as refusal:
        fulfilment.begin(order.pk, 1, uuid.uuid4(), world.now)
    assert refusal.value.code == "superseded"


def test_whatever_an_earlier_attempt_writes_is_refused(world: World) -> None:
    order = world.place()
    world.begin(order)
    fulfilment.attempt_failed(order.pk, 1, code="host-unreachable", detail="", now=world.now)
    order.refresh_from_db()
    world.begin(order)
    order.refresh_from_db()
    before, seq = holdings(), order.seq
    writes = {
        "beat": lambda: fulfilment.beat(order.pk, 1, world.now),
        "record": lambda: fulfilment.record(order.pk, 1, [Happening("log", {})], world.now),
        "undo": lambda: fulfilment.enter_undo(order.pk, 1, code="x", detail="", now=world.now),
        "succeed": lambda: fulfilment.succeed_create(order.pk, 1, outputs={}, now=world.now),
        "undone": lambda: fulfilment.undone(order.pk, 1, residue=CLEAN, now=world.now),
        "given back": lambda: fulfilment.succeed_decommission(order.pk, 1, residue=CLEAN, now=world.now),
        "failed": lambda: fulfilment.attempt_failed(order.pk, 1, code="x", detail="", now=world.now),
        "begin": lambda: fulfilment.begin(order.pk, 1, None, world.now),
    }
    for name, write in writes.items():
        with pytest.raises(DomainError) as refusal:
            write()
        assert refusal.value.code == "superseded", name
    order.refresh_from_db()
    assert (holdings(), order.seq, order.state, order.undoing) == (before, seq, OrderState.RUNNING, False)


def test_events_are_numbered_without_gaps_and_read_by_cursor(world: World) -> None:
    order = world.place()
    world.begin(order)
    for number in range(3):
        entries = [Happening("task", {"task": f"{number}.{part}"}) for part in range(2)]
        fulfilment.record(order.pk, 1, entries, world.now)
    order.refresh_from_db()
    events = selectors.events_after(order, 0)
    assert [event.seq for event in events] == list(range(1, order.seq + 1))
    last = selectors.events_after(order, order.seq - 2)
    assert [event.data["task"] for event in last] == ["2.0", "2.1"]
    assert selectors.events_after(order, order.seq) == []


def test_building_is_tried_three_times_then_undone_three_times_then_shown(world: World) -> None:
    order = world.place()
    seen: list[tuple[int, bool, str]] = []
    while True:
        assignment = world.begin(order)
        seen.append((assignment.attempt, assignment.undoing, order.state))
        fulfilment.attempt_failed(order.pk, order.attempt, code="host-unreachable", detail="off", now=world.now)
        order.refresh_from_db()
        if order.state == OrderState.FAILED_DIRTY:
            break
    assert [(attempt, undoing) for attempt, undoing, _state in seen] == [
        (1, False), (2, False), (3, False), (4, True), (5, True), (6, True),
    ]  # fmt: skip
    assert (order.failure_code, order.failure_detail) == ("host-unreachable", "off")
    # Nothing proves that it is gone, so all of it is still claimed.
    assert order.instance.allocations.filter(released_at__isnull=True).count() == 3
    assert order.instance.state == InstanceState.PROVISIONING


def test_pauses_between_attempts_grow(world: World) -> None:
    order = world.place()
    world.begin(order)
    pauses = []
    for _attempt in range(2):
        fulfilment.attempt_failed(order.pk, order.attempt, code="host-unreachable", detail="", now=world.now)
        order.refresh_from_db()
        job = Job.objects.get(attempt=order.attempt)
        pauses.append((job.not_before - world.now).total_seconds())
        world.begin(order)
    assert pauses == [5, 10]


def test_the_last_slice_to_go_has_the_host_wiped(world: World) -> None:
    first, second = world.built("first-db"), world.built("second-db")
    host = first.instance.allocations.first().host
    assert second.instance.allocations.first().host == host
    for order, after in ((first, HostState.IN_USE), (second, HostState.DRAINING)):
        back = services.give_back(world.developer, order.instance, now=world.now)
        assert Lease.objects.get(instance=order.instance).state == "ended"
        world.begin(back)
        fulfilment.succeed_decommission(back.pk, 1, residue=CLEAN, now=world.now)
        back.refresh_from_db()
        assert (back.state, back.instance.state) == (OrderState.FULFILLED, InstanceState.DECOMMISSIONED)
        host.refresh_from_db()
        assert host.state == after
    assert holdings()["used"] == 0
    world.wipe(host)
    assert (host.state, host.proven_clean, host.holder, host.generation) == (HostState.AVAILABLE, True, None, 2)


def test_the_next_affiliate_gets_the_wiped_host(world: World) -> None:
    order = world.built()
    host = order.instance.allocations.first().host
    # The other host is set aside, so that only this one can serve.
    for other in world.hosts:
        if other != host:
            type(other).objects.filter(pk=other.pk).update(state=HostState.MAINTENANCE)
            other.inventories.update(open_to=None)
    theirs = {"project": world.other_project, "actor": world.stranger}
    with pytest.raises(DomainError) as refusal:
        world.place("points-db", **theirs)
    assert refusal.value.code == "no-capacity"
    back = services.give_back(world.developer, order.instance, now=world.now)
    world.begin(back)
    fulfilment.succeed_decommission(back.pk, 1, residue=CLEAN, now=world.now)
    with pytest.raises(DomainError) as refusal:
        world.place("points-db", **theirs)
    assert refusal.value.code == "no-capacity"
    world.wipe(host)
    next_order = world.place("points-db", **theirs)
    assert next_order.instance.allocations.first().host == host
    # The port rests, so a late client of the first affiliate meets nobody.
    assert next_order.instance.endpoints.get().port == 20001


def test_giving_back_twice(world: World) -> None:
    order = world.built()
    services.give_back(world.developer, order.instance, now=world.now)
    before = holdings()
    with pytest.raises(DomainError) as refusal:
        services.give_back(world.developer, order.instance, now=world.now)
    assert (refusal.value.code, holdings()) == ("already-giving-back", before)


def test_giving_back_what_is_still_being_built(world: World) -> None:
    order = world.place()
    for _stage in range(2):
        with pytest.raises(DomainError) as refusal:
            services.give_back(world.developer, order.instance, now=world.now)
        assert refusal.value.code == "order-under-way"
        if order.state == OrderState.DISPATCHED:
            world.begin(order)
            order.refresh_from_db()
    assert Order.objects.count() == 1


def test_credentials_are_shown_once_to_one_who_may(world: World) -> None:
    order = world.built()
    for actor, code in ((world.stranger, "not-found"), (world.operator, "forbidden")):
        with pytest.raises(DomainError) as refusal:
            services.reveal(actor, order.instance, now=world.now)
        assert refusal.value.code == code
    shown = services.reveal(world.developer, order.instance, now=world.now)
    assert set(shown) == {"address", "port", "username", "password", "database"}
    with pytest.raises(DomainError) as refusal:
        services.reveal(world.developer, order.instance, now=world.now)
    assert refusal.value.code == "already-shown"


def test_credentials_of_what_is_gone_are_forgotten(world: World) -> None:
    order = world.built()
    back = services.give_back(world.developer, order.instance, now=world.now)
    with pytest.raises(DomainError) as refusal:
        services.reveal(world.developer, order.instance, now=world.now)
    assert refusal.value.code == "instance-not-ready"
    world.begin(back)
    fulfilment.succeed_decommission(back.pk, 1, residue=CLEAN, now=world.now)
    assert [binding.secret for binding in order.instance.bindings.all()] == [""]
