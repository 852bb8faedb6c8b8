#!/usr/bin/python3
"""Stop one slice so that it stays stopped, also over a restart of the host, or start it (again); its data is left alone.

Stopped means: its units are masked, none of its processes runs, and nobody listens on its port. Started means: its units run and
the port is listened on; whether it answers as promised is for a client to try. Doing either again changes nothing; a restart is
always one. Where a slice has several units, all of them go and come together.
Fails with `unit_invalid`, `residues_invalid`, `data_missing`, `still_running`, `not_running` or `command_failed`.
"""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pumasi_host import check_unit, run
from ansible.module_utils.pumasi_residues import OPTIONS, read
from ansible.module_utils.pumasi_traces import account_uid, listening_ports, matching, processes_naming

SECONDS_TO_SETTLE = 30


def those(module, services, what, wanted):
    """The services of which systemd says that a property has one of the wanted values."""
    asked = ["systemctl", "show", f"--property={what}", "--value"]
    return [service for service in services if run(module, [*asked, service])[1].strip() in wanted]


def settled(is_so):
    """Wait until something is so; whether it came to be."""
    deadline = time.monotonic() + SECONDS_TO_SETTLE
    while not (answer := is_so()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def stop(module, services, unit, port):
    """Stop and mask the services, and make sure that nothing of them is left running. Returns whether anything was changed."""
    ended = those(module, services, "ActiveState", ("inactive", "failed"))
    if running := [service for service in services if service not in ended]:
        run(module, ["systemctl", "stop", *running], what="The service could not be stopped")
    # A mask holds whatever wants the unit: the start of the host, a generator, the package's own scripts.
    masked = those(module, services, "LoadState", ("masked",))
    if open_to_start := [service for service in services if service not in masked]:
        run(module, ["systemctl", "mask", "--quiet", *open_to_start])
    if not settled(lambda: not processes_naming([unit], account_uid(unit)) and port not in listening_ports()):
        module.fail_json(
            msg="The service was stopped, but something of it still runs or listens.",
            code="still_running",
            processes=[found["what"] for found in processes_naming([unit], account_uid(unit))],
        )
    return bool(running or open_to_start)


def start(module, services, port):
    """Unmask and start the services, and wait until one listens. Returns whether anything was changed."""
    if masked := those(module, services, "LoadState", ("masked",)):
        run(module, ["systemctl", "unmask", "--quiet", *masked])
    running = those(module, services, "ActiveState", ("active",))
    if resting := [service for service in services if service not in running]:
        run(module, ["systemctl", "reset-failed", *resting], check=False)
        run(module, ["systemctl", "start", *resting], what="The service did not start")
    if not settled(lambda: port in listening_ports()):
        module.fail_json(msg="The service was started, but does not listen.", code="not_running")
    return bool(masked or resting)


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "required": True, "choices": ["stopped", "started", "restarted"]},
            "unit": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            **OPTIONS,
        }
    )
    state, unit, port = (module.params[name] for name in ("state", "unit", "port"))
    check_unit(module, unit)
    residues = read(module, unit)
    if not all(matching(path) for path in residues.data):
        module.fail_json(
            msg="The data of the service is not where it belongs.", code="data_missing", looked_for=residues.data
        )
    changed = False
    if state in ("stopped", "restarted"):
        changed |= stop(module, residues.services, unit, port)
    if state in ("started", "restarted"):
        changed |= start(module, residues.services, port)
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
