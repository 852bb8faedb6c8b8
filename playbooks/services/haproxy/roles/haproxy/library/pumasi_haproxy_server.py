#!/usr/bin/python3
"""Configure one HAProxy of a slice under a unix user of its own, and have it running with what was asked for.

It starts as root to read its key and to lock itself into an empty folder; what serves is the slice's user. HAProxy checks the
configuration before it takes the place of the old one, so a wrong one changes nothing. The password is kept as its hash only.
Time in seconds, processors in whole VCPU. Returns `certificate` (PEM).
Fails with `unit_invalid`, `value_refused`, `config_refused`, `not_listening` or `command_failed`.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_certificate import certificate_in, is_good, make
from ansible.module_utils.pumasi_haproxy_config import Refused, backends, configuration
from ansible.module_utils.pumasi_host import (
    check_unit,
    describe_unit,
    keep_running,
    make_account,
    make_directory,
    run,
    write_file,
)
from ansible.module_utils.pumasi_places import is_own
from ansible.module_utils.pumasi_traces import listening_ports

TEMPLATE = "/usr/local/lib/systemd/system/pumasi-haproxy@.service"
SECONDS_TO_LISTEN = 20

UNIT = """[Unit]
Description=HAProxy of %i
After=network-online.target

[Service]
Type=exec
ExecStart=/usr/sbin/haproxy -db -f /etc/pumasi/slices/%i/haproxy.cfg
Restart=always
RestartSec=1
SuccessExitStatus=143
LimitNOFILE=8192
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_SYS_CHROOT CAP_SETUID CAP_SETGID
SystemCallFilter=@system-service chroot
SystemCallArchitectures=native
IPAddressDeny=localhost link-local multicast
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""


def certify(module, pem, due):
    """Key and certificate of the slice's own, in one file. Leaves the mark ``due`` where the proxy has to be restarted for it."""
    given = module.params
    if not is_good(module, pem, given["address"], given["name"]):
        made = make(module, given["unit"], given["address"], given["name"])
        due.touch()
        write_file(pem, "".join(made), 0o600)
    return certificate_in(Path(pem).read_text(encoding="ascii"))


def crypted(module, unit, password):
    """The password as crypt(3) keeps it. The salt is the slice's own name, so that the same password gives the same text.

    HAProxy computes the hash again for every request. The password is long and drawn by chance, which no number of rounds
    makes harder to guess, so it is the smallest number there is.
    """
    words = ["openssl", "passwd", "-6", "-salt", f"rounds=1000${unit}", "-stdin"]
    return run(module, words, data=password, what="The password could not be hashed")[1].strip()


def check(module, candidate):
    """Let HAProxy judge a configuration that is not in place yet. It may quote lines that are secret: their numbers are told."""
    rc, out, err = module.run_command(["/usr/sbin/haproxy", "-c", "-f", candidate], use_unsafe_shell=False)
    if rc != 0:
        Path(candidate).unlink()
        lines = ", ".join(sorted(set(re.findall(r"\[[^]\s]+:(\d+)\]", out + err)), key=int))
        module.fail_json(msg=f"HAProxy refuses the configuration (lines: {lines}).", code="config_refused")


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "port": {"type": "int", "required": True},
            "vcpu": {"type": "int", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "backends": {"type": "str", "default": ""},
            "own_host": {"type": "bool", "default": False},
            "balance": {"type": "str", "required": True},
            "health_check": {"type": "str", "required": True},
            "timeout": {"type": "int", "required": True},
            "max_connections": {"type": "int", "required": True},
            "basic_auth": {"type": "bool", "required": True},
            "hsts": {"type": "bool", "required": True},
            "comment": {"type": "str", "default": ""},
        }
    )
    given = module.params
    unit = given["unit"]
    check_unit(module, unit)
    service, folder = f"pumasi-haproxy@{unit}.service", f"/etc/pumasi/slices/{unit}"
    config, candidate, due = f"{folder}/haproxy.cfg", f"{folder}/haproxy.cfg.candidate", Path(f"{folder}/restart-due")
    places = {"certificate": f"{folder}/server.pem", "chroot": f"/var/lib/pumasi/{unit}"}
    try:
        servers = backends(given["backends"], (lambda _address: False) if given["own_host"] else is_own)
        text = configuration({**given, **places}, crypted(module, unit, given["password"]), servers)
    except Refused as refusal:
        module.fail_json(msg=str(refusal), code="value_refused")

    changed = make_account(module, unit)
    changed |= make_directory(places["chroot"])
    changed |= describe_unit(module, TEMPLATE, UNIT, service)

    # Should this run end before the restart, the next one finds the mark.
    certificate = certify(module, places["certificate"], due)
    write_file(candidate, text, 0o640)
    check(module, candidate)
    if not Path(config).exists() or Path(config).read_text(encoding="ascii") != text:
        due.touch()
    Path(candidate).replace(config)

    changed |= keep_running(module, service, restart=due.exists())
    deadline = time.monotonic() + SECONDS_TO_LISTEN
    while given["port"] not in listening_ports():
        if time.monotonic() > deadline:
            module.fail_json(msg="HAProxy was started, but does not listen.", code="not_listening")
        time.sleep(0.1)
    due.unlink(missing_ok=True)
    module.exit_json(changed=changed, state="running", certificate=certificate)


if __name__ == "__main__":
    main()
