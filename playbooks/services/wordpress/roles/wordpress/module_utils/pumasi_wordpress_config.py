"""The configuration of one WordPress: its web server, its PHP, its database and its own constants.

Nothing in here touches the host. Sizes in MB. A value that does not fit raises `Refused`, whose text is fit for the owner's eyes.
"""

from __future__ import annotations

import ipaddress
import re

from ansible.module_utils.pumasi_mariadb import settings_text
from ansible.module_utils.pumasi_wordpress_layout import CODE

NAME = re.compile(r"[a-z0-9.-]{0,253}", re.ASCII)
USERNAME = re.compile(r"[a-z][a-z0-9_]{0,59}", re.ASCII)

# As measured at rest: the database beside its page cache, and PHP and nginx before anybody asks for a page.
OWN_MEMORY_MB = 130
# What a page takes, apart from what all of them share.
PAGE_MEMORY_MB = 40

_NGINX = """daemon off;
user {unit} {unit};
worker_processes 1;
pid {pid};
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  server_tokens off;
  access_log off;
  sendfile on;
  keepalive_timeout 30s;
  client_body_temp_path {web_scratch}/body;
  fastcgi_temp_path {web_scratch}/fastcgi;
  proxy_temp_path {web_scratch}/proxy;
  scgi_temp_path {web_scratch}/scgi;
  uwsgi_temp_path {web_scratch}/uwsgi;
  gzip on;
  gzip_types text/css text/plain text/xml application/javascript application/json image/svg+xml;
  # Passwords cannot be guessed faster than this, from one address.
  map $request_method $guesser {{ POST $binary_remote_addr; default ""; }}
  limit_req_zone $guesser zone=guesses:1m rate=30r/m;
  limit_req_status 429;
  server {{
    listen {address}:{port} ssl http2;
    ssl_certificate {config}/server.pem;
    ssl_certificate_key {config}/server.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;
    ssl_session_cache shared:tls:1m;
    ssl_session_tickets off;
    error_page 497 =301 {url}$request_uri;
    add_header X-Content-Type-Options nosniff always;
    add_header Referrer-Policy strict-origin-when-cross-origin always;
    add_header X-Frame-Options SAMEORIGIN always;
    root {code};
    index index.php;
    client_max_body_size {body}m;
    location = / {{ rewrite ^ /index.php last; }}
    location / {{ try_files $uri $uri/ /index.php?$args; }}
    location ~ /\\. {{ return 404; }}
    # What was uploaded, and what plugins bring, is read and never run by its own address.
    location ^~ /wp-content/ {{
      alias {content}/;
      location ~* \\.(php[0-9]?|phtml|phar)(/|$) {{ return 404; }}
      location ~ /\\. {{ return 404; }}
    }}
    # Nobody installs anything from outside, and what nobody needs is not there.
    location ~ ^/wp-admin/(install|install-helper|setup-config|maint/.*)\\.php {{ return 404; }}
    location ~ ^/(wp-config|wp-config-sample|wp-cron|wp-mail|wp-signup|wp-activate|wp-trackback{shut})\\.php {{ return 404; }}
    location ~ ^/(readme\\.html|wp-includes/.*\\.php) {{ return 404; }}
    location = /wp-login.php {{ limit_req zone=guesses burst=20 nodelay; {run} }}
    location ~ ^/(index|xmlrpc|wp-[a-z-]+)\\.php$ {{ {run} }}
    location ~ ^/wp-admin/[a-z/-]+\\.php$ {{ {run} }}
    location ~ \\.php {{ return 404; }}
  }}
}}
"""

_RUN = """
      include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
      fastcgi_param HTTPS on;
      # As browsers say it, and never what a stranger wrote beside the address that was asked.
      fastcgi_param HTTP_HOST $host:{port};
      fastcgi_param HTTP_PROXY "";
      fastcgi_param WORDPRESS_CONFIG {unit};
      fastcgi_read_timeout 120s;
      fastcgi_pass unix:{php_socket};
    """

_FPM = """[global]
error_log = syslog
syslog.ident = wordpress
log_level = warning
[wordpress]
listen = {php_socket}
listen.mode = 0600
pm = ondemand
pm.max_children = {children}
pm.process_idle_timeout = 30s
pm.max_requests = 500
request_terminate_timeout = 120s
security.limit_extensions = .php
php_admin_flag[expose_php] = off
php_admin_flag[allow_url_include] = off
php_admin_flag[log_errors] = on
php_admin_flag[display_errors] = off
php_admin_value[error_log] = syslog
php_admin_value[disable_functions] = exec,passthru,shell_exec,system,proc_open,popen,pcntl_exec,dl,mail
php_admin_value[memory_limit] = 128M
php_admin_value[upload_max_filesize] = {upload}M
php_admin_value[post_max_size] = {body}M
php_admin_value[upload_tmp_dir] = {scratch}
php_admin_value[sys_temp_dir] = {scratch}
php_admin_value[session.save_path] = {scratch}
"""


class Refused(ValueError):
    """A value that must not stand in the configuration."""


def written(address):
    """An address as it stands before a port."""
    parsed = ipaddress.ip_address(address)
    return f"[{parsed}]" if parsed.version == 6 else str(parsed)


def url(given):
    """Where the site is, as browsers are told."""
    return f"https://{given['name'] or written(given['address'])}:{given['port']}"


def check(given):
    """Refuse what the form would not have taken."""
    fitting = (
        (NAME.fullmatch(given["name"]), "name"),
        (USERNAME.fullmatch(given["username"]), "username"),
        (1 <= given["upload_mb"] <= 256, "upload_mb"),
    )
    for fits, name in fitting:
        if not fits:
            raise Refused(f"{name} is outside of what it may be.")


def files(given, place):
    """What is written where below the slice's folder and for WordPress: text by path."""
    values = {
        **vars(place),
        "address": written(given["address"]),
        "port": given["port"],
        "url": url(given),
        "code": CODE,
        "upload": given["upload_mb"],
        # A form holds more than its file.
        "body": given["upload_mb"] + 8,
        "children": max(2, (given["memory_mb"] - OWN_MEMORY_MB - cache_mb(given)) // PAGE_MEMORY_MB),
        "shut": "" if given["xmlrpc"] else "|xmlrpc",
    }
    return {
        f"{place.config}/nginx.conf": _NGINX.format(**values, run=_RUN.format(**values)),
        f"{place.config}/php-fpm.conf": _FPM.format(**values),
        f"{place.config}/mariadb.cnf": database(given, place),
        place.site: constants(given, place),
    }


def cache_mb(given):
    """The database's own page cache."""
    return max(16, given["memory_mb"] // 8)


def database(given, place):
    """Settings of a server that only the site's own code can reach."""
    return settings_text(
        {
            "datadir": place.data,
            "tmpdir": f"{place.home}/db",
            "socket": place.database_socket,
            "pid_file": place.database_socket.replace(".sock", ".pid"),
            "skip_networking": "ON",
            "collation_server": "utf8mb4_unicode_520_ci",
            "secure_file_priv": f"{place.home}/db",
            "max_connections": 40,
            "innodb_buffer_pool_size": f"{cache_mb(given)}M",
            "innodb_log_file_size": "16M",
            "innodb_log_buffer_size": "4M",
            "aria_pagecache_buffer_size": "4M",
            "key_buffer_size": "1M",
            "tmp_table_size": "8M",
            "max_heap_table_size": "8M",
        }
    )


def constants(given, place):
    """WordPress's own configuration, as Debian's wp-config.php reads it. The account of the database has no password: it is the
    slice's unix user."""
    wanted = {
        "DB_NAME": "wordpress",
        "DB_USER": place.unit,
        "DB_PASSWORD": "",
        "DB_HOST": f"localhost:{place.database_socket}",
        "DB_CHARSET": "utf8mb4",
        "DB_COLLATE": "utf8mb4_unicode_520_ci",
        "WP_HOME": url(given),
        "WP_SITEURL": url(given),
        "WP_CONTENT_DIR": place.content,
        "WP_TEMP_DIR": place.scratch,
        "FS_METHOD": "direct",
        "FORCE_SSL_ADMIN": True,
        "WP_ALLOW_MULTISITE": False,
        "WP_DEBUG": False,
        "WP_MEMORY_LIMIT": "64M",
        "WP_MAX_MEMORY_LIMIT": "128M",
        "WP_AUTO_UPDATE_CORE": False,
        "AUTOMATIC_UPDATER_DISABLED": True,
        "DISALLOW_FILE_EDIT": True,
        "DISALLOW_FILE_MODS": not given["plugins"],
        "WP_HTTP_BLOCK_EXTERNAL": not given["outgoing"],
        # Due work is done after a page was sent: the site asks nobody, itself included, over the network.
        "DISABLE_WP_CRON": True,
        "PUMASI_USERNAME": given["username"],
        "PUMASI_XMLRPC": given["xmlrpc"],
    }
    lines = "".join(f"define({literal(name)}, {literal(value)});\n" for name, value in wanted.items())
    return f"<?php\nrequire {literal(place.config + '/keys.php')};\n{lines}"


def literal(value):
    """A value as PHP reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
