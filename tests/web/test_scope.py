"""What is not yours does not exist; what you may not do is refused; nothing happens on the way."""

import uuid
from collections.abc import Callable

from django.test import Client

from catalog.audit.models import AuditEntry
from catalog.orders.models import Order
from catalog.orders.states import OrderState
from catalog.pool.models import Host
from catalog.tenancy.models import User
from tests.web.story import Story

AsUser = Callable[[User], Client]


def test_a_stranger_is_sent_to_sign_in_and_back(story: Story, client: Client) -> None:
    response = client.get("/services/?only=gone")
    assert response.status_code == 302
    assert response.headers["Location"] == "/login/?next=/services/%3Fonly%3Dgone"


def test_a_fragment_asked_without_a_session_sends_the_window_to_sign_in(story: Story, client: Client) -> None:
    order = story.order()
    address = f"/orders/{order.pk}/live/?after=0"
    response = client.get(
        address, headers={"hx-request": "true", "hx-current-url": f"http://testserver/orders/{order.pk}/"}
    )
    assert response.status_code == 200
    assert response.headers["HX-Redirect"] == f"/login/?next=/orders/{order.pk}/"
    assert response.content == b""


ADDRESSES = [
    ("get", "/orders/{order}/"),
    ("get", "/orders/{order}/live/?after=0"),
    ("post", "/orders/{order}/cancel/"),
    ("post", "/orders/{order}/retry/"),
    ("post", "/orders/{order}/approve/"),
    ("post", "/orders/{order}/reject/"),
    ("get", "/services/{instance}/"),
    ("post", "/services/{instance}/reveal/"),
    ("post", "/services/{instance}/extend/"),
    ("get", "/services/{instance}/give-back/"),
    ("post", "/services/{instance}/give-back/"),
]


def test_another_affiliates_things_do_not_exist(story: Story, as_user: AsUser) -> None:
    order = story.built(name="secret-name")
    instance = order.instance
    assert instance is not None
    before = (Order.objects.values_list("state", "seq").get(pk=order.pk), AuditEntry.objects.count())
    client = as_user(story.mallory)
    body = {"typed": "secret-name", "content_hash": order.content_hash, "seconds": "86400"}
    for method, address in ADDRESSES:
        path = address.format(order=order.pk, instance=instance.pk)
        response = client.post(path, body) if method == "post" else client.get(path)
        assert response.status_code == 404, (method, address)
        assert b"secret-name" not in response.content, (method, address)
    assert (Order.objects.values_list("state", "seq").get(pk=order.pk), AuditEntry.objects.count()) == before
    assert instance.bindings.get().shown_at is None


def test_lists_show_only_what_is_ones_own(story: Story, as_user: AsUser) -> None:
    story.built(name="secret-name")
    story.order(name="secret-dear", plan="dedicated-small")
    client = as_user(story.mallory)
    for address in ("/", "/orders/", "/services/", "/approvals/"):
        response = client.get(address)
        assert response.status_code == 200, address
        assert b"secret" not in response.content, address


def test_nobody_orders_for_anothers_project(story: Story, as_user: AsUser) -> None:
    body = {"plan": "shared-small", "project": "capital/loan", "name": "theirs", "lease": "86400", "key": "k-1"}
    response = as_user(story.mallory).post("/catalog/postgresql/", body)
    assert response.status_code == 422
    assert not Order.objects.exists()


def test_the_pool_is_for_those_who_look_after_it(story: Story, as_user: AsUser) -> None:
    for path in ("/pool/", f"/pool/hosts/{story.hosts[0].pk}/"):
        assert as_user(story.dana).get(path).status_code == 403
        assert as_user(story.otto).get(path).status_code == 200


def test_only_an_operator_acts_on_a_host(story: Story, as_user: AsUser) -> None:
    host = story.hosts[0]
    path = f"/pool/hosts/{host.pk}/maintenance/"
    assert as_user(story.dana).post(path, {"reason": "mine"}).status_code == 403
    host.refresh_from_db()
    assert host.state == "available"
    assert as_user(story.otto).post(path, {"reason": "new disks"}).status_code == 302
    host.refresh_from_db()
    assert (host.state, host.state_reason) == ("maintenance", "new disks")
    assert as_user(story.otto).post(f"/pool/hosts/{host.pk}/explode/").status_code == 404
    assert as_user(story.otto).get(f"/pool/hosts/{uuid.uuid4()}/").status_code == 404
    assert Host.objects.get(pk=host.pk).state == "maintenance"


def test_nobody_decides_on_their_own_order(story: Story, as_user: AsUser) -> None:
    order = story.order(plan="dedicated-small")
    page = as_user(story.dana).get(f"/orders/{order.pk}/")
    assert b"content_hash" not in page.content
    response = as_user(story.dana).post(f"/orders/{order.pk}/approve/", {"content_hash": order.content_hash})
    assert response.status_code == 403
    order.refresh_from_db()
    assert order.state == OrderState.PENDING_APPROVAL
