#!/usr/bin/python3
"""Create the database and the one user that owns it, with the password that was given.

Every value reaches MariaDB as hexadecimal digits, and is quoted there: nothing that a user typed is ever pasted into a
statement. The password is turned into what the server stores of it here, so that no log can hold it. Passwords are 1-128
printable ASCII characters.
A failure is returned as `problem` (a number of MariaDB's, never text that could hold a value), with `failed` left to the caller.
"""

from __future__ import annotations

import hashlib
import re

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_host import check_unit

# A statement is made, and its tag printed, only where something differs; no tag means nothing changed.
APPLY = r"""SET NAMES utf8mb4 COLLATE utf8mb4_bin;
SET @database = %(database)s, @pattern = %(pattern)s, @collation = %(collation)s;
SET @username = %(username)s, @stored = %(stored)s;
SET @account = CONCAT(QUOTE(@username), '@''%%''');
DELIMITER //
BEGIN NOT ATOMIC
  IF NOT EXISTS (SELECT 1 FROM information_schema.SCHEMATA WHERE BINARY SCHEMA_NAME = @database) THEN
    EXECUTE IMMEDIATE CONCAT('CREATE DATABASE `', REPLACE(@database, '`', '``'), '` CHARACTER SET utf8mb4 COLLATE ',
      QUOTE(@collation));
    SELECT 'CREATE DATABASE';
  END IF;
  IF NOT EXISTS (
    SELECT 1 FROM mysql.global_priv WHERE Host = '%%' AND BINARY User = @username
      AND JSON_VALUE(Priv, '$.plugin') = 'mysql_native_password'
      AND JSON_VALUE(Priv, '$.authentication_string') = @stored
      AND JSON_VALUE(Priv, '$.ssl_type') = 1
  ) THEN
    EXECUTE IMMEDIATE CONCAT('CREATE USER IF NOT EXISTS ', @account, ' REQUIRE SSL');
    EXECUTE IMMEDIATE CONCAT('ALTER USER ', @account, ' IDENTIFIED VIA mysql_native_password USING ', QUOTE(@stored),
      ' REQUIRE SSL');
    SELECT 'ALTER USER';
  END IF;
  IF NOT EXISTS (SELECT 1 FROM mysql.db WHERE Host = '%%' AND BINARY Db = @pattern AND BINARY User = @username) THEN
    EXECUTE IMMEDIATE CONCAT('GRANT ALL PRIVILEGES ON `', REPLACE(@pattern, '`', '``'), '`.* TO ', @account);
    SELECT 'GRANT';
  END IF;
END//
"""


def literal(value):
    """A value as MariaDB reads it without any quoting."""
    return f"CONVERT(X'{value.encode().hex()}' USING utf8mb4)"


def stored(password):
    """What MariaDB stores for a password of mysql_native_password; the method itself says SHA-1."""
    inner = hashlib.sha1(password.encode("ascii"), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(inner, usedforsecurity=False).hexdigest().upper()


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "database": {"type": "str", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "collation": {"type": "str", "required": True},
        }
    )
    given = module.params
    check_unit(module, given["unit"])
    if not given["password"].isascii() or not given["password"].isprintable():
        module.exit_json(changed=False, problem="password_invalid")
    wanted = {name: given[name] for name in ("database", "username", "collation")}
    # A grant reads the name as a pattern, which would cover the databases whose names differ in place of an underscore.
    wanted["pattern"] = re.sub(r"([\\_%])", r"\\\1", given["database"])
    wanted["stored"] = stored(given["password"])
    socket = f"--socket=/run/mariadb-{given['unit']}/mariadb.sock"
    rc, out, err = module.run_command(
        ["mariadb", "--no-defaults", "--user=root", socket, "--batch", "--skip-column-names"],
        data=APPLY % {name: literal(value) for name, value in wanted.items()},
    )
    number = re.match(r"ERROR (\d+)", err)
    problem = "" if rc == 0 else number[1] if number else f"exit {rc}"
    module.exit_json(changed=bool(out.strip()), problem=problem)


if __name__ == "__main__":
    main()
