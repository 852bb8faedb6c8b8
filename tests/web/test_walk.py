"""Main stories in a real browser, the way people go: clicks, keys, two windows, a lost connection."""

import re

import pytest
from playwright.sync_api import Page, expect

from catalog.orders.models import Order
from tests.web.conftest import Enter
from tests.web.story import Story, make_story

PASSWORD = "four-cats-on-a-mat"


@pytest.fixture
def story(transactional_db: None) -> Story:
    return make_story()


def _log(page: Page) -> list[int]:
    """The numbers of the log's lines, as they stand."""
    ids = page.locator("#log > li").evaluate_all("(lines) => lines.map((line) => line.id)")
    return [int(each.removeprefix("e")) for each in ids]


def test_from_sign_in_to_the_password(story: Story, enter: Enter) -> None:
    page = enter()
    page.goto("/")
    page.get_by_label("User name").fill("dana")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Hello, Dana Kim")).to_be_visible()

    page.get_by_role("link", name="Open the catalog").click()
    page.get_by_role("link", name="Order PostgreSQL").click()
    page.get_by_label("Name", exact=True).fill("loan-pg")
    page.get_by_role("link", name="Shared medium").click()
    expect(page.locator(".plan[aria-current]")).to_contain_text("Shared medium")
    expect(page.get_by_label("Name", exact=True)).to_have_value("loan-pg")
    page.get_by_role("button", name="Place the order").dblclick()

    expect(page.get_by_role("heading", name="loan-pg", level=1)).to_be_visible()
    order = Order.objects.get()
    assert (order.plan.slug, order.state) == ("shared-medium", "dispatched")

    # Everything from here on arrives without anybody touching the page.
    page.evaluate("window.untouched = true")
    story.begin(order)
    expect(page.locator("#order-head .state")).to_have_text("Running")
    story.task(order, "Install the packages", "started")
    expect(page.locator(".task-busy")).to_contain_text("Install the packages")
    story.task(order, "Install the packages", "changed")
    expect(page.locator(".task-good")).to_contain_text("Install the packages")
    story.finish(order)
    expect(page.locator("#order-head .state")).to_have_text("Fulfilled")
    expect(page.locator("#poller")).not_to_have_attribute("hx-get", re.compile("."))
    order.refresh_from_db()
    assert _log(page) == list(range(1, order.seq + 1))
    assert page.evaluate("window.untouched") is True

    page.get_by_role("link", name="Open the service").click()
    expect(page.locator("#connection")).to_contain_text("app_")
    page.get_by_role("button", name="Show the password once").click()
    secret = page.get_by_role("row", name="Password").locator("code").inner_text()
    assert re.fullmatch(r"\w{32}", secret)
    page.reload()
    expect(page.locator("#connection")).to_contain_text("shown to Dana Kim")
    assert secret not in page.content()


def test_a_lost_connection_loses_and_repeats_no_line(story: Story, enter: Enter) -> None:
    order = story.order(name="loan-pg")
    page = enter(story.dana, language="ko", meant="ERR_FAILED|^htmx:")
    page.goto(f"/orders/{order.pk}/")
    story.begin(order)
    expect(page.locator("#order-head .state")).to_have_text("진행 중")
    cut = {"now": True}
    # Some answers never arrive: the server has said these lines, and has to say them again.
    page.route("**/live/**", lambda route: route.abort() if cut["now"] else route.continue_())
    story.task(order, "Install the packages", "started")
    expect(page.locator("#offline")).to_be_visible()
    story.task(order, "Install the packages", "changed")
    cut["now"] = False
    expect(page.locator(".task-good")).to_contain_text("패키지 설치")
    expect(page.locator("#offline")).to_be_hidden()
    order.refresh_from_db()
    assert _log(page) == list(range(1, order.seq + 1))
    page.unroute_all(behavior="wait")


def test_two_people_decide_and_one_is_first(story: Story, enter: Enter) -> None:
    order = story.order(name="loan-prod", plan="dedicated-small")
    inbox, detail = enter(story.arun), enter(story.arun, theme="dark")
    inbox.goto("/approvals/")
    detail.goto(f"/orders/{order.pk}/")
    inbox.get_by_label("Comment").fill("agreed")
    inbox.get_by_role("button", name="Approve").click()
    expect(inbox.get_by_text("Nothing waits for your decision.")).to_be_visible()
    detail.get_by_role("button", name="Reject").click()
    expect(detail.locator(".alert-danger").first).to_contain_text("This order is not waiting for an approval.")
    order.refresh_from_db()
    assert order.state == "dispatched"


def test_giving_back_by_keyboard_alone(story: Story, enter: Enter) -> None:
    instance = story.built(name="loan-pg").instance
    assert instance is not None
    page = enter(story.dana)
    page.goto(f"/services/{instance.pk}/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.get_by_role("link", name="Give back").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/give-back/")
    page.get_by_label("Type loan-pg to go on").focus()
    page.keyboard.type("loan-pg")
    page.keyboard.press("Enter")
    page.wait_for_url("**/orders/**")
    expect(page.locator("#milestones")).to_contain_text("giving back needs no approval")
    assert Order.objects.filter(kind="decommission", instance=instance).count() == 1


def test_on_a_phone_the_menu_opens_and_closes(story: Story, enter: Enter) -> None:
    page = enter(story.dana, width=390, height=844)
    page.goto("/catalog/")
    menu, entry = page.get_by_role("button", name="Menu"), page.get_by_role("link", name="Orders")
    expect(entry).to_be_hidden()
    menu.click()
    expect(entry).to_be_visible()
    expect(menu).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Escape")
    expect(entry).to_be_hidden()
    expect(menu).to_be_focused()
    menu.click()
    page.get_by_role("button", name="한국어").click()
    expect(page.get_by_role("heading", name="카탈로그")).to_be_visible()


def test_an_ended_session_does_not_break_the_page_it_ends_on(story: Story, enter: Enter) -> None:
    order = story.order(name="loan-pg")
    page = enter(story.dana)
    page.goto(f"/orders/{order.pk}/")
    page.context.clear_cookies(name="sessionid")
    page.wait_for_url("**/login/**")
    page.get_by_label("User name").fill("dana")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**/orders/{order.pk}/")
