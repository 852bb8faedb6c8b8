"""Approvals that hold: levels on both sides, nobody twice and nobody on their own, in time, for exactly what was shown."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from catalog.approvals import delegations
from catalog.approvals import services as approvals
from catalog.approvals.models import ApprovalRule, Decision, Delegation, Request
from catalog.approvals.reminders import remind
from catalog.approvals.selectors import inbox
from catalog.audit.models import AuditEntry
from catalog.common.errors import DomainError
from catalog.instances.models import ServiceInstance
from catalog.mail.models import Mail
from catalog.orders import advance, services, sweeps
from catalog.orders.models import Order, OrderEvent
from catalog.orders.selectors import to_decide
from catalog.orders.states import OrderState
from catalog.tenancy.models import Membership, Role, User
from catalog.tenancy.policy import Actor, actor_for, system
from tests.factories import TESTER, UserFactory
from tests.orders.world import World, holdings

REMINDERS = system("reminders")


def rule(*steps: tuple[str, int], **more: Any) -> ApprovalRule:
    """A rule of the group with these levels."""
    levels = [{"who": who, "people": people} for who, people in steps]
    return ApprovalRule.objects.create(**{"name": "rule", "priority": 1, "steps": levels, **more})


def person(world: World, *roles: str, group: bool = False) -> Actor:
    """Somebody with these roles, in the affiliate that orders or in the group."""
    tenant = None if group else world.project.tenant
    return actor_for(UserFactory(roles=[(role, tenant) for role in roles]), now=world.now)


def approve(world: World, actor: Actor, order: Order, **more: Any) -> Order:
    return services.approve(actor, order, **{"content_hash": order.content_hash, "now": world.now, **more})


def name(actor: Actor) -> str:
    return actor.name


def everything() -> dict[str, Any]:
    """What a refusal must leave as it was."""
    return holdings() | {
        "states": sorted(Order.objects.values_list("pk", "state", "seq", "content_hash")),
        "requests": sorted(Request.objects.values_list("pk", "level", "who", "outcome")),
        "decisions": Decision.objects.count(), "delegations": sorted(Delegation.objects.values_list("pk", "ends_at")),
        "events": OrderEvent.objects.count(), "audit": AuditEntry.objects.count(), "mail": Mail.objects.count(),
    }  # fmt: skip


def refused(deed: Callable[[], object]) -> str:
    """The code of the refusal, which has changed nothing."""
    before = everything()
    with pytest.raises(DomainError) as refusal:
        deed()
    assert everything() == before
    return refusal.value.code


class TestLevels:
    def test_one_after_the_other_and_the_claim_with_the_last(self, world: World) -> None:
        rule((Role.APPROVER, 1), (Role.OPERATOR, 2))
        order = world.place()
        nothing = holdings()
        assert (order.state, nothing["allocations"]) == (OrderState.PENDING_APPROVAL, 0)
        assert refused(lambda: approve(world, world.operator, order)) == "not-your-turn"
        assert approve(world, world.approver, order, comment="ok").state == OrderState.PENDING_APPROVAL
        assert refused(lambda: approve(world, world.approver, order)) == "already-decided"
        assert approve(world, world.operator, order).state == OrderState.PENDING_APPROVAL
        assert refused(lambda: approve(world, world.operator, order)) == "already-decided"
        assert holdings() == nothing
        done = approve(world, world.second_operator, order)
        assert (done.state, holdings()["allocations"]) == (OrderState.DISPATCHED, 3)
        assert refused(lambda: approve(world, world.second_operator, order)) == "not-waiting-for-approval"
        told = order.events.filter(kind="decision").values_list("actor", "data__level", "data__of", "data__verdict")
        assert list(told) == [
            (name(world.approver), 1, 2, "approved"), (name(world.operator), 2, 2, "approved"),
            (name(world.second_operator), 2, 2, "approved"),
        ]  # fmt: skip
        assert AuditEntry.objects.filter(action="approval.approved", subject_id=str(order.pk)).count() == 3

    def test_who_has_several_roles_still_counts_once(self, world: World) -> None:
        rule((Role.APPROVER, 1), (Role.TENANT_ADMIN, 1))
        both = person(world, Role.APPROVER, Role.TENANT_ADMIN)
        order = world.place()
        approve(world, both, order)
        assert refused(lambda: approve(world, both, order)) == "already-decided"
        assert approve(world, person(world, Role.TENANT_ADMIN), order).state == OrderState.DISPATCHED

    @pytest.mark.parametrize("level", [1, 2])
    def test_a_refusal_on_any_level_ends_it(self, world: World, level: int) -> None:
        rule((Role.APPROVER, 1), (Role.OPERATOR, 1))
        order = world.place()
        if level == 2:
            approve(world, world.approver, order)
        who = world.approver if level == 1 else world.operator
        services.reject(who, order, content_hash=order.content_hash, comment="no", now=world.now)
        order.refresh_from_db()
        assert (order.state, Request.objects.get().outcome) == (OrderState.REJECTED, "rejected")
        assert order.instance is not None
        assert order.instance.state == "failed"
        assert refused(lambda: approve(world, world.operator, order)) == "not-waiting-for-approval"

    def test_a_catalog_admin_and_a_group_admin_decide_where_they_are_asked(self, world: World) -> None:
        rule((Role.CATALOG_ADMIN, 1), (Role.GROUP_ADMIN, 1))
        curator, chief = (person(world, role, group=True) for role in (Role.CATALOG_ADMIN, Role.GROUP_ADMIN))
        order = world.place()
        assert [list(to_decide(each, now=world.now)) for each in (curator, chief, world.approver)] == [[order], [], []]
        approve(world, curator, order)
        assert [list(to_decide(each, now=world.now)) for each in (curator, chief)] == [[], [order]]
        assert approve(world, chief, order).state == OrderState.DISPATCHED

    def test_rules_that_change_meanwhile_change_nothing_that_was_asked(self, world: World) -> None:
        asked = rule((Role.APPROVER, 1), (Role.OPERATOR, 1))
        order = world.place()
        asked.delete()
        assert approve(world, world.approver, order).state == OrderState.PENDING_APPROVAL
        assert Request.objects.get().reasons == [{"rule": "rule", "conditions": []}]

    def test_a_rule_may_let_everything_pass(self, world: World) -> None:
        rule(price_over_krw=100_000)
        order = world.place(plan="dedicated")
        assert order.state == OrderState.DISPATCHED
        assert order.events.get(data__to="approved").data == {
            "from": "submitted", "to": "approved", "rule": "curated", "name": "rule",
        }  # fmt: skip

    def test_a_full_pool_refuses_the_last_and_keeps_what_was_decided_before(self, world: World) -> None:
        rule((Role.APPROVER, 1), (Role.OPERATOR, 1))
        order = world.place(plan="dedicated")
        approve(world, world.approver, order)
        for number in range(2):
            ApprovalRule.objects.update(active=False)
            approve(world, world.approver, world.place(f"whole-{number}", plan="dedicated"))
        assert refused(lambda: approve(world, world.operator, order)) == "no-capacity"


class TestNobodyOnTheirOwn:
    def test_not_even_with_every_role(self, world: World) -> None:
        rule((Role.TENANT_ADMIN, 1))
        admin = person(world, Role.TENANT_ADMIN, Role.APPROVER)
        order = world.place(actor=admin)
        assert refused(lambda: approve(world, admin, order)) == "own-approval"
        assert list(inbox(admin, now=world.now)) == []

    def test_nor_through_the_one_who_stands_in(self, world: World) -> None:
        other = person(world, Role.APPROVER)
        self.away(world, world.approver, world.colleague)
        order = world.place(plan="dedicated", actor=world.colleague)
        # The colleague decides for the approver now, and asked for it.
        assert refused(lambda: approve(world, world.colleague, order)) == "own-approval"
        # The approver is the one the colleague stands in for: neither judges the other.
        assert refused(lambda: approve(world, world.approver, order)) == "approval-conflict"
        assert list(inbox(world.approver, now=world.now)) == []
        assert approve(world, other, order).state == OrderState.DISPATCHED

    def test_nor_after_the_delegation_was_ended_for_it(self, world: World) -> None:
        given = self.away(world, world.approver, world.colleague)
        order = world.place(plan="dedicated", actor=world.colleague, now=world.later(hours=1))
        delegations.end(world.approver, given, now=world.later(hours=1))
        assert refused(lambda: approve(world, world.approver, order)) == "approval-conflict"

    def test_nor_the_one_to_whom_the_requester_gave_their_decisions(self, world: World) -> None:
        deputy = person(world, Role.APPROVER)
        self.away(world, world.approver, deputy)
        order = world.place(plan="dedicated", actor=world.approver)
        assert refused(lambda: approve(world, deputy, order)) == "approval-conflict"

    @staticmethod
    def away(world: World, absent: Actor, deputy: Actor, days: int = 7) -> Delegation:
        return delegations.delegate(
            absent, tenant=world.project.tenant, to=name(deputy), starts_at=None, ends_at=world.now + timedelta(days=days),
            now=world.now,
        )  # fmt: skip


class TestStandingIn:
    def test_both_are_named(self, world: World) -> None:
        TestNobodyOnTheirOwn.away(world, world.approver, world.colleague)
        order = world.place(plan="dedicated")
        assert list(to_decide(world.colleague, now=world.now)) == [order]
        assert approve(world, world.colleague, order).state == OrderState.DISPATCHED
        taken = Decision.objects.get()
        assert taken.decided_by is not None
        assert taken.on_behalf_of is not None
        assert (taken.decided_by.username, taken.on_behalf_of.username) == (name(world.colleague), name(world.approver))
        entry = AuditEntry.objects.get(action="approval.approved")
        assert (entry.actor, entry.after["on_behalf_of"]) == (name(world.colleague), name(world.approver))
        assert order.events.get(kind="decision").data["on_behalf_of"] == name(world.approver)

    def test_neither_counts_again(self, world: World) -> None:
        rule((Role.APPROVER, 2))
        TestNobodyOnTheirOwn.away(world, world.approver, world.colleague)
        order = world.place()
        approve(world, world.colleague, order)
        assert refused(lambda: approve(world, world.colleague, order)) == "already-decided"
        assert refused(lambda: approve(world, world.approver, order)) == "already-decided"
        assert approve(world, person(world, Role.APPROVER), order).state == OrderState.DISPATCHED

    def test_it_begins_and_ends_to_the_instant(self, world: World) -> None:
        begins, ends = world.now + timedelta(hours=1), world.now + timedelta(hours=2)
        delegations.delegate(
            world.approver, tenant=world.project.tenant, to=name(world.colleague), starts_at=begins, ends_at=ends,
            now=world.now,
        )  # fmt: skip
        order, moment = world.place(plan="dedicated"), timedelta(microseconds=1)
        assert refused(lambda: approve(world, world.colleague, order, now=begins - moment)) == "forbidden"
        assert refused(lambda: approve(world, world.colleague, order, now=ends)) == "forbidden"
        assert approve(world, world.colleague, order, now=begins).state == OrderState.DISPATCHED

    def test_it_carries_no_more_than_the_absent_may_and_the_deputy_may_see(self, world: World) -> None:
        TestNobodyOnTheirOwn.away(world, world.approver, world.colleague)
        order = world.place(plan="dedicated")
        Membership.objects.filter(user=world.approver.user_id, role=Role.APPROVER).update(ends_at=world.now)
        assert refused(lambda: approve(world, world.colleague, order)) == "forbidden"
        Membership.objects.update(ends_at=None)
        stranger = actor_for(User.objects.get(pk=world.colleague.user_id), now=world.now)
        gone = Actor(name=stranger.name, user_id=stranger.user_id)
        assert refused(lambda: approve(world, gone, order)) == "not-found"

    def test_on_the_side_that_provides(self, world: World) -> None:
        rule((Role.OPERATOR, 1))
        chief = person(world, Role.GROUP_ADMIN, group=True)
        order = world.place()
        assert refused(lambda: approve(world, chief, order)) == "forbidden"
        delegations.delegate(
            world.operator,
            tenant=None,
            to=name(chief),
            starts_at=None,
            ends_at=world.now + timedelta(days=1),
            now=world.now,
        )
        assert approve(world, chief, order).state == OrderState.DISPATCHED


class TestTime:
    def test_it_ends_after_72_hours_also_before_the_sweep_comes_by(self, world: World) -> None:
        order = world.place(plan="dedicated")
        end = world.now + timedelta(hours=72)
        late = end + timedelta(microseconds=1)
        assert order.deadline == end
        assert refused(lambda: approve(world, world.approver, order, now=late)) == "approval-expired"
        assert list(inbox(world.approver, now=late)) == []
        assert sweeps.stuck(late).counts == {"overdue_orders": 1}
        assert Request.objects.get().outcome == "expired"
        order = world.place(plan="dedicated", now=late)
        assert approve(world, world.approver, order, now=late + timedelta(hours=72)).state == OrderState.DISPATCHED

    def test_people_are_told_reminded_and_passed_over_once_each(self, world: World) -> None:
        admin, deputy = person(world, Role.TENANT_ADMIN), person(world, Role.DEVELOPER)
        TestNobodyOnTheirOwn.away(world, world.approver, deputy)
        world.place(plan="dedicated")
        asked = Mail.objects.filter(subject_type="approval")

        def told(begin: str) -> list[str]:
            rows = asked.filter(subject__startswith=begin).order_by("person__username")
            return list(rows.values_list("person__username", flat=True))

        everybody = sorted(name(each) for each in (world.approver, admin, deputy))
        assert told("Your approval is asked for") == everybody
        day, done = timedelta(hours=24), {"reminded": 0, "escalated": 0}
        assert remind(world.now + day - timedelta(microseconds=1), actor=REMINDERS) == done
        assert remind(world.now + day, actor=REMINDERS) == done | {"reminded": 1}
        assert remind(world.now + day, actor=REMINDERS) == done
        assert told("Still waiting") == everybody
        assert remind(world.now + 2 * day, actor=REMINDERS) == done | {"escalated": 1}
        assert remind(world.now + 2.9 * day, actor=REMINDERS) == done
        assert sorted(told("Still waiting")) == sorted(everybody * 2)
        assert Request.objects.get().escalated_at == world.now + 2 * day
        assert AuditEntry.objects.get(action="approval.escalated").after["to"] == "tenant_admin"
        assert {mail.expires_at for mail in asked} == {world.now + 3 * day}

    def test_after_a_silence_there_is_one_reminder(self, world: World) -> None:
        world.place(plan="dedicated")
        late = world.now + timedelta(hours=50)
        assert [remind(late, actor=REMINDERS), remind(late, actor=REMINDERS)] == [
            {"reminded": 0, "escalated": 1}, {"reminded": 0, "escalated": 0},
        ]  # fmt: skip
        assert Mail.objects.filter(subject__startswith="Still waiting").count() == 1
        world.place("other-db", plan="dedicated")
        assert remind(world.now + timedelta(hours=73), actor=REMINDERS) == {"reminded": 0, "escalated": 0}

    def test_a_decided_one_is_not_reminded_of(self, world: World) -> None:
        approve(world, world.approver, world.place(plan="dedicated"))
        assert remind(world.now + timedelta(hours=25), actor=REMINDERS) == {"reminded": 0, "escalated": 0}

    def test_after_48_hours_the_administrators_of_the_side_decide_as_well(self, world: World) -> None:
        rule((Role.OPERATOR, 1))
        chief, admin = person(world, Role.GROUP_ADMIN, group=True), person(world, Role.TENANT_ADMIN)
        order = world.place()
        assert refused(lambda: approve(world, chief, order)) == "forbidden"
        later = world.now + timedelta(hours=48)
        assert remind(later, actor=REMINDERS) == {"reminded": 0, "escalated": 1}
        to = Mail.objects.filter(subject__startswith="Nobody decides").values_list("person__username", flat=True)
        assert list(to) == [name(chief)]
        assert list(to_decide(chief, now=later)) == [order]
        assert refused(lambda: approve(world, admin, order, now=later)) == "forbidden"
        assert approve(world, chief, order, now=later).state == OrderState.DISPATCHED


class TestExactly:
    def test_what_was_shown(self, world: World) -> None:
        rule((Role.APPROVER, 1), (Role.OPERATOR, 1))
        order = world.place()
        assert refused(lambda: approve(world, world.approver, order, content_hash="0" * 64)) == "approval-stale"
        approve(world, world.approver, order)
        Order.objects.update(data_class="unique-id")
        assert refused(lambda: approve(world, world.operator, order)) == "approval-stale"

    def test_a_second_try_can_be_approved_again(self, world: World) -> None:
        order = world.place(plan="dedicated")
        first = order.content_hash
        done = approve(world, world.approver, order)
        Order.objects.filter(pk=done.pk).update(state=OrderState.FAILED)
        order.refresh_from_db()
        assert order.instance is not None
        advance.drop_instance(order, actor=TESTER, now=world.now)
        again = services.retry(world.developer, order, now=world.now)
        assert (again.state, again.content_hash == first) == (OrderState.PENDING_APPROVAL, False)
        assert refused(lambda: approve(world, world.approver, again, content_hash=first)) == "approval-stale"
        assert approve(world, world.approver, again).state == OrderState.DISPATCHED
        assert list(Request.objects.order_by("opened_at").values_list("outcome", flat=True)) == ["approved"] * 2

    def test_a_cancelled_order_waits_for_nobody(self, world: World) -> None:
        order = world.place(plan="dedicated")
        services.cancel(world.developer, order, now=world.now)
        assert Request.objects.get().outcome == "withdrawn"
        assert refused(lambda: approve(world, world.approver, order)) == "not-waiting-for-approval"


def test_who_may_decide_now_is_said_by_name(world: World) -> None:
    rule((Role.APPROVER, 2))
    second = person(world, Role.APPROVER)
    order = world.place(actor=world.approver)
    asked = Request.objects.get()
    assert [each.username for each in approvals.remaining(asked, now=world.now)] == [name(second)]
    approve(world, second, order)
    assert approvals.remaining(asked, now=world.now) == []


def test_who_answers_for_the_service_is_neither_asked_nor_written_to(world: World) -> None:
    """As one who may approve, and to whom the service was handed over after its first order."""
    order = world.built()
    rule((Role.APPROVER, 1))
    second = person(world, Role.APPROVER)
    assert order.instance is not None
    ServiceInstance.objects.filter(pk=order.instance.pk).update(responsible=world.approver.user_id)
    again = services.give_back(world.developer, order.instance, now=world.now)
    asked = Request.objects.get()
    assert (again.state, asked.instance) == (OrderState.PENDING_APPROVAL, order.instance)
    assert [each.username for each in approvals.remaining(asked, now=world.now)] == [name(second)]
    to = set(Mail.objects.filter(subject_type="approval").values_list("address", flat=True))
    assert to == {User.objects.get(pk=second.user_id).email}
