"""An application of the owner's own: fetched, tried, run and replaced on a real host, and what is refused on the way."""

import hashlib
import importlib.util
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.playbooks.conftest import HOST
from tests.playbooks.slices import Slice, changed
from tests.playbooks.sources import Files, link, serving, tar, wheel, zipped
from tests.rack.driver import PLAYBOOKS, Rack

# Answers with its variables, with what it is told of the client, and with what a vendored package says.
WSGI = """import json, os
import greeting

def app(environ, start_response):
    told = {name: value for name, value in environ.items() if name.startswith("HTTP_") or name == "wsgi.url_scheme"}
    body = json.dumps({"says": greeting.WORD, "variables": dict(os.environ), "told": told, "uid": os.getuid()}).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
"""
ASGI = """async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"asgi over {scope['scheme']} from {scope['client'][0]}".encode()})
"""
HARD = {
    "QUOTES": """a 'b' "c" \\ \\\\ \\" `d` """,
    "BRACES": "{{ 7 * 7 }} {% raw %} ${HOME} $HOME %i %% $(id) #",
    "LINES": "a\u2028b\u0085c\\nd\u202ee 한글 🦊",
    "BLANKS": "  x  ",
    "EMPTY": "",
    "DB_USER": "mine",
}
BINDINGS = {"DB": {"HOST": "10.1.2.3", "PORT": "5432", "USER": "theirs", "CA": "-----BEGIN\nx\n-----END\n"}}


@pytest.fixture(scope="module")
def fetch() -> ModuleType:
    """The script that fetches and unpacks, as it lies in the role."""
    spec = importlib.util.spec_from_file_location("fetch", PLAYBOOKS / "roles/web/files/fetch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def near(tmp_path: Path) -> Iterator[Files]:
    """A server of files on this machine alone."""
    folder = tmp_path / "served"
    folder.mkdir()
    with serving(folder, "127.0.0.1") as files:
        yield files


def ordered(folder: Path, source: str, **more: Any) -> dict[str, Any]:
    return {
        "folder": str(folder), "name": "one", "keep": [], "source": source, "sha256": "", "inner": "", "built_in": {},
    } | more  # fmt: skip


def test_archives_are_unpacked_and_their_wrapping_is_taken_off(fetch: ModuleType, near: Files, tmp_path: Path) -> None:
    content = {"top/app.py": "x", "top/pkg/mod.py": "y"}
    archives = {"a.tar.gz": tar(content, link("top/same.py", "app.py")), "a.zip": zipped(content)}
    for name, data in archives.items():
        folder = tmp_path / name
        folder.mkdir()
        fetch.release(ordered(folder, near.put(name, data), sha256=hashlib.sha256(data).hexdigest().upper()))
        assert (folder / "one/source/app.py").read_text() == "x"
        assert (folder / "one/source/pkg/mod.py").read_text() == "y"
        assert {each.name for each in (folder / "one").iterdir()} == {"source"}
    assert (tmp_path / "a.tar.gz/one/source/same.py").read_text() == "x"
    # A package that is the entry is no wrapping; what is not kept goes.
    fetch.release(ordered(folder, near.url("a.zip"), inner="top", name="two"))
    assert (folder / "two/source/top/app.py").read_text() == "x"
    assert [each.name for each in folder.iterdir()] == ["two"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (tar({"../out": "x"}), "archive_refused"),
        (tar({"a/../../out": "x"}), "archive_refused"),
        (tar({"/etc/out": "x"}), "archive_refused"),
        (tar({"a": "x"}, link("b", "/etc/passwd")), "archive_refused"),
        (tar({"a": "x"}, link("b", "../../out")), "archive_refused"),
        (tar({"a/b": "x"}, link("c", "a"), link("d", "c/../../..")), "archive_refused"),
        (tar({"a": "x"}, link("b", "a", tarfile.LNKTYPE)), "archive_refused"),
        (tar({"a": "x"}, link("b", "", tarfile.CHRTYPE)), "archive_refused"),
        (zipped({"../out": "x"}), "archive_refused"),
        (zipped({"..\\out": "x"}), "archive_refused"),
        (zipped({"a": "/etc/passwd"}, 0o120777), "archive_refused"),
        (tar({str(number): "" for number in range(21)}), "archive_refused"),
        (zipped({"bomb": bytes(2_000_000)}), "archive_refused"),
        (tar({"bomb": bytes(2_000_000)}), "archive_refused"),
        (tar({"big": hashlib.shake_128(b"x").digest(1_500_000)}), "source_too_large"),
        (tar({"a": "x" * 9000})[:-40], "archive_unreadable"),
        (b"<html>not found</html>", "archive_unreadable"),
        (b"", "archive_unreadable"),
    ],
    # Archives bear the time of their making, and every worker of the tests must see the same names.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_archive_that_is_broken_or_leads_out_leaves_nothing(  # noqa: PLR0917
    fetch: ModuleType, near: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, code: str
) -> None:
    for name, limit in (("MOST_FETCHED", 1 << 20), ("MOST_UNPACKED", 1 << 20), ("MOST_ENTRIES", 20)):
        monkeypatch.setattr(fetch, name, limit)
    folder = tmp_path / "releases"
    folder.mkdir()
    with pytest.raises(fetch.Refused) as refused:
        fetch.release(ordered(folder, near.put("a", data)))
    assert refused.value.code == code
    assert not (folder / "one").exists()
    assert not list(tmp_path.glob("**/out"))


def test_what_cannot_be_fetched_says_what_to_do_and_no_password(fetch: ModuleType, near: Files, tmp_path: Path) -> None:
    near.login = "me:s3cret"
    folder = tmp_path / "releases"
    folder.mkdir()
    address = near.put("a.zip", zipped({"a": "x"}))
    git = near.repository("app", {"app.py": "x"})
    wrong = near.url("a.zip", login="me:wr0ng")
    for source, code in (
        (address, "source_unreachable"),
        (wrong, "source_unreachable"),
        ("git+" + wrong.replace("a.zip", "app.git"), "source_unreachable"),
        ("http://me:s3cret@127.0.0.1:1/a.zip", "source_unreachable"),
        ("file:///etc/passwd", "source_invalid"),
        ("git+ssh://me@127.0.0.1/a", "source_invalid"),
        ("git+file:///etc", "source_invalid"),
        ("git+" + address + "@--upload-pack=id", "source_invalid"),
    ):
        with pytest.raises(fetch.Refused) as refused:
            fetch.release(ordered(folder, source))
        assert refused.value.code == code, source
        assert "s3cret" not in str(refused.value)
        assert "wr0ng" not in str(refused.value)
    with pytest.raises(fetch.Refused, match="its SHA-256 is") as refused:
        fetch.release(ordered(folder, near.url("a.zip", login="me:s3cret"), sha256="0" * 64))
    assert refused.value.code == "checksum_differs"
    for number, source in enumerate((git, git + "@main", git + "@v1")):
        fetch.release(ordered(folder, source.replace("//", "//me:s3cret@"), name=str(number)))
        assert [each.name for each in (folder / str(number) / "source").iterdir()] == ["app.py"]


def curl(one: Slice, certificate: str, tmp_path: Path, *words: str, path: str = "/") -> tuple[int, str]:
    """Status and text of a page, for a client that trusts the delivered certificate and nothing else."""
    (tmp_path / "ca.pem").write_text(certificate)
    argv = ["curl", "-sS", "-m", "10", "--cacert", str(tmp_path / "ca.pem"), "-w", "\n%{http_code}", *words]
    argv += ["--resolve", f"{one.full_name}:{one.port}:{one.address}", f"https://{one.full_name}:{one.port}{path}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    text, _, status = done.stdout.rpartition("\n")
    return int(status), text


def refused(one: Slice, code: str) -> str:
    """Have it provisioned, which has to fail with a code; returns what was said."""
    played = one.play("provision")
    assert played.code == 2
    assert f"{code}: " in played.text
    return played.text


@pytest.mark.rack
def test_an_application_is_run_replaced_and_kept_where_the_new_one_is_broken(
    service_rack: Rack, workplace: Path, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def archive(word: str, code: str = WSGI, requirements: str = "greeting==1.0\n") -> bytes:
        vendored = {"wheels/greeting-1.0-py3-none-any.whl": wheel("greeting", f"WORD = {word!r}\n")}
        return tar(
            {"app/main.py": code, "app/requirements.txt": requirements} | {f"app/{n}": d for n, d in vendored.items()}
        )

    files.login = "me:s3cretpass"
    first = archive("first")
    files.put("app.tar.gz", first)
    asked = {
        "source": files.url("app.tar.gz", login=files.login), "source_sha256": hashlib.sha256(first).hexdigest(),
        "entry": "main:app", "environment": json.dumps(HARD), "workers": 1,
    }  # fmt: skip
    one = Slice(service_rack, HOST, "python-app", workplace, parameters=asked)
    with_bindings = one.values

    def values() -> dict[str, Any]:
        return with_bindings() | {"bindings": BINDINGS}

    monkeypatch.setattr(one, "values", values)
    built = one.done("provision", verbosity=3)
    certificate = built.outputs["certificate"]
    one.done("verify")
    status, text = curl(one, certificate, tmp_path, "-HX-Forwarded-For: 6.6.6.6", "-HX_Forwarded_Proto: http")
    page = json.loads(text)
    assert (status, page["says"]) == (200, "first")
    variables = page["variables"]
    assert {name: variables[name] for name in HARD} == HARD
    assert variables["DB_HOST"] == "10.1.2.3"
    assert variables["DB_CA"] == BINDINGS["DB"]["CA"]
    assert not [name for name in variables if name.startswith("PUMASI_")]
    assert page["told"]["HTTP_X_FORWARDED_FOR"] == f"{service_rack.subnet}.1"
    assert page["told"]["HTTP_X_FORWARDED_PROTO"] == page["told"]["wsgi.url_scheme"] == "https"
    assert page["told"]["HTTP_HOST"] == f"{one.full_name}:{one.port}"
    assert page["uid"] != 0

    # Neither the source's password nor the application's is anywhere but in the slice's own closed files.
    journal = service_rack.ssh(HOST, "journalctl --no-pager; ps -eo args")
    curl(one, certificate, tmp_path, path="/x?token=t0psecret")
    for secret in ("s3cretpass", "a 'b'", "t0psecret"):
        assert secret not in built.text
        assert secret not in journal + service_rack.ssh(HOST, "journalctl --no-pager -t nginx")
    assert "700" in service_rack.ssh(HOST, f"stat --format=%a /var/lib/pumasi/{one.unit}/home")

    fetched = len(files.asked)
    assert changed(one.done("provision")) == 0
    assert len(files.asked) == fetched

    # What does not start, answer or install changes nothing; the reason is told, and no secret with it.
    one.parameters = asked | {"source_sha256": "1" * 64}
    assert hashlib.sha256(first).hexdigest() in refused(one, "checksum_differs")
    broken = "import os\nraise RuntimeError('cannot use ' + os.environ['BRACES'] + ' and so on')\n"
    files.put("broken.tar.gz", archive("broken", broken))
    one.parameters = asked | {"source": files.url("broken.tar.gz", login=files.login), "source_sha256": ""}
    said = refused(one, "app_broken")
    assert "RuntimeError: cannot use *** and so on" in said
    files.put("unmet.tar.gz", archive("unmet", requirements="greeting==2.0\n"))
    one.parameters = asked | {"source": files.url("unmet.tar.gz", login=files.login), "source_sha256": ""}
    assert "greeting==2.0" in refused(one, "requirements_unsatisfied")
    files.put("out.tar.gz", tar({"../../../../../tmp/out": "x"}))
    one.parameters = asked | {"source": files.url("out.tar.gz", login=files.login), "source_sha256": ""}
    refused(one, "archive_refused")
    one.parameters = asked | {"environment": '{"PUMASI_RUN": "x"}'}
    refused(one, "value_refused")
    assert json.loads(curl(one, certificate, tmp_path)[1])["says"] == "first"
    one.done("verify")

    # The same address has something else by now. What was served before comes back without being fetched, as it was.
    newer = asked | {"source_sha256": ""}
    files.put("app.tar.gz", archive("second"))
    for parameters, word in ((newer, "second"), (asked, "first"), (newer, "second")):
        one.parameters = parameters
        one.done("provision")
        assert json.loads(curl(one, certificate, tmp_path)[1])["says"] == word
    files.put("app.tar.gz", archive("third"))
    assert changed(one.done("provision")) == 0
    one.done("deploy")
    assert json.loads(curl(one, certificate, tmp_path)[1])["says"] == "third"
    one.done("decommission")
    assert one.leftovers() == []


@pytest.mark.rack
def test_an_asgi_application_from_a_repository_behind_a_password(
    service_rack: Rack, workplace: Path, files: Files, tmp_path: Path
) -> None:
    asked = {
        "source": files.repository("app", {"pages/main.py": ASGI}) + "@main", "entry": "pages.main:app", "interface": "asgi",
        "basic_auth": True, "workers": 1,
    }  # fmt: skip
    one = Slice(service_rack, HOST, "python-app", workplace, parameters=asked)
    certificate = one.done("provision").outputs["certificate"]
    one.done("verify")
    assert curl(one, certificate, tmp_path)[0] == 401
    assert curl(one, certificate, tmp_path, "-u", f"{one.username}:{one.password}x")[0] == 401
    status, text = curl(one, certificate, tmp_path, "-u", f"{one.username}:{one.password}")
    assert (status, text) == (200, f"asgi over https from {service_rack.subnet}.1")

    # Without TLS it is for a proxy that has it.
    one.parameters = asked | {"tls": False, "basic_auth": False}
    assert one.done("provision").outputs["certificate"] == ""
    one.done("verify")
    plain = ["curl", "-sS", "-m", "10", f"http://{one.address}:{one.port}/"]
    done = subprocess.run(plain, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == f"asgi over http from {service_rack.subnet}.1"
    one.done("decommission")
    assert one.leftovers() == []
