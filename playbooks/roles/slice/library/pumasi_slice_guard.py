#!/usr/bin/python3
"""Fence one slice in before it starts: its firewall table and the limits of its systemd unit.

The service's own unit loads the firewall file before it starts, so that the port is never open without its rules,
not even after a reboot. Ports 1-65535, memory in MB, processors in whole VCPU.
Fails with `unit_invalid`, `access_invalid` or `command_failed`.
"""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_firewall import is_loaded, load, rules
from ansible.module_utils.pumasi_host import check_unit, make_directory, run, write_file

LIMITS = """[Unit]
Wants=network-online.target
After=network-online.target

[Service]
ExecStartPre=+/usr/sbin/nft -f {rules}
MemoryMax={memory_mb}M
CPUQuota={cpu_percent}%
TimeoutStopSec=30
{extra}"""


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "allow_from": {"type": "list", "elements": "str", "required": True},
            "vcpu": {"type": "int", "required": True},
            "memory_mb": {"type": "int", "required": True},
            "directives": {"type": "list", "elements": "str", "default": []},
        }
    )
    given = module.params
    unit, service = given["unit"], given["service"]
    check_unit(module, unit)

    folder = f"/etc/pumasi/slices/{unit}"
    rules_file = f"{folder}/firewall.nft"
    wanted = rules(module, unit, given["port"], given["allow_from"])
    make_directory(folder)
    rules_changed = write_file(rules_file, wanted)
    loaded = is_loaded(module, unit)
    if rules_changed or not loaded:
        load(module, rules_file)

    drop_in = f"/etc/systemd/system/{service}.d"
    make_directory(drop_in)
    limits = LIMITS.format(
        rules=rules_file,
        memory_mb=given["memory_mb"],
        cpu_percent=100 * given["vcpu"],
        extra="".join(line + "\n" for line in given["directives"]),
    )
    limits_changed = write_file(f"{drop_in}/pumasi.conf", limits)
    if limits_changed:
        run(module, ["systemctl", "daemon-reload"])
    module.exit_json(changed=rules_changed or not loaded or limits_changed)


if __name__ == "__main__":
    main()
