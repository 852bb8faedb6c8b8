#!/usr/bin/python3
"""Create and configure one PostgreSQL cluster of a slice, and have it running, and leading, with what was asked for.

Safe to run again at any point: a cluster whose creation did not finish held no data yet and is made anew. One that followed
another is promoted, with everything it had copied.
Memory and disk in MB and GB of the slice; every other setting follows from them or comes typed from the plan.
Fails with `unit_invalid`, `access_invalid` or `command_failed`.
"""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_host import check_unit, run, write_file
from ansible.module_utils.pumasi_postgresql import COMMON, Cluster, ask, bring_up, make_empty, write_cluster


def create(module, cluster, port):
    """Make the cluster unless an earlier run finished making it. Returns whether it was made."""
    if Path(cluster.finished).exists():
        return False
    make_empty(module, cluster, port)
    write_file(cluster.finished, "")
    return True


def promote(module, cluster, port):
    """What follows another leads from now on. Returns whether it did follow."""
    if ask(module, port, "SELECT pg_is_in_recovery()") != "t":
        return False
    words = ["pg_ctlcluster", cluster.version, cluster.unit, "promote"]
    run(module, words, what="The replica could not be made the primary")
    Path(cluster.follows).unlink(missing_ok=True)
    return True


def main():
    module = AnsibleModule(argument_spec=COMMON)
    given = module.params
    check_unit(module, given["unit"])
    cluster = Cluster(given["version"], given["unit"])
    created = create(module, cluster, given["port"])
    restart, reload = write_cluster(module, cluster, given)
    acted = bring_up(module, cluster, given["port"], restart, reload)
    promoted = promote(module, cluster, given["port"])
    text = Path(f"{cluster.config}/server.crt").read_text(encoding="ascii")
    module.exit_json(changed=created or acted or promoted, promoted=promoted, certificate=text)


if __name__ == "__main__":
    main()
