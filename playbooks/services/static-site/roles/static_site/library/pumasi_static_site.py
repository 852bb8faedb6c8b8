#!/usr/bin/python3
"""Serve the pages of one slice with an nginx of its own, under a unix user of its own, and hand one path on if that is asked for.

New pages and settings are tried by nginx before they take the place of the former ones, so wrong ones change nothing.
Time in seconds, memory in MB, processors in whole VCPU. Returns `certificate` (PEM; nothing without TLS).
Fails with `unit_invalid`, `value_refused`, `page_missing`, `config_refused`, `not_listening` or `command_failed`.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_host import check_unit, describe_unit, is_outdated, keep_running
from ansible.module_utils.pumasi_nginx import OPTIONS, UNIT, configuration, forward, set_up, written
from ansible.module_utils.pumasi_places import NoPlace, is_own, place
from ansible.module_utils.pumasi_releases import note, releases_of
from ansible.module_utils.pumasi_traces import listening_ports

TEMPLATE = "/usr/local/lib/systemd/system/pumasi-static-site@.service"
START = "/usr/sbin/nginx -e stderr -c /etc/pumasi/slices/%i/nginx.conf"
SECONDS_TO_LISTEN = 20

PAGE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._/-]{0,99}", re.ASCII)
PATH = re.compile(r"/[A-Za-z0-9_~-][A-Za-z0-9._~/-]{0,98}", re.ASCII)

# A page names the files that belong to it, so it is asked for again each time; they may be kept.
KEPT = """  map $sent_http_content_type $kept {{
    "~^text/html" no-cache;
    default "{kept}";
  }}
"""
SERVER = """    root {root};
    index {index};
    absolute_redirect off;
{not_found}    location / {{
      try_files $uri $uri/ {otherwise};
      add_header Cache-Control $kept;
      add_header X-Content-Type-Options nosniff;
    }}
    location ~ /\\.(?!well-known/) {{
      return 404;
    }}
{proxy}"""
PROXY = """    location ^~ {path} {{
      proxy_pass http://{to};
{forward}    }}
"""


def refuse(module, text, code="value_refused"):
    module.fail_json(msg=text, code=code)


def behind(module):
    """Address and port that a path is handed on to, as nginx takes them; none that leads to the host itself."""
    try:
        address, port = place(module.params["proxy_to"], is_own)
    except NoPlace as error:
        refuse(module, f"proxy_to holds {error}; name a place such as 10.1.2.3:8080.")
    return f"{written(str(address))}:{port}"


def server(module):
    """What is served, as lines of the configuration."""
    given = module.params
    root = f"{releases_of(given['unit'])}/{given['release']['name']}/source"
    for name in ("index", "not_found_page"):
        page = given[name]
        if not page and name == "not_found_page":
            continue
        if not PAGE.fullmatch(page) or ".." in page:
            refuse(module, f"{name} is outside of what it may be.")
        if not Path(root, page).is_file():
            refuse(module, f"The source has no file {page}, which is named as {name}.", "page_missing")
    if not 0 <= given["cache_seconds"] <= 31536000:
        refuse(module, "cache_seconds is outside of what it may be.")
    proxy = ""
    if given["proxy_path"] or given["proxy_to"]:
        if not PATH.fullmatch(given["proxy_path"]):
            refuse(module, "proxy_path must be a path such as /api/, and not the whole site.")
        proxy = PROXY.format(path=given["proxy_path"], to=behind(module), forward=forward(given))
    return SERVER.format(
        root=root,
        index=given["index"],
        not_found=f"    error_page 404 /{given['not_found_page']};\n" if given["not_found_page"] else "",
        otherwise=f"/{given['index']}" if given["spa_fallback"] else "=404",
        proxy=proxy,
    )


def main():
    module = AnsibleModule(
        argument_spec={
            **OPTIONS,
            "index": {"type": "str", "required": True},
            "not_found_page": {"type": "str", "default": ""},
            "spa_fallback": {"type": "bool", "required": True},
            "cache_seconds": {"type": "int", "required": True},
            "proxy_path": {"type": "str", "default": ""},
            "proxy_to": {"type": "str", "default": ""},
        }
    )
    given = module.params
    unit = given["unit"]
    check_unit(module, unit)
    service, seconds = f"pumasi-static-site@{unit}.service", given["cache_seconds"]
    kept = KEPT.format(kept=f"public, max-age={seconds}" if seconds else "no-cache")
    text = configuration(module, server(module), kept)

    described = UNIT.format(about="Static site", start=START, more="KillSignal=SIGQUIT\n")
    changed = describe_unit(module, TEMPLATE, described, service)
    changed |= note(unit, given["release"]["key"], given["release"]["name"])
    made, read, certificate = set_up(module, text)
    changed |= made | keep_running(module, service, restart=is_outdated(module, service, [*read, TEMPLATE]))
    deadline = time.monotonic() + SECONDS_TO_LISTEN
    while given["port"] not in listening_ports():
        if time.monotonic() > deadline:
            module.fail_json(msg="nginx was started, but does not listen.", code="not_listening")
        time.sleep(0.1)
    module.exit_json(changed=changed, state="running", certificate=certificate)


if __name__ == "__main__":
    main()
