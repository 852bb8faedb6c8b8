#!/usr/bin/python3
"""Lay out one WordPress of a slice under a unix user of its own, and have its database and its PHP running.

Nothing is open to anybody after it: the web server is started when the site is installed (`pumasi_wordpress_site`).
Safe to run again at any point. Memory in MB, uploads in MB.
Returns `certificate`, as PEM. Fails with `unit_invalid`, `value_refused` or `command_failed`.
"""

from __future__ import annotations

import json
import secrets
import string
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_certificate import certificate_in, is_good, make
from ansible.module_utils.pumasi_host import (
    check_unit,
    describe_unit,
    is_outdated,
    keep_running,
    make_account,
    make_directory,
    write_file,
)
from ansible.module_utils.pumasi_mariadb import make_data, own_directory
from ansible.module_utils.pumasi_wordpress_config import Refused, check, files
from ansible.module_utils.pumasi_wordpress_layout import CODE, OUTGOING, UNITS, Layout

THEME = "themes/twentytwentythree"
# The web server puts aside there what is too long for its memory. As root without any rights it looks, and as the user it writes.
WEB_SCRATCH = ("body", "fastcgi", "proxy", "scgi", "uwsgi")
# What the site's own code may write; the rest of the content is the house's.
WRITABLE = ("uploads", "plugins", "themes", "upgrade", "cache")
KEYS = [f"{use}_{kind}" for kind in ("KEY", "SALT") for use in ("AUTH", "SECURE_AUTH", "LOGGED_IN", "NONCE")]

# The account is whoever runs as the slice's user on this host.
ACCOUNT = (
    "CREATE DATABASE wordpress CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci;\n"
    "CREATE USER {unit}@localhost IDENTIFIED VIA unix_socket;\n"
    "GRANT ALL PRIVILEGES ON wordpress.* TO {unit}@localhost;\n"
)


def link(path, target):
    """A link to what a package brought. Returns whether it was made."""
    if Path(path).is_symlink() or Path(path).exists():
        return False
    Path(path).symlink_to(target)
    return True


def lay_out(place):
    """The folders of the site's data. Returns whether any was made."""
    made = [make_directory(place.home), make_directory(place.content), own_directory(f"{place.home}/db", place.unit)]
    made += [own_directory(place.scratch, place.unit)]
    made += [make_directory(place.web_scratch)]
    made += [own_directory(f"{place.web_scratch}/{name}", place.unit) for name in WEB_SCRATCH]
    made += [own_directory(f"{place.content}/{name}", place.unit) for name in WRITABLE]
    made += [link(f"{place.content}/languages", "/var/lib/wordpress/wp-content/languages")]
    made += [link(f"{place.content}/{THEME}", f"{CODE}/wp-content/{THEME}")]
    return any(made)


def certify(module, place, given):
    """A key and a certificate of the site's own, in one file that only root reads. Returns whether made, and the certificate."""
    path = f"{place.config}/server.pem"
    made = not is_good(module, path, given["address"], given["name"])
    if made:
        write_file(path, "".join(make(module, place.unit, given["address"], given["name"])), 0o600)
    return made, certificate_in(Path(path).read_text(encoding="ascii"))


def make_keys(place, mode):
    """The random keys and salts that sessions rest on, once. Returns whether they were made."""
    path, letters = f"{place.config}/keys.php", string.ascii_letters + string.digits
    if Path(path).exists():
        return False
    lines = [f"define('{name}', '{''.join(secrets.choice(letters) for _ in range(64))}');\n" for name in KEYS]
    return write_file(path, "<?php\n" + "".join(lines), **mode)


def let_out(place, allowed):
    """Let the site's code open connections to elsewhere, or keep it from that. Returns whether anything changed."""
    path = Path(place.outgoing)
    if allowed:
        make_directory(str(path.parent))
        return write_file(str(path), OUTGOING)
    changed = path.exists()
    path.unlink(missing_ok=True)
    return changed


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "port": {"type": "int", "required": True},
            "memory_mb": {"type": "int", "required": True},
            "username": {"type": "str", "required": True},
            "upload_mb": {"type": "int", "required": True},
            "plugins": {"type": "bool", "required": True},
            "outgoing": {"type": "bool", "required": True},
            "xmlrpc": {"type": "bool", "required": True},
            "rules": {"type": "str", "required": True},
            "comment": {"type": "str", "default": ""},
        }
    )
    given = module.params
    check_unit(module, given["unit"])
    try:
        check(given)
    except Refused as refusal:
        module.fail_json(msg=str(refusal), code="value_refused")
    place = Layout(given["unit"])
    readable = {"mode": 0o640, "owner": "root", "group": place.unit}

    changes = [make_account(module, place.unit), lay_out(place)]
    changes += [
        make_data(module, place.unit, place.data, f"{place.config}/accounts.sql", ACCOUNT.format(unit=place.unit))
    ]
    made, certificate = certify(module, place, given)
    changes += [made, make_keys(place, readable)]
    make_directory(f"{place.content}/mu-plugins")
    changes += [write_file(f"{place.content}/mu-plugins/pumasi.php", given["rules"])]
    changes += [write_file(path, text, **readable) for path, text in files(given, place).items()]
    changes += [write_file(f"{place.config}/comment.json", json.dumps(given["comment"]) + "\n", **readable)]
    changes += [let_out(place, given["outgoing"])]
    templates = {place.template_of(service): service for service in (place.web, place.php, place.database)}
    changes += [describe_unit(module, path, UNITS[path], service) for path, service in templates.items()]

    # A file that went shows in its folder.
    reads = {place.database: ["mariadb.cnf"], place.php: ["php-fpm.conf", str(Path(place.outgoing).parent)]}
    for service, names in reads.items():
        paths = [place.template_of(service), *(Path(place.config, name) for name in names)]
        changes += [keep_running(module, service, restart=is_outdated(module, service, paths))]
    module.exit_json(changed=any(changes), certificate=certificate)


if __name__ == "__main__":
    main()
