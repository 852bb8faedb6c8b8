#!/usr/bin/python3
"""Fence one slice in before it starts: its firewall table and the limits of its systemd unit.

The service's own unit loads the firewall file before it starts, so that the port is never open without its rules,
not even after a reboot. Where further units run with it (`parts`), the limits are those of all together.
Ports 1-65535, memory in MB, processors in whole VCPU.
Fails with `unit_invalid`, `access_invalid` or `command_failed`.
"""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_firewall import is_loaded, load, rules
from ansible.module_utils.pumasi_host import check_unit, group_of, make_directory, run, write_file

SERVICE = """[Unit]
Wants=network-online.target
After=network-online.target

[Service]
ExecStartPre=+/usr/sbin/nft -f {rules}
{limits}TimeoutStopSec=30
{extra}"""

PART = """[Service]
{limits}TimeoutStopSec=30
"""

GROUP = """[Slice]
{limits}"""

LIMITS = """MemoryMax={memory_mb}M
CPUQuota={cpu_percent}%
"""


def drop_ins(given, rules_file):
    """What is added to which unit of systemd: text by name."""
    limits = LIMITS.format(memory_mb=given["memory_mb"], cpu_percent=100 * given["vcpu"])
    extra = "".join(line + "\n" for line in given["directives"])
    if not given["parts"]:
        return {given["service"]: SERVICE.format(rules=rules_file, limits=limits, extra=extra)}
    group = group_of(given["unit"])
    member = f"Slice={group}\n"
    return {
        group: GROUP.format(limits=limits),
        given["service"]: SERVICE.format(rules=rules_file, limits=member, extra=extra),
        **{part: PART.format(limits=member) for part in given["parts"]},
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "service": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "allow_from": {"type": "list", "elements": "str", "required": True},
            "vcpu": {"type": "int", "required": True},
            "memory_mb": {"type": "int", "required": True},
            "parts": {"type": "list", "elements": "str", "default": []},
            "directives": {"type": "list", "elements": "str", "default": []},
        }
    )
    given = module.params
    unit = given["unit"]
    check_unit(module, unit)

    folder = f"/etc/pumasi/slices/{unit}"
    rules_file = f"{folder}/firewall.nft"
    wanted = rules(module, unit, given["port"], given["allow_from"])
    make_directory(folder)
    rules_changed = write_file(rules_file, wanted)
    loaded = is_loaded(module, unit)
    if rules_changed or not loaded:
        load(module, rules_file)

    limits_changed = False
    for name, text in drop_ins(given, rules_file).items():
        drop_in = f"/etc/systemd/system/{name}.d"
        make_directory(drop_in)
        limits_changed |= write_file(f"{drop_in}/pumasi.conf", text)
    if limits_changed:
        run(module, ["systemctl", "daemon-reload"])
    module.exit_json(changed=rules_changed or not loaded or limits_changed)


if __name__ == "__main__":
    main()
