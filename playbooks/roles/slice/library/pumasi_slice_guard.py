#!/usr/bin/python3
"""Fence one slice in before it starts: its firewall table and the limits of its systemd unit.

The service's own unit loads the firewall file before it starts, so that the port is never open without its rules,
not even after a reboot. Ports 1-65535, memory in MB, processors in whole VCPU.
Fails with `unit_invalid`, `access_invalid` or `command_failed`.
"""

from __future__ import annotations

import ipaddress

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_host import check_unit, make_directory, run, write_file

RULES = """table inet pumasi_{unit}
delete table inet pumasi_{unit}
table inet pumasi_{unit} {{
  chain input {{
    type filter hook input priority filter; policy accept;
{accepts}    tcp dport {port} drop
  }}
}}
"""

LIMITS = """[Unit]
Wants=network-online.target
After=network-online.target

[Service]
ExecStartPre=+/usr/sbin/nft -f {rules}
MemoryMax={memory_mb}M
CPUQuota={cpu_percent}%
TimeoutStopSec=30
{extra}"""


def accept_rules(module, port, networks):
    """One accept rule per address family; overlapping networks are merged, since nft refuses them in one set."""
    try:
        parsed = [ipaddress.ip_network(network, strict=False) for network in networks]
    except ValueError:
        module.fail_json(msg="access.allow_from holds something that is not a network.", code="access_invalid")
    rules = ""
    for version, family in ((4, "ip"), (6, "ip6")):
        merged = ipaddress.collapse_addresses(network for network in parsed if network.version == version)
        members = ", ".join(str(network) for network in merged)
        if members:
            rules += f"    {family} saddr {{ {members} }} tcp dport {port} accept\n"
    return rules


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
    rules = RULES.format(
        unit=unit, port=given["port"], accepts=accept_rules(module, given["port"], given["allow_from"])
    )
    make_directory(folder)
    rules_changed = write_file(rules_file, rules)
    loaded = run(module, ["/usr/sbin/nft", "list", "table", "inet", f"pumasi_{unit}"], check=False)[0] == 0
    if rules_changed or not loaded:
        run(module, ["/usr/sbin/nft", "-f", rules_file], what="The firewall did not take the rules")

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
