"""A site as people use it: written in a browser, read by a stranger, and shut where it has to be."""

import html
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.playbooks.clients import Access
from tests.playbooks.conftest import HOST
from tests.playbooks.slices import Slice, changed
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack

CHROMIUM = "/usr/bin/chromium"
# A host of the rack has old control groups, which do not tell systemd that the last process ended: it waits half a minute.
SECONDS_TO_RETURN = 120

TITLE = '우리 "집" $(id) \'; DROP TABLE wp_options; -- <b>&amp;</b> {{ 7*7 }} 🦊'
ORDERED = {"title": TITLE, "language": "en_US", "upload_mb": 2, "indexed": True, "timezone": "Europe/London"}
PHP = b"<?php echo 6 * 7;"


@pytest.fixture(scope="module")
def built(service_rack: Rack, workplace: Path) -> Iterator[Slice]:
    one = Slice(service_rack, HOST, "wordpress", workplace, parameters=ORDERED)
    one.done("provision")
    one.done("verify")
    yield one
    one.done("decommission")
    assert one.leftovers() == []


@pytest.fixture
def browser(built: Slice) -> Iterator[Browser]:
    """A real one, which finds the site by its name."""
    words = ["--no-sandbox", "--disable-dev-shm-usage", f"--host-resolver-rules=MAP {built.full_name} {built.address}"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=words)
        yield opened
        opened.close()


def url(one: Slice) -> str:
    return f"https://{one.full_name}:{one.port}"


def visitor(browser: Browser) -> tuple[Page, list[str]]:
    """A window of somebody new, and where its requests go."""
    page = browser.new_context(ignore_https_errors=True).new_page()
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    return page, asked


def curl(one: Slice, path: str, *words: str) -> str:
    """Head and body of a page, by the site's name."""
    where = ["--resolve", f"{one.full_name}:{one.port}:{one.address}"]
    argv = ["curl", "-sSki", "-m", "20", *where, *words, url(one) + path]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout


def test_a_post_is_published_in_a_browser_and_read_by_a_stranger(built: Slice, browser: Browser) -> None:
    page, asked = visitor(browser)
    page.goto(f"{url(built)}/wp-admin/")
    page.fill("#user_login", built.username)
    page.fill("#user_pass", built.password)
    page.click("#wp-submit")
    page.wait_for_selector("#wpadminbar")
    page.goto(f"{url(built)}/wp-admin/post-new.php")
    page.wait_for_function("window.wp && wp.data && wp.data.select('core/editor').getCurrentPostId()")
    page.get_by_role("textbox", name="Add title").fill("첫 번째 글")
    page.keyboard.press("Enter")
    page.keyboard.type("품앗이로 만든 사이트입니다.")
    page.get_by_role("button", name="Publish", exact=True).click()
    page.locator(".editor-post-publish-panel").get_by_role("button", name="Publish", exact=True).click()
    link = page.locator(".post-publish-panel__postpublish-buttons a").first
    address = link.get_attribute("href")
    assert address is not None
    assert address.startswith(url(built) + "/20")

    stranger, seen = visitor(browser)
    stranger.goto(url(built))
    stranger.get_by_role("link", name="첫 번째 글").first.click()
    assert stranger.url == address
    assert "품앗이로 만든 사이트입니다." in stranger.inner_text("body")
    assert built.username not in stranger.content()
    assert [each for each in asked + seen if not each.startswith((url(built), "data:", "blob:"))] == []


def test_the_title_is_kept_to_the_letter(built: Slice, browser: Browser) -> None:
    page, _ = visitor(browser)
    page.goto(url(built))
    kept = built.query("rest GET '/&_fields=name'").stdout
    assert html.unescape(json.loads(kept)["name"]) == html.unescape(TITLE)
    # Set by WordPress as a typesetter would, and run by nobody.
    assert "<b>" not in page.inner_html(".wp-block-site-title")
    assert "$(id)" in page.inner_text(".wp-block-site-title")
    assert "{{ 7" in page.inner_text(".wp-block-site-title")


def test_what_was_ordered_is_so(built: Slice) -> None:
    said = json.loads(built.query("rest GET /wp/v2/settings").stdout)
    # The language WordPress was written in has no name there.
    assert (said["timezone"], said["email"], said["language"]) == ("Europe/London", "webmaster@example.com", "")
    assert "noindex" not in curl(built, "/")
    assert built.query("head -c 1500000 /dev/zero | status /wp-login.php --data-binary @-").stdout in {"200", "403"}
    assert built.query("head -c 12000000 /dev/zero | status /wp-login.php --data-binary @-").stdout == "413"


def test_uploads_are_read_and_never_run(built: Slice) -> None:
    place = built.on_disk("/var/lib/pumasi/{unit}/content/uploads")
    (place / "run.php").write_bytes(PHP)
    (place / "note.txt").write_bytes(b"seven")
    for path in (
        "/wp-content/uploads/run.php",
        "/wp-content/uploads/run.php/x",
        "/wp-content/uploads/../uploads/run.PHP",
    ):
        assert " 404" in curl(built, path, "--path-as-is").split("\n")[0]
    assert curl(built, "/wp-content/uploads/note.txt").endswith("seven")


def test_each_process_has_only_what_it_needs(built: Slice) -> None:
    """Looked at with code that runs as the site's own."""
    code = """<?php
    foreach (%s as $path) { echo @file_get_contents($path) === false ? 'no ' : 'yes '; }
    echo @stream_socket_client('tcp://127.0.0.1:22', $n, $said, 3) ? 'out ' : 'shut ';
    echo function_exists('exec') ? 'exec' : 'none';
    """
    config = f"/etc/pumasi/slices/{built.unit}"
    looked = [f"{config}/keys.php", f"{config}/server.pem", "/etc/shadow"]
    code %= "['" + "', '".join(looked) + "']"
    probe = built.on_disk("/usr/share/wordpress/wp-probe.php")
    probe.write_text(code)
    try:
        said = curl(built, "/wp-probe.php").split()[-5:]
    finally:
        probe.unlink()
    assert said == ["yes", "no", "no", "shut", "none"]
    ask = f"systemctl show --property=MemoryMax --value pumasi-{built.unit}.slice"
    assert built.rack.ssh(HOST, ask).strip() == str(256 * 1024 * 1024)
    # All three are in it, and the only socket of the network is the web server's.
    inside = built.rack.ssh(HOST, f"systemd-cgls --no-pager -u pumasi-{built.unit}.slice")
    assert [name for name in ("mariadbd", "php-fpm", "nginx") if name not in inside] == []


def test_settings_change_and_what_the_owner_changed_himself_stays(built: Slice) -> None:
    changing = "rest POST /wp/v2/settings --header 'Content-Type: application/json' --data '{\"timezone\":\"UTC\"}'"
    assert json.loads(built.query(changing).stdout)["timezone"] == "UTC"
    built.parameters = ORDERED | {
        "title": "새 제목",
        "indexed": False,
        "xmlrpc": True,
        "outgoing": True,
        "plugins": True,
    }
    assert changed(built.done("provision")) == 2
    built.done("verify")
    assert changed(built.done("provision")) == 0
    said = json.loads(built.query("rest GET /wp/v2/settings").stdout)
    assert (said["title"], said["timezone"]) == ("새 제목", "UTC")
    assert "noindex" in curl(built, "/")
    assert " 200" in curl(
        built, "/xmlrpc.php", "--data", "<methodCall><methodName>demo.sayHello</methodName></methodCall>"
    )
    assert built.query("status /wp-admin/plugin-install.php?tab=upload").stdout == "200"
    assert built.query("status /wp-admin/plugin-editor.php").stdout == "403"
    built.parameters = ORDERED
    assert changed(built.done("provision")) == 2


def test_a_part_that_falls_is_started_again(built: Slice) -> None:
    for part in ("-db", "-php", ""):
        unit = f"pumasi-wordpress{part}@{built.unit}.service"
        asked = f"systemctl show --property=MainPID --value {unit}"
        before = built.rack.ssh(HOST, f"{asked}; systemctl kill --signal=KILL {unit}").strip()
        deadline = time.monotonic() + SECONDS_TO_RETURN
        while built.rack.ssh(HOST, asked).strip() in {"0", before}:
            assert time.monotonic() < deadline, part
            time.sleep(1)
        while built.query(built.client.ping).stdout.strip() != built.client.pong:
            assert time.monotonic() < deadline, part
            time.sleep(1)
    built.done("verify")


def test_a_wrong_password_opens_nothing(built: Slice) -> None:
    access = Access(built.address, built.port, built.credentials | {"password": built.password + "x"})
    assert built.client.query(access, "status /wp-admin/").stdout == "302"
    refused = built.client.query(access, "rest GET /wp/v2/settings").stdout
    assert json.loads(refused)["code"] == "rest_cookie_invalid_nonce"


# The last one: for a while nobody from here can log in after it.
def test_nobody_guesses_passwords_fast(built: Slice) -> None:
    wrong = "for n in $(seq 30); do status /wp-login.php --data log=x --data pwd=$n; echo; done"
    said = built.query(wrong).stdout.split()
    assert set(said) == {"200", "429"}
