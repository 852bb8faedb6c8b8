"""Pages of the owner's own: fetched, served, replaced and kept where the new ones are wrong, and a path that is handed on."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.playbooks.conftest import HOST
from tests.playbooks.slices import Slice, changed
from tests.playbooks.sources import Files, zipped
from tests.playbooks.test_python_app import curl, refused
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack


@pytest.fixture
def behind(service_rack: Rack) -> Iterator[str]:
    """A server that answers with the path and the headers it was given; its address and port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (
                self.path + "\n" + "".join(f"{name.lower()}={value}\n" for name, value in self.headers.items())
            ).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer((f"{service_rack.subnet}.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"{service_rack.subnet}.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_pages_are_served_replaced_and_kept_where_new_ones_are_wrong(
    service_rack: Rack, workplace: Path, files: Files, behind: str, tmp_path: Path
) -> None:
    pages = {
        "site/index.html": "<p>first</p>", "site/none.html": "<p>none</p>", "site/a/index.html": "<p>a</p>",
        "site/style.css": "p {}", "site/.env": "SECRET=1", "site/api/shadowed.html": "x",
    }  # fmt: skip
    asked = {
        "source": files.put("one.zip", zipped(pages)), "not_found_page": "none.html", "cache_seconds": 60,
        "proxy_path": "/api/", "proxy_to": behind,
    }  # fmt: skip
    one = Slice(service_rack, HOST, "static-site", workplace, parameters=asked)
    certificate = one.done("provision").outputs["certificate"]
    one.done("verify")
    assert changed(one.done("provision")) == 0
    status, text = curl(one, certificate, tmp_path, "-i")
    assert status == 200
    assert "<p>first</p>" in text
    assert "cache-control: no-cache" in text.lower()
    assert "max-age=60" in curl(one, certificate, tmp_path, "-i", path="/style.css")[1]
    assert curl(one, certificate, tmp_path, path="/a/") == (200, "<p>a</p>")
    assert "location: /a/" in curl(one, certificate, tmp_path, "-i", path="/a")[1].lower()
    for path in ("/missing", "/.env", "/a/../.env", "/.pumasi/other"):
        assert curl(one, certificate, tmp_path, "--path-as-is", path=path) == (404, "<p>none</p>")
    assert curl(one, certificate, tmp_path, "--path-as-is", path="/../../etc/passwd")[0] == 400
    status, told = curl(one, certificate, tmp_path, "-HX-Forwarded-For: 6.6.6.6", path="/api/shadowed.html?q=1")
    assert (status, told.split("\n")[0]) == (200, "/api/shadowed.html?q=1")
    assert f"x-forwarded-for={service_rack.subnet}.1\n" in told
    assert "x-forwarded-proto=https\n" in told
    assert "6.6.6.6" not in told

    # What is wrong changes nothing.
    one.parameters = asked | {"source": files.put("two.zip", zipped({"other.html": "x"}))}
    refused(one, "page_missing")
    for wrong in (f"{one.address}:22", "127.0.0.1:80", "169.254.169.254:80", "[::ffff:127.0.0.1]:80", "10.1.2.3"):
        one.parameters = asked | {"proxy_to": wrong}
        refused(one, "value_refused")
    one.parameters = asked | {"proxy_path": "/"}
    refused(one, "value_refused")
    assert curl(one, certificate, tmp_path) == (200, "<p>first</p>")

    source = files.put("three.zip", zipped({"index.html": "<p>third</p>"}))
    one.parameters = {"source": source, "spa_fallback": True, "basic_auth": True}
    one.done("provision")
    one.done("verify")
    login = ("-u", f"{one.username}:{one.password}")
    assert curl(one, certificate, tmp_path)[0] == 401
    assert curl(one, certificate, tmp_path, *login, path="/any/where") == (200, "<p>third</p>")
    one.done("decommission")
    assert one.leftovers() == []
