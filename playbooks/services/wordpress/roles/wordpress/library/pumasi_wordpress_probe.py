#!/usr/bin/python3
"""Use a delivered WordPress the way its owner will: over the network, with TLS and the real password.

Reads the front page, which has to hold the site's title; logs in, opens the administration, and writes a post that only its
author sees, reads it back and removes it; then shows that a wrong password is refused and that nobody can install the site again.
Runs where the client is (the controller); seconds are those of one answer. Returns `problem`: "" or one of `unreachable`,
`certificate_wrong`, `page_wrong`, `login_refused`, `administration_closed`, `write_failed`, `wrong_password_accepted`,
`installation_open`; with what was seen in `detail`.
"""

from __future__ import annotations

import contextlib
import html
import http.client
import json
import socket
import ssl
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from ansible.module_utils.basic import AnsibleModule

TITLE = "pumasi verify"
POSTS = "/?rest_route=/wp/v2/posts"


class Problem(Exception):
    """The site does not work as promised; its arguments are the `problem` and the `detail` of the module."""


class Answer:
    """What came back.

    :ivar status: the number.
    :ivar text: the body.
    :ivar cookies: those that were set, by name.
    """

    def __init__(self, response):
        self.status = response.status
        self.text = response.read(2_000_000).decode(errors="replace")
        self.cookies = {}
        for line in response.headers.get_all("Set-Cookie") or []:
            self.cookies.update({name: morsel.value for name, morsel in SimpleCookie(line).items()})

    def json(self, problem):
        """The body as an object; anything else is the problem."""
        try:
            said = json.loads(self.text)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise Problem(problem, f"{self.status}: {self.text[:200]}")
        return said


class Browser:
    """One visitor, who keeps cookies; each request has a connection of its own."""

    def __init__(self, given, context):
        self.given, self.context, self.cookies = given, context, {}

    def ask(self, method, path, body=None, **headers):
        given = self.given
        where = (given["address"], given["port"])
        name = given["name"] or (f"[{where[0]}]" if ":" in where[0] else where[0])
        headers = {"Host": f"{name}:{where[1]}", **{key.replace("_", "-"): value for key, value in headers.items()}}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        connection = http.client.HTTPConnection(*where)
        with socket.create_connection(where, given["seconds"]) as plain:
            connection.sock = self.context.wrap_socket(plain, server_hostname=given["name"] or given["address"])
            with contextlib.closing(connection):
                connection.request(method, path, body, headers)
                answer = Answer(connection.getresponse())
        self.cookies.update(answer.cookies)
        return answer

    def log_in(self, password):
        """Whether the site took the password."""
        self.cookies = {"wordpress_test_cookie": "WP%20Cookie%20check"}
        form = {"log": self.given["username"], "pwd": password, "testcookie": "1", "wp-submit": "Log In"}
        answer = self.ask("POST", "/wp-login.php", urlencode(form), Content_Type="application/x-www-form-urlencoded")
        return answer.status == 302 and any(name.startswith("wordpress_logged_in_") for name in answer.cookies)


def plain(text):
    """Letters and digits of a text only: WordPress sets dashes and quotation marks as a typesetter would."""
    return "".join(filter(str.isalnum, html.unescape(html.unescape(text)).casefold()))


def read_front_page(browser):
    """A visitor's first look."""
    title = browser.ask("GET", "/?rest_route=/").json("page_wrong").get("name")
    front = browser.ask("GET", "/")
    if not isinstance(title, str) or front.status != 200 or plain(title) not in plain(front.text):
        raise Problem("page_wrong", f"{front.status}: the front page does not hold the title.")


def write_and_read(browser):
    """What an author does with a post, from its beginning to its end."""
    administration = browser.ask("GET", "/wp-admin/")
    if administration.status != 200:
        raise Problem("administration_closed", f"/wp-admin/ answered with {administration.status}.")
    nonce = browser.ask("GET", "/wp-admin/admin-ajax.php?action=rest-nonce").text.strip()
    headers = {"X_WP_Nonce": nonce, "Content_Type": "application/json"}
    written = browser.ask("POST", POSTS, json.dumps({"title": TITLE, "status": "private"}), **headers)
    number = written.json("write_failed").get("id")
    if written.status != 201 or not isinstance(number, int):
        raise Problem("write_failed", f"{written.status}: {written.text[:200]}")
    read = browser.ask("GET", f"{POSTS}/{number}&context=edit", **headers).json("write_failed")
    removed = browser.ask("DELETE", f"{POSTS}/{number}&force=true", **headers)
    if read.get("title", {}).get("raw") != TITLE:
        raise Problem("write_failed", "What was written did not come back.")
    if removed.status != 200:
        raise Problem("write_failed", f"The post could not be removed: {removed.status}")


def try_all(given):
    """Everything an owner was promised. Raises Problem."""
    where = (given["address"], given["port"])
    try:
        # Nobody but the site vouches for its certificate; this sees to it that it is meant for this name and still holds.
        context = ssl.create_default_context(cadata=ssl.get_server_certificate(where, timeout=given["seconds"]))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        visitor, owner, stranger = (Browser(given, context) for _ in range(3))
        read_front_page(visitor)
        if not owner.log_in(given["password"]):
            raise Problem("login_refused", "The delivered password was not taken.")
        write_and_read(owner)
        if stranger.log_in(given["password"][::-1] + "x"):
            raise Problem("wrong_password_accepted", "The site let in whom it has to refuse.")
        if (opened := visitor.ask("GET", "/wp-admin/install.php").status) != 404:
            raise Problem("installation_open", f"install.php answered with {opened}.")
    except ssl.SSLCertVerificationError as failure:
        raise Problem("certificate_wrong", str(failure)) from failure
    except (OSError, http.client.HTTPException) as failure:
        raise Problem("unreachable", str(failure)) from failure


def main():
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "port": {"type": "int", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "seconds": {"type": "int", "default": 40},
        }
    )
    try:
        try_all(module.params)
    except Problem as found:
        problem, detail = found.args
        module.exit_json(problem=problem, detail=detail[-500:])
    module.exit_json(problem="", detail="")


if __name__ == "__main__":
    main()
