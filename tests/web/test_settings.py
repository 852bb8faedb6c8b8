"""Changing the settings of a service from its page."""

from collections.abc import Callable

from django.test import Client

from catalog.common import clock
from catalog.orders import fulfilment
from catalog.orders.models import Order
from catalog.tenancy.models import User
from tests.web.story import Story

AsUser = Callable[[User], Client]


def test_the_form_shows_what_is_set_and_orders_what_was_changed(story: Story, as_user: AsUser) -> None:
    instance = story.built(name="loan-pg", parameters={"max_connections": 30}).instance
    client, address = as_user(story.dana), f"/services/{instance.pk}/operations/configure/"
    assert f'href="{address}"' in client.get(f"/services/{instance.pk}/").content.decode()
    page = client.get(address).content.decode()
    assert '<input type="number" name="p-max_connections" value="30" class="form-control"' in page
    assert 'max="40"' in page, "as far as the plan allows"
    assert 'name="p-database"' not in page, "it cannot be changed later"
    assert "If that fails, it gets the former ones back." in page
    assert "usually takes" in page
    typed = {
        "key": "k", "p-max_connections": "35", "p-shared_buffers_percent": "25", "p-timezone": "Asia/Seoul", "p-comment": "",
    }  # fmt: skip
    answer = client.post(address, typed)
    again = client.post(address, typed)
    order = Order.objects.get(kind="operate")
    assert answer.headers["Location"] == again.headers["Location"] == f"/orders/{order.pk}/"
    assert order.parameters == {"max_connections": 35}
    said = client.get(f"/orders/{order.pk}/").content.decode()
    assert "Connections at once" in said
    assert address not in client.get(f"/services/{instance.pk}/").content.decode(), "one at a time"


def test_a_refusal_stands_beside_its_field_and_nothing_is_ordered(story: Story, as_user: AsUser) -> None:
    instance = story.built(name="loan-pg").instance
    client, address = as_user(story.dana), f"/services/{instance.pk}/operations/configure/"
    typed = {"p-max_connections": "41", "p-shared_buffers_percent": "25", "p-timezone": "Asia/Seoul", "p-comment": ""}
    refused = client.post(address, typed)
    assert refused.status_code == 422
    assert "Must be at most 40." in refused.content.decode()
    same = client.post(address, typed | {"p-max_connections": "20"})
    assert same.status_code == 422
    assert "The service has these settings already." in same.content.decode()
    assert not Order.objects.filter(kind="operate").exists()
    assert client.get(f"/services/{instance.pk}/operations/explode/").status_code == 404
    assert as_user(story.mallory).get(address).status_code == 404
    assert as_user(story.arun).get(address).status_code == 403


def test_an_order_whose_settings_were_put_back_says_so(story: Story, as_user: AsUser) -> None:
    instance = story.built(name="loan-pg").instance
    client, address = as_user(story.dana), f"/services/{instance.pk}/operations/configure/"
    client.post(address, {
        "p-max_connections": "35", "p-shared_buffers_percent": "25", "p-timezone": "Asia/Seoul", "p-comment": "",
    })  # fmt: skip
    order = Order.objects.get(kind="operate")
    story.begin(order)
    fulfilment.put_back(order.pk, 1, code="operation-failed", detail="Start it: no", now=clock.now())
    said = client.get(f"/orders/{order.pk}/").content.decode()
    assert "it is as it was before" in said
    instance.refresh_from_db()
    assert instance.state == "active"
