"""A reverse proxy between real clients and real servers on another host: what it passes on, to whom, and what it refuses."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.playbooks.conftest import HOST, OUTSIDER
from tests.playbooks.slices import OURS, Slice, changed
from tests.playbooks.test_lifecycle import reaches
from tests.rack.driver import PLAYBOOKS, Rack

# A server that answers every request with its own name and with what it was told.
BACKEND = """import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (sys.argv[1] + "\\n" + "".join(f"{name.lower()}={value}\\n" for name, value in self.headers.items())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", int(sys.argv[2])), Handler).serve_forever()
"""
SECONDS_TO_NOTICE = 20


@pytest.fixture(scope="module")
def config() -> Iterator[ModuleType]:
    """The module that writes the configuration, with the one of the house that it is written with."""
    shared = "ansible.module_utils.pumasi_places"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, shared, _loaded(PLAYBOOKS / "roles/slice/module_utils/pumasi_places.py"))
        yield _loaded(OURS / "haproxy/roles/haproxy/module_utils/pumasi_haproxy_config.py")


def _loaded(place: Path) -> ModuleType:
    spec = spec_from_file_location(place.stem, place)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def given(**changes: Any) -> dict[str, Any]:
    """What the module is asked for."""
    return {
        "unit": "s00000000000", "address": "10.0.0.1", "name": "", "port": 20001, "vcpu": 1, "username": "app_x", "comment": "",
        "balance": "roundrobin", "health_check": "/", "timeout": 30, "max_connections": 200, "basic_auth": False, "hsts": False,
        "certificate": "/pem", "chroot": "/jail",
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "10.1.2.3",
        "10.1.2.3:",
        "10.1.2.3:0",
        "10.1.2.3:65536",
        "10.1.2.3:80:90",
        "10.1.2.3:80 check",
        "010.1.2.3:80",
        "10.1.2:80",
        "0x7f.1:80",
        "2130706433:80",
        "example.org:80",
        "fd00::1:80",
        "[fd00::1%eth0]:80",
        "[10.1.2.3]x:80",
        "10.1.2.3:٨٠",
        "10.1.2.3:80,10.1.2.4:80",
        "127.0.0.1:22",
        "127.9.9.9:22",
        "0.0.0.0:22",
        "0.1.2.3:22",
        "169.254.169.254:80",
        "224.0.0.1:80",
        "240.0.0.1:80",
        "255.255.255.255:80",
        "10.0.0.1:22",
        "[::1]:22",
        "[::]:22",
        "[::ffff:127.0.0.1]:22",
        "[::7f00:1]:22",
        "[64:ff9b::a9fe:a9fe]:80",
        "[2002:7f00:1::1]:22",
        "[fe80::1]:22",
        "[fec0::1]:22",
        "[ff02::1]:22",
        "10.1.2.3:80 10.1.2.3:80",
        "10.1.2.3:80 10.1.2.3:080",
        " ".join(f"10.1.2.{number}:80" for number in range(9)),
    ],
)
def test_a_backend_that_is_none_or_leads_to_the_host_is_refused(config: ModuleType, text: str) -> None:
    with pytest.raises(config.Refused, match="backends"):
        config.backends(text, lambda address: address == ip_address("10.0.0.1"))


def test_backends_are_taken_as_they_were_meant(config: ModuleType) -> None:
    found = config.backends(" 10.1.2.3:8080  [fd00::1]:80 ", lambda _: False)
    text = config.configuration(given(), "$6$rounds=1000$salt$" + "x" * 86, found)
    assert re.findall(r"^  server .*", text, re.MULTILINE) == [
        "  server backend1 10.1.2.3:8080",
        "  server backend2 [fd00::1]:80",
    ]
    assert config.backends("", lambda _: False) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("balance", "random"),
        ("health_check", "/'\n  option"),
        ("health_check", "/\n"),
        ("timeout", 301),
        ("max_connections", 2001),
        ("name", "a b"),
        ("username", "app x"),
    ],
)
def test_what_the_form_would_not_take_is_not_written_either(config: ModuleType, name: str, value: object) -> None:
    with pytest.raises(config.Refused, match=name):
        config.configuration(given(**{name: value}), "$6$rounds=1000$salt$" + "x" * 86, [])


class Backends:
    """Two servers on the other host, each ended by its number."""

    def __init__(self, rack: Rack) -> None:
        self.rack, self.address, self.pids = rack, rack.inventory()[OUTSIDER].address, dict[str, str]()
        self.ports = {"one": 8091, "two": 8092}
        rack.ssh(OUTSIDER, f"cat > /run/backend.py <<'PY'\n{BACKEND}PY")
        for name, port in self.ports.items():
            start = f"setsid python3 /run/backend.py {name} {port} >/dev/null 2>&1 </dev/null & echo $!"
            self.pids[name] = rack.ssh(OUTSIDER, start).strip()

    @property
    def parameter(self) -> str:
        return " ".join(f"{self.address}:{port}" for port in self.ports.values())

    def kill(self, name: str) -> None:
        self.rack.ssh(OUTSIDER, f"kill -9 {self.pids.pop(name)}")


@pytest.fixture
def backends(service_rack: Rack) -> Iterator[Backends]:
    servers = Backends(service_rack)
    yield servers
    for name in list(servers.pids):
        servers.kill(name)
    service_rack.ssh(OUTSIDER, "rm /run/backend.py")


@pytest.fixture
def curl(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Status and text of a page, asked by curl, which trusts the delivered certificate and nothing else."""

    def ask(one: Slice, certificate: str, *words: str, path: str = "/", password: str = "") -> tuple[int, str]:
        (tmp_path / "ca.pem").write_text(certificate)
        argv = [
            "curl",
            "-sS",
            "-m",
            "10",
            "--cacert",
            str(tmp_path / "ca.pem"),
            "-w",
            "\n%{http_code}",
            *words,
            "-K",
            "-",
        ]
        argv += ["--resolve", f"{one.full_name}:{one.port}:{one.address}", f"https://{one.full_name}:{one.port}{path}"]
        login = f'user = "{one.username}:{password}"\n' if password else ""
        done = subprocess.run(argv, input=login, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr
        text, _, status = done.stdout.rpartition("\n")
        return int(status), text

    return ask


def down(rack: Rack, one: Slice) -> list[str]:
    """Servers that the proxy has taken out so far."""
    journal = rack.ssh(HOST, f"journalctl --quiet --no-pager -o cat -u {one.service}")
    return re.findall(r"Server servers/(\w+) is DOWN", journal)


@pytest.mark.rack
def test_requests_are_shared_out_and_a_dead_server_is_noticed_by_nobody(
    service_rack: Rack, workplace: Path, backends: Backends, curl: Callable[..., tuple[int, str]]
) -> None:
    one = Slice(service_rack, HOST, "haproxy", workplace, parameters={"backends": backends.parameter})
    certificate = one.done("provision").outputs["certificate"]
    answers = [curl(one, certificate) for _ in range(6)]
    assert {status for status, _ in answers} == {200}
    assert sorted(text.split("\n")[0] for _, text in answers) == ["one"] * 3 + ["two"] * 3

    # What a client says about itself is not passed on as if the proxy had said it.
    lies = [f"-H{name}: 6.6.6.6" for name in ("X-Forwarded-For", "X_Forwarded_For", "X-Real-IP", "Forwarded", "Proxy")]
    lies += ["-HX-Forwarded-Proto: http", "-HX-Forwarded-Host: elsewhere"]
    for version in ("--http1.1", "--http2"):
        told = curl(one, certificate, *lies, version)[1]
        assert "6.6.6.6" not in told
        assert "elsewhere" not in told
        assert f"x-forwarded-for={service_rack.subnet}.1\n" in told
        assert "x-forwarded-proto=https\n" in told
        assert f"host={one.full_name}:{one.port}\n" in told

    backends.kill("one")
    deadline = time.monotonic() + SECONDS_TO_NOTICE
    seen = []
    while "backend1" not in down(service_rack, one) and time.monotonic() < deadline:
        seen.append(curl(one, certificate))
    seen += [curl(one, certificate) for _ in range(4)]
    assert down(service_rack, one) == ["backend1"]
    assert {(status, text.split("\n")[0]) for status, text in seen} == {(200, "two")}

    # The host of the servers is outside of what was allowed, as a client.
    assert reaches(service_rack, OUTSIDER, one.address, 22)
    assert not reaches(service_rack, OUTSIDER, one.address, one.port)
    one.done("decommission")
    assert one.leftovers() == []


@pytest.mark.rack
def test_what_it_was_asked_to_guard_it_guards_and_what_is_wrong_changes_nothing(
    service_rack: Rack, workplace: Path, backends: Backends, curl: Callable[..., tuple[int, str]]
) -> None:
    asked = {"backends": backends.parameter, "basic_auth": True, "hsts": True, "balance": "source"}
    one = Slice(service_rack, HOST, "haproxy", workplace, parameters=asked)
    certificate = one.done("provision").outputs["certificate"]
    one.done("verify")
    assert curl(one, certificate)[0] == 401
    assert curl(one, certificate, password=one.password + "x")[0] == 401
    status, told = curl(one, certificate, "-i", password=one.password)
    assert status == 200
    assert "strict-transport-security: max-age=31536000" in told
    assert "authorization=" not in told
    old = subprocess.run(
        ["curl", "-ksS", "--tls-max", "1.1", f"https://{one.address}:{one.port}/"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert "protocol version" in old.stderr

    # It serves as a user without rights, in a folder of its own that is empty; its secrets are root's.
    looked = service_rack.ssh(
        HOST,
        f"pid=$(systemctl show --property=MainPID --value {one.service}); stat --format=%U /proc/$pid; "
        f"ls -A /var/lib/pumasi/{one.unit}; cd /etc/pumasi/slices/{one.unit}; stat --format='%U %a' haproxy.cfg server.pem; "
        "grep CapEff /proc/$pid/status; systemctl is-enabled haproxy.service || :",
    )
    assert looked.split() == [
        one.unit, "root", "640", "root", "600", "CapEff:", "0" * 16, "masked",
    ]  # fmt: skip
    before = one.on_disk("/etc/pumasi/slices/{unit}/haproxy.cfg").read_text()
    assert f"\n  chroot /var/lib/pumasi/{one.unit}\n" in before
    assert one.password not in before

    one.parameters = asked | {"backends": f"{one.address}:22"}
    refused = one.play("provision")
    assert refused.code == 2
    assert "the host's own, local, multicast or reserved" in refused.text
    # A key that HAProxy cannot use is seen before the proxy is restarted.
    one.parameters = asked | {"timeout": 20}
    pem = one.on_disk("/etc/pumasi/slices/{unit}/server.pem")
    whole = pem.read_text()
    pem.write_text(certificate)
    refused = one.play("provision")
    assert refused.code == 2
    assert "HAProxy refuses the configuration" in refused.text
    assert one.on_disk("/etc/pumasi/slices/{unit}/haproxy.cfg").read_text() == before
    assert curl(one, certificate, password=one.password)[0] == 200

    pem.write_text(whole)
    assert changed(one.done("provision")) == 1
    assert changed(one.done("provision")) == 0
    one.done("decommission")
    assert one.leftovers() == []
