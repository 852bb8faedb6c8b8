#!/usr/bin/python3
"""Configure one RabbitMQ broker of a slice under a unix user of its own, and have it running with what was asked for.

The virtual host, its limit and its one user are handed over as the definitions that the broker reads at each start, so that no
tool has to reach the running node. The password is stored as a salted SHA-256 only, the way RabbitMQ itself keeps it.
Memory in MB of the slice. Returns `certificate`, the text of the self-signed one that clients are to trust.
Fails with `unit_invalid` or `command_failed`; the values themselves are checked by the argument specs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import os
import secrets
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_certificate import is_good, make
from ansible.module_utils.pumasi_host import (
    check_unit,
    describe_unit,
    keep_running,
    make_account,
    run,
    write_file,
)

TEMPLATE = "/usr/local/lib/systemd/system/pumasi-rabbitmq@.service"
# Below this a broker without a single message would already make publishers wait.
LOWEST_WATERMARK_MB = 176
HASHING = "rabbit_password_hashing_sha256"
SALT_BYTES = 4

CONFIG = """# comment: {comment}
listeners.tcp = none
listeners.ssl.1 = {address}:{port}
ssl_options.certfile = {folder}/server.crt
ssl_options.keyfile = {folder}/server.key
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
auth_mechanisms.1 = PLAIN
heartbeat = {heartbeat}
load_definitions = {folder}/definitions.json
total_memory_available_override_value = {memory_mb}MiB
vm_memory_high_watermark.absolute = {watermark_mb}MiB
disk_free_limit.absolute = {memory_mb}MiB
log.console = false
log.file = rabbitmq.log
log.file.rotation.size = 10485760
log.file.rotation.count = 5
"""


def settings(given, folder):
    """The broker's whole configuration; the comment is one JSON string, so it cannot end its line."""
    address = ipaddress.ip_address(given["address"])
    return CONFIG.format(
        comment=json.dumps(given["comment"]),
        address=f"[{address}]" if address.version == 6 else address,
        port=given["port"],
        folder=folder,
        heartbeat=given["heartbeat_seconds"],
        memory_mb=given["memory_mb"],
        watermark_mb=max(LOWEST_WATERMARK_MB, given["memory_mb"] * given["memory_high_watermark_percent"] // 100),
    )


def password_hash(password, salt):
    """What RabbitMQ stores for a password."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def kept_or_new(password, definitions):
    """The hash in the definitions of an earlier run if it is one of this password, otherwise a fresh one."""
    for user in json.loads(definitions or "{}").get("users", ()):
        present = user["password_hash"]
        if hmac.compare_digest(password_hash(password, base64.b64decode(present)[:SALT_BYTES]), present):
            return present
    return password_hash(password, os.urandom(SALT_BYTES))


def definitions(given, present):
    """One virtual host, its limit, and the one user: everything within the virtual host, and no tag that administers."""
    vhost, user = given["vhost"], given["username"]
    hashed = kept_or_new(given["password"], present)
    everything = dict.fromkeys(("configure", "write", "read"), ".*")
    limits = {"component": "vhost-limits", "name": "limits", "value": {"max-connections": given["max_connections"]}}
    wanted = {
        "users": [{"name": user, "password_hash": hashed, "hashing_algorithm": HASHING, "tags": []}],
        "vhosts": [{"name": vhost}],
        "permissions": [{"user": user, "vhost": vhost, **everything}],
        "parameters": [{"vhost": vhost, **limits}],
    }
    return json.dumps(wanted, indent=1) + "\n"


def text_of(path):
    """What a file holds, or None where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def certify(module, folder, unit, address, name):
    """Make a key and its certificate, which is written last: as long as it is missing, both are made anew."""
    certificate = f"{folder}/server.crt"
    Path(certificate).unlink(missing_ok=True)
    # Clients built on librabbitmq look for the address among the names and nowhere else.
    key, text = make(module, unit, address, name, as_name=True)
    write_file(f"{folder}/server.key", key, 0o640, "root", unit)
    write_file(certificate, text)


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "template": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "port": {"type": "int", "required": True},
            "memory_mb": {"type": "int", "required": True},
            "vhost": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "max_connections": {"type": "int", "required": True},
            "heartbeat_seconds": {"type": "int", "required": True},
            "memory_high_watermark_percent": {"type": "int", "required": True},
            "comment": {"type": "str", "default": ""},
        }
    )
    given = module.params
    unit, address, name = given["unit"], given["address"], given["name"]
    check_unit(module, unit)
    folder, service = f"/etc/pumasi/slices/{unit}", f"pumasi-rabbitmq@{unit}.service"

    changed = make_account(module, unit)
    changed |= describe_unit(module, TEMPLATE, given["template"] + "\n", service)
    if not Path(f"{folder}/.erlang.cookie").exists():
        changed |= write_file(f"{folder}/.erlang.cookie", secrets.token_hex(32), 0o600, unit, unit)
    wanted = {
        f"{folder}/enabled_plugins": "[].\n",
        f"{folder}/rabbitmq.conf": settings(given, folder),
        f"{folder}/definitions.json": definitions(given, text_of(f"{folder}/definitions.json")),
    }
    certified = is_good(module, f"{folder}/server.crt", address, name)
    # Stopped before what it reads is changed: an attempt that ends in between leaves a broker that the next one starts.
    if not certified or any(text_of(path) != text for path, text in wanted.items()):
        run(module, ["systemctl", "stop", service], what="The broker could not be stopped")
        changed = True
    if not certified:
        certify(module, folder, unit, address, name)
    for path, text in wanted.items():
        changed |= write_file(path, text, 0o640, "root", unit)
    changed |= keep_running(module, service)
    module.exit_json(changed=changed, state="running", certificate=text_of(f"{folder}/server.crt"))


if __name__ == "__main__":
    main()
