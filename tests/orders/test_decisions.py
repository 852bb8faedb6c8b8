"""Approving, rejecting, cancelling and trying again, by the people who may."""

import uuid

import pytest

from catalog.approvals.models import Decision
from catalog.common.errors import DomainError
from catalog.dispatch import services as dispatch
from catalog.dispatch.models import Job, JobState
from catalog.instances.states import InstanceState
from catalog.orders import fulfilment, services
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.pool.states import HostState
from tests.orders.world import CLEAN, World, holdings

NOTHING = {"allocations": 0, "used": 0, "endpoints": 0, "open jobs": 0}


def held() -> dict[str, int]:
    return {name: count for name, count in holdings().items() if name in NOTHING}


def refused(call: object, *args: object, **kwargs: object) -> str:
    with pytest.raises(DomainError) as refusal:
        call(*args, **kwargs)  # type: ignore[operator]  # a service
    return refusal.value.code


class TestApproval:
    def test_it_claims_in_the_same_transaction(self, world: World) -> None:
        order = world.place(plan="dedicated")
        done = services.approve(world.approver, order, content_hash=order.content_hash, comment="fine", now=world.now)
        assert done.state == OrderState.DISPATCHED
        host = done.instance.allocations.first().host
        assert (host.state, host.exclusive) == (HostState.RESERVED, True)
        decision = Decision.objects.get()
        assert (decision.verdict, decision.content_hash, decision.comment) == ("approved", order.content_hash, "fine")

    def test_nobody_decides_on_their_own(self, world: World) -> None:
        order = world.place(plan="dedicated", actor=world.approver)
        hash_ = order.content_hash
        assert refused(services.approve, world.approver, order, content_hash=hash_, now=world.now) == "own-approval"
        assert refused(services.reject, world.approver, order, content_hash=hash_, now=world.now) == "own-approval"
        assert Decision.objects.count() == 0

    def test_only_approvers_of_the_affiliate_decide(self, world: World) -> None:
        order = world.place(plan="dedicated")
        hash_ = order.content_hash
        assert refused(services.approve, world.colleague, order, content_hash=hash_, now=world.now) == "forbidden"
        assert refused(services.approve, world.stranger, order, content_hash=hash_, now=world.now) == "not-found"

    def test_it_is_for_exactly_what_was_shown(self, world: World) -> None:
        order = world.place(plan="dedicated")
        assert (
            refused(services.approve, world.approver, order, content_hash="0" * 64, now=world.now) == "approval-stale"
        )
        shown = order.content_hash
        Order.objects.filter(pk=order.pk).update(price_krw_month=1)
        assert refused(services.approve, world.approver, order, content_hash=shown, now=world.now) == "approval-stale"

    def test_a_rejected_order_frees_its_name(self, world: World) -> None:
        order = world.place(plan="dedicated")
        services.reject(world.approver, order, content_hash=order.content_hash, comment="no", now=world.now)
        order.refresh_from_db()
        assert (order.state, order.ended_at) == (OrderState.REJECTED, world.now)
        assert order.instance.state == InstanceState.FAILED
        world.place()
        again = services.approve
        assert refused(again, world.approver, order, content_hash=order.content_hash, now=world.now) == (
            "not-waiting-for-approval"
        )


class TestCancel:
    def test_while_it_waits_for_approval(self, world: World) -> None:
        order = services.cancel(world.developer, world.place(plan="dedicated"), now=world.now)
        assert (order.state, held()) == (OrderState.CANCELLED, NOTHING)

    def test_before_a_run_began_nothing_needs_undoing(self, world: World) -> None:
        order = services.cancel(world.developer, world.place(), now=world.now)
        assert (order.state, held()) == (OrderState.CANCELLED, NOTHING)
        host = world.hosts[0]
        host.refresh_from_db()
        assert (host.state, host.proven_clean, host.holder) == (HostState.AVAILABLE, True, None)
        assert refused(fulfilment.begin, order.pk, 1, uuid.uuid4(), world.now) == "superseded"

    def test_while_it_is_built_the_run_undoes_it(self, world: World) -> None:
        order = world.place()
        world.begin(order)
        services.cancel(world.developer, order, now=world.now)
        assert fulfilment.beat(order.pk, 1, world.now).cancel
        assert held()["allocations"] == 3
        assert refused(fulfilment.succeed_create, order.pk, 1, outputs={}, now=world.now) == "cancel-requested"
        fulfilment.enter_undo(order.pk, 1, code="cancelled", detail="", now=world.now)
        fulfilment.undone(order.pk, 1, residue=CLEAN, now=world.now)
        order.refresh_from_db()
        assert (order.state, order.instance.state) == (OrderState.CANCELLED, InstanceState.FAILED)
        # Nothing is held any more; what is still open is the wipe of the host that was built on.
        assert held() == NOTHING | {"open jobs": 1}
        assert Job.objects.get(state=JobState.QUEUED).flow == "wipe"

    def test_between_two_attempts_the_next_one_undoes(self, world: World) -> None:
        order = world.place()
        world.begin(order)
        fulfilment.attempt_failed(order.pk, 1, code="host-unreachable", detail="", now=world.now)
        order.refresh_from_db()
        services.cancel(world.developer, order, now=world.now)
        job = Job.objects.get(state=JobState.QUEUED)
        assert (job.attempt, job.not_before) == (3, None)
        order.refresh_from_db()
        assert (order.state, order.undoing) == (OrderState.CANCELLING, True)
        assert world.begin(order).undoing
        fulfilment.undone(order.pk, 3, residue=CLEAN, now=world.now)
        order.refresh_from_db()
        assert order.state == OrderState.CANCELLED

    def test_twice_and_after_the_end(self, world: World) -> None:
        order = world.place()
        world.begin(order)
        services.cancel(world.developer, order, now=world.now)
        assert refused(services.cancel, world.developer, order, now=world.now) == "already-cancelling"
        fulfilment.undone(order.pk, 1, residue=CLEAN, now=world.now)
        assert refused(services.cancel, world.developer, order, now=world.now) == "order-ended"
        done = world.built("other-db")
        assert refused(services.cancel, world.developer, done, now=world.now) == "order-ended"

    def test_a_give_back_goes_on(self, world: World) -> None:
        order = services.give_back(world.developer, world.built().instance, now=world.now)
        assert refused(services.cancel, world.developer, order, now=world.now) == "give-back-not-cancellable"

    def test_by_a_stranger(self, world: World) -> None:
        assert refused(services.cancel, world.stranger, world.place(), now=world.now) == "not-found"


class TestRetry:
    def failed(self, world: World) -> Order:
        order = world.place()
        world.begin(order)
        fulfilment.enter_undo(order.pk, 1, code="playbook-failed", detail="disk full", now=world.now)
        fulfilment.undone(order.pk, 1, residue=CLEAN, now=world.now)
        order.refresh_from_db()
        return order

    def test_a_failed_order_starts_again_with_a_new_attempt(self, world: World) -> None:
        order = self.failed(world)
        assert (order.state, order.failure_code, order.failure_detail) == ("failed", "playbook-failed", "disk full")
        again = services.retry(world.developer, order, now=world.now)
        assert (again.state, again.attempt, again.failure_code, again.ended_at) == ("dispatched", 2, "", None)
        assert Job.objects.get(state=JobState.QUEUED, subject_type="order").key == f"order:{order.pk}:provision:2"
        world.begin(again)
        fulfilment.succeed_create(order.pk, 2, outputs={}, now=world.now)
        again.refresh_from_db()
        assert (again.state, again.instance.state) == ("fulfilled", "active")

    def test_its_name_may_be_gone(self, world: World) -> None:
        order = self.failed(world)
        world.place()
        assert refused(services.retry, world.developer, order, now=world.now) == "name-taken"
        order.refresh_from_db()
        assert order.state == OrderState.FAILED

    def test_only_what_failed(self, world: World) -> None:
        assert refused(services.retry, world.developer, world.place(), now=world.now) == "not-retryable"

    def test_a_dirty_one_tries_to_undo_again(self, world: World) -> None:
        order = world.place()
        world.begin(order)
        fulfilment.enter_undo(order.pk, 1, code="playbook-failed", detail="", now=world.now)
        for _attempt in range(3):
            order.refresh_from_db()
            fulfilment.attempt_failed(order.pk, order.attempt, code="residue-found", detail="", now=world.now)
            order.refresh_from_db()
            if order.state == OrderState.DISPATCHED:
                world.begin(order)
        assert (order.state, held()["allocations"]) == (OrderState.FAILED_DIRTY, 3)
        again = services.retry(world.developer, order, now=world.now)
        assert (again.state, again.undoing) == (OrderState.DISPATCHED, True)
        assert dispatch.ever_began("order", order.pk)
