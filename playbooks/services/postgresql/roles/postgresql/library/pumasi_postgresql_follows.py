#!/usr/bin/python3
"""Show that a replica follows its primary: what is committed on the one is replayed on the other, and the other takes no writes.

It is seen by the position in the write-ahead log, so that any number of tries side by side leave nothing behind.
Runs where the client is, with the delivered credentials. Returns `problem`: "" or one of `client_missing`, `write_failed`,
`not_followed` (it did not arrive in time), `replica_writable`; with the client's words in `detail`.
"""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_psql import Owner

COMMIT = "SELECT txid_current();\nSELECT pg_current_wal_flush_lsn();\n"
REPLAYED = "SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() >= '%s'::pg_lsn;\n"
WRITE = 'BEGIN;\nCREATE TABLE "pumasi_writable_%s" ();\nROLLBACK;\n'


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "primary": {"type": "dict", "required": True},
            "replica": {"type": "dict", "required": True},
            "database": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "seconds": {"type": "int", "default": 10},
            "seconds_to_arrive": {"type": "int", "default": 20},
        }
    )
    given = module.params
    owner = Owner(module, given)
    rc, said, err = owner.says(given["primary"], given["password"], COMMIT)
    if rc != 0:
        module.exit_json(problem="write_failed", detail=err)
    position = said.split()[-1]
    until, seen = time.monotonic() + given["seconds_to_arrive"], ""
    while seen != "t" and time.monotonic() < until:
        rc, seen, err = owner.says(given["replica"], given["password"], REPLAYED % position)
        time.sleep(0 if seen == "t" else 0.2)
    if seen != "t":
        module.exit_json(problem="not_followed", detail=err or "What was committed did not arrive.")
    rc, said, err = owner.says(given["replica"], given["password"], WRITE % given["unit"])
    if rc == 0 or "read-only transaction" not in err:
        module.exit_json(problem="replica_writable", detail=err)
    module.exit_json(problem="", detail="")


if __name__ == "__main__":
    main()
