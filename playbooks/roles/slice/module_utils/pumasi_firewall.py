"""The firewall of one slice: a table of its own in the host's nftables, opened to the given networks and closed to all others.

Every service's port is fenced through here and nowhere else; ports that nobody was lent are none of its business.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from ansible.module_utils.pumasi_host import run

NFT = "/usr/sbin/nft"
# In one transaction: the old table goes and the new one comes, so that the port is at no moment without its rules.
RULES = """table inet pumasi_{unit}
delete table inet pumasi_{unit}
table inet pumasi_{unit} {{
  chain input {{
    type filter hook input priority filter; policy accept;
{accepts}    tcp dport {port} drop
  }}
}}
"""


def table_of(unit):
    return f"pumasi_{unit}"


def rules(module, unit, port, networks):
    """What nft is to load: one accept rule per address family, overlapping networks merged, since nft refuses those in a set."""
    try:
        parsed = [ipaddress.ip_network(network, strict=False) for network in networks]
    except ValueError:
        module.fail_json(msg="access.allow_from holds something that is not a network.", code="access_invalid")
    accepts = ""
    for version, family in ((4, "ip"), (6, "ip6")):
        merged = ipaddress.collapse_addresses(network for network in parsed if network.version == version)
        members = ", ".join(str(network) for network in merged)
        if members:
            accepts += f"    {family} saddr {{ {members} }} tcp dport {port} accept\n"
    return RULES.format(unit=unit, port=port, accepts=accepts)


def is_loaded(module, unit):
    return Path(NFT).exists() and run(module, [NFT, "list", "table", "inet", table_of(unit)], check=False)[0] == 0


def load(module, path):
    run(module, [NFT, "-f", path], what="The firewall did not take the rules")


def remove(module, unit):
    """Take the slice's table away. Returns whether there was one."""
    if not is_loaded(module, unit):
        return False
    run(module, [NFT, "delete", "table", "inet", table_of(unit)])
    return True
