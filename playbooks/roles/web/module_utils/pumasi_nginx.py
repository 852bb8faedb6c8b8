"""The nginx in front of one slice: its configuration, its certificate, its users, and the judgement of what may stand in it.

It runs as the slice's user from its first moment. What it keeps for itself lies in a folder of /run that is there while it runs.
"""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path

from ansible.module_utils.pumasi_certificate import certificate_in, is_good, make
from ansible.module_utils.pumasi_host import run, write_file
from ansible.module_utils.pumasi_monitor import MONITOR_PATH, MONITOR_TEXT
from ansible.module_utils.pumasi_sandbox import SCRATCH, sandboxed

BODY_MB = 16
PATH = re.compile(r"/[A-Za-z0-9._~%/?&=-]{0,199}", re.ASCII)
USERNAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)

OPTIONS = {
    "unit": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "name": {"type": "str", "default": ""},
    "port": {"type": "int", "required": True},
    "vcpu": {"type": "int", "required": True},
    "memory_mb": {"type": "int", "required": True},
    "username": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "tls": {"type": "bool", "required": True},
    "basic_auth": {"type": "bool", "required": True},
    "comment": {"type": "str", "default": ""},
    "release": {"type": "dict", "required": True},
}
"""What a module that has such an nginx is given for it; `release` is what pumasi_release returned."""

# What systemd lets nginx, and what it serves, do. {start} is the line that starts it.
UNIT = """[Unit]
Description={about} of %i
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User=%i
Group=%i
ExecStart={start}
RuntimeDirectory=pumasi/%i
RuntimeDirectoryMode=0700
KillMode=mixed
Restart=always
RestartSec=2
{more}LimitCORE=0
LimitNOFILE=8192
TasksMax=512
UMask=0077
NoNewPrivileges=yes
CapabilityBoundingSet=
IPAddressAllow=127.0.0.53 127.0.0.54
IPAddressDeny=localhost link-local multicast
LockPersonality=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""

# Below crit nginx writes whole requests to its log, and what stands after a question mark is often secret.
CONFIG = """# comment: {comment}
daemon off;
pid {run}/nginx.pid;
error_log stderr crit;
worker_processes {vcpu};
worker_shutdown_timeout 10s;
events {{
  worker_connections 1024;
}}
http {{
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  charset utf-8;
  server_tokens off;
  sendfile on;
  client_max_body_size {body}m;
  client_body_temp_path {run}/body;
  proxy_temp_path {run}/proxy;
  fastcgi_temp_path {run}/fastcgi;
  uwsgi_temp_path {run}/uwsgi;
  scgi_temp_path {run}/scgi;
  gzip on;
  gzip_types text/css text/plain application/javascript application/json image/svg+xml;
  map $request_uri $path_asked {{
    "~^(?<before>[^?]*)" $before;
  }}
  map $http_host $host_formed {{
    "~^([A-Za-z0-9_-][A-Za-z0-9_.-]{{0,252}}|\\[[0-9A-Fa-f:.]{{2,45}}\\])(:[0-9]{{1,5}})?$" 1;
    default 0;
  }}
  map $http_upgrade $connection_asked {{
    "" "";
    default upgrade;
  }}
  log_format short '$remote_addr "$request_method $path_asked" $status $body_bytes_sent $request_time';
  access_log syslog:server=unix:/run/systemd/journal/dev-log,nohostname,tag=nginx short;
{http}  server {{
    listen {place}{ssl};
    server_name _;
{certificate}    if ($host_formed = 0) {{
      return 400;
    }}
{auth}    location = {monitor_path} {{
      auth_basic service;
      auth_basic_user_file {folder}/users;
      limit_except GET {{
        deny all;
      }}
      alias {folder}/works.txt;
      types {{
      }}
      default_type text/plain;
      add_header Cache-Control no-store always;
    }}
{server}  }}
}}
"""

CERTIFICATE = """    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;
    ssl_session_tickets off;
"""

AUTH = """    auth_basic service;
    auth_basic_user_file {folder}/users;
"""

# What a client says about itself is not passed on as if this had said it; headers with underscores nginx drops itself.
FORWARD = """      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_asked;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Port {port};
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header Forwarded "";
      proxy_set_header Proxy "";
      proxy_connect_timeout 5s;
      proxy_read_timeout 60s;
      proxy_max_temp_file_size 0;
{more}"""

# The password of the pages is nothing that what stands behind them should see.
NO_AUTHORIZATION = '      proxy_set_header Authorization "";\n'


def folder_of(unit):
    return f"/etc/pumasi/slices/{unit}"


def run_of(unit):
    return f"/run/pumasi/{unit}"


def written(address):
    """An address as it stands before a port."""
    parsed = ipaddress.ip_address(address)
    return f"[{parsed}]" if parsed.version == 6 else str(parsed)


def forward(given):
    """Lines of a location that hands requests on."""
    return FORWARD.format(port=given["port"], more=NO_AUTHORIZATION if given["basic_auth"] else "")


def configuration(module, server, http=""):
    """The whole text.

    :param server: lines for the server, that say what is served.
    :param http: lines beside it.
    """
    given = module.params
    if not USERNAME.fullmatch(given["username"]):
        module.fail_json(msg="username is outside of what it may be.", code="value_refused")
    folder = folder_of(given["unit"])
    return CONFIG.format(
        # One JSON string, so it cannot end its line.
        comment=json.dumps(given["comment"]),
        run=run_of(given["unit"]),
        vcpu=given["vcpu"],
        body=BODY_MB,
        place=f"{written(given['address'])}:{given['port']}",
        ssl=" ssl http2" if given["tls"] else "",
        certificate=CERTIFICATE.format(folder=folder) if given["tls"] else "",
        auth=AUTH.format(folder=folder) if given["basic_auth"] else "",
        monitor_path=MONITOR_PATH,
        folder=folder,
        http=http,
        server=server,
    )


def set_up(module, text):
    """Put the configuration in place once nginx takes it. Returns (changed, files it reads, certificate).

    The password is kept as its hash. The salt is the slice's own name, so that the same password gives the same text; it is
    long and drawn by chance, which no number of rounds makes harder to guess, so it is the smallest number there is.
    """
    given = module.params
    unit, folder = given["unit"], folder_of(given["unit"])
    pem, users, works, config = (f"{folder}/{name}" for name in ("server.pem", "users", "works.txt", "nginx.conf"))
    changed = False
    if not is_good(module, pem, given["address"], given["name"]):
        changed |= write_file(pem, "".join(make(module, unit, given["address"], given["name"])), 0o640, group=unit)
    words = ["openssl", "passwd", "-6", "-salt", f"rounds=1000${unit}", "-stdin"]
    crypted = run(module, words, data=given["password"], what="The password could not be hashed")[1].strip()
    changed |= write_file(users, f"{given['username']}:{crypted}\n", 0o640, group=unit)
    changed |= write_file(works, MONITOR_TEXT + "\n")
    if not Path(config).exists() or Path(config).read_text(encoding="ascii") != text:
        candidate = f"{config}.candidate"
        # Tried beside what runs, whose files in /run it must not touch.
        apart = text.replace(run_of(unit), f"/run/{SCRATCH}/{unit}")
        write_file(candidate, apart, 0o640, group=unit)
        rc, _out, err = sandboxed(module, ["/usr/sbin/nginx", "-t", "-q", "-e", "stderr", "-c", candidate])
        Path(candidate).unlink()
        if rc != 0:
            lines = ", ".join(sorted(set(re.findall(r"candidate:(\d+)", err)), key=int))
            module.fail_json(msg=f"nginx refuses the configuration (lines: {lines}).", code="config_refused")
        changed |= write_file(config, text, 0o640, group=unit)
    return changed, [pem, users, config], certificate_in(Path(pem).read_text(encoding="ascii")) if given["tls"] else ""
