"""Approvals in the portal: levels and who decides, standing in, freezes."""

import re
from collections.abc import Callable
from datetime import timedelta

from django.http import HttpResponse
from django.test import Client

from catalog.approvals.models import ApprovalRule, Decision, Delegation, FreezeWindow
from catalog.common import clock
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.tenancy.models import Role, User
from tests.factories import UserFactory
from tests.web.story import Story

AsUser = Callable[[User], Client]


def text(response: HttpResponse) -> str:
    return re.sub(r"\s+", " ", response.content.decode()).replace("&quot;", '"')


def two_levels() -> None:
    steps = [{"who": "approver", "people": 1}, {"who": "operator", "people": 1}]
    ApprovalRule.objects.create(name="Two levels", priority=1, steps=steps)


def test_levels_from_the_form_to_the_last_decision(story: Story, as_user: AsUser) -> None:
    two_levels()
    dana, arun, otto = as_user(story.dana), as_user(story.arun), as_user(story.otto)
    form = text(dana.get("/catalog/postgresql/"))
    assert "It must be approved by the rule “Two levels”, which always holds." in form
    assert "Level 2: a pool operator" in form
    order = story.order(name="loan-pg")
    assert "May decide now: Arun Lee" in text(dana.get(f"/orders/{order.pk}/"))
    assert "loan-pg" not in text(otto.get("/approvals/"))
    assert "loan-pg" in text(arun.get("/approvals/"))
    body = {"content_hash": order.content_hash, "comment": "go", "from": "inbox"}
    early = otto.post(f"/orders/{order.pk}/approve/", body, follow=True)
    assert "Another level decides before yours." in text(early)
    assert Decision.objects.count() == 0
    done = arun.post(f"/orders/{order.pk}/approve/", body, follow=True)
    assert "Approved. Others have to agree as well." in text(done)
    page = text(otto.get("/approvals/"))
    assert "loan-pg" in page
    assert "Arun Lee: approved – go" in page
    last = otto.post(f"/orders/{order.pk}/approve/", body, follow=True)
    assert "Approved. The order goes on at once." in text(last)
    order.refresh_from_db()
    assert order.state == OrderState.DISPATCHED
    assert "arun approved, level 1 of 2" in text(dana.get(f"/orders/{order.pk}/"))


def test_somebody_decides_for_one_who_is_away(story: Story, as_user: AsUser) -> None:
    ben = UserFactory(username="ben", first_name="Ben", last_name="Go", roles=[(Role.DEVELOPER, story.capital)])
    arun = as_user(story.arun)
    until = (clock.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    wrong = arun.post(
        "/approvals/delegate/", {"delegate": "mallory", "tenant": "capital", "ends_at": until}, follow=True
    )
    assert "There is no such person who may see the orders of this affiliate." in text(wrong)
    wrong = arun.post("/approvals/delegate/", {"delegate": "ben", "tenant": "card", "ends_at": until}, follow=True)
    assert "Nobody was named." in text(wrong)
    assert Delegation.objects.count() == 0
    done = arun.post("/approvals/delegate/", {"delegate": "ben", "tenant": "capital", "ends_at": until}, follow=True)
    assert "Ben Go decides for Arun Lee from" in text(done)
    order = story.order(plan="dedicated-small", name="loan-prod")
    client = as_user(ben)
    assert "loan-prod" in text(client.get("/approvals/"))
    client.post(f"/orders/{order.pk}/approve/", {"content_hash": order.content_hash})
    assert "Ben Go for Arun Lee" in text(as_user(story.dana).get(f"/orders/{order.pk}/"))
    given = Delegation.objects.get()
    assert as_user(story.mallory).post(f"/approvals/delegations/{given.pk}/end/").status_code == 404
    assert "The delegation has ended." in text(arun.post(f"/approvals/delegations/{given.pk}/end/", follow=True))


def test_a_freeze_is_shown_and_a_group_admin_overrides_it(story: Story, as_user: AsUser) -> None:
    gina = as_user(UserFactory(username="gina", roles=[(Role.GROUP_ADMIN, None)]))
    now = clock.now()
    FreezeWindow.objects.create(
        reason="Month-end closing", deeds=["create", "decommission"], starts_at=now - timedelta(hours=1),
        ends_at=now + timedelta(hours=9),
    )  # fmt: skip
    dana = as_user(story.dana)
    assert "Month-end closing. It would wait for its end." in text(dana.get("/catalog/postgresql/"))
    order = story.order(name="loan-pg")
    page = text(dana.get(f"/orders/{order.pk}/"))
    assert "Month-end closing. The order is approved and what it needs is reserved" in page
    assert "override-freeze" not in page
    where = f"/orders/{order.pk}/override-freeze/"
    assert dana.post(where, {"reason": "mine"}).status_code == 403
    assert as_user(story.mallory).post(where, {"reason": "mine"}).status_code == 404
    assert Order.objects.get().state == OrderState.APPROVED
    assert "override-freeze" in text(gina.get(f"/orders/{order.pk}/"))
    assert "Say why the order cannot wait" in text(gina.post(where, {"reason": " "}, follow=True))
    assert "The order goes on in spite of the freeze." in text(gina.post(where, {"reason": "Outage"}, follow=True))
    assert Order.objects.get().state == OrderState.DISPATCHED
