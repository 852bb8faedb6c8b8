#!/usr/bin/python3
"""Create and configure one MariaDB server of a slice under a unix user of its own, and have it running with what was asked for.

Safe to run again at any point: data are made beside their place and moved there whole, so what an interrupted run left there
holds nothing yet and is made anew. Memory and disk in MB and GB of the slice, the cache in percent of the memory.
Returns `certificate`, as PEM. Fails with `unit_invalid` or `command_failed`.
"""

from __future__ import annotations

import json
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_certificate import certificate_in, is_good, make
from ansible.module_utils.pumasi_host import (
    check_unit,
    describe_unit,
    is_outdated,
    keep_running,
    make_account,
    write_file,
)
from ansible.module_utils.pumasi_mariadb import make_data, own_directory, settings_text

# What the server keeps for itself beside its page cache and its connections: 85 as measured at rest, and its small caches.
OWN_MEMORY_MB = 112

TEMPLATE = "/usr/local/lib/systemd/system/pumasi-mariadb@.service"
UNIT = """[Unit]
Description=MariaDB server of slice %i

[Service]
Type=notify
User=%i
Group=%i
UMask=0077
EnvironmentFile=/etc/pumasi/slices/%i/mariadb.env
ExecStart=/usr/sbin/mariadbd --defaults-file=/etc/pumasi/slices/%i/mariadb.cnf
StateDirectory=pumasi/%i
StateDirectoryMode=0700
LogsDirectory=pumasi/%i
LogsDirectoryMode=0700
RuntimeDirectory=mariadb-%i
RuntimeDirectoryMode=0700
Restart=on-failure
RestartSec=5
TimeoutStartSec=900
LimitNOFILE=16384
NoNewPrivileges=yes
CapabilityBoundingSet=
PrivateDevices=yes
PrivateTmp=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=multi-user.target
"""


class Server:
    """Where the parts of one server are."""

    def __init__(self, unit):
        self.unit = unit
        self.service = f"pumasi-mariadb@{unit}.service"
        self.config = f"/etc/pumasi/slices/{unit}"
        self.home = f"/var/lib/pumasi/{unit}"
        self.data = f"{self.home}/data"
        self.files = f"{self.home}/files"
        self.scratch = f"{self.home}/scratch"
        self.run = f"/run/mariadb-{unit}"
        self.pid = f"{self.run}/mariadb.pid"
        self.log = f"/var/log/pumasi/{unit}/mariadb.log"


def certify(module, server, address, name):
    """A key and a certificate of the server's own, in one file, which changes as a whole. Returns the certificate."""
    path = f"{server.config}/server.pem"
    if not is_good(module, path, address, name):
        write_file(path, "".join(make(module, server.unit, address, name)), 0o640, "root", server.unit)
    return certificate_in(Path(path).read_text(encoding="ascii"))


def settings(server, given):
    """Settings that follow from the slice's size, and those that were asked for."""
    memory, connections, disk_mb = given["memory_mb"], given["max_connections"], given["disk_gb"] * 1024
    cache = max(16, memory * given["buffer_pool_percent"] // 100)
    each_kb = min(2048, max(256, (memory - cache - OWN_MEMORY_MB) * 1024 // (connections * 2)))
    wanted = {
        "datadir": server.data,
        "tmpdir": server.scratch,
        "socket": f"{server.run}/mariadb.sock",
        "pid_file": server.pid,
        "log_error": server.log,
        "bind_address": given["address"],
        "port": given["port"],
        "require_secure_transport": "ON",
        "ssl_cert": f"{server.config}/server.pem",
        "ssl_key": f"{server.config}/server.pem",
        "tls_version": "TLSv1.2,TLSv1.3",
        "secure_file_priv": server.files,
        "collation_server": given["collation"],
        # The server takes ten for less; its one account does not.
        "max_connections": connections,
        "max_user_connections": connections,
        "innodb_buffer_pool_size": f"{cache}M",
        "innodb_log_file_size": f"{min(512, max(16, disk_mb // 16))}M",
        "innodb_log_buffer_size": "8M",
        "innodb_temp_data_file_path": f"ibtmp1:12M:autoextend:max:{disk_mb // 4}M",
        "aria_pagecache_buffer_size": "16M",
        "key_buffer_size": "8M",
        "tmp_table_size": "16M",
        "max_heap_table_size": "16M",
        "sort_buffer_size": f"{each_kb}K",
    }
    return settings_text(wanted)


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "port": {"type": "int", "required": True},
            "memory_mb": {"type": "int", "required": True},
            "disk_gb": {"type": "int", "required": True},
            "max_connections": {"type": "int", "required": True},
            "buffer_pool_percent": {"type": "int", "required": True},
            "collation": {"type": "str", "required": True},
            "timezone": {"type": "str", "required": True},
            "comment": {"type": "str", "default": ""},
        }
    )
    given = module.params
    check_unit(module, given["unit"])
    server = Server(given["unit"])
    readable = {"mode": 0o640, "owner": "root", "group": server.unit}

    account = make_account(module, server.unit)
    home = own_directory(server.home, server.unit)
    created = make_data(module, server.unit, server.data, f"{server.config}/accounts.sql")
    shut = [own_directory(path, server.unit) for path in (server.files, server.scratch)]
    certificate = certify(module, server, given["address"], given["name"])
    write_file(f"{server.config}/mariadb.cnf", settings(server, given), **readable)
    # The server follows the system's time zones, daylight saving included, without tables of its own.
    write_file(f"{server.config}/mariadb.env", f"TZ={given['timezone']}\n", **readable)
    # Not in the database: its comments hold no character beyond U+FFFF. Nothing is restarted for it.
    noted = write_file(f"{server.config}/comment.json", json.dumps(given["comment"]) + "\n", **readable)
    describe_unit(module, TEMPLATE, UNIT, server.service)
    read = [TEMPLATE, *(f"{server.config}/{name}" for name in ("mariadb.cnf", "mariadb.env", "server.pem"))]
    started = keep_running(module, server.service, restart=is_outdated(module, server.service, read))

    module.exit_json(changed=account or home or created or any(shut) or noted or started, certificate=certificate)


if __name__ == "__main__":
    main()
