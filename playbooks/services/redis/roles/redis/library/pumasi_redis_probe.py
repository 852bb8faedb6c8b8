#!/usr/bin/python3
"""Use a delivered Redis the way its owner will: over the network, with the real client and the real password.

Writes a key, reads it back and removes it; then shows that a wrong password and no password are refused.
Runs where the client is (the controller). Returns `problem`: "" or one of `client_missing`, `unreachable`,
`write_failed`, `wrong_password_accepted`, `open_to_anyone`, `refusal_unclear`; with the client's own words in `detail`.
"""

from __future__ import annotations

import secrets
import shutil

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "seconds": {"type": "int", "default": 10},
        }
    )
    given = module.params
    client, limiter = shutil.which("redis-cli"), shutil.which("timeout")
    if client is None or limiter is None:
        module.exit_json(problem="client_missing", detail="redis-cli is not installed here.")

    def redis(commands, password=None):
        argv = [limiter, str(given["seconds"]), client, "-h", given["address"], "-p", str(given["port"])]
        environment = {"LC_ALL": "C"}
        if password is not None:
            argv += ["--no-auth-warning", "--user", given["username"]]
            environment["REDISCLI_AUTH"] = password
        rc, out, err = module.run_command(argv, data=commands, environ_update=environment)
        return rc, out.split("\n"), (err or out).strip()[-500:]

    # Another try may be under way, and one that is killed leaves nothing for long.
    key = f"pumasi:verify:{secrets.token_hex(8)}"
    rc, answers, said = redis(f"SET {key} pumasi EX 60\nGET {key}\nDEL {key}\n", given["password"])
    if "Could not connect" in said or rc == 124:
        module.exit_json(problem="unreachable", detail=said)
    if answers[:3] != ["OK", "pumasi", "1"]:
        module.exit_json(problem="write_failed", detail=said)

    for password, problem in ((given["password"][::-1] + "x", "wrong_password_accepted"), (None, "open_to_anyone")):
        said = redis("PING\n", password)[2]
        if "PONG" in said:
            module.exit_json(problem=problem, detail="The server answered someone who does not know the password.")
        if "WRONGPASS" not in said and "NOAUTH" not in said:
            module.exit_json(problem="refusal_unclear", detail=said)
    module.exit_json(problem="", detail="")


if __name__ == "__main__":
    main()
