"""How long a service may stay, as the pages offer and refuse it."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils.timezone import get_default_timezone, localdate

from catalog.approvals.models import FreezeWindow
from catalog.common import clock
from catalog.instances.models import ServiceInstance
from catalog.leases import services as leases
from catalog.leases.holds import hold
from catalog.leases.models import Lease, LeasePolicy
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


def test_a_freeze_that_delays_its_end_is_told_on_the_page_and_by_the_api(story: Story, as_user: AsUser) -> None:
    instance = story.built(name="loan-pg").instance
    assert instance is not None
    client, page, ends = as_user(story.dana), f"/services/{instance.pk}/", instance.lease.ends_at
    assert "A change freeze delays" not in client.get(page).content.decode()
    assert client.get(f"/api/v1/instances/{instance.pk}/lease").json()["freeze"] is None
    until = ends + timedelta(days=2)
    FreezeWindow.objects.create(reason="<i>Closing</i>", deeds=["reclaim"], starts_at=ends, ends_at=until)
    assert re.search(
        r"A change freeze delays that until [^<]+: &lt;i&gt;Closing&lt;/i&gt;", client.get(page).content.decode()
    )
    said = client.get(f"/api/v1/instances/{instance.pk}/lease").json()["freeze"]
    assert (said["why"], datetime.fromisoformat(said["until"])) == ("<i>Closing</i>", until)


def test_a_service_is_stopped_and_started_from_its_page(story: Story, as_user: AsUser) -> None:
    instance = story.built(name="loan-pg").instance
    client, address = as_user(story.dana), f"/services/{instance.pk}/"
    page = client.get(address).content.decode()
    assert f'action="{address}operations/stop/"' in page
    assert f'action="{address}operations/start/"' not in page
    answer = client.post(f"{address}operations/stop/", {"key": "k"})
    again = client.post(f"{address}operations/stop/", {"key": "k"})
    stop = Order.objects.get(kind="operate")
    assert answer.headers["Location"] == again.headers["Location"] == f"/orders/{stop.pk}/"
    said = client.get(f"/orders/{stop.pk}/").content.decode()
    assert "Stop · PostgreSQL" in said
    assert "this needs no approval" in said
    assert f'action="{address}operations/stop/"' not in client.get(address).content.decode()
    refused = client.post(f"{address}operations/start/", follow=True).content.decode()
    assert "Another order for this service is under way." in refused
    assert as_user(story.mallory).post(f"{address}operations/stop/").status_code == 404


def test_a_service_in_grace_says_so_and_is_extended(story: Story, as_user: AsUser) -> None:
    instance = story.built(name="loan-pg").instance
    until = instance.lease.ends_at + timedelta(days=2)
    Lease.objects.update(grace_ends_at=until)
    client, address = as_user(story.dana), f"/services/{instance.pk}/"
    assert "Then it is stopped. Its data is kept until" in client.get(address).content.decode()
    Lease.objects.update(state="grace")
    ServiceInstance.objects.update(state="stopped")
    page = client.get(address).content.decode()
    assert "The lease has ended, so the service is stopped." in page
    assert "Extend the lease, and it is started again as it was." in page
    assert "operations/start/" not in page
    assert "ended; erased in" in client.get("/services/").content.decode()
    assert client.post(f"{address}extend/", {"seconds": str(DAY)}).status_code == 302
    assert Order.objects.get(kind="operate").operation == "start"
