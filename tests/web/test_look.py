"""Every page, in both languages and themes, narrow and wide: nothing axe finds, nothing that sticks out."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

from catalog.tenancy.models import User
from tests.web.conftest import AXE, Enter
from tests.web.story import Story, make_story

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SHOTS = os.environ.get("PUMASI_SHOTS", "")
"""A directory for screenshots of every page; empty for none."""

_FIND = """async (tags) => {
  const found = await axe.run(document, {runOnly: {type: "tag", values: tags}});
  const said = (node) => node.target.join(" ") + ": " + node.failureSummary;
  return found.violations.map((each) => [each.id, ...each.nodes.map(said)]);
}"""


@pytest.fixture
def story(transactional_db: None) -> Story:
    return make_story()


def judge(page: Page, name: str, *, axe: bool = True) -> list[object]:
    """What is wrong with the page that is open now."""
    wrong: list[object] = [[name, *each] for each in page.evaluate(_FIND, RULES)] if axe else []
    wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    if wide[0] > wide[1]:
        wrong.append([name, "sticks out", *wide])
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)
    return wrong


def furnish(story: Story) -> list[tuple[str, User | None, str]]:
    """Make something of everything; returns name, reader and address of every page."""
    active = story.built(name="loan-dev-pg")
    running = story.order(name="loan-batch-pg")
    story.begin(running)
    for name in ("Keep the packages from making a database of their own", "Install the packages"):
        story.task(running, name, "started")
        story.task(running, name, "changed")
    story.task(running, "Create and start your PostgreSQL server", "started")
    failed = story.order(name="loan-test-pg")
    story.begin(failed)
    story.task(failed, "Install the packages", "started")
    story.task(failed, "Install the packages", "failed", message="E: Unable to locate package postgresql-15")
    story.fail(failed, code="playbook-failed", detail="Install the packages: E: Unable to locate package")
    pending = story.order(name="loan-prod-pg", plan="dedicated-small")
    instance = active.instance
    assert instance is not None
    host = story.hosts[0]
    return [
        ("login", None, "/login/"),
        ("home", story.dana, "/"),
        ("home-empty", story.mallory, "/"),
        ("catalog", story.dana, "/catalog/"),
        ("order-form", story.dana, "/catalog/postgresql/"),
        ("order-running", story.dana, f"/orders/{running.pk}/"),
        ("order-failed", story.dana, f"/orders/{failed.pk}/"),
        ("order-pending", story.arun, f"/orders/{pending.pk}/"),
        ("orders", story.dana, "/orders/"),
        ("services", story.dana, "/services/"),
        ("service", story.dana, f"/services/{instance.pk}/"),
        ("settings", story.dana, f"/services/{instance.pk}/operations/configure/"),
        ("give-back", story.dana, f"/services/{instance.pk}/give-back/"),
        ("approvals", story.arun, "/approvals/"),
        ("pool", story.otto, "/pool/"),
        ("host", story.otto, f"/pool/hosts/{host.pk}/"),
    ]


@pytest.mark.parametrize(("language", "theme"), [("ko", "light"), ("en", "dark")])
def test_every_page_is_clean_narrow_and_wide(story: Story, enter: Enter, language: str, theme: str) -> None:
    pages, wrong, windows = furnish(story), [], {}
    for name, user, address in pages:
        key = user.username if user else ""
        if key not in windows:
            windows[key] = enter(user, language=language, theme=theme)
        page = windows[key]
        page.set_viewport_size({"width": 1440, "height": 900})
        answer = page.goto(address)
        assert answer is not None
        assert answer.status == 200, name
        # Read from the file, since the page's own policy lets no script of ours in.
        page.evaluate(AXE.read_text(encoding="utf-8"))
        assert page.locator("html").get_attribute("lang") == language
        wrong += judge(page, f"{name}.{language}-{theme}-1440")
        page.set_viewport_size({"width": 390, "height": 844})
        # Narrow, the page has the same elements in the same colours: one theme is enough for axe.
        wrong += judge(page, f"{name}.{language}-{theme}-390", axe=theme == "light")
        # Nobody watches a build in a window that is set aside.
        page.goto("about:blank")
    assert wrong == []
