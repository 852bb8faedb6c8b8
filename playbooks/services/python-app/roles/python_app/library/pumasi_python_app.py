#!/usr/bin/python3
"""Run one Python application of a slice under a unix user of its own: gunicorn on a socket, nginx with TLS in front.

A release, or settings, that are not those in use are tried first, beside what runs: only an application that answers takes
the place of the former one. Memory in MB, processors in whole VCPU. Returns `certificate` (PEM; nothing without TLS).
Fails with `unit_invalid`, `value_refused`, `environment_failed`, `requirements_unsatisfied`, `app_broken`, `health_failed`,
`release_broken_off`, `config_refused`, `not_listening` or `command_failed`.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_host import (
    check_unit,
    describe_unit,
    is_outdated,
    keep_running,
    make_directory,
    write_file,
)
from ansible.module_utils.pumasi_nginx import (
    OPTIONS,
    PATH,
    UNIT,
    configuration,
    folder_of,
    forward,
    run_of,
    set_up,
    written,
)
from ansible.module_utils.pumasi_releases import note, releases_of
from ansible.module_utils.pumasi_sandbox import reported
from ansible.module_utils.pumasi_traces import listening_ports

SCRIPTS = "/usr/local/lib/pumasi/python-app"
TEMPLATE = "/usr/local/lib/systemd/system/pumasi-python-app@.service"
SLICE = "/etc/pumasi/slices/%i"
START = f"/usr/bin/python3 -I {SCRIPTS}/launch.py {SLICE}/settings.json {SLICE}/nginx.conf"
SECONDS_TO_INSTALL = 600
SECONDS_TO_TRY = 90
SECONDS_TO_LISTEN = 70

ENTRY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}:[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
# What is marked with these the platform ends as its own.
RESERVED = "PUMASI_"
CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

UPSTREAM = """  upstream app {{
    server unix:{run}/app.sock fail_timeout=0;
  }}
"""
SERVER = """    location / {{
      proxy_pass http://app;
{forward}    }}
"""


def environment(module):
    """The application's variables: those of bound services, and over them what the owner gave."""
    found = {}
    for alias, values in module.params["bindings"].items():
        for key, value in values.items():
            found[f"{alias}_{key}"] = str(value)
    try:
        given = json.loads(module.params["environment"] or "{}")
    except ValueError:
        refuse(module, 'environment is no JSON object such as {"NAME": "value"}.')
    if not isinstance(given, dict):
        refuse(module, 'environment must be a JSON object such as {"NAME": "value"}.')
    for name, value in given.items():
        if not isinstance(value, str):
            refuse(module, f"environment holds a value that is no text in quotation marks, after {name[:64]!r}.")
        if CONTROL.search(value):
            refuse(module, f"environment holds a character that cannot be printed, after {name[:64]!r}.")
    found |= given
    for name, value in found.items():
        if not NAME.fullmatch(name) or name.startswith(RESERVED):
            refuse(module, f"environment holds a name that no variable may have: {name[:64]!r}.")
        if "\0" in value:
            refuse(module, f"The variable {name} holds a null character.")
    return found


def refuse(module, text):
    module.fail_json(msg=text, code="value_refused")


def settings_of(module):
    """What the launcher is to read."""
    given = module.params
    for fits, name in (
        (ENTRY.fullmatch(given["entry"]), "entry"),
        (PATH.fullmatch(given["health_path"]), "health_path"),
        (1 <= given["workers"] <= 8, "workers"),
    ):
        if not fits:
            refuse(module, f"{name} is outside of what it may be.")
    release = f"{releases_of(given['unit'])}/{given['release']['name']}"
    settings = {name: given[name] for name in ("entry", "interface", "workers", "health_path")}
    return settings | {
        "source": f"{release}/source",
        "venv": f"{release}/venv",
        "home": f"/var/lib/pumasi/{given['unit']}/home",
        "host": f"{given['name'] or written(given['address'])}:{given['port']}",
        "environment": environment(module),
    }


def prove(module, text):
    """Have the release installed and tried with the new settings, which are left beside those in use. Returns where."""
    given = module.params
    unit, release = given["unit"], f"{releases_of(given['unit'])}/{given['release']['name']}"
    asked = {"release": release, "index": given["package_index"]}
    python = ["/usr/bin/python3", "-I"]
    reported(module, [*python, f"{SCRIPTS}/install.py"], asked, seconds=SECONDS_TO_INSTALL, writable=[release])
    candidate = f"{folder_of(unit)}/settings.json.candidate"
    write_file(candidate, text, 0o640, group=unit)
    home = f"/var/lib/pumasi/{unit}/home"
    reported(module, [*python, f"{SCRIPTS}/launch.py", candidate], {}, seconds=SECONDS_TO_TRY, writable=[home])
    return Path(candidate)


def main():
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "launcher": {"type": "str", "required": True},
            "installer": {"type": "str", "required": True},
            "entry": {"type": "str", "required": True},
            "interface": {"type": "str", "required": True, "choices": ["wsgi", "asgi"]},
            "workers": {"type": "int", "required": True},
            "health_path": {"type": "str", "required": True},
            "environment": {"type": "str", "default": "", "no_log": True},
            # Ansible would blot its values out of whatever is returned, short ones out of the certificate too.
            "bindings": {"type": "dict", "default": {}, "no_log": False},
            "package_index": {"type": "str", "default": "", "no_log": True},
        }
    )
    given = module.params
    unit = given["unit"]
    check_unit(module, unit)
    service, folder = f"pumasi-python-app@{unit}.service", folder_of(unit)
    settings, home = Path(f"{folder}/settings.json"), f"/var/lib/pumasi/{unit}/home"
    text = json.dumps(settings_of(module), indent=1, sort_keys=True) + "\n"

    changed = make_directory(home, 0o700)
    owner = pwd.getpwnam(unit)
    os.chown(home, owner.pw_uid, owner.pw_gid)
    make_directory(SCRIPTS)
    changed |= write_file(f"{SCRIPTS}/launch.py", given["launcher"] + "\n", 0o755)
    changed |= write_file(f"{SCRIPTS}/install.py", given["installer"] + "\n", 0o755)
    more = "ReadWritePaths=/var/lib/pumasi/%i/home\n"
    changed |= describe_unit(module, TEMPLATE, UNIT.format(about="Python application", start=START, more=more), service)

    fresh = not settings.exists() or settings.read_text(encoding="utf-8") != text
    candidate = prove(module, text) if fresh else None
    served = SERVER.format(forward=forward(given))
    made, read, certificate = set_up(module, configuration(module, served, UPSTREAM.format(run=run_of(unit))))
    changed |= made | note(unit, given["release"]["key"], given["release"]["name"])
    if candidate:
        # Whether what runs is older than what it reads is seen by the time of the file.
        os.utime(candidate)
        candidate.replace(settings)
        changed = True

    read += [str(settings), f"{SCRIPTS}/launch.py", TEMPLATE]
    changed |= keep_running(module, service, restart=is_outdated(module, service, read))
    deadline = time.monotonic() + SECONDS_TO_LISTEN
    while given["port"] not in listening_ports():
        if time.monotonic() > deadline:
            module.fail_json(msg="The application was started, but nothing listens.", code="not_listening")
        time.sleep(0.1)
    module.exit_json(changed=changed, state="running", certificate=certificate)


if __name__ == "__main__":
    main()
