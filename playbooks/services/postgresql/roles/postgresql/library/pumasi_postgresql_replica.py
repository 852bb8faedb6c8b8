#!/usr/bin/python3
"""Have a PostgreSQL cluster of a slice follow another one: a copy of it, streamed over TLS with its certificate checked.

Safe to run again at any point. What follows already goes on from where it is; anything else under this name (nothing, half a
copy, a former primary) gives way to a new copy of the leader: the leader's data are the service's.
Fails with `unit_invalid`, `access_invalid`, `command_failed`, or `not_streaming` when the leader's changes do not arrive.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_host import check_unit, run, write_file
from ansible.module_utils.pumasi_postgresql import (
    COMMON,
    REPLICATOR,
    Cluster,
    ask,
    bring_up,
    is_running,
    make_empty,
    quoted,
    slot_of,
    write_cluster,
)

SECONDS_TO_STREAM = 60


def conninfo(cluster, leader):
    """How the leader is reached; none of it is a secret, the password stands in a file."""
    said = {
        "host": leader["address"],
        "port": leader["port"],
        "user": REPLICATOR,
        "passfile": f"{cluster.config}/replication.pgpass",
        "sslmode": "verify-ca",
        "sslrootcert": f"{cluster.config}/leader.crt",
        "connect_timeout": 10,
    }
    return " ".join(f"{name}={value}" for name, value in said.items())


def follow(module, cluster, leader, member):
    """Write whom it follows. Returns whether that changed."""
    owner = {"owner": "postgres", "group": "postgres"}
    known = write_file(f"{cluster.config}/leader.crt", leader["certificate"], 0o644, **owner)
    lines = {"primary_conninfo": conninfo(cluster, leader), "primary_slot_name": slot_of(member)}
    text = "".join(f"{name} = {quoted(value)}\n" for name, value in lines.items())
    return write_file(cluster.follows, text, 0o644, **owner) or known


def copy(module, cluster, given):
    """A copy of the leader in place of whatever there was. It is marked as finished when it is whole."""
    if is_running(module, cluster):
        run(module, ["systemctl", "stop", cluster.service], what="What stood there could not be stopped")
    Path(cluster.finished).unlink(missing_ok=True)
    make_empty(module, cluster, given["port"])
    write_cluster(module, cluster, given)
    follow(module, cluster, given["leader"], given["member"])
    shutil.rmtree(cluster.data)
    words = ["runuser", "-u", "postgres", "--", f"/usr/lib/postgresql/{cluster.version}/bin/pg_basebackup", "--pgdata"]
    words += [cluster.data, "--wal-method=stream", "--checkpoint=fast", "--no-password"]
    words += ["--slot", slot_of(given["member"]), "--dbname", conninfo(cluster, given["leader"])]
    run(module, words, what="The primary could not be copied")
    write_file(cluster.standby, "", 0o600, owner="postgres", group="postgres")
    write_file(cluster.finished, "")


def is_streaming(module, port):
    """Whether the leader's changes arrive, within a minute."""
    until = time.monotonic() + SECONDS_TO_STREAM
    while time.monotonic() < until:
        if ask(module, port, "SELECT status FROM pg_stat_wal_receiver", check=False) == "streaming":
            return True
        time.sleep(0.2)
    return False


def main():
    leader = {
        "address": {"type": "str", "required": True},
        "port": {"type": "int", "required": True},
        "certificate": {"type": "str", "required": True},
    }
    own = {"leader": {"type": "dict", "required": True, "options": leader}, "member": {"type": "str", "required": True}}
    module = AnsibleModule(argument_spec={**COMMON, **own})
    given = module.params
    check_unit(module, given["unit"])
    cluster = Cluster(given["version"], given["unit"])
    copied = not (Path(cluster.finished).exists() and Path(cluster.standby).exists())
    if copied:
        copy(module, cluster, given)
    restart, reload = write_cluster(module, cluster, given)
    followed = follow(module, cluster, given["leader"], given["member"])
    acted = bring_up(module, cluster, given["port"], restart or followed, reload)
    if not is_streaming(module, given["port"]):
        module.fail_json(msg="The replica does not receive the changes of the primary.", code="not_streaming")
    module.exit_json(changed=copied or followed or acted)


if __name__ == "__main__":
    main()
