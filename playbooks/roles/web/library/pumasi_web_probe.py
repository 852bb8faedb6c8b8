#!/usr/bin/python3
"""Use a delivered web service the way its owner will: over the network, with TLS where there is, and with the real password.

Reads the page that only the owner may, shows that a wrong password and none are refused, and then asks for `path`, if it is
given, which has to answer with 2xx or 3xx within `patience` seconds. Runs where the client is (the controller).
Returns `problem`: "" or one of `unreachable`, `certificate_wrong`, `page_wrong`, `wrong_password_accepted`, `open_to_anyone`,
`refusal_unclear`, `health_failed`; with what was seen in `detail`.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_monitor import MONITOR_PATH, MONITOR_TEXT


def main():
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "port": {"type": "int", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "tls": {"type": "bool", "required": True},
            "basic_auth": {"type": "bool", "required": True},
            "path": {"type": "str", "default": "/"},
            "seconds": {"type": "int", "default": 10},
            "patience": {"type": "int", "default": 20},
        }
    )
    given = module.params
    where = (given["address"], given["port"])
    host = given["name"] or (f"[{given['address']}]" if ":" in given["address"] else given["address"])

    def end(problem, detail=""):
        module.exit_json(problem=problem, detail=str(detail)[-500:])

    def ask(path, password=None):
        """Status and text of a page, asked over a connection of its own under the name that clients use."""
        headers = {"Host": f"{host}:{given['port']}"}
        if password is not None:
            headers["Authorization"] = "Basic " + base64.b64encode(f"{given['username']}:{password}".encode()).decode()
        connection = http.client.HTTPConnection(*where)
        with socket.create_connection(where, given["seconds"]) as plain:
            connection.sock = plain
            if context:
                connection.sock = context.wrap_socket(plain, server_hostname=given["name"] or given["address"])
            with contextlib.closing(connection):
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                return answer.status, answer.read(10000).decode(errors="replace").strip()

    context = None
    try:
        if given["tls"]:
            # Nobody but the service vouches for its certificate; this sees to it that it is meant for this name and still holds.
            context = ssl.create_default_context(cadata=ssl.get_server_certificate(where, timeout=given["seconds"]))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
        page = ask(MONITOR_PATH, given["password"])
        if page != (200, MONITOR_TEXT):
            end("page_wrong", page)
        refusals = [
            ("wrong_password_accepted", MONITOR_PATH, given["password"][::-1] + "x"),
            ("open_to_anyone", MONITOR_PATH, None),
        ]
        if given["basic_auth"]:
            refusals.append(("open_to_anyone", given["path"] or "/", None))
        for problem, path, password in refusals:
            page = ask(path, password)
            if page[0] < 400 or MONITOR_TEXT in page[1]:
                end(problem, "The service served someone who does not know the password.")
            if page[0] != 401:
                end("refusal_unclear", page)
        deadline = time.monotonic() + given["patience"]
        own = given["password"] if given["basic_auth"] else None
        while given["path"] and not 200 <= (status := ask(given["path"], own)[0]) < 400:
            if time.monotonic() > deadline:
                end("health_failed", f"It is asked for {given['path']} and answers with {status}.")
            time.sleep(0.5)
    except ssl.SSLCertVerificationError as error:
        end("certificate_wrong", error)
    except (OSError, http.client.HTTPException) as error:
        end("unreachable", error)
    end("")


if __name__ == "__main__":
    main()
