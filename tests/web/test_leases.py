"""How long a service may stay, as the pages offer and refuse it."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils.timezone import get_default_timezone, localdate

from catalog.common import clock
from catalog.leases import services as leases
from catalog.leases.holds import hold
from catalog.leases.models import LeasePolicy
from catalog.orders.models import Order
from catalog.tenancy.models import Project, Role, User
from catalog.tenancy.policy import actor_for
from catalog.tenancy.projects import use_until
from tests.factories import TESTER, UserFactory
from tests.web.story import Story

AsUser = Callable[[User], Client]
DAY = 86_400


def lengths(client: Client) -> list[tuple[str, str]]:
    """The choices of the order form: value and words."""
    page = client.get("/catalog/postgresql/").content.decode()
    found = re.search(r'<select name="lease".*?</select>', page, re.DOTALL)
    assert found is not None
    return re.findall(r'<option value="(\d*)"[^>]*>([^<]+)</option>', found[0])


def order(client: Client, lease: str) -> int:
    body = {
        "plan": "shared-small", "project": "capital/loan", "name": "loan-pg", "zone": "", "lease": lease, "key": "k",
        "p-database": "appdb", "p-max_connections": "30", "p-shared_buffers_percent": "25",
        "p-timezone": "Asia/Seoul", "p-locale": "C.UTF-8", "p-comment": "",
    }  # fmt: skip
    return client.post("/catalog/postgresql/", body).status_code


@pytest.mark.parametrize(
    ("policy", "offered"),
    [
        ({}, [("", "30 days (usual)"), *((str(d * DAY), f"{d} day{'s' * (d > 1)}") for d in (1, 7, 90, 180, 365))]),
        ({"longest_seconds": 45 * DAY}, [("", "30 days (usual)"), ("86400", "1 day"), ("604800", "7 days")]),
        ({"longest_seconds": 3 * DAY, "default_seconds": 2 * DAY}, [("", "2 days (usual)"), ("86400", "1 day")]),
        ({"longest_seconds": 7200}, [("", "2 h (usual)")]),
    ],
)
def test_the_form_offers_what_the_policy_allows(
    story: Story, as_user: AsUser, policy: dict[str, int], offered: list[tuple[str, str]]
) -> None:
    LeasePolicy.objects.create(tenant=story.capital, **policy)
    client = as_user(story.dana)
    assert lengths(client) == offered
    assert order(client, str(366 * DAY)) == 422
    assert not Order.objects.exists()
    assert order(client, "") == 302
    assert Order.objects.get().lease_seconds == min(
        policy.get("default_seconds", 30 * DAY), policy.get("longest_seconds", 30 * DAY)
    )


def test_the_form_offers_nothing_beyond_the_project(story: Story, as_user: AsUser) -> None:
    last = localdate(clock.now(), get_default_timezone()) + timedelta(days=3)
    Project.objects.filter(pk=story.loan.pk).update(ends_on=last)
    client = as_user(story.dana)
    usual, *others = lengths(client)
    assert usual[1].startswith("3 days ")
    assert others == [("86400", "1 day")]
    assert order(client, "") == 302
    story.loan.refresh_from_db()
    until = use_until(story.loan)
    placed = Order.objects.get()
    assert until is not None
    assert 0 <= (until - placed.created_at).total_seconds() - placed.lease_seconds < 1


def test_a_project_is_offered_until_its_last_day_is_over_where_the_group_lives(story: Story, as_user: AsUser) -> None:
    today = localdate(clock.now(), get_default_timezone())
    Project.objects.filter(pk=story.loan.pk).update(ends_on=today)
    client = as_user(story.dana)
    assert "capital/loan" in client.get("/catalog/postgresql/").content.decode()
    Project.objects.filter(pk=story.loan.pk).update(ends_on=today - timedelta(days=1))
    assert "You have no project to order for." in client.get("/catalog/postgresql/").content.decode()


def test_a_lease_that_cannot_be_extended_says_so(story: Story, as_user: AsUser) -> None:
    instance = story.built().instance
    assert instance is not None
    client = as_user(story.dana)
    page = f"/services/{instance.pk}/"
    assert f"{page}extend/" in client.get(page).content.decode()
    LeasePolicy.objects.create(most_extensions=0)
    said = client.get(page).content.decode()
    assert f"{page}extend/" not in said
    assert "It cannot be extended any further." in said
    refused = client.post(f"{page}extend/", {"seconds": "86400"}, follow=True).content.decode()
    assert "Leases of this offering are not extended." in refused


def test_a_hold_and_a_recall_are_told_on_the_page(story: Story, as_user: AsUser) -> None:
    instance = story.built(name="loan-pg").instance
    assert instance is not None
    client, page, now = as_user(story.dana), f"/services/{instance.pk}/", clock.now()
    auditor = actor_for(UserFactory(roles=[(Role.AUDITOR, None)]), now=now)
    assert f"{page}give-back/" in client.get(page).content.decode()
    hold(auditor, instance.lease, reason="Case 17", until=None, now=now)
    leases.recall(instance.lease, ends_at=now, reason="<b>Card</b> needs it.", now=now, actor=TESTER)
    said = client.get(page).content.decode()
    assert "A legal hold keeps it until it is lifted." in said
    assert "Case 17" not in said
    assert f"{page}give-back/" not in said
    assert "Its lender wants the capacity back: &lt;b&gt;Card&lt;/b&gt; needs it." in said
    refused = client.post(f"{page}give-back/", {"typed": "loan-pg", "key": "k"})
    assert refused.status_code == 409
    assert "A legal hold keeps this service" in refused.content.decode()
    hold(auditor, instance.lease, reason="Case 17", until=now + timedelta(days=400), now=now)
    assert "A legal hold keeps it until " in client.get(page).content.decode()
