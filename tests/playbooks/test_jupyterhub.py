"""What a JupyterHub promises beside what any service does: people who compute side by side and do not get at each other."""

import ast
import ssl
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.playbooks.conftest import HOST
from tests.playbooks.slices import OURS, Slice, changed
from tests.rack.driver import Rack

pytestmark = pytest.mark.rack

PASSWORD = "alice-has-a-long-one"
SECONDS_TO_START = 60_000
# What a user finds out about the host: where they are, what they are let near, and what they were told.
LOOK = """
import os, socket
def tried(act, *words):
    try:
        return str(act(*words))
    except OSError as refused:
        return type(refused).__name__
def looked(unit, other):
    open("mine", "w").close()
    data, settings, near = f"/var/lib/pumasi/{unit}", f"/etc/pumasi/slices/{unit}", socket.socket(socket.AF_UNIX)
    return [
        os.getcwd(),
        tried(os.listdir, f"{data}/users/{other}"),
        tried(os.listdir, f"/run/pumasi/{unit}/{other}"),
        tried(near.connect, f"/run/pumasi/{unit}/{other}/server.sock"),
        tried(open, f"{data}/hub/jupyterhub.sqlite"),
        tried(open, f"{settings}/settings.json"),
        tried(open, f"{settings}/server.pem"),
        tried(open, f"{data}/users/x", "w"),
        " ".join(os.environ.values()),
    ]
"""


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return {"executable_path": "/usr/bin/chromium", "args": ["--no-sandbox", "--disable-dev-shm-usage"]}


@pytest.fixture(scope="module")
def probe() -> ModuleType:
    """The module that tries a delivered hub; its client is this file's, too."""
    spec = spec_from_file_location(
        "jupyterhub_probe", OURS / "jupyterhub/roles/jupyterhub/library/pumasi_jupyterhub_probe.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(service_rack: Rack, workplace: Path) -> Iterator[Slice]:
    one = Slice(service_rack, HOST, "jupyterhub", workplace, parameters={"memory_mb_per_user": 700})
    one.certificate = one.done("provision").outputs["certificate"]  # type: ignore[attr-defined]
    yield one
    one.done("decommission")
    assert one.leftovers() == []
    assert one.unit not in service_rack.ssh(HOST, "cat /etc/passwd /etc/group /etc/shadow; ls /run/pumasi")


class Person:
    """Somebody with a password, and what the hub lets them do."""

    def __init__(self, probe: ModuleType, one: Slice, name: str, password: str) -> None:
        given = {"address": one.address, "port": one.port, "username": name, "seconds": 30}
        self.probe, self.name = probe, name
        context = ssl.create_default_context(cadata=one.certificate)  # type: ignore[attr-defined]
        self.hub = probe.Hub(given, context)
        self.is_in = self.hub.logs_in(password)
        if self.is_in:
            made = probe.expect("login_refused", self.hub.ask("POST", f"/hub/api/users/{name}/tokens", {}), 200, 201)
            self.hub.token = made["token"]

    def asks(self, method: str, path: str, body: dict[str, str] | None = None) -> int:
        status: int = self.hub.ask(method, path, body)[0]
        return status

    def starts(self) -> int:
        status = self.asks("POST", f"/hub/api/users/{self.name}/server")
        if status in (201, 202):
            self.probe.wait(self.hub, self.name, "ready")
        return status

    def stops(self) -> None:
        self.asks("DELETE", f"/hub/api/users/{self.name}/server")
        self.probe.wait(self.hub, self.name, "stopped")

    def computes(self, code: str) -> str:
        answer: str = self.probe.compute(self.hub, self.name, code)
        return answer


@pytest.fixture(scope="module")
def admin(built: Slice, probe: ModuleType) -> Person:
    return Person(probe, built, built.username, built.password)


@pytest.fixture(scope="module")
def alice(built: Slice, probe: ModuleType, admin: Person) -> Person:
    assert not Person(probe, built, "alice", "").is_in
    assert admin.asks("POST", "/hub/api/users/alice") == 201
    assert not Person(probe, built, "alice", "").is_in
    assert admin.asks("PUT", "/hub/api/users/alice/password", {"password": "short"}) == 400
    assert admin.asks("PUT", "/hub/api/users/alice/password", {"password": PASSWORD}) == 204
    return Person(probe, built, "alice", PASSWORD)


def log_in(page: Page, one: Slice, name: str, password: str, where: str) -> None:
    page.goto(f"https://{one.address}:{one.port}/hub/login?next={where}")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_the_admin_gives_a_password_and_its_user_runs_a_cell(built: Slice, admin: Person, browser: Browser) -> None:
    assert admin.asks("POST", "/hub/api/users/bora") == 201
    page = browser.new_page(ignore_https_errors=True)
    log_in(page, built, built.username, built.password, "/hub/home")
    page.get_by_role("link", name="Password").click()
    page.get_by_label("User").fill("bora")
    page.get_by_label("New password").fill("bora-has-a-long-one")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_role("status")).to_have_text("Changed.")
    page.close()

    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.set_default_timeout(SECONDS_TO_START)
    log_in(page, built, "bora", "not-the-right-one", "/hub/home")
    expect(page.get_by_text("Invalid username or password")).to_be_visible()
    log_in(page, built, "bora", "bora-has-a-long-one", "/hub/spawn")
    page.wait_for_url("**/user/bora/tree**")
    page.locator("#new-dropdown-button").click()
    with context.expect_page() as opened:
        page.locator("#kernel-python3 a").click()
    notebook = opened.value
    notebook.wait_for_function("() => window.Jupyter && Jupyter.notebook && Jupyter.notebook.kernel?.is_connected()")
    notebook.locator(".CodeMirror").first.click()
    notebook.keyboard.type("6*7")
    notebook.keyboard.press("Shift+Enter")
    expect(notebook.locator(".output_result pre").first).to_have_text("42", timeout=SECONDS_TO_START)
    context.close()
    assert admin.asks("DELETE", "/hub/api/users/bora/server") in (202, 204)
    admin.probe.wait(admin.hub, "bora", "stopped")


def test_a_notebook_is_its_users_own_and_within_its_limits(built: Slice, admin: Person, alice: Person) -> None:
    # 2048 MB without the hub's hold one server of 700 MB and another.
    assert admin.starts() in (201, 202)
    assert alice.starts() in (201, 202)
    assert alice.asks("GET", f"/user/{admin.name}/api/kernels") in (403, 404)
    told = alice.computes(f"{LOOK}\nlooked({built.unit!r}, {admin.name!r})")
    assert built.password not in told
    assert ast.literal_eval(told)[:-1] == [f"/var/lib/pumasi/{built.unit}/users/alice", *["PermissionError"] * 7]
    shown = built.rack.ssh(
        HOST,
        f"systemctl show -p MemoryMax -p User -p TasksMax --value pumasi-jupyterhub-{built.unit}-alice.service; "
        f"pid=$(systemctl show -p MainPID --value pumasi-jupyterhub-{built.unit}-alice.service); "
        "grep -E 'CapBnd|NoNewPrivs' /proc/$pid/status; "
        f"ps -o user:32= -p $(systemctl show -p MainPID --value {built.service}); ss -Hltn",
    )
    assert f"{700 * 2**20}\n" in shown
    assert f"{built.unit}-alice\n" in shown
    assert "NoNewPrivs:\t1" in shown
    assert "CapBnd:\t" + "0" * 16 in shown
    # Neither servers nor kernels have ports.
    ports = {line.split()[3].rpartition(":")[2] for line in shown.splitlines() if line.startswith("LISTEN")}
    assert ports == {"22", "8081", str(built.port)}

    # With the hub everything ends, and nothing is left that nobody could see.
    built.done("restart")
    running = built.rack.ssh(HOST, f"systemctl list-units --plain --no-legend 'pumasi-jupyterhub-{built.unit}-*'")
    assert running == ""
    assert alice.starts() in (201, 202)
    assert alice.computes("__import__('os').path.exists('mine')") == "True"
    alice.stops()


def test_as_many_work_at_once_as_the_memory_holds(built: Slice, admin: Person, alice: Person) -> None:
    built.parameters = {"memory_mb_per_user": 1000}
    assert changed(built.done("provision")) == 1
    assert alice.starts() in (201, 202)
    assert admin.starts() == 429
    # Who owns the service is not told that it is broken because everybody is at work.
    built.done("verify")
    alice.stops()
    built.parameters = {"memory_mb_per_user": 8192}
    refused = built.play("provision")
    assert refused.code == 2
    assert "does not hold one notebook server" in refused.text
    built.parameters = {"memory_mb_per_user": 700}
    built.done("provision")


def test_nobody_changes_a_password_that_is_not_theirs(
    built: Slice, probe: ModuleType, admin: Person, alice: Person
) -> None:
    place, new = "/hub/api/users/alice/password", "alice-has-another-one"
    admins = f"/hub/api/users/{admin.name}/password"
    assert admin.asks("PUT", admins, {"password": new}) == 403
    assert alice.asks("PUT", admins, {"password": new, "current": built.password}) == 403
    assert alice.asks("PUT", place, {"password": new}) == 403
    assert alice.asks("PUT", place, {"password": new, "current": "wrong"}) == 403
    assert alice.asks("POST", "/hub/api/users/carol") == 403
    assert admin.asks("PUT", "/hub/api/users/nobody/password", {"password": new}) == 404
    # A notebook has a token of its user's; the password is still asked for.
    assert alice.starts() in (201, 202)
    used = (
        "import os, urllib.request as r, urllib.error; "
        "q = r.Request(os.environ['JUPYTERHUB_API_URL'] + '/users/alice/password', b'{\"password\": \"taken-by-a-notebook\"}', "
        "{'Authorization': 'token ' + os.environ['JUPYTERHUB_API_TOKEN'], 'Content-Type': 'application/json'}, method='PUT')"
    )
    assert alice.computes(f"{used}\nr.urlopen(q)") == "HTTPError"
    alice.stops()
    other = Person(probe, built, "alice", PASSWORD)
    assert other.is_in
    assert alice.asks("PUT", place, {"password": new, "current": PASSWORD}) == 204
    assert not Person(probe, built, "alice", PASSWORD).is_in
    assert Person(probe, built, "alice", new).is_in
    other.hub.token = None
    assert other.asks("GET", "/hub/api/user") == 403

    assert admin.asks("DELETE", "/hub/api/users/alice") == 204
    assert not Person(probe, built, "alice", new).is_in
    kept = built.on_disk("/var/lib/pumasi/{unit}/hub/passwords.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "alice" not in kept.read_text()
    assert built.password not in built.on_disk("/etc/pumasi/slices/{unit}/settings.json").read_text()
