"""A service of several members in the portal: its members, the operations only it has, and their names in both languages."""

from collections.abc import Callable

import pytest
from django.test import Client

from catalog.audit.gate import Happening
from catalog.offerings.models import Plan
from catalog.tenancy.models import User
from tests.factories import HostFactory
from tests.web.story import Story

AsUser = Callable[[User], Client]


@pytest.fixture(autouse=True)
def room_for_a_pair(story: Story) -> None:
    """Two hosts in a zone, and a price that nobody has to approve."""
    HostFactory(zone=story.zone)
    Plan.objects.filter(slug="pair-small").update(price_krw_month=1000)


def test_a_pair_fails_over_from_its_page(story: Story, as_user: AsUser) -> None:
    alone = story.built(name="alone").instance
    pair = story.built(name="loan-pair", plan="pair-small").instance
    assert alone is not None and pair is not None
    client = as_user(story.dana)
    page = client.get(f"/services/{pair.pk}/").content.decode()
    assert "node-1" in page and "node-2" in page
    assert "Fail over" in page
    assert "Fail over" not in client.get(f"/services/{alone.pk}/").content.decode()
    assert client.get(f"/services/{alone.pk}/operations/failover/").status_code == 404
    answer = client.post(f"/services/{pair.pk}/operations/failover/", {"key": "k"})
    assert answer.status_code == 302
    listed = client.get("/orders/").content.decode()
    assert "Fail over" in listed
    in_korean = Client(headers={"accept-language": "ko"})
    in_korean.force_login(story.dana)
    assert "주 서버 전환" in in_korean.get("/orders/").content.decode()


def test_each_task_says_on_which_member_it_runs(story: Story, as_user: AsUser) -> None:
    order = story.order(name="loan-pair", plan="pair-small")
    story.begin(order)
    for host in ("node-1", "node-2"):
        data = {"step": "provision", "play": "Build", "task": "Install the packages", "host": host, "message": None}
        story.say(order, Happening("task", {**data, "status": "changed", "seconds": 1.0}))
    page = as_user(story.dana).get(f"/orders/{order.pk}/").content.decode()
    assert '<span class="detail-inline">node-1</span>' in page
    assert '<span class="detail-inline">node-2</span>' in page
