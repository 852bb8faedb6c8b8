"""Diagnostics from the page of a service: ordered with a click, read on a page, kept as a file."""

from collections.abc import Callable
from typing import Any

from django.test import Client

from catalog.audit.models import AuditEntry
from catalog.common import clock
from catalog.orders import fulfilment
from catalog.orders.models import Order
from catalog.tenancy.models import User
from catalog.web.findings import sections
from tests.web.story import Story

AsUser = Callable[[User], Client]
FOUND: dict[str, Any] = {
    "diagnosis": {
        "unit": {"ActiveState": "active", "NRestarts": "0"},
        "sockets": ["tcp [10.0.0.11]:20001"],
        "journal": ["2026-11-02T09:00:00 <b>started</b>"],
    }
}


def test_collected_read_and_kept(story: Story, as_user: AsUser) -> None:
    instance = story.built(name="loan-pg").instance
    assert instance is not None
    dana = as_user(story.dana)
    shown = dana.get(f"/services/{instance.pk}/").content.decode()
    assert "Collect diagnostics" in shown
    dana.post(f"/services/{instance.pk}/operations/diagnostics/", {"key": "k"})
    order = Order.objects.get(kind="operate")
    address = f"/orders/{order.pk}/finding/"
    assert dana.get(address).status_code == 404, "nothing was found yet"
    assert address not in dana.get(f"/orders/{order.pk}/").content.decode()
    story.begin(order)
    fulfilment.succeed_operate(order.pk, 1, outputs=FOUND, now=clock.now())
    assert address in dana.get(f"/orders/{order.pk}/").content.decode()
    page = dana.get(address).content.decode()
    assert "ActiveState: active" in page
    assert "Sockets it listens on" in page
    assert "&lt;b&gt;started&lt;/b&gt;" in page
    file = dana.get(f"{address}?as=file")
    assert (file.json(), file.headers["Content-Type"]) == (FOUND, "application/json")
    assert file.headers["Content-Disposition"].startswith('attachment; filename="loan-pg-')
    assert not AuditEntry.objects.filter(action="look").exists(), "one's own"

    assert as_user(story.mallory).get(address).status_code == 404
    assert as_user(story.otto).get(address).status_code == 200
    look = AuditEntry.objects.filter(action="look", subject_type="finding").get()
    assert (look.subject_id, look.actor) == (str(order.pk), "otto")


def test_in_korean(story: Story, as_user: AsUser) -> None:
    User.objects.update(language="ko")
    instance = story.built(name="loan-pg").instance
    assert instance is not None
    shown = as_user(story.dana).get(f"/services/{instance.pk}/", headers={"accept-language": "ko"}).content.decode()
    assert "진단 정보 수집" in shown


def test_of_several_members_each_part_says_whose_it_is() -> None:
    found = {"members": {"node-1": {"unit": {"active": "yes"}}, "node-2": {"unit": {"active": "no"}}}}
    assert sections(found) == [("node-1 · Unit", "active: yes"), ("node-2 · Unit", "active: no")]
