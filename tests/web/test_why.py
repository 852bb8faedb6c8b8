"""The order page says why a service stands where it does, or why it waits, in the reader's language."""

import pytest
from django.test import Client

from catalog.pool.models import ANYONE, Inventory
from tests.web.story import Story, make_story

pytestmark = pytest.mark.django_db


def read(story: Story, path: str, language: str) -> str:
    client = Client(headers={"accept-language": language})
    client.force_login(story.dana)
    client.cookies["django_language"] = language
    return client.get(path).content.decode()


def test_why_here() -> None:
    story = make_story()
    order = story.order()
    english, korean = (read(story, f"/orders/{order.pk}/", language) for language in ("en", "ko"))
    assert "Why here" in english
    assert f"{order.explanation['host']} in {order.explanation['zone']}: a clean host." in english
    assert "answers, and no build failed there lately: 4 left." in english
    assert f"for {order.explanation['runner_up']}, the next best (the lower, the better)." in english
    assert "배치 이유" in korean
    assert f"{order.explanation['zone']} 존의 {order.explanation['host']}: 빈 서버." in korean
    assert "clean host" not in korean


def test_why_not_yet() -> None:
    story = make_story()
    Inventory.objects.filter(open_to=ANYONE).update(open_to=None)
    order = story.order(wait_for_capacity=True)
    english, korean = (read(story, f"/orders/{order.pk}/", language) for language in ("en", "ko"))
    assert (
        "Of 4 hosts (in a zone open to your affiliate) none passes: free to take, or used by your affiliate." in english
    )
    assert "What a server must be, and how many are left" in english
    assert "서버의 조건과 조건마다 남는 수" in korean
    assert "계열사가 쓸 수 있는 존에 있음" in korean
    assert "none passes" not in korean
