"""The configuration of nginx in front of one hub: it ends TLS, and knows each notebook server by its user's name."""

from __future__ import annotations

import ipaddress
import json

LARGEST_UPLOAD = "64m"

_NGINX = """# comment: {comment}
daemon off;
worker_processes {vcpu};
worker_rlimit_nofile 8192;
pid {state}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 2048; }}
http {{
  include /etc/nginx/mime.types;
  access_log off;
  server_tokens off;
  client_body_temp_path {state}/nginx-body;
  proxy_temp_path {state}/nginx-proxy;
  fastcgi_temp_path {state}/nginx-unused;
  uwsgi_temp_path {state}/nginx-unused;
  scgi_temp_path {state}/nginx-unused;
  client_max_body_size {upload};

  ssl_certificate {folder}/server.pem;
  ssl_certificate_key {folder}/server.pem;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_tickets off;

  # Twenty tries at once, and then one in two seconds for each address.
  limit_req_zone $binary_remote_addr zone=login:1m rate=30r/m;
  limit_req_status 429;

  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  proxy_http_version 1.1;
  proxy_buffering off;
  proxy_request_buffering off;
  proxy_read_timeout 300s;
  # What a client says of itself counts for nothing.
  proxy_set_header Host $http_host;
  proxy_set_header X-Real-IP $remote_addr;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto https;
  proxy_set_header X-Scheme "";
  proxy_set_header X-Forwarded-Host "";
  proxy_set_header Forwarded "";
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;

  server {{
    listen {listen} ssl http2;
    location / {{ proxy_pass {hub}; }}
    location = /hub/login {{
      limit_req zone=login burst=20 nodelay;
      proxy_pass {hub};
    }}
    location ~ "^/user/([a-z][a-z0-9_]{{0,15}})/" {{
      proxy_pass http://unix:/run/pumasi/{unit}/$1/server.sock;
      error_page 502 504 = @hub;
    }}
    # Nobody is at home; the hub says what can be done.
    location @hub {{ proxy_pass {hub}; }}
  }}
}}
"""


def hub_address(port):
    """Where the hub listens, for notebook servers of the same host only: no two slices have the same port."""
    return f"http://127.{port >> 8}.{port & 255}.1:8081"


def nginx(given, state, folder):
    """nginx's whole configuration; the comment is one JSON string, so it cannot end its line."""
    address = ipaddress.ip_address(given["address"])
    return _NGINX.format(
        comment=json.dumps(given["comment"]),
        listen=f"[{address}]:{given['port']}" if address.version == 6 else f"{address}:{given['port']}",
        hub=hub_address(given["port"]),
        state=state,
        folder=folder,
        unit=given["unit"],
        vcpu=given["vcpu"],
        upload=LARGEST_UPLOAD,
    )
