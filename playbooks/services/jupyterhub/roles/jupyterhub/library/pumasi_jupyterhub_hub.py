#!/usr/bin/python3
"""Configure one JupyterHub of a slice under a unix user of its own, and have it running with what was asked for.

Beside the hub, the slice's memory is for notebook servers; how many run at once follows from what each may use. The delivered
password is kept as its scrypt hash only. Memory in MB, idle time in minutes, processors in whole VCPU.
Returns `certificate` (PEM) and `servers_at_once`.
Fails with `unit_invalid`, `value_refused`, `config_refused`, `not_listening` or `command_failed`.
"""

from __future__ import annotations

import ipaddress
import json
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_certificate import certificate_in, is_good, make
from ansible.module_utils.pumasi_host import (
    check_unit,
    describe_unit,
    is_outdated,
    keep_running,
    make_account,
    make_directory,
    run,
    write_file,
)
from ansible.module_utils.pumasi_jupyterhub_front import hub_address, nginx
from ansible.module_utils.pumasi_jupyterhub_passwords import hashed, matches
from ansible.module_utils.pumasi_traces import listening_ports

TEMPLATE = "/usr/local/lib/systemd/system/pumasi-jupyterhub@.service"
PROGRAM = "/usr/local/lib/pumasi/jupyterhub"
SECONDS_TO_LISTEN = 60


def text_of(path):
    """What a file holds, or nothing where there is none."""
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""


def admin(given, present):
    """The delivered account; the hash that stands there already if it is one of this password, otherwise a fresh one."""
    kept = json.loads(present or "{}").get("admin", {}).get("password")
    fits = kept and matches(given["password"], kept)
    return {"name": given["username"], "password": kept if fits else hashed(given["password"])}


def settings(given, present):
    """What the launcher and the hub are to know."""
    at_once = (given["memory_mb"] - given["hub_memory_mb"]) // given["memory_mb_per_user"]
    address = ipaddress.ip_address(given["address"])
    host = given["name"] or (f"[{address}]" if address.version == 6 else str(address))
    wanted = {
        "admin": admin(given, present),
        "hub_url": hub_address(given["port"]),
        "idle_minutes": given["idle_minutes"],
        "memory_mb_per_user": given["memory_mb_per_user"],
        "public_url": f"https://{host}:{given['port']}/",
        "servers_at_once": at_once,
        "vcpu": given["vcpu"],
    }
    return wanted, json.dumps(wanted, indent=1) + "\n"


def install(files):
    """Put the program in its place, which all slices share. Returns whether anything was changed."""
    changed = False
    for name, text in sorted(files.items()):
        make_directory(str(Path(PROGRAM, name).parent))
        changed |= write_file(f"{PROGRAM}/{name}", text.rstrip("\n") + "\n")
    return changed


def certify(module, pem):
    """Key and certificate of the slice's own, in one file. Returns whether they were made."""
    given = module.params
    if is_good(module, pem, given["address"], given["name"]):
        return write_file(pem, text_of(pem), 0o640, "root", given["unit"])
    made = make(module, given["unit"], given["address"], given["name"])
    return write_file(pem, "".join(made), 0o640, "root", given["unit"])


def check_front(module, unit, candidate):
    """Let nginx judge its configuration before it is in place, as the user that it will run as."""
    words = ["setpriv", f"--reuid={unit}", f"--regid={unit}", "--clear-groups"]
    words += ["/usr/sbin/nginx", "-t", "-q", "-e", "stderr", "-c", candidate]
    rc, _out, err = module.run_command(words, use_unsafe_shell=False)
    if rc != 0:
        Path(candidate).unlink()
        module.fail_json(msg="nginx refuses its configuration.", code="config_refused", stderr=err[-2000:])


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "template": {"type": "str", "required": True},
            "program": {"type": "dict", "required": True},
            "address": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "port": {"type": "int", "required": True},
            "vcpu": {"type": "int", "required": True},
            "memory_mb": {"type": "int", "required": True},
            "hub_memory_mb": {"type": "int", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "memory_mb_per_user": {"type": "int", "required": True},
            "idle_minutes": {"type": "int", "required": True},
            "comment": {"type": "str", "default": ""},
        }
    )
    given = module.params
    unit = given["unit"]
    check_unit(module, unit)
    service, folder = f"pumasi-jupyterhub@{unit}.service", f"/etc/pumasi/slices/{unit}"
    data = f"/var/lib/pumasi/{unit}"
    config, front, pem = f"{folder}/settings.json", f"{folder}/nginx.conf", f"{folder}/server.pem"
    wanted, text = settings(given, text_of(config))
    if wanted["servers_at_once"] < 1:
        module.fail_json(msg="The plan's memory does not hold one notebook server of this size.", code="value_refused")

    changed = make_account(module, unit)
    for path in (data, f"{data}/users"):
        changed |= make_directory(path)
    if make_directory(f"{data}/hub", 0o700):
        changed = True
    run(module, ["chown", f"{unit}:{unit}", f"{data}/hub"])
    changed |= install(given["program"])
    changed |= describe_unit(module, TEMPLATE, given["template"].rstrip("\n") + "\n", service)
    changed |= certify(module, pem)
    candidate = f"{front}.candidate"
    write_file(candidate, nginx(given, f"{data}/hub", folder), 0o640, "root", unit)
    check_front(module, unit, candidate)
    if text_of(candidate) != text_of(front):
        Path(candidate).replace(front)
        changed = True
    else:
        Path(candidate).unlink()
    changed |= write_file(config, text, 0o640, "root", unit)

    # Should a run have ended before the restart, what it wrote is younger than the hub.
    read = [config, front, pem, TEMPLATE, *(f"{PROGRAM}/{name}" for name in given["program"])]
    changed |= keep_running(module, service, restart=is_outdated(module, service, read))
    deadline = time.monotonic() + SECONDS_TO_LISTEN
    while given["port"] not in listening_ports():
        if time.monotonic() > deadline:
            module.fail_json(msg="JupyterHub was started, but does not listen.", code="not_listening")
        time.sleep(0.1)
    module.exit_json(
        changed=changed,
        state="running",
        certificate=certificate_in(text_of(pem)),
        servers_at_once=wanted["servers_at_once"],
    )


if __name__ == "__main__":
    main()
