"""Giving back what is in production may need people who agree; what is due is taken back without asking."""

import pytest

from catalog.approvals.models import ApprovalRule, Request
from catalog.leases.holds import hold
from catalog.leases.models import Lease
from catalog.offerings.models import Plan
from catalog.orders import services, sweeps
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.tenancy.models import Environment, Role
from tests.factories import TESTER
from tests.orders.test_approvals import approve, person, refused, rule
from tests.orders.world import World, holdings


class TestGivingBackProduction:
    @pytest.fixture
    def built(self, world: World) -> Order:
        world.project.environment = Environment.PRODUCTION
        world.project.save()
        order = world.built()
        rule((Role.TENANT_ADMIN, 1), deed="decommission", production=True)
        return order

    def test_it_waits_and_the_service_stays_until_somebody_agrees(self, world: World, built: Order) -> None:
        assert built.instance is not None
        before = holdings()
        order = services.give_back(world.developer, built.instance, reason="moved", now=world.now)
        built.instance.refresh_from_db()
        assert (order.state, built.instance.state, Lease.objects.get().state) == (
            "pending_approval",
            "active",
            "active",
        )
        assert holdings() == before | {"orders": 2}
        instance = built.instance
        assert refused(lambda: services.give_back(world.colleague, instance, now=world.now)) == "already-giving-back"
        done = approve(world, person(world, Role.TENANT_ADMIN), order)
        built.instance.refresh_from_db()
        assert (done.state, built.instance.state, Lease.objects.get().state) == (
            OrderState.DISPATCHED, "decommissioning", "ended",
        )  # fmt: skip

    def test_its_price_counts(self, world: World, built: Order) -> None:
        ApprovalRule.objects.update(price_over_krw=Plan.objects.get(slug="shared-small").price_krw_month)
        assert built.instance is not None
        assert services.give_back(world.developer, built.instance, now=world.now).state == OrderState.DISPATCHED

    def test_rejected_or_cancelled_the_service_goes_on(self, world: World, built: Order) -> None:
        assert built.instance is not None
        admin = person(world, Role.TENANT_ADMIN)
        order = services.give_back(world.developer, built.instance, now=world.now)
        services.reject(admin, order, content_hash=order.content_hash, now=world.now)
        order = services.give_back(world.developer, built.instance, now=world.now)
        services.cancel(world.developer, order, now=world.now)
        built.instance.refresh_from_db()
        assert (built.instance.state, Lease.objects.get().state) == ("active", "active")

    def test_the_platform_asks_nobody_and_outranks_what_waits(self, world: World, built: Order) -> None:
        assert built.instance is not None
        waiting = services.give_back(world.developer, built.instance, now=world.now)
        end = Lease.objects.get().ends_at
        assert [sweeps.reclaim_due("zone-a", end), sweeps.reclaim_due("zone-a", end)] == [1, 0]
        waiting.refresh_from_db()
        assert (waiting.state, Request.objects.get().outcome) == (OrderState.CANCELLED, "withdrawn")
        back = Order.objects.get(kind="decommission", requested_by=None)
        assert back.state == OrderState.DISPATCHED
        assert back.events.get(data__to="approved").data["rule"] == "platform"

    def test_a_hold_set_meanwhile_refuses_the_approval(self, world: World, built: Order) -> None:
        assert built.instance is not None
        order = services.give_back(world.developer, built.instance, now=world.now)
        hold(TESTER, Lease.objects.get(), reason="Case 17", until=None, now=world.now)
        admin = person(world, Role.TENANT_ADMIN)
        assert refused(lambda: approve(world, admin, order)) == "legal-hold"

    def test_others_give_back_as_ever(self, world: World, built: Order) -> None:
        world.project.environment = Environment.OTHER
        world.project.save()
        assert built.instance is not None
        built.instance.refresh_from_db()
        assert services.give_back(world.developer, built.instance, now=world.now).state == OrderState.DISPATCHED
