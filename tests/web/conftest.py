"""Pages are tried with Django's client, and in a real Chromium against a live server."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page
from pytest_django.live_server_helper import LiveServer

from catalog.tenancy.models import User
from tests.web.story import Story, make_story

# Playwright's synchronous interface runs an event loop in this thread, which Django takes for asynchronous code.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
CHROMIUM = "/usr/bin/chromium"

Enter = Callable[..., Page]


@pytest.fixture
def story(db: None) -> Story:
    return make_story()


@pytest.fixture
def as_user() -> Callable[[User], Client]:
    """A client of somebody who has signed in."""

    def client_of(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return client_of


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return {"executable_path": CHROMIUM, "args": ["--no-sandbox", "--disable-dev-shm-usage"]}


class Watched:
    """A browser window whose complaints are collected.

    :param meant: a pattern of those a test provokes.
    """

    def __init__(self, context: BrowserContext, meant: str) -> None:
        self.complaints: list[str] = []
        self._meant = re.compile(meant) if meant else None
        self.page = context.new_page()
        self.page.on("console", lambda said: self._take(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self._take(str(error)))
        self.page.on("request", lambda sent: self._outside(sent.url))

    def _take(self, complaint: str) -> None:
        if self._meant is None or not self._meant.search(complaint):
            self.complaints.append(complaint)

    def _outside(self, url: str) -> None:
        if not url.startswith(("http://localhost:", "http://127.0.0.1:", "data:")):
            self.complaints.append(f"asked outside: {url}")


@pytest.fixture
def enter(browser: Browser, live_server: LiveServer, transactional_db: None) -> Iterator[Enter]:
    """Open a window, signed in as somebody; at the end nothing may have been complained about."""
    contexts: list[BrowserContext] = []
    windows: list[Watched] = []

    def open_window(
        user: User | None = None,
        *,
        language: str = "en",
        theme: str = "light",
        width: int = 1440,
        height: int = 900,
        meant: str = "",
    ) -> Page:
        context = browser.new_context(
            base_url=live_server.url, viewport={"width": width, "height": height}, reduced_motion="reduce"
        )
        contexts.append(context)
        context.set_default_timeout(10_000)
        host = live_server.url.rpartition(":")[0]
        cookies = {"django_language": language, "theme": theme}
        if user is not None:
            client = Client()
            client.force_login(user)
            cookies["sessionid"] = client.cookies["sessionid"].value
        context.add_cookies([{"name": name, "value": value, "url": host} for name, value in cookies.items()])
        window = Watched(context, meant)
        windows.append(window)
        return window.page

    yield open_window
    for context in contexts:
        context.close()
    complaints = [each for window in windows for each in window.complaints]
    assert complaints == []
