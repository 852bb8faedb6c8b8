"""What every slice with a MariaDB server of its own needs: its folders, its system tables, and the text of its settings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ansible.module_utils.pumasi_host import make_directory, run, write_file

COMMON_SETTINGS = {
    "skip_name_resolve": "ON",
    "local_infile": "OFF",
    "symbolic_links": "OFF",
    "character_set_server": "utf8mb4",
    "table_open_cache": 400,
    "table_definition_cache": 400,
    # The kernel's asynchronous I/O has one limit for the whole host, and no server may take a neighbour's part of it.
    "innodb_use_native_aio": "OFF",
}
"""Settings that follow from the house's rules, whatever the server is for."""

# The bootstrap reads one statement a line.
_ACCOUNTS = """FLUSH PRIVILEGES;
ALTER USER root@localhost IDENTIFIED VIA unix_socket;
DELETE FROM mysql.proxies_priv;
"""


def own_directory(path, unit):
    """A directory that only the slice's user may enter. Returns whether it was made so."""
    if not make_directory(path, 0o700) and Path(path).owner() == unit:
        return False
    shutil.chown(path, unit, unit)
    return True


def make_data(module, unit, data, accounts, more=""):
    """Make the system tables unless an earlier run finished making them. Returns whether they were made.

    They are made beside their place and moved there whole. Nobody but the host's root is the server's root.

    :param data: the data directory; the one above it has to be the slice user's.
    :param accounts: a file for the statements.
    :param more: further statements, one a line.
    """
    if Path(data).exists():
        return False
    fresh = f"{data}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    write_file(accounts, _ACCOUNTS + more, 0o640, "root", unit)
    run(
        module,
        [
            "runuser",
            "-u",
            unit,
            "--",
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={fresh}",
            f"--extra-file={accounts}",
            "--auth-root-authentication-method=socket",
            "--auth-root-socket-user=root",
            "--skip-name-resolve",
            "--skip-test-db",
            "--innodb-log-file-size=16M",
            "--innodb-use-native-aio=OFF",
            # Nothing of it counts before it is moved to its place, and the disk has it by then.
            "--innodb-flush-log-at-trx-commit=0",
            "--sync-frm=OFF",
        ],
        what="The system tables could not be made",
    )
    os.sync()
    Path(fresh).rename(data)
    return True


def settings_text(wanted):
    """The server's configuration: the common settings, and what was added to them."""
    return "[mariadbd]\n" + "".join(f"{name} = {value}\n" for name, value in {**COMMON_SETTINGS, **wanted}.items())
