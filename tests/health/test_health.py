"""The regular check: who is checked, what follows from what is seen, and that it never comes between people and their service."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from catalog.audit.models import AuditEntry
from catalog.health import selectors, services
from catalog.health.models import MOST_SPELLS, Health, Outcome
from catalog.health.schedule import next_slot
from catalog.health.services import CLAIM, Verdict
from catalog.instances.models import ServiceInstance
from catalog.instances.states import InstanceState
from catalog.mail.models import Mail
from catalog.orders import fulfilment, operations
from catalog.orders.models import Order
from catalog.placement.selectors import locate_rows
from catalog.pool.models import Host, WorkerState, Zone
from catalog.pool.states import HostState
from catalog.tenancy.models import User
from tests.health.conftest import AWAY, BAD, GOOD, make_due, seen, taken
from tests.orders.world import World, holdings, make_world, together


def state(thing: Any) -> str:
    thing.refresh_from_db()
    return str(thing.state)


def operate(world: World, instance: ServiceInstance, name: str = "stop") -> Order:
    return operations.operate(world.developer, instance, operation=name, now=world.now)


# ---- the schedule


def test_every_service_has_a_place_of_its_own_in_the_interval(settings: Any, world: World) -> None:
    settings.HEALTH_SECONDS = 900
    ids = [uuid.uuid4() for _ in range(2000)]
    slots = [next_slot(each, after=world.now) for each in ids]
    assert all(world.now < slot <= world.now + timedelta(seconds=900) for slot in slots)
    per_look = [sum(slot <= world.now + timedelta(seconds=30 * (n + 1)) for slot in slots) for n in range(30)]
    assert max(b - a for a, b in zip([0, *per_look], per_look, strict=False)) < 2.5 * 2000 / 30
    for each, slot in list(zip(ids, slots, strict=True))[:50]:
        assert next_slot(each, after=slot) == slot + timedelta(seconds=900)
        assert next_slot(each, after=slot + timedelta(hours=5, seconds=1)) == slot + timedelta(hours=5, seconds=900)


def test_what_is_new_is_planned_and_not_checked_at_once(world: World, instance: ServiceInstance) -> None:
    assert selectors.anything_due("zone-a", world.now)
    assert services.take("zone-a", uuid.uuid4(), now=world.now, limit=50) == []
    assert not selectors.anything_due("zone-a", world.now)
    health = Health.objects.get()
    assert (health.outcome, health.next_at) == ("", next_slot(instance.pk, after=world.now))
    assert selectors.anything_due("zone-a", health.next_at)
    assert not selectors.anything_due("zone-b", health.next_at)


def test_a_run_is_told_what_an_order_would_be(world: World, instance: ServiceInstance) -> None:
    rows = holdings()
    (check,) = taken(world)
    assert (check.unit, check.playbook, check.version_id) == (instance.unit, "verify.yml", instance.version_id)
    assert check.values["run"] == {"id": f"{check.run}:1", "subject": str(check.run), "attempt": 1, "outranked": []}
    assert check.values["instance"]["tenant"] == "capital"
    assert set(check.secrets) <= set(check.values["credentials"].values())
    assert [target.host_id for target in check.targets] == [host.pk for host in locate_rows(instance.pk)]
    assert holdings() == rows, "a check claims nothing and is no order"


@pytest.mark.parametrize("instance_state", InstanceState.values)
def test_only_services_that_should_answer_are_checked(
    world: World, instance: ServiceInstance, instance_state: str
) -> None:
    make_due(world)
    ServiceInstance.objects.update(state=instance_state)
    assert bool(services.take("zone-a", uuid.uuid4(), now=world.now, limit=50)) is (instance_state == "active")


def test_one_that_an_order_works_on_is_left_alone(world: World, instance: ServiceInstance) -> None:
    make_due(world)
    stop = operate(world, instance)
    assert services.take("zone-a", uuid.uuid4(), now=world.now, limit=50) == []
    world.operated(stop)
    assert services.take("zone-a", uuid.uuid4(), now=world.now, limit=50) == [], "and one that is stopped"


# ---- what follows from what is seen


@pytest.mark.parametrize("verdict", [GOOD, BAD, AWAY], ids=["healthy", "failed", "unknown"])
@pytest.mark.parametrize("failures", [0, 1])
@pytest.mark.parametrize(
    "instance_state", ["active", "tainted-by-check", "tainted-by-operation", "stopped", "updating"]
)
def test_every_pair_of_state_and_outcome(
    world: World, instance: ServiceInstance, instance_state: str, verdict: Verdict, failures: int
) -> None:
    (check,) = taken(world)
    word = instance_state.partition("-")[0]
    ServiceInstance.objects.update(state=word)
    if instance_state == "tainted-by-check":
        Health.objects.update(tainted_at=check.state_since)
    Health.objects.update(failures=failures, of_state_since=check.state_since)
    letters, entries = Mail.objects.count(), AuditEntry.objects.count()
    assert services.report(check.run, instance.pk, check.state_since, verdict, now=world.now)
    expected = {
        ("active", "failed", 1): "tainted",
        ("tainted-by-check", "healthy", 0): "active",
        ("tainted-by-check", "healthy", 1): "active",
    }.get((instance_state, verdict.outcome.value, failures), word)
    assert state(instance) == expected
    moved = expected != word
    assert (Mail.objects.count() - letters, AuditEntry.objects.count() - entries) == (moved, moved)
    health = Health.objects.get()
    counted = {"healthy": 0, "failed": failures + 1, "unknown": failures}
    assert (health.failures, health.taken) == (counted[verdict.outcome.value], None)
    assert health.outcome == ("" if verdict is AWAY else verdict.outcome)


def test_two_failures_in_a_row_taint_it_and_say_why_and_one_success_takes_it_back(
    world: World, instance: ServiceInstance
) -> None:
    first = seen(world, BAD)
    assert (state(instance), first.failures, Mail.objects.count()) == ("active", 1, 0), "a blip alarms nobody"
    assert first.next_at <= world.now + timedelta(seconds=60)
    health = seen(world, BAD)
    assert state(instance) == InstanceState.TAINTED
    assert instance.state_reason == (
        "It failed its health check 2 times in a row. "
        "Make sure your database answers, and only to the right password: unreachable"
    )
    assert health.tainted_at == instance.state_since
    entry = AuditEntry.objects.filter(action="instance.tainted").get()
    assert (entry.actor, entry.after["why"], entry.after["detail"]) == (
        "system:health-check",
        "unhealthy",
        "unreachable",
    )
    letter = Mail.objects.get()
    assert letter.subject == "loan-db does not pass its health check"
    assert "unreachable" in letter.body
    assert "capital/loan" in letter.body
    assert seen(world, BAD).failures == 3
    assert Mail.objects.count() == 1, "said once"

    seen(world, GOOD)
    assert (state(instance), instance.state_reason) == (InstanceState.ACTIVE, "")
    assert Mail.objects.order_by("created_at").last().subject == "loan-db passes its health check again"
    assert instance.events.filter(kind="state").last().data["why"] == "healthy"
    assert seen(world, GOOD).tainted_at is None


def test_letters_are_in_the_language_of_who_reads_them(world: World, instance: ServiceInstance) -> None:
    User.objects.filter(pk=world.developer.user_id).update(language="ko")
    seen(world, BAD)
    seen(world, BAD)
    assert Mail.objects.get().subject == "loan-db 서비스가 상태 점검을 통과하지 못했습니다"


def test_failures_far_apart_do_not_add_up(world: World, instance: ServiceInstance) -> None:
    for verdict in (BAD, GOOD, BAD, AWAY, GOOD, BAD):
        health = seen(world, verdict)
    assert (state(instance), health.failures) == (InstanceState.ACTIVE, 1)


def test_what_failed_before_an_operation_says_nothing_afterwards(world: World, instance: ServiceInstance) -> None:
    seen(world, BAD)
    world.operated(operate(world, instance))
    world.operated(operate(world, instance, "start"))
    assert (seen(world, BAD).failures, state(instance)) == (1, InstanceState.ACTIVE)


def test_what_an_operation_has_tainted_no_check_calls_active(
    settings: Any, world: World, instance: ServiceInstance
) -> None:
    settings.ORDER_ATTEMPTS = 1
    seen(world, BAD)
    seen(world, BAD)
    assert state(instance) == InstanceState.TAINTED
    (check,) = taken(world)
    start = operate(world, instance, "start")
    world.begin(start)
    fulfilment.attempt_failed(start.pk, 1, code="operation-failed", detail="no", now=world.now)
    assert state(instance) == InstanceState.TAINTED
    reason = instance.state_reason
    # The check that was under way comes back late, and none is begun any more.
    assert not services.report(check.run, instance.pk, check.state_since, GOOD, now=world.now)
    assert taken(world) == []
    assert (state(instance), instance.state_reason) == (InstanceState.TAINTED, reason)


@pytest.mark.parametrize("begun", [False, True])
def test_an_order_that_comes_meanwhile_goes_on_and_the_check_counts_nothing(
    world: World, instance: ServiceInstance, begun: bool
) -> None:
    seen(world, BAD)
    (check,) = taken(world)
    stop = operate(world, instance)
    if begun:
        world.begin(stop)
    assert not services.report(check.run, instance.pk, check.state_since, BAD, now=world.now)
    health = Health.objects.get()
    assert (health.failures, health.taken) == (1, None)
    if not begun:
        world.begin(stop)
    fulfilment.succeed_operate(stop.pk, 1, outputs={}, now=world.now)
    assert state(instance) == InstanceState.STOPPED


# ---- what cannot be checked


@pytest.mark.parametrize("host_state", sorted({*HostState.values} - {HostState.IN_USE, HostState.AVAILABLE}))
def test_a_host_that_is_not_in_service_taints_nothing(world: World, instance: ServiceInstance, host_state: str) -> None:
    seen(world, GOOD)
    make_due(world)
    Host.objects.filter(allocations__instance=instance).update(state=host_state)
    for _ in range(3):
        assert services.take("zone-a", uuid.uuid4(), now=world.now, limit=50) == []
        Health.objects.update(next_at=world.now)
    health = Health.objects.get()
    assert (state(instance), health.outcome, health.unknown_code) == ("active", "healthy", "host-away")
    shown = selectors.shown(ServiceInstance.objects.get())
    assert shown is not None
    assert (shown.outcome, shown.unknown_reason) == ("healthy", "Its server is not in service at the moment.")


def test_a_zone_without_a_worker_says_so_and_keeps_what_was_seen_last(world: World, instance: ServiceInstance) -> None:
    health = seen(world, GOOD)
    Zone.objects.update(worker_state=WorkerState.SILENT, worker_seen_at=None)
    shown = selectors.shown(ServiceInstance.objects.select_related("zone").get())
    assert shown is not None
    assert (shown.outcome, shown.checked_at, shown.next_at) == ("healthy", health.checked_at, None)
    assert shown.unknown_reason == "No worker has served this zone yet."
    assert state(instance) == InstanceState.ACTIVE


# ---- claims


def test_what_a_killed_run_had_taken_is_due_again(world: World, instance: ServiceInstance) -> None:
    (lost,) = taken(world)
    assert services.take("zone-a", uuid.uuid4(), now=world.later(minutes=1), limit=50) == []
    (again,) = services.take("zone-a", uuid.uuid4(), now=world.later(seconds=CLAIM.total_seconds()), limit=50)
    assert not services.report(lost.run, instance.pk, lost.state_since, BAD, now=world.now)
    assert services.report(again.run, instance.pk, again.state_since, GOOD, now=world.now)
    assert Health.objects.get().outcome == Outcome.HEALTHY


def test_what_gives_way_is_due_at_once(world: World, instance: ServiceInstance) -> None:
    (check,) = taken(world)
    assert services.release(check.run, now=world.now) == 1
    assert selectors.anything_due("zone-a", world.now)
    assert not services.report(check.run, instance.pk, check.state_since, GOOD, now=world.now)


def test_history_is_bounded_and_says_stretches(world: World, instance: ServiceInstance, settings: Any) -> None:
    settings.HEALTH_FAILURES = 100
    for _ in range(3):
        health = seen(world, GOOD)
    assert [(each["outcome"], each["checks"]) for each in health.spells] == [("healthy", 3)]
    for _ in range(MOST_SPELLS):
        seen(world, BAD)
        health = seen(world, GOOD)
    assert len(health.spells) == MOST_SPELLS
    told = selectors.history(ServiceInstance.objects.get())
    assert [each.outcome for each in told[-2:]] == ["failed", "healthy"]
    assert told[-2].reason.endswith("unreachable")


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_many_runs_at_once_none_gets_what_another_has() -> None:
    world = make_world(hosts=4)
    for number in range(12):
        world.built(f"loan-db-{number}")
    make_due(world)
    got: list[str] = []

    def run() -> str:
        checks = services.take("zone-a", uuid.uuid4(), now=world.now, limit=5)
        got.extend(check.unit for check in checks)
        return "took"

    together(*[run] * 12)
    # Runs that met on the same candidates left them to each other; what is left is due still.
    while checks := services.take("zone-a", uuid.uuid4(), now=world.now, limit=5):
        got.extend(check.unit for check in checks)
    assert sorted(got) == sorted(ServiceInstance.objects.values_list("unit", flat=True))


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_checks_and_orders_at_once_leave_one_truth(settings: Any) -> None:
    settings.HEALTH_FAILURES = 1
    world = make_world()
    instance = world.built().instance
    assert instance is not None
    (check,) = taken(world)
    said = together(
        *[lambda: str(services.report(check.run, instance.pk, check.state_since, BAD, now=world.now))] * 4,
        *[lambda: operate(world, instance).state] * 2,
        lambda: operations.operate(world.developer, instance, operation="start", now=world.now).state,
    )
    assert said["True"] <= 1
    assert said["dispatched"] == 1, said
    order = Order.objects.get(kind="operate")
    world.operated(order)
    assert state(instance) == {"stop": "stopped", "start": "active"}[order.operation]
    assert Mail.objects.count() == said["True"]


# ---- what is seen of many at once


def together_tried(world: World, tasks: list[str], *, hosts: int, well: int = 0) -> list[str]:
    """What becomes of failures at these tasks, spread over so many hosts, with so many beside them that are well."""
    (check,) = taken(world)
    targets = [replace(check.targets[0], host_id=uuid.uuid4()) for _host in range(hosts)]
    each = [(replace(check, targets=(targets[n % hosts],)), Verdict(Outcome.FAILED, t)) for n, t in enumerate(tasks)]
    each += [(check, GOOD)] * well
    return [verdict.code or verdict.outcome.value for _check, verdict in services.doubted(each)]


def test_where_all_fail_at_once_it_is_what_they_share(world: World, instance: ServiceInstance) -> None:
    assert together_tried(world, ["Ask"] * 5, hosts=2) == ["all-at-once"] * 5


@pytest.mark.parametrize(
    ("tasks", "hosts", "well"),
    [(["Ask"] * 4, 2, 0), (["Ask"] * 5, 1, 0), (["Ask"] * 5, 2, 1), (["Ask"] * 4 + ["Write"], 2, 0)],
    ids=["few", "one host", "another is well", "different tasks"],
)
def test_otherwise_each_failure_counts(
    world: World, instance: ServiceInstance, tasks: list[str], hosts: int, well: int
) -> None:
    assert together_tried(world, tasks, hosts=hosts, well=well) == ["failed"] * len(tasks) + ["healthy"] * well
