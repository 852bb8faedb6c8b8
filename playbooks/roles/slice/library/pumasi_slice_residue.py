#!/usr/bin/python3
"""Check a host against the written residue list of one slice; reads only, and reports instead of judging.

Returns `residue`: {"clean", "checked": [kind…], "findings": [{"kind", "what"}…]}.
The slice's unit and instance id are unique, so they count wherever they stand. The names people gave (tenant,
instance) are ordinary words: they count only as whole words, in notes and logs, and not where the system itself uses
the same word, a package brought the text, or another slice is meant.
Fails with `unit_invalid`, `residues_invalid` or `check_impossible`.
"""

from __future__ import annotations

import grp
import hashlib
import pwd
import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_host import check_unit
from ansible.module_utils.pumasi_residues import OPTIONS, read
from ansible.module_utils.pumasi_traces import (
    account_uid,
    journal_lines,
    listening_ports,
    matching,
    naming_files,
    processes_naming,
    read_bytes,
    walk_files,
    whole_words,
)

FINDINGS_PER_KIND = 50
SHORTEST_NAME = 4
JOURNAL_LINE = re.compile(r"^\w{3} [ \d]\d [\d:]+ (?P<source>[^\[:]+)(?:\[\d+\])?: (?P<text>.*)$")
# What these write is about the machine; a slice shows in their lines by its unit, never by a given name.
MACHINE_SOURCES = re.compile(r"^(kernel|systemd.*|dbus-daemon)$")


class Slice:
    """What one slice is called, and the searches that follow from it."""

    def __init__(self, module):
        given = module.params
        self.module, self.unit, self.port = module, given["unit"], given["port"]
        self.exact = [self.unit, given["instance_id"]]
        self.others = [path.name for path in Path("/etc/pumasi/slices").glob("*") if path.name != self.unit]
        names = [name for name in (given["tenant"], given["name"]) if len(name) >= SHORTEST_NAME]
        self.packaged = packaged_files()
        taken = system_words()
        self.names = [name for name in names if name not in taken]
        self.names += [f"{given['tenant']}{joint}{given['name']}" for joint in "/-_."]

    def files_naming(self, roots):
        """Files that name the slice exactly, or by a given name unless they are another slice's."""
        found = set(naming_files(roots, self.exact))
        for path in naming_files(roots, self.names, whole=True):
            if not any(other in path for other in self.others) and not self.as_packaged(path):
                found.add(path)
        return sorted(found)

    def as_packaged(self, path):
        """Whether a file is word for word what a package brought, whose examples use any word there is."""
        # The package system itself keeps MD5 sums of its configuration files; nothing here rests on their strength.
        delivered = self.packaged.get(path)
        return delivered is not None and hashlib.md5(read_bytes(path), usedforsecurity=False).hexdigest() == delivered

    def journal(self):
        """Journal lines that name the slice, without those about the machine or about another slice."""
        lines = journal_lines(self.module, self.exact)
        named = whole_words(self.names)
        for line in journal_lines(self.module, self.names):
            parts = JOURNAL_LINE.match(line)
            if parts is None or MACHINE_SOURCES.match(parts["source"]) or parts["text"].startswith("pam_unix("):
                continue
            if named.search(parts["text"]) and not any(other in line for other in self.others):
                lines.append(line)
        return sorted(set(lines))


def system_words():
    """Words the operating system uses itself: package, account and unit names, and their parts."""
    words = {entry.pw_name for entry in pwd.getpwall()} | {entry.gr_name for entry in grp.getgrall()}
    for folder, pattern in (("/var/lib/dpkg/info", "*.list"), ("/lib/systemd/system", "*")):
        for path in Path(folder).glob(pattern):
            name = path.name.split(".")[0].split(":")[0]
            words |= {name, *re.split(r"[-@]", name)}
    return words


def packaged_files():
    """Configuration files that packages brought, with the MD5 sum each came with."""
    status = read_bytes("/var/lib/dpkg/status").decode(errors="replace")
    return dict(re.findall(r"^ (/\S+) ([0-9a-f]{32})", status, re.MULTILINE))


def probe_processes(slice_):
    return [found["what"] for found in processes_naming(slice_.exact, account_uid(slice_.unit))]


def probe_ports(slice_):
    return [f"port {slice_.port} is being listened on"] if slice_.port in listening_ports() else []


def probe_users(slice_):
    found = [
        f"user {entry.pw_name}"
        for entry in pwd.getpwall()
        if any(word in ":".join((entry.pw_name, entry.pw_gecos, entry.pw_dir)) for word in slice_.exact)
    ]
    return found + [f"group {entry.gr_name}" for entry in grp.getgrall() if slice_.unit in entry.gr_name]


def probe_units(slice_):
    argv = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "--full"]
    rc, out, err = slice_.module.run_command(argv)
    if rc != 0:
        slice_.module.fail_json(
            msg="The units of systemd could not be listed.", code="check_impossible", stderr=err[-500:]
        )
    return [line.split()[0] for line in out.splitlines() if any(word in line for word in slice_.exact)]


def probe_keys(slice_):
    homes = {entry.pw_dir for entry in pwd.getpwall() if Path(entry.pw_dir).is_dir()}
    return slice_.files_naming([str(path) for home in sorted(homes) for path in Path(home).glob(".ssh/*")])


def probe_firewall(slice_):
    """Rules that name the slice or its port; without any tool for rules nobody can have made one."""
    rules = ""
    for tool in (["/usr/sbin/nft", "list", "ruleset"], ["/usr/sbin/iptables-save"], ["/usr/sbin/ip6tables-save"]):
        if Path(tool[0]).exists():
            rc, out, err = slice_.module.run_command(tool)
            if rc != 0:
                slice_.module.fail_json(
                    msg="The firewall rules could not be read.", code="check_impossible", stderr=err[-500:]
                )
            rules += out
    ported = re.compile(rf"\b(?:dport|--dport) {slice_.port}\b")
    return [
        line.strip() for line in rules.splitlines() if ported.search(line) or any(word in line for word in slice_.exact)
    ]


def probe_logs(slice_):
    return [f"journal: {line[:160]}" for line in slice_.journal()]


def probe_names(slice_):
    """Names that the zone's name server still knew; only the controller can ask it, so it has been asked before."""
    return [f"name {name}" for name in slice_.module.params["names_left"]]


def no_probe(_slice):
    return []


PROBES = {
    "processes": probe_processes,
    "ports": probe_ports,
    "users": probe_users,
    "units": probe_units,
    "keys": probe_keys,
    "firewall": probe_firewall,
    "logs": probe_logs,
    "names": probe_names,
    "data": no_probe,
    "config": no_probe,
    "cron": no_probe,
    "tmp": no_probe,
}


def findings_of(slice_, kind):
    """Everything of one kind of the list that is still there, each thing once."""
    found = list(PROBES[kind["kind"]](slice_))
    for pattern in kind["paths"]:
        found += matching(pattern)
    for path, _ in walk_files(kind.get("names_under", [])):
        if any(word in Path(path).name for word in slice_.exact):
            found.append(path)
    found += naming_files(kind.get("ids_under", []), slice_.exact)
    found += slice_.files_naming(kind["text_under"])
    return sorted(set(found))[:FINDINGS_PER_KIND]


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "instance_id": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "tenant": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "names_left": {"type": "list", "elements": "str", "default": []},
            **OPTIONS,
        }
    )
    check_unit(module, module.params["unit"])
    residues = read(module, module.params["unit"])
    unknown = [kind["kind"] for kind in residues.kinds if kind["kind"] not in PROBES]
    if unknown:
        module.fail_json(msg=f"The residue list asks for kinds nobody can check: {unknown}.", code="residues_invalid")
    slice_ = Slice(module)
    findings = [{"kind": kind["kind"], "what": what} for kind in residues.kinds for what in findings_of(slice_, kind)]
    module.exit_json(
        changed=False,
        residue={
            "clean": not findings,
            "checked": [kind["kind"] for kind in residues.kinds],
            "findings": findings,
        },
    )


if __name__ == "__main__":
    main()
