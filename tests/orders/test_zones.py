"""Orders and zones: what data goes where, a closed zone waited for, and zones in which nobody works."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from catalog.common.errors import DomainError
from catalog.dispatch.models import Job, JobState
from catalog.instances.models import ServiceInstance
from catalog.offerings.models import Plan
from catalog.orders import fulfilment, recovery, services, silence, sweeps, waiting
from catalog.orders.models import Order, OrderEvent
from catalog.orders.recovery import Report
from catalog.orders.states import OrderState
from catalog.pool import zones
from catalog.pool.models import WorkerState, Zone
from catalog.pool.workers import note_workers
from tests.factories import NOW, HostFactory, ZoneFactory
from tests.orders.world import World, holdings

SAID = ("worker-silent", "worker-back")


@pytest.fixture(autouse=True)
def times(settings: Settings) -> None:
    settings.WORKER_SILENT_SECONDS, settings.WORKER_WAIT_SECONDS, settings.TIME_ZONE = 90, 86_400, "UTC"


def refused(world: World, **asked: Any) -> DomainError:
    """The refusal of an order, which has changed nothing."""
    before, events = holdings(), OrderEvent.objects.count()
    with pytest.raises(DomainError) as refusal:
        world.place(**asked)
    assert (holdings(), OrderEvent.objects.count()) == (before, events)
    return refusal.value


def test_an_order_its_service_and_its_way_back_hold_the_same_data(world: World) -> None:
    Plan.objects.update(data_classes=["public"])
    order = world.built(data_class="public")
    assert (order.data_class, order.instance.data_class) == ("public", "public")
    back = services.give_back(world.developer, order.instance, now=world.now)
    assert back.data_class == "public"
    assert waiting.shown(back) is None


@pytest.mark.parametrize("data_class", ["personal-credit", "unique-id", "moon"])
def test_a_plan_refuses_data_it_is_not_made_for(world: World, data_class: str) -> None:
    error = refused(world, data_class=data_class)
    assert (error.code, list(error.fields)) == ("data-class-not-allowed", ["data_class"])
    assert error.context["allowed"] == ["public", "internal"]
    assert str(error.detail) == (
        "This plan may hold public data, internal data. Choose another plan, or say that it holds less protected data."
    )


def test_a_curator_narrows_what_a_plan_may_hold(world: World) -> None:
    Plan.objects.update(data_classes=["public"])
    assert refused(world).code == "data-class-not-allowed"


def _sells_everything() -> None:
    plan = Plan.objects.get(slug="shared-small")
    plan.version.manifest["data_classes"] = ["public", "internal", "personal-credit", "unique-id"]
    plan.version.save()


def test_no_zone_may_hold_it(world: World) -> None:
    _sells_everything()
    error = refused(world, data_class="unique-id")
    assert (error.code, list(error.fields)) == ("zone-data-class", ["data_class"])
    assert str(error.detail) == (
        "No zone of the group that is open to your affiliate may hold unique identifiers."
        " Ask a pool operator for a zone that may, or order it for less protected data."
    )
    assert refused(world, data_class="unique-id", zone="zone-a").code == "zone-data-class"
    Zone.objects.update(data_classes=["unique-id"])
    assert world.place(data_class="unique-id").state == OrderState.DISPATCHED


def test_an_approver_is_bound_to_the_data_and_the_claim_judges_the_zone_again(world: World) -> None:
    order = world.place(plan="dedicated", data_class="internal")
    Order.objects.update(data_class="public")
    with pytest.raises(DomainError) as stale:
        services.approve(world.approver, order, content_hash=order.content_hash, now=world.now)
    assert stale.value.code == "approval-stale"
    Order.objects.update(data_class="internal")
    Zone.objects.update(data_classes=["public"])
    before = holdings()
    with pytest.raises(DomainError) as refusal:
        services.approve(world.approver, order, content_hash=order.content_hash, now=world.now)
    assert refusal.value.code == "zone-data-class"
    order.refresh_from_db()
    assert (order.state, holdings()) == (OrderState.PENDING_APPROVAL, before)


def test_zones_of_others_are_unknown_and_those_for_others_not_open(world: World) -> None:
    theirs = ZoneFactory(slug="their-zone", kind="local", tenant=world.other_project.tenant)
    ZoneFactory(slug="club", admission="chosen")
    assert refused(world, zone="their-zone").code == "zone-unknown"
    assert refused(world, zone="club").code == "zone-not-open"
    theirs.admitted.set([world.project.tenant])
    HostFactory(zone=theirs)
    assert world.place(zone="their-zone").zone == theirs


def test_nothing_goes_outside_that_does_not_name_it(world: World) -> None:
    cloud = ZoneFactory(slug="cloud", kind="external")
    HostFactory(zone=cloud)
    Zone.objects.filter(slug="zone-a").update(closed_at=NOW, closed_reason="flood")
    assert refused(world).code == "zone-closed"
    assert world.place(zone="cloud").zone == cloud


def test_a_closed_zone_refuses_or_is_waited_for(world: World) -> None:
    zone = zones.close_zone(world.operator, world.hosts[0].zone, reason="new switches", now=world.now)
    error = refused(world, zone="zone-a")
    assert (error.code, list(error.fields)) == ("zone-closed", ["zone"])
    assert "new switches" in str(error.detail)
    order = world.place(zone="zone-a", wait_for_capacity=True)
    assert order.state == OrderState.WAITING_CAPACITY
    recovery.admit_waiting(world.later(seconds=10), Report())
    order.refresh_from_db()
    said = waiting.shown(order)
    assert said is not None
    assert (order.state, said["code"], said["place"], said["of"]) == (OrderState.WAITING_CAPACITY, "no-room", 1, 1)
    assert "zone-a: new switches" in said["why"]
    zones.open_zone(world.operator, zone, now=world.later(seconds=10))
    report = Report()
    recovery.admit_waiting(world.later(seconds=10), report)
    order.refresh_from_db()
    assert (order.state, report.counts) == (OrderState.DISPATCHED, {"admitted": 1})


def test_a_service_in_a_closed_zone_is_given_back(world: World) -> None:
    order = world.built()
    zones.close_zone(world.operator, world.hosts[0].zone, reason="new switches", now=world.now)
    assert services.give_back(world.developer, order.instance, now=world.now).state == OrderState.DISPATCHED


# --- zones in which nobody works


def heard(world: World, *, ago: float) -> None:
    """What Prefect says of the worker of zone-a, as the scheduled look takes it."""
    note_workers({"zone-a": world.now - timedelta(seconds=ago)}, now=world.now)
    silence.tell(world.now)


def said(order: Order) -> list[str]:
    return list(order.events.filter(kind__in=SAID).values_list("kind", flat=True))


def test_an_order_waits_with_the_reason_and_is_told_once(world: World) -> None:
    heard(world, ago=5)
    order = world.place()
    heard(world, ago=5)
    assert (said(order), waiting.shown(order)) == ([], None)
    last = world.now
    world.later(seconds=120)
    heard(world, ago=120)
    heard(world, ago=120)
    order = Order.objects.get()
    assert waiting.shown(order) == {
        "code": "zone-worker-silent", "room_at": None,
        "why": "The zone's worker has been silent since 2 Nov 2026, 09:00.",
    }  # fmt: skip
    assert said(order) == ["worker-silent"]
    assert order.events.get(kind="worker-silent").data == {"seen_at": last.isoformat()}
    # A second one, placed while nobody works there, is accepted and told, too.
    second = world.place("second-db", zone="zone-a")
    heard(world, ago=120)
    assert (said(order), said(second)) == (["worker-silent"], ["worker-silent"])
    world.later(seconds=60)
    heard(world, ago=1)
    heard(world, ago=1)
    order.refresh_from_db()
    assert said(order) == ["worker-silent", "worker-back"]
    assert waiting.shown(Order.objects.get(pk=order.pk)) is None
    assert order.deadline == world.now + timedelta(minutes=30)
    world.begin(order)
    fulfilment.succeed_create(order.pk, order.attempt, outputs={}, now=world.later(seconds=20))
    assert said(order) == ["worker-silent", "worker-back"]


def test_silence_fails_no_order_before_its_longer_limit(world: World) -> None:
    order = world.place()
    placed_at = world.now
    world.later(minutes=31)
    heard(world, ago=1900)
    for _ in range(3):
        sweeps.expire(world.now, Report())
        order.refresh_from_db()
        assert (order.state, order.deadline) == (OrderState.DISPATCHED, world.now + timedelta(minutes=30))
        world.later(minutes=31)
    world.now = placed_at + timedelta(hours=23, minutes=50)
    sweeps.expire(world.now, Report())
    order.refresh_from_db()
    assert (order.state, order.deadline) == (OrderState.DISPATCHED, placed_at + timedelta(hours=24))
    world.now = placed_at + timedelta(hours=24, seconds=1)
    before = holdings()
    sweeps.expire(world.now, Report())
    order.refresh_from_db()
    assert (order.state, order.failure_code) == (OrderState.FAILED, "not-taken-up")
    assert order.failure_detail.startswith("The zone's worker has been silent since 2 Nov 2026, 08:59.")
    assert (before["allocations"], holdings()["allocations"], holdings()["open jobs"]) == (3, 0, 0)


def test_with_somebody_at_work_an_order_not_taken_up_fails_as_ever(world: World) -> None:
    order = world.place()
    world.later(minutes=31)
    heard(world, ago=5)
    sweeps.expire(world.now, Report())
    order.refresh_from_db()
    assert (order.state, order.failure_code) == (OrderState.FAILED, "not-taken-up")
    assert order.failure_detail.startswith("No worker of the zone took the order up in time.")


def test_a_worker_that_is_just_back_gets_its_time(world: World) -> None:
    order = world.place()
    world.later(minutes=5)
    heard(world, ago=300)
    world.later(minutes=26)
    # The zone was seen alive, and the process died before it could tell the orders.
    note_workers({"zone-a": world.now}, now=world.now)
    sweeps.expire(world.now, Report())
    order.refresh_from_db()
    assert (order.state, order.deadline) == (OrderState.DISPATCHED, world.now + timedelta(minutes=30))


def test_a_give_back_waits_as_long_as_the_silence_lasts(world: World) -> None:
    order = world.built()
    back = services.give_back(world.developer, order.instance, now=world.now)
    heard(world, ago=300)
    for _ in range(3):
        world.later(days=1)
        sweeps.expire(world.now, Report())
        back.refresh_from_db()
        assert (back.state, back.attempt, back.deadline) == (
            OrderState.DISPATCHED, 1, world.now + timedelta(minutes=30),
        )  # fmt: skip
    assert Job.objects.get(subject_id=back.pk).state == JobState.QUEUED


def test_a_cancelled_build_that_needs_a_worker_waits_for_it(world: World) -> None:
    order = world.place()
    world.begin(order)
    fulfilment.attempt_failed(order.pk, 1, code="playbook-failed", detail="x", now=world.later(seconds=5))
    order.refresh_from_db()
    services.cancel(world.developer, order, now=world.later(seconds=5))
    heard(world, ago=300)
    world.later(minutes=31)
    sweeps.expire(world.now, Report())
    order.refresh_from_db()
    assert (order.state, order.deadline) == (OrderState.CANCELLING, world.now + timedelta(minutes=30))
    shown = waiting.shown(order)
    assert shown is not None
    assert shown["code"] == "zone-worker-silent"


def test_a_run_under_way_keeps_its_deadline_though_its_worker_died(world: World) -> None:
    order = world.place()
    world.begin(order)
    heard(world, ago=300)
    world.later(minutes=61)
    sweeps.expire(world.now, Report())
    assert Job.objects.get().cancel_requested_at == world.now
    order.refresh_from_db()
    assert (order.state, said(order)) == (OrderState.RUNNING, [])


def test_an_order_that_names_no_zone_goes_where_somebody_works(world: World) -> None:
    HostFactory(zone=ZoneFactory(slug="zone-z"))
    note_workers({"zone-a": world.now - timedelta(seconds=300), "zone-z": world.now}, now=world.now)
    order = world.place()
    assert (order.zone.slug, waiting.shown(order)) == ("zone-z", None)


def test_nothing_is_judged_while_prefect_is_away(world: World, settings: Settings) -> None:
    settings.PREFECT_API_URL = "http://127.0.0.1:9/api"
    heard(world, ago=5)
    order = world.place()
    assert silence.look(world.later(hours=1)) == 0
    zone = Zone.objects.get()
    assert (zone.worker_state, said(order)) == (WorkerState.LIVE, [])


def test_one_that_moved_on_meanwhile_is_not_told(world: World) -> None:
    order = world.place()
    heard(world, ago=5)
    stale = Order.objects.get()
    fulfilment.begin(order.pk, 1, uuid.uuid4(), world.later(seconds=1))
    assert silence._say(stale, silence.Happening(silence.SILENT), world.now) is False
    assert said(order) == []
    assert ServiceInstance.objects.get().state == "provisioning"
