#!/usr/bin/python3
"""Have what an owner serves on the host: fetched and unpacked by the slice's own user, in a new folder beside the one in use.

What was served before from the same source is not fetched again, unless `again` says so. Memory in MB, processors in whole VCPU.
Returns `name` and `key` of the release; whether anything can be served from it is for the caller to try.
Fails with `unit_invalid`, `source_invalid`, `source_unreachable`, `source_too_large`, `checksum_differs`, `archive_unreadable`,
`archive_refused`, `release_broken_off` or `command_failed`.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import secrets
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_host import check_unit, make_account, make_directory, write_file
from ansible.module_utils.pumasi_releases import releases_of, served
from ansible.module_utils.pumasi_sandbox import reported

SCRIPT = "/usr/local/lib/pumasi/fetch.py"
SECONDS = 300


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "vcpu": {"type": "int", "required": True},
            "memory_mb": {"type": "int", "required": True},
            "script": {"type": "str", "required": True},
            "source": {"type": "str", "default": "", "no_log": True},
            "sha256": {"type": "str", "default": ""},
            "inner": {"type": "str", "default": ""},
            "built_in": {"type": "dict", "required": True},
            "also": {"type": "str", "default": "", "no_log": True},
            "again": {"type": "bool", "default": False},
        }
    )
    given = module.params
    unit = given["unit"]
    check_unit(module, unit)
    told = [given[name] for name in ("source", "sha256", "inner", "also")]
    content = None if given["source"] else given["built_in"]
    key = hashlib.sha256(json.dumps([told, content], sort_keys=True).encode()).hexdigest()[:16]

    changed = make_account(module, unit)
    releases, owner = releases_of(unit), pwd.getpwnam(unit)
    # Root's, so that its user can put nothing in the place of what root makes in it; closed to the neighbours.
    changed |= make_directory(f"/var/lib/pumasi/{unit}", 0o750)
    os.chown(f"/var/lib/pumasi/{unit}", 0, owner.pw_gid)
    changed |= make_directory(releases)
    os.chown(releases, owner.pw_uid, owner.pw_gid)
    make_directory(str(Path(SCRIPT).parent))
    changed |= write_file(SCRIPT, given["script"] + "\n", 0o755)

    known = served(unit)
    found = [each["name"] for each in known if each["key"] == key and Path(releases, each["name"], "source").is_dir()]
    name = found[-1] if found and not given["again"] else ""
    if not name:
        name = f"{key}-{secrets.token_hex(4)}"
        asked = {"folder": releases, "name": name, "keep": [each["name"] for each in known], "source": given["source"]}
        asked |= {part: given[part] for part in ("sha256", "inner", "built_in")}
        reported(module, ["/usr/bin/python3", "-I", SCRIPT], asked, seconds=SECONDS, writable=[releases])
        changed = True
    module.exit_json(changed=changed, state="fetched", name=name, key=key)


if __name__ == "__main__":
    main()
