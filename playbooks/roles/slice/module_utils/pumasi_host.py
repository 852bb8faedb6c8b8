"""Small pieces every slice module needs on the host: safe names, files written only when they differ, accounts, units."""

from __future__ import annotations

import grp
import os
import pwd
import re
import time
from pathlib import Path

UNIT_PATTERN = re.compile(r"^s[a-z0-9]{11}$")


def check_unit(module, unit):
    """Fail the module unless `unit` has the one shape that is safe in a path, a unit name and an nft table."""
    if not UNIT_PATTERN.match(unit):
        module.fail_json(
            msg="The unit must be an s followed by eleven lower-case letters or digits.", code="unit_invalid"
        )


def group_of(unit):
    """The systemd slice that holds the limits where one slice of a host has several units."""
    return f"pumasi-{unit}.slice"


def make_directory(path, mode=0o755):
    """Create a directory and its parents; an existing one keeps its mode. Returns whether it was created."""
    folder = Path(path)
    if folder.is_dir():
        return False
    folder.mkdir(parents=True, mode=mode)
    folder.chmod(mode)
    return True


def write_file(path, content, mode=0o644, owner="root", group="root"):
    """Write a file whole and atomically, only if its text, mode or owner differ. Returns whether anything changed."""
    uid, gid = pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    data = content.encode()
    target = Path(path)
    if target.exists():
        state = target.stat()
        if target.read_bytes() == data and (state.st_uid, state.st_gid, state.st_mode & 0o7777) == (uid, gid, mode):
            return False
    fresh = Path(path + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as writer:
        writer.write(data)
        os.fchown(writer.fileno(), uid, gid)
        os.fchmod(writer.fileno(), mode)
        writer.flush()
        os.fsync(writer.fileno())
    fresh.replace(target)
    return True


def run(module, argv, data=None, check=True, what="A command on the host failed"):
    """Run a command without a shell and return (rc, stdout, stderr); a failure ends the module with its stderr."""
    rc, out, err = module.run_command(argv, data=data, use_unsafe_shell=False)
    if check and rc != 0:
        module.fail_json(
            msg=f"{what}: {Path(argv[0]).name} ended with {rc}.", code="command_failed", stderr=err[-2000:]
        )
    return rc, out, err


def make_account(module, unit):
    """The slice's own unix user, without a home or a shell. Returns whether it was made."""
    try:
        pwd.getpwnam(unit)
        return False
    except KeyError:
        alone = ["--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
        words = ["/usr/sbin/useradd", "--system", "--user-group", *alone, unit]
        run(module, words, what="The unix user could not be made")
        return True


def describe_unit(module, path, text, service):
    """Put a template unit that slices share in its place, and have systemd read it. Returns whether it was changed.

    A run that ended between the two left systemd with the former one: it is asked, and reads it again.
    """
    make_directory(str(Path(path).parent))
    written = write_file(path, text)
    shown = run(module, ["systemctl", "show", "--property=NeedDaemonReload", "--value", service])[1].strip()
    if written or shown == "yes":
        run(module, ["systemctl", "daemon-reload"])
    return written


def is_outdated(module, service, paths):
    """Whether a unit became active before something it reads was written: a run that ended in between left it so."""
    shown = run(module, ["systemctl", "show", "--property=ActiveEnterTimestampMonotonic", "--value", service])[
        1
    ].strip()
    active_since = time.time() - time.monotonic() + int(shown or 0) / 1e6
    return any(Path(path).stat().st_mtime > active_since for path in paths if Path(path).exists())


def keep_running(module, service, restart=False):
    """Have a unit started now and with the host; ``restart`` if what it reads was changed. Returns whether anything was done."""
    enabled = run(module, ["systemctl", "is-enabled", "--quiet", service], check=False)[0] == 0
    if not enabled:
        run(module, ["systemctl", "enable", "--quiet", service])
    running = run(module, ["systemctl", "is-active", "--quiet", service], check=False)[0] == 0
    if restart or not running:
        run(module, ["systemctl", "restart", service], what="The service did not start")
    return restart or not enabled or not running
