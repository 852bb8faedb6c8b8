#!/usr/bin/python3
"""Create the database and the one user that owns it, with the password and the comment that were given.

Every value reaches PostgreSQL as one JSON document through COPY, and is quoted there by format(): nothing that a user
typed is ever pasted into a statement. The password is turned into its SCRAM verifier here, so that the server's log
cannot hold it. Passwords are 1-128 printable ASCII characters.
Members that follow this one get the user they copy with, and a replication slot each.
A failure is returned as `problem` (an SQLSTATE, never text that could hold a value), with `failed` left to the caller.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_postgresql import REPLICATOR, slot_of

ITERATIONS = 4096

LOAD = r"""\set QUIET on
\set ON_ERROR_STOP on
\set VERBOSITY sqlstate
CREATE TEMPORARY TABLE wanted (v jsonb);
COPY wanted FROM STDIN;
%s
\.
"""

# A statement is made, and printed as its tag, only where something differs; no tag means nothing changed.
LOOK = """SELECT coalesce(max(a.rolpassword), '') FROM wanted JOIN pg_authid a ON a.rolname = v->>'username';
SELECT coalesce(max(a.rolpassword), '') FROM wanted JOIN pg_authid a ON a.rolname = v->>'replicator';
"""

APPLY = r"""\set QUIET off
SELECT format('CREATE ROLE %I LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', v->>'replicator')
  FROM wanted WHERE v ? 'replicator' AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = v->>'replicator') \gexec
SELECT format('ALTER ROLE %I PASSWORD %L', v->>'replicator', v->>'replication_verifier')
  FROM wanted JOIN pg_authid a ON a.rolname = v->>'replicator'
  WHERE a.rolpassword IS DISTINCT FROM v->>'replication_verifier' \gexec
SELECT format('SELECT pg_create_physical_replication_slot(%L, true)', slot)
  FROM wanted, jsonb_array_elements_text(v->'slots') AS slot
  WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = slot) \gexec
SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', v->>'username')
  FROM wanted WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = v->>'username') \gexec
SELECT format('ALTER ROLE %I PASSWORD %L', v->>'username', v->>'verifier')
  FROM wanted JOIN pg_authid a ON a.rolname = v->>'username'
  WHERE a.rolpassword IS DISTINCT FROM v->>'verifier' \gexec
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING ''UTF8'' %s LC_COLLATE ''C.UTF-8'' LC_CTYPE ''C.UTF-8''',
         v->>'database', v->>'username',
         CASE v->>'locale' WHEN 'C.UTF-8' THEN 'LOCALE_PROVIDER libc'
              ELSE format('LOCALE_PROVIDER icu ICU_LOCALE %L', v->>'locale') END)
  FROM wanted WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = v->>'database') \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', d.datname)
  FROM wanted JOIN pg_database d ON d.datname IN (v->>'database', 'postgres', 'template1')
  WHERE EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) WHERE grantee = 0) \gexec
SELECT format('COMMENT ON DATABASE %I IS %L', v->>'database', v->>'comment')
  FROM wanted JOIN pg_database d ON d.datname = v->>'database'
  WHERE coalesce(shobj_description(d.oid, 'pg_database'), '') IS DISTINCT FROM v->>'comment' \gexec
"""


def verifier(password, salt):
    """What PostgreSQL stores for a SCRAM-SHA-256 password (RFC 5803)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"


def kept_or_new(password, present):
    """The stored verifier if it is one of this password, otherwise a fresh one."""
    if present.startswith(f"SCRAM-SHA-256${ITERATIONS}:"):
        salt = base64.b64decode(present.split(":")[1].split("$")[0])
        if hmac.compare_digest(verifier(password, salt), present):
            return present
    return verifier(password, os.urandom(16))


def psql(module, port, wanted, script):
    """Run a script with the wanted values in a table of the session. Returns (problem, stdout)."""
    document = json.dumps(wanted).replace("\\", "\\\\")
    rc, out, err = module.run_command(
        [
            "runuser",
            "-u",
            "postgres",
            "--",
            "psql",
            "--no-psqlrc",
            "--no-align",
            "--tuples-only",
            "--no-password",
            "--host",
            "/var/run/postgresql",
            "--port",
            str(port),
            "--dbname",
            "postgres",
        ],
        data=LOAD % document + script,
    )
    if rc == 0:
        return "", out
    return err.strip().rpartition("\n")[2].rpartition(" ")[2] or f"exit {rc}", out


def main():
    module = AnsibleModule(
        argument_spec={
            "port": {"type": "int", "required": True},
            "database": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "locale": {"type": "str", "required": True},
            "comment": {"type": "str", "default": ""},
            "followers": {"type": "list", "elements": "str", "default": []},
            "replication_password": {"type": "str", "default": "", "no_log": True},
        }
    )
    given = module.params
    for password in (given["password"], given["replication_password"]):
        if not password.isascii() or (password and not password.isprintable()):
            module.exit_json(changed=False, problem="password_invalid")
    wanted = {name: given[name] for name in ("database", "username", "locale", "comment")}
    wanted["slots"] = [slot_of(member) for member in given["followers"]]
    if given["followers"]:
        wanted["replicator"] = REPLICATOR
    problem, present = psql(module, given["port"], wanted, LOOK)
    if problem:
        module.exit_json(changed=False, problem=problem)
    owners, replicators = present.split("\n")[:2]
    wanted["verifier"] = kept_or_new(given["password"], owners)
    if given["followers"]:
        wanted["replication_verifier"] = kept_or_new(given["replication_password"], replicators)
    problem, tags = psql(module, given["port"], wanted, APPLY)
    module.exit_json(changed=bool(tags.strip()), problem=problem)


if __name__ == "__main__":
    main()
