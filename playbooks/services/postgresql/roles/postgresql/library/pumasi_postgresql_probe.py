#!/usr/bin/python3
"""Use a delivered PostgreSQL the way its owner will: over the network, with the real client and the real password.

Writes a row, reads it back and removes it, over TLS; then shows that a wrong password is refused.
Runs where the client is (the controller). Returns `problem`: "" or one of `client_missing`, `unreachable`,
`write_failed`, `wrong_password_accepted`, `refusal_unclear`; with the client's own words in `detail`.
"""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_psql import Owner

# In one transaction: another try that is under way waits for its end, and one that is killed leaves nothing.
SCRIPT = """BEGIN;
CREATE TABLE "pumasi_verify_%(unit)s" (word text NOT NULL);
INSERT INTO "pumasi_verify_%(unit)s" VALUES ('pumasi');
SELECT word FROM "pumasi_verify_%(unit)s";
DELETE FROM "pumasi_verify_%(unit)s";
DROP TABLE "pumasi_verify_%(unit)s";
COMMIT;
"""
CLEAR = 'DROP TABLE IF EXISTS "pumasi_verify_%(unit)s";\n'


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "database": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "seconds": {"type": "int", "default": 10},
        }
    )
    given = module.params
    owner = Owner(module, given)

    unit = {"unit": given["unit"]}
    rc, out, err = owner.says(given, given["password"], CLEAR % unit + SCRIPT % unit)
    if rc == 2:
        module.exit_json(problem="unreachable", detail=err)
    if rc != 0 or out.split() != ["pumasi"]:
        module.exit_json(problem="write_failed", detail=err)

    rc, out, err = owner.says(given, given["password"][::-1] + "x", "SELECT 1;\n")
    if rc == 0:
        module.exit_json(
            problem="wrong_password_accepted", detail="The server took a password that is not the delivered one."
        )
    if "password authentication failed" not in err:
        module.exit_json(problem="refusal_unclear", detail=err)
    module.exit_json(problem="", detail="")


if __name__ == "__main__":
    main()
