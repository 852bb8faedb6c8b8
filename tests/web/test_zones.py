"""Zones in the portal: the order form's kind of data, the pool page, and what a waiting order shows."""

import re
from datetime import timedelta

from catalog.common import clock
from catalog.orders import silence
from catalog.orders.models import Order
from catalog.pool.models import WorkerState, Zone
from tests.factories import ZoneFactory
from tests.web.story import Story
from tests.web.test_pages import AsUser, _order_body, _text


def _silent(**zone: str) -> None:
    seen = clock.now() - timedelta(minutes=5)
    Zone.objects.filter(**zone).update(worker_state=WorkerState.SILENT, worker_seen_at=seen)


def test_the_form_asks_for_the_kind_of_data_and_offers_what_the_plan_may_hold(story: Story, as_user: AsUser) -> None:
    dana = as_user(story.dana)
    form = _text(dana.get("/catalog/postgresql/"))
    assert re.findall(r'<option value="([a-z-]+)"( selected)?>(?:public|internal|personal|unique)', form) == [
        ("public", ""), ("internal", " selected"), ("personal-credit", ""),
    ]  # fmt: skip
    assert "It decides in which zones the service may stand." in form
    assert 'value="unique-id"' in _text(dana.get("/catalog/postgresql/?plan=dedicated-small"))
    Zone.objects.filter(slug="seoul-b").update(data_classes=["personal-credit"])
    body = _order_body(dana, data_class="personal-credit")
    assert dana.post("/catalog/postgresql/", body).status_code == 302
    order = Order.objects.get()
    assert (order.data_class, order.zone.slug) == ("personal-credit", "seoul-b")
    for page in (f"/orders/{order.pk}/", f"/services/{order.instance_id}/"):
        assert "Personal credit data" in _text(dana.get(page))


def test_a_refusal_stands_beside_its_field_and_nothing_is_ordered(story: Story, as_user: AsUser) -> None:
    dana = as_user(story.dana)
    for changes, said in (
        ({"data_class": "unique-id"}, "not one of the available choices"),
        ({"data_class": "personal-credit"}, "Ask a pool operator for a zone that may"),
        ({"data_class": "personal-credit", "zone": "seoul-a"}, "The zone seoul-a may not hold personal credit data."),
    ):
        answer = dana.post("/catalog/postgresql/", _order_body(dana, **changes))
        text = _text(answer)
        assert (answer.status_code, text.count('class="field-error"')) == (422, 1), changes
        assert said in text
    assert not Order.objects.exists()


def test_the_form_says_which_zones_are_closed_or_silent(story: Story, as_user: AsUser) -> None:
    Zone.objects.filter(slug="seoul-a").update(closed_at=clock.now(), closed_reason="new switches")
    _silent(slug="seoul-b")
    ZoneFactory(slug="for-card", name_en="Card only", kind="local", tenant=story.card)
    dana = as_user(story.dana)
    form = _text(dana.get("/catalog/postgresql/"))
    assert "Seoul A (closed: new switches)" in form
    assert "Seoul B (nobody works there now; orders wait)" in form
    assert "Card only" not in form
    refused = dana.post("/catalog/postgresql/", _order_body(dana, zone="seoul-a"))
    assert "seoul-a: new switches" in _text(refused)
    assert not Order.objects.exists()
    assert dana.post("/catalog/postgresql/", _order_body(dana, zone="seoul-a", wait="on")).status_code == 302
    assert "seoul-a: new switches" in _text(dana.get(f"/orders/{Order.objects.get().pk}/"))


def test_the_pool_page_tells_of_silence_closing_data_and_admission(story: Story, as_user: AsUser) -> None:
    otto = as_user(story.otto)
    fine = _text(otto.get("/pool/"))
    assert "May hold public data, internal data. Open to all affiliates." in fine
    assert "silent" not in fine
    Zone.objects.filter(slug="seoul-a").update(closed_at=clock.now(), closed_reason="new switches")
    Zone.objects.filter(slug="seoul-b").update(admission="chosen")
    story.hosts[2].zone.admitted.set([story.card])
    _silent(slug="seoul-b")
    shown = _text(otto.get("/pool/"))
    assert re.search(r"Closed for new services since [^:]+:\d\d: new switches", shown)
    assert re.search(
        r"The zone&#x27;s worker has been silent since [^.]+\. Orders wait there until one is back\.", shown
    )
    assert "Open to Hanbit Card." in shown


def test_an_order_shows_what_it_waits_for_and_that_it_goes_on(story: Story, as_user: AsUser) -> None:
    order, dana = story.order(), as_user(story.dana)
    _silent()
    assert silence.tell(clock.now()) == 1
    order.refresh_from_db()
    page = _text(dana.get(f"/orders/{order.pk}/"))
    assert "The zone&#x27;s worker has been silent since" in page
    assert "goes on by itself as soon as somebody works there again" in page
    assert "Waiting: nobody works in the zone" in page
    after = order.seq
    assert dana.get(f"/orders/{order.pk}/live/", {"after": after}).status_code == 204
    Zone.objects.update(worker_state=WorkerState.LIVE)
    assert silence.tell(clock.now()) == 1
    live = _text(dana.get(f"/orders/{order.pk}/live/", {"after": after}))
    assert '<div id="waiting" role="status" hx-swap-oob="true"> </div>' in live
    assert "Somebody works in the zone again" in live


def test_an_approver_sees_the_kind_of_data_and_the_zone(story: Story, as_user: AsUser) -> None:
    Zone.objects.filter(slug="seoul-b").update(data_classes=["unique-id"])
    story.order(plan="dedicated-small", data_class="unique-id", zone="seoul-b")
    shown = _text(as_user(story.arun).get("/approvals/"))
    assert "Unique identifiers" in shown
    assert "Seoul B" in shown
