#!/usr/bin/python3
"""Configure one Redis server of a slice under a unix user of its own, and have it running with what was asked for.

The password is stored as its SHA-256 only, the way Redis's own ACLs do; the file is readable by the slice's user.
Memory in MB of the slice, of which three quarters hold keys; the rest is for copies while saving and for clients.
Fails with `unit_invalid` or `command_failed`; the values themselves are checked by the argument specs.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_host import check_unit, is_outdated, keep_running, make_account, write_file

# All commands on the owner's data; none that changes the server, reaches another one or writes files elsewhere.
COMMANDS = "+@all -@admin -@dangerous +info +keys +flushdb +flushall +sort +sort_ro +restore"

CONFIG = """# comment: {comment}
bind {address}
protected-mode yes
port {port}
daemonize no
dir /var/lib/pumasi/{unit}
logfile /var/log/pumasi/{unit}/redis.log
maxmemory {keys_mb}mb
maxmemory-policy {policy}
maxmemory-clients {clients_mb}mb
appendonly {appendonly}
save {save}
user default reset off
user {username} reset on #{digest} ~* &* {commands}
"""


def settings(given):
    """The server's whole configuration; the comment is one JSON string, so it cannot end its line."""
    memory = given["memory_mb"]
    return CONFIG.format(
        comment=json.dumps(given["comment"]),
        address=ipaddress.ip_address(given["address"]),
        port=given["port"],
        unit=given["unit"],
        keys_mb=memory * 3 // 4,
        clients_mb=max(8, memory // 16),
        policy=given["maxmemory_policy"],
        appendonly="yes" if given["appendonly"] else "no",
        save='""' if given["appendonly"] else "3600 1 300 100 60 10000",
        username=given["username"],
        digest=hashlib.sha256(given["password"].encode()).hexdigest(),
        commands=COMMANDS,
    )


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "memory_mb": {"type": "int", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "maxmemory_policy": {"type": "str", "required": True},
            "appendonly": {"type": "bool", "required": True},
            "comment": {"type": "str", "default": ""},
        }
    )
    given = module.params
    unit = given["unit"]
    check_unit(module, unit)
    service = f"redis-server@{unit}.service"

    account = make_account(module, unit)
    config = f"/etc/pumasi/slices/{unit}/redis.conf"
    made = write_file(config, settings(given), 0o640, "root", unit)
    started = keep_running(module, service, restart=made or is_outdated(module, service, [config]))
    module.exit_json(changed=account or made or started, state="running")


if __name__ == "__main__":
    main()
