"""Change freezes delay what must wait, say so, and let it go on by itself: at their end, once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from catalog.approvals.calendar import Freeze
from catalog.approvals.models import FreezeWindow
from catalog.audit.models import AuditEntry
from catalog.common.errors import DomainError
from catalog.dispatch.models import Job
from catalog.leases.models import Lease
from catalog.orders import frozen, recovery, services, sweeps
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.pool.models import Inventory
from catalog.tenancy.models import Role
from catalog.tenancy.policy import actor_for
from tests.factories import UserFactory
from tests.orders.world import World, holdings

MOMENT = timedelta(microseconds=1)
CHANGES = ["create", "update", "operate", "decommission"]


def freeze(world: World, hours: float = 48, **more: Any) -> FreezeWindow:
    """A freeze of all changes from now on."""
    given = {"reason": "Month-end closing", "deeds": CHANGES, "starts_at": world.now}
    return FreezeWindow.objects.create(**{**given, "ends_at": world.now + timedelta(hours=hours), **more})


def refused(deed: Callable[[], object]) -> str:
    before = holdings(), sorted(Order.objects.values_list("pk", "state", "seq")), AuditEntry.objects.count()
    with pytest.raises(DomainError) as refusal:
        deed()
    after = holdings(), sorted(Order.objects.values_list("pk", "state", "seq")), AuditEntry.objects.count()
    assert after == before
    return refusal.value.code


def test_an_order_waits_with_its_claim_and_goes_on_once_at_the_end(world: World) -> None:
    window = freeze(world)
    order = world.place()
    assert (order.state, order.not_before, order.deadline) == (OrderState.APPROVED, window.ends_at, None)
    assert holdings() | {"used": 0} == {
        "orders": 1, "instances": 1, "allocations": 3, "used": 0, "endpoints": 1, "open jobs": 0,
    }  # fmt: skip
    said = {"why": "Month-end closing", "until": window.ends_at.isoformat()}
    assert order.explanation["freeze"] == said
    assert order.events.get(kind="frozen").data == said
    assert recovery.reconcile(window.ends_at - MOMENT).counts == {}
    assert [recovery.reconcile(window.ends_at).counts for _ in range(2)] == [{"thawed": 1}, {}]
    order.refresh_from_db()
    assert (order.state, order.not_before, order.attempt) == (OrderState.DISPATCHED, None, 1)
    assert Job.objects.count() == 1
    assert "freeze" not in order.explanation


def test_an_approval_is_asked_for_and_given_during_a_freeze(world: World) -> None:
    window = freeze(world)
    order = world.place(plan="dedicated")
    assert order.state == OrderState.PENDING_APPROVAL
    done = services.approve(world.approver, order, content_hash=order.content_hash, now=world.now)
    assert (done.state, done.not_before, holdings()["allocations"]) == (OrderState.APPROVED, window.ends_at, 3)


def test_month_end_in_seoul_to_the_minute(world: World) -> None:
    FreezeWindow.objects.create(
        reason="Closing", deeds=["create"], recurrence="month_end", working_days=3, starts_at=world.now
    )
    begins = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)  # Thursday the 26th, 00:00 in Seoul
    ends = datetime(2026, 11, 30, 15, 0, tzinfo=UTC)
    assert world.place("before-db", now=begins - MOMENT).state == OrderState.DISPATCHED
    kept = world.place("kept-db", now=begins)
    assert (kept.state, kept.not_before) == (OrderState.APPROVED, ends)
    assert world.place("after-db", now=ends).state == OrderState.DISPATCHED


def test_only_the_affiliate_and_the_deeds_it_names(world: World) -> None:
    freeze(world, tenant=world.other_project.tenant)
    freeze(world, deeds=["update", "decommission"])
    order = world.built()
    assert order.state == OrderState.FULFILLED
    instance = order.instance
    assert instance is not None
    back = services.give_back(world.developer, instance, now=world.now)
    instance.refresh_from_db()
    assert (back.state, instance.state, Lease.objects.get().state) == (OrderState.APPROVED, "active", "active")
    assert refused(lambda: services.give_back(world.colleague, instance, now=world.now)) == "already-giving-back"
    window = FreezeWindow.objects.get(tenant=None)
    assert window.ends_at is not None
    # Its lease ends meanwhile. What is due is taken back all the same, once, and the other order gives way.
    end = Lease.objects.get().ends_at
    assert end < window.ends_at
    assert [sweeps.reclaim_due("zone-a", end), sweeps.reclaim_due("zone-a", end)] == [1, 0]
    back.refresh_from_db()
    assert back.state == OrderState.CANCELLED
    assert recovery.reconcile(window.ends_at).counts.get("thawed") is None


def test_what_is_due_waits_only_where_a_window_says_so(world: World) -> None:
    world.built()
    end = Lease.objects.get().ends_at
    window = freeze(world, deeds=["reclaim"])
    assert window.ends_at is not None
    assert [sweeps.reclaim_due("zone-a", end), sweeps.reclaim_due("zone-a", window.ends_at - MOMENT)] == [0, 0]
    assert Lease.objects.get().state == "active"
    for at in (window.starts_at, end, window.ends_at - MOMENT):
        assert frozen.keeping(Lease.objects.get(), now=at) == Freeze(window.ends_at, "Month-end closing")
    assert frozen.keeping(Lease.objects.get(), now=window.ends_at) is None
    assert [sweeps.reclaim_due("zone-a", window.ends_at), sweeps.reclaim_due("zone-a", window.ends_at)] == [1, 0]
    assert frozen.keeping(Lease.objects.get(), now=end) is None, "it has ended"


def test_a_freeze_that_is_over_before_the_lease_ends_delays_nothing(world: World) -> None:
    world.built()
    end = Lease.objects.get().ends_at
    freeze(world, deeds=["reclaim"], hours=(end - world.now).total_seconds() / 3600)
    assert frozen.keeping(Lease.objects.get(), now=world.now) is None
    freeze(world, starts_at=end, hours=(end - world.now).total_seconds() / 3600 + 1)
    assert frozen.keeping(Lease.objects.get(), now=world.now) is None, "it delays other changes"


def test_a_kept_give_back_goes_on_and_ends_the_lease_then(world: World) -> None:
    order = world.built(lease_seconds=30 * 86_400)
    assert order.instance is not None
    window = freeze(world)
    back = services.give_back(world.developer, order.instance, now=world.now)
    assert recovery.reconcile(window.ends_at).counts == {"thawed": 1}
    back.refresh_from_db()
    order.instance.refresh_from_db()
    assert (back.state, order.instance.state, Lease.objects.get().state) == ("dispatched", "decommissioning", "ended")


def test_a_kept_order_can_be_cancelled_and_holds_nothing_then(world: World) -> None:
    window = freeze(world)
    order = services.cancel(world.developer, world.place(), now=world.now)
    assert (order.state, order.not_before, holdings()["allocations"]) == (OrderState.CANCELLED, None, 0)
    assert recovery.reconcile(window.ends_at).counts == {}


def test_a_freeze_that_is_changed_counts_at_once(world: World) -> None:
    window = freeze(world, hours=48)
    order = world.place()
    later = world.now + timedelta(hours=72)
    FreezeWindow.objects.update(ends_at=later, reason="Closing takes longer")
    assert recovery.reconcile(world.now + timedelta(hours=1)).counts == {}
    order.refresh_from_db()
    assert (order.not_before, order.explanation["freeze"]["why"]) == (later, "Closing takes longer")
    assert order.events.filter(kind="frozen").count() == 2
    assert recovery.reconcile(window.ends_at).counts == {}
    FreezeWindow.objects.update(active=False)
    assert recovery.reconcile(world.now + timedelta(hours=49)).counts == {"thawed": 1}


def test_what_is_at_work_goes_on(world: World) -> None:
    order = world.place()
    freeze(world)
    world.begin(order)
    order.refresh_from_db()
    assert order.state == OrderState.RUNNING


def test_room_that_comes_free_during_a_freeze_is_taken_and_waits_for_its_end(world: World) -> None:
    Inventory.objects.filter(resource_class="VCPU").update(used=8)
    order = world.place(wait_for_capacity=True)
    assert order.state == OrderState.WAITING_CAPACITY
    window = freeze(world)
    Inventory.objects.filter(resource_class="VCPU").update(used=0)
    recovery.reconcile(world.later(seconds=1))
    order.refresh_from_db()
    assert (order.state, order.not_before, holdings()["allocations"]) == (OrderState.APPROVED, window.ends_at, 3)
    assert recovery.reconcile(window.ends_at).counts == {"thawed": 1}


class TestOverride:
    def test_a_group_admin_lets_it_go_on_and_says_why(self, world: World) -> None:
        window = freeze(world)
        order = world.place()
        chief = actor_for(UserFactory(roles=[(Role.GROUP_ADMIN, None)]), now=world.now)
        done = frozen.override(chief, order, reason=" Outage of the payment gateway ", now=world.now)
        assert (done.state, done.not_before) == (OrderState.DISPATCHED, None)
        entry = AuditEntry.objects.get(action="order.freeze-overridden")
        assert (entry.actor, entry.subject_id, entry.after) == (
            chief.name, str(order.pk), {"reason": "Outage of the payment gateway"},
        )  # fmt: skip
        assert entry.before == {"until": window.ends_at.isoformat(), "why": "Month-end closing"}
        assert order.events.get(kind="override").data == {"reason": "Outage of the payment gateway"}
        assert refused(lambda: frozen.override(chief, order, reason="again", now=world.now)) == "not-frozen"
        assert recovery.reconcile(window.ends_at).counts == {}
        assert Job.objects.count() == 1

    @pytest.mark.parametrize("reason", ["", "  \n"])
    def test_not_without_a_reason(self, world: World, reason: str) -> None:
        freeze(world)
        order = world.place()
        chief = actor_for(UserFactory(roles=[(Role.GROUP_ADMIN, None)]), now=world.now)
        assert refused(lambda: frozen.override(chief, order, reason=reason, now=world.now)) == "override-without-reason"

    def test_not_by_anybody_else(self, world: World) -> None:
        freeze(world)
        order = world.place()
        for who, code in (
            (world.approver, "forbidden"), (world.operator, "forbidden"), (world.stranger, "not-found"),
        ):  # fmt: skip
            assert refused(lambda who=who: frozen.override(who, order, reason="x", now=world.now)) == code  # type: ignore[misc]
