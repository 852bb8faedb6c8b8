#!/usr/bin/python3
"""One name in the zone's DNS: give it its address, take it away, or ask for it.

Runs on the controller: the host never sees the key that may change names. Uses RFC 2136 with TSIG through nsupdate or
knsupdate, whichever is installed, and dig or kdig to ask the zone's own server, past every cache. The key reaches the tool on
its standard input only.
Returns `exists` (whether the server knows the name, with whatever records) and `addresses`.
Fails with `client_missing`, `server_silent`, `update_refused` or `value_invalid`; with the tool's own words in `detail`.
"""

from __future__ import annotations

import ipaddress
import re
import shutil

from ansible.module_utils.basic import AnsibleModule

NAME = re.compile(r"^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$")
KEY_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$")
SECRET = re.compile(r"^[A-Za-z0-9+/]{8,200}={0,2}$")
ALGORITHMS = ["hmac-sha256", "hmac-sha384", "hmac-sha512"]
TTL = 60
SECONDS = 4
TYPES = {4: "A", 6: "AAAA"}


class Server:
    """The zone's DNS server, as the tools reach it."""

    def __init__(self, module):
        self.module, self.given = module, module.params
        self.updater = shutil.which("nsupdate") or shutil.which("knsupdate")
        self.asker = shutil.which("dig") or shutil.which("kdig")
        if not self.updater or not self.asker:
            module.fail_json(
                msg="Neither nsupdate and dig nor knsupdate and kdig are installed here.", code="client_missing"
            )

    def ask(self):
        """(exists, addresses) of the name, by the server itself."""
        addresses, status = [], ""
        for kind in TYPES.values():
            argv = [
                self.asker,
                f"@{self.given['server']}",
                "-p",
                str(self.given["port"]),
                "+norecurse",
                f"+timeout={SECONDS}",
                "+retry=1",
                self.given["name"] + ".",
                kind,
            ]
            out = self.module.run_command(argv, environ_update={"LC_ALL": "C"})[1]
            found = re.search(r"status: ([A-Z]+)", out)
            status = found[1] if found else ""
            if status not in ("NOERROR", "NXDOMAIN"):
                self.module.fail_json(
                    msg="The zone's name server gave no answer about the name.",
                    code="server_silent",
                    detail=(status or out.strip()[-300:]),
                )
            name = re.escape(self.given["name"])
            addresses += re.findall(rf"^{name}\.\s+\d+\s+IN\s+{kind}\s+(\S+)$", out, re.MULTILINE)
            if status == "NXDOMAIN":
                break
        return status == "NOERROR", sorted(addresses)

    def update(self, lines):
        """Send one update: all of its lines, or none, take effect."""
        given = self.given
        script = [
            f"server {given['server']} {given['port']}",
            f"zone {given['domain']}.",
            f"key {given['key_algorithm']}:{given['key_name']} {given['key_secret']}",
            *lines,
            "send",
            "",
        ]
        argv = [self.updater, "-t", str(SECONDS), "-r", "1"]
        rc, out, err = self.module.run_command(argv, data="\n".join(script), environ_update={"LC_ALL": "C"})
        if rc != 0:
            said = (out + err).replace(given["key_secret"], "***").strip()
            self.module.fail_json(
                msg="The zone's name server did not take the change.", code="update_refused", detail=said[-500:]
            )


def checked(module):
    """Refuse anything that could be another line of the tool's script."""
    given = module.params
    try:
        ipaddress.ip_address(given["server"])
        address = ipaddress.ip_address(given["address"]) if given["address"] else None
    except ValueError:
        module.fail_json(msg="The name server's address, or that of the name, is no IP address.", code="value_invalid")
    if not NAME.match(given["name"]) or not given["name"].endswith("." + given["domain"]):
        module.fail_json(msg="The name does not lie in the zone's domain.", code="value_invalid")
    if given["state"] != "asked" and not (KEY_NAME.match(given["key_name"]) and SECRET.match(given["key_secret"])):
        module.fail_json(msg="The key that may change names is malformed.", code="value_invalid")
    if given["state"] == "present" and address is None:
        module.fail_json(msg="A name needs an address.", code="value_invalid")
    return address


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent", "asked"], "required": True},
            "name": {"type": "str", "required": True},
            "domain": {"type": "str", "required": True},
            "server": {"type": "str", "required": True},
            "port": {"type": "int", "default": 53},
            "address": {"type": "str", "default": ""},
            "key_name": {"type": "str", "default": "", "no_log": False},
            "key_algorithm": {"type": "str", "choices": ALGORITHMS, "default": ALGORITHMS[0], "no_log": False},
            "key_secret": {"type": "str", "default": "", "no_log": True},
        }
    )
    state, name = module.params["state"], module.params["name"] + "."
    address = checked(module)
    server = Server(module)
    exists, addresses = server.ask()
    if state == "asked":
        module.exit_json(changed=False, exists=exists, addresses=addresses)
    if addresses == [str(address)] if state == "present" else not exists:
        module.exit_json(changed=False, exists=exists, addresses=addresses)
    lines = [f"update delete {name} {kind}" for kind in TYPES.values()]
    if state == "present":
        lines.append(f"update add {name} {TTL} {TYPES[address.version]} {address}")
    server.update(lines)
    exists, addresses = server.ask()
    module.exit_json(changed=True, exists=exists, addresses=addresses)


if __name__ == "__main__":
    main()
