"""psql as an owner runs it: over the network and TLS, with what was delivered, and with nothing of the machine it runs on."""

from __future__ import annotations

import shutil


class Owner:
    """The owner of a database, at a machine with the real client. Ends the module with `client_missing` where there is none.

    :param given: `database`, `username` and `seconds` to wait for a connection.
    """

    def __init__(self, module, given):
        self._module, self._given = module, given
        self._client = shutil.which("psql")
        if self._client is None:
            module.exit_json(problem="client_missing", detail="psql is not installed here.")

    def says(self, at, password, script):
        """Run a script at an address and port. Returns (exit code, answer, end of what was complained about)."""
        environment = {
            "PGHOST": at["address"],
            "PGPORT": str(at["port"]),
            "PGDATABASE": self._given["database"],
            "PGUSER": self._given["username"],
            "PGPASSWORD": password,
            "PGSSLMODE": "require",
            "PGCONNECT_TIMEOUT": str(self._given["seconds"]),
            "PGPASSFILE": "/dev/null",
            "LC_ALL": "C",
        }
        words = [self._client, "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align"]
        words += ["--set", "ON_ERROR_STOP=1"]
        rc, out, err = self._module.run_command(words, data=script, environ_update=environment)
        return rc, out.strip(), err.strip()[-500:]
