"""Where the parts of one WordPress are on its host, and the systemd units that run it."""

from __future__ import annotations

TEMPLATES = "/usr/local/lib/systemd/system"
CODE = "/usr/share/wordpress"
PHP_FPM = "/usr/sbin/php-fpm8.2"


class Layout:
    """The paths of one slice, and the names of its units."""

    def __init__(self, unit):
        self.unit = unit
        self.web, self.php, self.database = (f"pumasi-wordpress{part}@{unit}.service" for part in ("", "-php", "-db"))
        self.config = f"/etc/pumasi/slices/{unit}"
        self.site = f"/etc/wordpress/config-{unit}.php"
        self.home = f"/var/lib/pumasi/{unit}"
        self.content = f"{self.home}/content"
        self.data = f"{self.home}/db/data"
        self.scratch = f"{self.home}/scratch"
        self.web_scratch = f"{self.home}/web"
        self.database_socket = f"/run/wordpress-db-{unit}/mariadb.sock"
        self.php_socket = f"/run/wordpress-php-{unit}/php.sock"
        self.pid = f"/run/wordpress-{unit}/nginx.pid"
        self.outgoing = f"/etc/systemd/system/{self.php}.d/outgoing.conf"

    def template_of(self, service):
        """The file that describes a unit of the slice."""
        return f"{TEMPLATES}/{service.replace(self.unit, '')}"


_SHUT = """NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=strict
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
UMask=0077
Restart=on-failure
RestartSec=5
"""

# None of the three goes down with another: one that falls is started again by itself.
# The web server starts as root to read its key, which the code of the site must not; what serves is the slice's user.
_WEB = f"""[Unit]
Description=Web server of WordPress %i
Wants=pumasi-wordpress-php@%i.service pumasi-wordpress-db@%i.service
After=pumasi-wordpress-php@%i.service pumasi-wordpress-db@%i.service

[Service]
Type=exec
ExecStart=/usr/sbin/nginx -e stderr -c /etc/pumasi/slices/%i/nginx.conf
RuntimeDirectory=wordpress-%i
ReadWritePaths=/var/lib/pumasi/%i/web
CapabilityBoundingSet=CAP_SETUID CAP_SETGID
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
{_SHUT}
[Install]
WantedBy=multi-user.target
"""

# A request that asks for too much memory ends, and not the database.
_PHP = f"""[Unit]
Description=PHP of WordPress %i
After=pumasi-wordpress-db@%i.service

[Service]
Type=notify
User=%i
Group=%i
ExecStart={PHP_FPM} --nodaemonize --fpm-config /etc/pumasi/slices/%i/php-fpm.conf \\
  -d opcache.memory_consumption=64 -d opcache.interned_strings_buffer=8 -d zend.exception_ignore_args=1
RuntimeDirectory=wordpress-php-%i
RuntimeDirectoryMode=0700
ReadWritePaths=/var/lib/pumasi/%i/content /var/lib/pumasi/%i/scratch
InaccessiblePaths=-/var/lib/pumasi/%i/db
CapabilityBoundingSet=
RestrictAddressFamilies=AF_UNIX
OOMPolicy=continue
OOMScoreAdjust=500
{_SHUT}"""

_DATABASE = f"""[Unit]
Description=MariaDB of WordPress %i

[Service]
Type=notify
User=%i
Group=%i
ExecStart=/usr/sbin/mariadbd --defaults-file=/etc/pumasi/slices/%i/mariadb.cnf
RuntimeDirectory=wordpress-db-%i
RuntimeDirectoryMode=0700
ReadWritePaths=/var/lib/pumasi/%i/db
CapabilityBoundingSet=
RestrictAddressFamilies=AF_UNIX
TimeoutStartSec=900
LimitNOFILE=16384
{_SHUT}"""

UNITS = {
    f"{TEMPLATES}/pumasi-wordpress@.service": _WEB,
    f"{TEMPLATES}/pumasi-wordpress-php@.service": _PHP,
    f"{TEMPLATES}/pumasi-wordpress-db@.service": _DATABASE,
}

OUTGOING = """[Service]
RestrictAddressFamilies=AF_INET AF_INET6
"""
"""What lets the code of a site open connections to elsewhere."""
