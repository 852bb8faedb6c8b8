#!/usr/bin/python
"""Use a delivered JupyterHub the way its owner will: over the network, with TLS and the real password.

Shows that a wrong password is refused, logs in, starts a notebook server, has its kernel compute, and stops the server; one that
runs already is left running. Where as many run as may, that nobody else can start one is an answer, too.
Waits up to `patience` seconds for a hub that does not listen yet: it takes some seconds to start, also with its host.
Runs where the client is (the controller), with the play's interpreter: Ansible puts it in the place of `/usr/bin/python` only.
Returns `problem`: "" or one of `client_missing`, `unreachable`, `certificate_wrong`, `wrong_password_accepted`, `login_refused`,
`server_refused`, `server_late`, `kernel_wrong`; with what was seen in `detail`.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from http.cookiejar import CookieJar

from ansible.module_utils.basic import AnsibleModule

try:
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect
except ImportError:
    connect = None

SECONDS_TO_START = 60
TOO_MANY = 429


class Wrong(Exception):
    """Something that was promised and is not so."""


class Hub:
    """A client of the hub with cookies of its own, or with a token.

    :ivar url: the hub's, without a slash at its end.
    """

    def __init__(self, given, context):
        host = f"[{given['address']}]" if ":" in given["address"] else given["address"]
        self.url, self.context, self.token = f"https://{host}:{given['port']}", context, None
        self._seconds, self._name = given["seconds"], given["username"]
        self.forget()

    def forget(self):
        """Be somebody whom the hub has never seen."""
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=self.context), cookies)

    def ask(self, method, path, body=None):
        """Status, document and address of an answer."""
        headers = {"Referer": f"{self.url}/hub/home"}
        if isinstance(body, dict):
            headers["Content-Type"], body = "application/json", json.dumps(body).encode()
        if self.token:
            headers["Authorization"] = f"token {self.token}"
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)  # noqa: S310 (its own https address)
        try:
            answer = self._opener.open(request, timeout=self._seconds)
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            text = answer.read(1_000_000).decode(errors="replace")
            return answer.status, text, answer.url

    def logs_in(self, password):
        """Whether the page of those who are logged in is shown after this."""
        form = urllib.parse.urlencode({"username": self._name, "password": password}).encode()
        self.ask("POST", "/hub/login?next=%2Fhub%2Fhome", form)
        status, _text, url = self.ask("GET", "/hub/home")
        return status == 200 and urllib.parse.urlsplit(url).path == "/hub/home"


def expect(problem, answer, *statuses):
    """The document of an answer that has one of the statuses."""
    status, text, _url = answer
    if status not in statuses:
        raise Wrong(problem, f"{status} {text[:300]}")
    return json.loads(text) if text.startswith(("{", "[")) else {}


def server_state(hub, name):
    """``ready``, ``pending`` or ``stopped``."""
    said = expect("server_refused", hub.ask("GET", f"/hub/api/users/{name}"), 200)
    own = (said.get("servers") or {}).get("")
    return "stopped" if own is None else "ready" if own["ready"] else "pending"


def wait(hub, name, state):
    deadline = time.monotonic() + SECONDS_TO_START
    while server_state(hub, name) != state:
        if time.monotonic() > deadline:
            raise Wrong("server_late", f"The notebook server was not {state} within {SECONDS_TO_START} seconds.")
        time.sleep(0.5)


def compute(hub, name, code):
    """What a fresh kernel of the user's server answers to a line of Python."""
    place = f"/user/{name}/api/kernels"
    kernel = expect("kernel_wrong", hub.ask("POST", place, {"name": "python3"}), 201)["id"]
    session = uuid.uuid4().hex
    header = {
        "msg_id": uuid.uuid4().hex,
        "username": name,
        "session": session,
        "version": "5.3",
        "msg_type": "execute_request",
    }
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    request = {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }
    url = f"wss{hub.url.removeprefix('https')}{place}/{kernel}/channels?session_id={session}"
    try:
        told = {"Authorization": f"token {hub.token}"}
        with connect(url, ssl=hub.context, additional_headers=told, open_timeout=SECONDS_TO_START) as channel:
            channel.send(json.dumps(request))
            deadline = time.monotonic() + SECONDS_TO_START
            while time.monotonic() < deadline:
                said = json.loads(channel.recv(timeout=SECONDS_TO_START))
                ours = said["parent_header"].get("msg_id") == header["msg_id"]
                if ours and said["msg_type"] == "execute_result":
                    return said["content"]["data"]["text/plain"]
                if ours and said["msg_type"] == "error":
                    return said["content"]["ename"]
    except (WebSocketException, TimeoutError) as error:
        raise Wrong("kernel_wrong", error) from None
    finally:
        hub.ask("DELETE", f"{place}/{kernel}")
    raise Wrong("kernel_wrong", "The kernel gave no answer.")


def try_server(hub, name):
    """Start the user's notebook server, have it compute, and stop it."""
    running = server_state(hub, name) == "ready"
    if not running:
        answer = hub.ask("POST", f"/hub/api/users/{name}/server")
        if answer[0] == TOO_MANY:
            return
        expect("server_refused", answer, 201, 202)
        wait(hub, name, "ready")
    try:
        seen = compute(hub, name, "6*7")
        if seen != "42":
            raise Wrong("kernel_wrong", f"6*7 came to {seen}.")
    finally:
        if not running:
            hub.ask("DELETE", f"/hub/api/users/{name}/server")
            wait(hub, name, "stopped")


def check(hub, given):
    """Everything that was promised, one after the other."""
    name = given["username"]
    if hub.logs_in(given["password"][::-1] + "x"):
        raise Wrong("wrong_password_accepted", "The hub let someone in who does not know the password.")
    hub.forget()
    if not hub.logs_in(given["password"]):
        raise Wrong("login_refused", "The hub does not let the delivered account in.")
    tokens = f"/hub/api/users/{name}/tokens"
    made = expect("login_refused", hub.ask("POST", tokens, {"note": "check", "expires_in": 600}), 200, 201)
    hub.token = made["token"]
    try:
        try_server(hub, name)
    finally:
        hub.ask("DELETE", f"{tokens}/{made['id']}")


def certificate_of(where, seconds, patience):
    """The certificate that is shown there, once somebody listens."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return ssl.get_server_certificate(where, timeout=seconds)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def main():
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "port": {"type": "int", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "seconds": {"type": "int", "default": 30},
            "patience": {"type": "int", "default": 30},
        }
    )
    given = module.params
    if connect is None:
        module.exit_json(problem="client_missing", detail="The Python package websockets is not installed here.")
    where = (given["address"], given["port"])
    problem, detail = "", ""
    try:
        # Nobody but the hub vouches for its certificate; this sees to it that it is meant for this name and still holds.
        shown = certificate_of(where, given["seconds"], given["patience"])
        context = ssl.create_default_context(cadata=shown)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(where, given["seconds"]) as plain:
            context.wrap_socket(plain, server_hostname=given["name"] or given["address"]).close()
        check(Hub(given, context), given)
    except Wrong as wrong:
        problem, detail = wrong.args
    except ssl.SSLCertVerificationError as error:
        problem, detail = "certificate_wrong", error
    except urllib.error.URLError as error:
        problem, detail = "unreachable", error.reason
    except (OSError, ValueError, KeyError) as error:
        problem, detail = "unreachable", error
    module.exit_json(problem=problem, detail=str(detail)[-500:])


if __name__ == "__main__":
    main()
