"""What a cluster that leads and one that follows have in common: where its parts are, what stands in them, how it is started."""

from __future__ import annotations

import ipaddress
import shutil
from pathlib import Path

from ansible.module_utils.pumasi_certificate import is_good, make
from ansible.module_utils.pumasi_host import is_outdated, run, write_file

REPLICATOR = "pumasi_replicator"
"""The user that members copy each other with; it may log in to no database."""


class Cluster:
    """Where the parts of one cluster are."""

    def __init__(self, version, unit):
        self.version, self.unit = version, unit
        self.config = f"/etc/postgresql/{version}/{unit}"
        self.data = f"/var/lib/postgresql/{version}/{unit}"
        self.log = f"/var/log/postgresql/postgresql-{version}-{unit}.log"
        self.slice = f"/etc/pumasi/slices/{unit}"
        self.finished = f"{self.slice}/cluster"
        self.follows = f"{self.config}/conf.d/pumasi_follow.conf"
        self.standby = f"{self.data}/standby.signal"
        self.service = f"postgresql@{version}-{unit}.service"


def make_empty(module, cluster, port):
    """A cluster of Debian's making, in place of anything that stands under its name."""
    for path in (cluster.config, cluster.data):
        shutil.rmtree(path, ignore_errors=True)
    log = Path(cluster.log)
    for path in log.parent.glob(log.name + "*"):
        path.unlink()
    words = ["pg_createcluster", cluster.version, cluster.unit, "--port", str(port), "--locale", "C.UTF-8"]
    words += ["--encoding", "UTF8", "--start-conf", "auto", "--", "--auth-local", "peer"]
    run(module, [*words, "--auth-host", "scram-sha-256", "--data-checksums"], what="The cluster could not be created")


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
    if given["peers"]:
        # A member that is away may cost the others so much disk, not all of it.
        wanted["max_slot_wal_keep_size"] = f"{max(128, given['disk_gb'] * 1024 // 4)}MB"
    return "".join(f"{name} = {quoted(value)}\n" for name, value in wanted.items())


def access_rules(module, networks, peers):
    """Who may log in: the host's own postgres user, the given networks with TLS and a password, and members that copy."""
    try:
        parsed = [ipaddress.ip_network(network, strict=False) for network in networks]
        others = [ipaddress.ip_network(peer["address"]) for peer in peers]
    except ValueError:
        module.fail_json(msg="access.allow_from holds something that is not a network.", code="access_invalid")
    lines = ["local all postgres peer"]
    lines += [f"hostssl replication {REPLICATOR} {other} scram-sha-256" for other in others]
    lines += [f"host all {REPLICATOR} all reject"] if others else []
    lines += [f"hostssl all all {network} scram-sha-256" for network in parsed]
    return "".join(line + "\n" for line in lines)


def slot_of(member):
    """The replication slot that a member reads from."""
    return "pumasi_" + member.replace("-", "_")


MAY_LEAD = """#!/bin/sh
# A primary that comes back after a failover must not serve what it had: another member leads by then.
if [ -e {standby} ]; then exit 0; fi
for peer in {peers}; do
    said="$(PGPASSFILE={passwords} psql -X -A -t -w -c 'SHOW in_hot_standby' "host=${{peer%:*}} port=${{peer##*:}} \
user={replicator} replication=true sslmode=require connect_timeout=3" 2>/dev/null)"
    if [ "$said" = off ]; then
        echo "Another member of this service leads now; this one must be made its replica first." >&2
        exit 1
    fi
done
"""


def write_cluster(module, cluster, given):
    """Everything a cluster reads but whom it follows. Returns (whether a restart is needed, whether a reload is)."""
    certified = certify(module, cluster, given["address"], given["name"])
    owner = {"owner": "postgres", "group": "postgres"}
    set_up = write_file(f"{cluster.config}/conf.d/pumasi.conf", settings(cluster, given), 0o644, **owner)
    rules = access_rules(module, given["allow_from"], given["peers"])
    opened = write_file(f"{cluster.config}/pg_hba.conf", rules, 0o640, **owner)
    if given["peers"]:
        peers = [f"{peer['address']}:{peer['port']}" for peer in given["peers"]]
        hosts = [peer.replace(":", "\\:", peer.count(":") - 1) for peer in peers]
        entries = [f"{host}:*:{REPLICATOR}:{given['password']}\n" for host in hosts]
        passwords = f"{cluster.config}/replication.pgpass"
        write_file(passwords, "".join(entries), 0o600, **owner)
        script = MAY_LEAD.format(
            standby=cluster.standby, peers=" ".join(peers), passwords=passwords, replicator=REPLICATOR
        )
        write_file(f"{cluster.slice}/may-lead", script, 0o755)
    return certified or set_up, opened


def is_running(module, cluster):
    """Whether its unit is active."""
    return run(module, ["systemctl", "is-active", "--quiet", cluster.service], check=False)[0] == 0


def bring_up(module, cluster, port, restart, reload):
    """Have the cluster running with what was written. Returns whether anything was done."""
    running = is_running(module, cluster)
    read = ["conf.d/pumasi.conf", "conf.d/pumasi_follow.conf", "server.key", "server.crt"]
    outdated = running and is_outdated(module, cluster.service, [f"{cluster.config}/{name}" for name in read])
    if not running or restart or outdated:
        run(module, ["systemctl", "restart", cluster.service], what="PostgreSQL did not start")
    elif reload:
        run(module, ["systemctl", "reload", cluster.service], what="PostgreSQL did not take the access rules")
    # The unit reports success whatever pg_ctlcluster says, so the server itself is asked.
    words = ["pg_isready", "--quiet", "--timeout=30", "--host", "/var/run/postgresql", "--port", str(port)]
    run(module, words, what="PostgreSQL was started but does not answer")
    return restart or reload or outdated or not running


def ask(module, port, statement, check=True):
    """One statement of ours, as the superuser, over the local socket. Returns its answer; empty where it failed."""
    words = ["runuser", "-u", "postgres", "--", "psql", "-X", "-A", "-t", "-w", "-h", "/var/run/postgresql"]
    words += ["-p", str(port), "-d", "postgres", "-c", statement]
    rc, out, _err = run(module, words, check=check, what="PostgreSQL did not take a statement")
    return out.strip() if rc == 0 else ""


COMMON = {
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
    "peers": {"type": "list", "elements": "dict", "default": []},
    "password": {"type": "str", "default": "", "no_log": True},
}
"""Arguments of the modules that make a cluster. ``peers`` are the other members (name, address, port) of a service that has some,
``password`` is what they copy with."""
