#!/usr/bin/python3
"""Create and configure one PostgreSQL cluster of a slice, and have it running with what was asked for.

Safe to run again at any point: a cluster whose creation did not finish held no data yet and is made anew.
Memory and disk in MB and GB of the slice; every other setting follows from them or comes typed from the plan.
Fails with `unit_invalid`, `access_invalid` or `command_failed`.
"""

from __future__ import annotations

import ipaddress
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_certificate import is_good, make
from ansible.module_utils.pumasi_host import check_unit, is_outdated, run, write_file


class Cluster:
    """Where the parts of one cluster are."""

    def __init__(self, version, unit):
        self.version, self.unit = version, unit
        self.config = f"/etc/postgresql/{version}/{unit}"
        self.data = f"/var/lib/postgresql/{version}/{unit}"
        self.log = f"/var/log/postgresql/postgresql-{version}-{unit}.log"
        self.finished = f"/etc/pumasi/slices/{unit}/cluster"
        self.service = f"postgresql@{version}-{unit}.service"


def create(module, cluster, port):
    """Make the cluster unless an earlier run finished making it. Returns whether it was made."""
    if Path(cluster.finished).exists():
        return False
    for path in (cluster.config, cluster.data):
        shutil.rmtree(path, ignore_errors=True)
    log = Path(cluster.log)
    for path in log.parent.glob(log.name + "*"):
        path.unlink()
    run(
        module,
        [
            "pg_createcluster",
            cluster.version,
            cluster.unit,
            "--port",
            str(port),
            "--locale",
            "C.UTF-8",
            "--encoding",
            "UTF8",
            "--start-conf",
            "auto",
            "--",
            "--auth-local",
            "peer",
            "--auth-host",
            "scram-sha-256",
            "--data-checksums",
        ],
        what="The cluster could not be created",
    )
    write_file(cluster.finished, "")
    return True


def certify(module, cluster, address, name):
    """A certificate of the cluster's own. The certificate is written last: as long as it is missing, both are made anew."""
    certificate = f"{cluster.config}/server.crt"
    if is_good(module, certificate, address, name):
        return False
    Path(certificate).unlink(missing_ok=True)
    key, text = make(module, cluster.unit, address, name)
    owner = {"owner": "postgres", "group": "postgres"}
    write_file(f"{cluster.config}/server.key", key, 0o600, **owner)
    return write_file(certificate, text, 0o644, **owner)


def quoted(value):
    """A value as postgresql.conf reads it."""
    return "'" + str(value).replace("'", "''") + "'"


def settings(cluster, given):
    """Settings that follow from the slice's size, and those that were asked for."""
    memory, connections = given["memory_mb"], given["max_connections"]
    shared = max(16, memory * given["shared_buffers_percent"] // 100)
    wanted = {
        "listen_addresses": given["address"],
        "port": given["port"],
        "max_connections": connections,
        "superuser_reserved_connections": 3,
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{max(shared, memory * 3 // 4)}MB",
        "work_mem": f"{max(1024, (memory - shared) * 1024 // (connections * 2))}kB",
        "maintenance_work_mem": f"{min(512, max(16, memory // 16))}MB",
        "max_wal_size": f"{max(128, given['disk_gb'] * 1024 // 8)}MB",
        "temp_file_limit": f"{given['disk_gb'] * 1024 // 4}MB",
        "max_parallel_workers": given["vcpu"],
        "password_encryption": "scram-sha-256",
        "ssl": "on",
        "ssl_cert_file": f"{cluster.config}/server.crt",
        "ssl_key_file": f"{cluster.config}/server.key",
        "ssl_min_protocol_version": "TLSv1.2",
        "timezone": given["timezone"],
        "log_timezone": given["timezone"],
    }
    return "".join(f"{name} = {quoted(value)}\n" for name, value in wanted.items())


def access_rules(module, networks):
    """Who may log in: the host's own postgres user, and the given networks with TLS and a password."""
    try:
        parsed = [ipaddress.ip_network(network, strict=False) for network in networks]
    except ValueError:
        module.fail_json(msg="access.allow_from holds something that is not a network.", code="access_invalid")
    lines = ["local all postgres peer"] + [f"hostssl all all {network} scram-sha-256" for network in parsed]
    return "".join(line + "\n" for line in lines)


def main():
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "unit": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "port": {"type": "int", "required": True},
            "allow_from": {"type": "list", "elements": "str", "required": True},
            "vcpu": {"type": "int", "required": True},
            "memory_mb": {"type": "int", "required": True},
            "disk_gb": {"type": "int", "required": True},
            "max_connections": {"type": "int", "required": True},
            "shared_buffers_percent": {"type": "int", "required": True},
            "timezone": {"type": "str", "required": True},
        }
    )
    given = module.params
    check_unit(module, given["unit"])
    cluster = Cluster(given["version"], given["unit"])
    rules = access_rules(module, given["allow_from"])

    created = create(module, cluster, given["port"])
    certified = certify(module, cluster, given["address"], given["name"])
    owner = {"owner": "postgres", "group": "postgres"}
    set_up = write_file(f"{cluster.config}/conf.d/pumasi.conf", settings(cluster, given), 0o644, **owner)
    opened = write_file(f"{cluster.config}/pg_hba.conf", rules, 0o640, **owner)

    running = run(module, ["systemctl", "is-active", "--quiet", cluster.service], check=False)[0] == 0
    read = [f"{cluster.config}/{name}" for name in ("conf.d/pumasi.conf", "server.key", "server.crt")]
    outdated = running and is_outdated(module, cluster.service, read)
    if not running or set_up or certified or outdated:
        run(module, ["systemctl", "restart", cluster.service], what="PostgreSQL did not start")
    elif opened:
        run(module, ["systemctl", "reload", cluster.service], what="PostgreSQL did not take the access rules")
    # The unit reports success whatever pg_ctlcluster says, so the server itself is asked.
    run(
        module,
        ["pg_isready", "--quiet", "--timeout=30", "--host", "/var/run/postgresql", "--port", str(given["port"])],
        what="PostgreSQL was started but does not answer",
    )
    text = Path(f"{cluster.config}/server.crt").read_text(encoding="ascii")
    module.exit_json(changed=created or certified or set_up or opened or outdated or not running, certificate=text)


if __name__ == "__main__":
    main()
