#!/usr/bin/python3
"""Show that a replica follows its primary: a row written to the one is read from the other, and the other takes no writes.

Runs where the client is (the controller), with the delivered credentials. Returns `problem`: "" or one of `client_missing`,
`write_failed`, `not_followed` (the row did not arrive in time), `replica_writable`; with the client's words in `detail`.
"""

from __future__ import annotations

import shutil
import time

from ansible.module_utils.basic import AnsibleModule

WRITE = """DROP TABLE IF EXISTS "%(table)s";
CREATE TABLE "%(table)s" (word text);
INSERT INTO "%(table)s" VALUES ('%(word)s');
"""
READ = 'SELECT word FROM "%(table)s";\n'
CHANGE = """INSERT INTO "%(table)s" VALUES ('changed');\n"""
DROP = 'DROP TABLE "%(table)s";\n'


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "primary": {"type": "dict", "required": True},
            "replica": {"type": "dict", "required": True},
            "database": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "seconds": {"type": "int", "default": 20},
        }
    )
    given = module.params
    client = shutil.which("psql")
    if client is None:
        module.exit_json(problem="client_missing", detail="psql is not installed here.")

    def psql(at, statement):
        environment = {
            "PGHOST": at["address"],
            "PGPORT": str(at["port"]),
            "PGDATABASE": given["database"],
            "PGUSER": given["username"],
            "PGPASSWORD": given["password"],
            "PGSSLMODE": "require",
            "PGCONNECT_TIMEOUT": "10",
            "PGPASSFILE": "/dev/null",
            "LC_ALL": "C",
        }
        words = [client, "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1"]
        rc, out, err = module.run_command(words, data=statement, environ_update=environment)
        return rc, out.strip(), err.strip()[-500:]

    word = str(time.time_ns())
    names = {"table": f"pumasi_follows_{given['unit']}", "word": word}
    rc, _out, err = psql(given["primary"], WRITE % names)
    if rc != 0:
        module.exit_json(problem="write_failed", detail=err)
    until, seen, err = time.monotonic() + given["seconds"], "", ""
    while seen != word and time.monotonic() < until:
        _rc, seen, err = psql(given["replica"], READ % names)
    if seen == word:
        rc, _out, refused = psql(given["replica"], CHANGE % names)
    psql(given["primary"], DROP % names)
    if seen != word:
        module.exit_json(problem="not_followed", detail=err or "The row did not arrive.")
    if rc == 0 or "read-only transaction" not in refused:
        module.exit_json(problem="replica_writable", detail=refused)
    module.exit_json(problem="", detail="")


if __name__ == "__main__":
    main()
