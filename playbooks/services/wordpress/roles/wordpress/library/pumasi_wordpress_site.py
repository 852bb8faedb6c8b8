#!/usr/bin/python3
"""Install the site, or see to what was ordered where it stands already; then have its web server running.

The site is installed from within the host, before anything listens: there is no page on which a stranger could do it first.
The password reaches PHP on standard input. Seconds are those until the web server listens.
Returns `done`, what was changed. A failure is returned as `problem`, fit for the owner's eyes, with `failed` left to the caller.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_host import check_unit, is_outdated, keep_running, run
from ansible.module_utils.pumasi_traces import listening_ports
from ansible.module_utils.pumasi_wordpress_layout import Layout

SECONDS_TO_LISTEN = 30
ORDERED = ("unit", "username", "password", "title", "admin_mail", "language", "timezone", "indexed")


def install(module, place, given):
    """Run the script as the slice's user. Returns what it did and what went wrong."""
    quiet = ["-d", "display_errors=0", "-d", "log_errors=0", "-d", "zend.exception_ignore_args=1"]
    words = ["runuser", "-u", place.unit, "--", "php", *quiet, "-d", f"sys_temp_dir={place.scratch}"]
    asked = json.dumps({name: given[name] for name in ORDERED})
    rc, out, _err = run(module, [*words, "-r", given["script"].removeprefix("<?php")], data=asked, check=False)
    try:
        said = json.loads(out)
    except ValueError:
        return [], f"PHP ended with {rc} and did not say what it did."
    return said["done"], said["problem"]


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "username": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "title": {"type": "str", "required": True},
            "admin_mail": {"type": "str", "required": True},
            "language": {"type": "str", "required": True},
            "timezone": {"type": "str", "required": True},
            "indexed": {"type": "bool", "required": True},
            "script": {"type": "str", "required": True},
        }
    )
    given = module.params
    check_unit(module, given["unit"])
    place = Layout(given["unit"])
    done, problem = install(module, place, given)
    if problem:
        module.exit_json(changed=bool(done), done=done, problem=problem)
    read = [place.template_of(place.web), *(Path(place.config, name) for name in ("nginx.conf", "server.pem"))]
    started = keep_running(module, place.web, restart=is_outdated(module, place.web, read))
    deadline = time.monotonic() + SECONDS_TO_LISTEN
    while given["port"] not in listening_ports():
        if time.monotonic() > deadline:
            module.exit_json(changed=True, done=done, problem="The web server was started, but does not listen.")
        time.sleep(0.1)
    module.exit_json(changed=bool(done) or started, done=done, problem="")


if __name__ == "__main__":
    main()
