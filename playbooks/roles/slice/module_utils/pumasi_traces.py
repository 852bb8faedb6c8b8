"""Looking for what names a slice on a host: in processes, in files, in the journal. Reads only."""

from __future__ import annotations

import glob
import os
import pwd
import re
from pathlib import Path

# Larger files are data, not notes; a log this size is beyond what a slice's life writes.
READ_LIMIT = 64 * 1024 * 1024
# The journal keeps binary files of its own; they are read through journalctl.
BINARY_LOGS = ("/var/log/journal", "/run/log/journal")
# States of sockets in /proc/net: TCP that listens, UDP that is bound.
LISTENING, UNCONNECTED = "0A", "07"


def read_bytes(path, limit=READ_LIMIT):
    """The start of a file, or nothing when it vanished or is not a file we can read."""
    try:
        with Path(path).open("rb") as source:
            return source.read(limit)
    except OSError:
        return b""


def matching(pattern):
    """Paths a pattern names, dangling links among them (Path.glob passes over those)."""
    return glob.glob(pattern)  # noqa: PTH207


def ancestors():
    """This process and those that started it: they carry the slice's name because they look for it."""
    pids, pid = set(), os.getpid()
    while pid > 1 and pid not in pids:
        pids.add(pid)
        fields = read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        pid = int(fields[1]) if len(fields) > 1 else 0
    return pids


def account_uid(unit):
    """The number of the slice's own unix user, or None where it has none."""
    try:
        return pwd.getpwnam(unit).pw_uid
    except KeyError:
        return None


def processes_naming(words, uid=None):
    """Processes whose command line, environment, control group or working directory names one of the words."""
    wanted = re.compile("|".join(re.escape(word) for word in words).encode())
    skip, found = ancestors(), []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in skip:
            continue
        command = read_bytes(entry / "cmdline").replace(b"\0", b" ").strip()
        if not command:
            continue
        try:
            owner = entry.stat().st_uid
        except OSError:
            continue
        try:
            folder = bytes((entry / "cwd").readlink())
        except OSError:
            # Not even root may ask that everywhere; what else it shows still counts.
            folder = b""
        traces = (command, folder, read_bytes(entry / "cgroup"), read_bytes(entry / "environ"))
        if owner == uid or any(wanted.search(trace) for trace in traces):
            what = command.decode(errors="replace")[:120]
            found.append({"pid": int(entry.name), "what": what})
    return found


def listening_ports():
    """Ports of TCP sockets that listen and of UDP sockets that are bound, both address families."""
    ports = set()
    for table, wanted in (("tcp", LISTENING), ("tcp6", LISTENING), ("udp", UNCONNECTED), ("udp6", UNCONNECTED)):
        for line in read_bytes(f"/proc/net/{table}").decode().splitlines()[1:]:
            fields = line.split()
            if fields[3] == wanted:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def walk_files(roots):
    """Every path under the roots, links not followed, other file systems of the kernel left out."""
    for root in roots:
        if Path(root).is_file():
            yield root, False
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if f"{folder}/{name}" not in BINARY_LOGS]
            for name in folders:
                yield f"{folder}/{name}", True
            for name in files:
                yield f"{folder}/{name}", False


def naming_files(roots, words, whole=False):
    """Regular files under the roots whose text names one of the words (`whole`: as a word of its own)."""
    wanted = whole_words(words) if whole else re.compile("|".join(re.escape(word) for word in words))
    pattern = re.compile(wanted.pattern.encode())
    found = []
    for path, is_folder in walk_files(roots):
        if is_folder or Path(path).is_symlink() or not Path(path).is_file():
            continue
        if pattern.search(read_bytes(path)):
            found.append(path)
    return found


def whole_words(words):
    """A pattern that finds a name only where no letter, digit, dash or underscore goes on beside it."""
    return re.compile(r"(?<![\w-])(?:" + "|".join(re.escape(word) for word in words) + r")(?![\w-])")


def journal_lines(module, words):
    """Lines of the system journal that name one of the words; fails when the journal cannot be read."""
    pattern = "|".join(re.escape(word) for word in words)
    argv = [
        "journalctl",
        "--quiet",
        "--no-pager",
        "--no-hostname",
        "--output=short",
        "--case-sensitive=yes",
        f"--grep={pattern}",
    ]
    rc, out, err = module.run_command(argv)
    if rc not in (0, 1) or err.strip():
        module.fail_json(msg="The system journal could not be read.", code="check_impossible", stderr=err[-500:])
    return out.splitlines()
