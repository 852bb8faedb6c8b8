"""What is on a host, as one JSON document, and what differs from an earlier one. Standard library only; runs on the host as root.

The playbooks hand this file to the host's Python by `python3 -c`, so that nothing is left behind there. Standard input holds
the request, one JSON object:

    {"do": "snapshot"}                                           the document
    {"do": "verify", "baseline": {...}, "residues": [...],       what differs from the baseline, by the written list of
     "tenant_words": ["capital", ...]}                           residues (playbooks/hosts/residues.yml)

Standard output holds the answer, one JSON object. A request that cannot be served ends with exit code 1 and the reason as one
line on standard error; nothing on the host is ever changed.
"""

# Plain strings: tens of thousands of paths are walked, and Path objects treble the time.
# ruff: noqa: PTH112, PTH113, PTH114, PTH115, PTH116, PTH118, PTH119, PTH123, PTH208

import grp
import hashlib
import json
import os
import pwd
import re
import stat
import subprocess
import sys
import time

VERSION = 1
ENVIRONMENT = {**os.environ, "LC_ALL": "C"}
COMMAND_SECONDS = 30
SECONDS_BETWEEN_LOOKS = 0.3
FINDINGS_PER_KIND = 50
SEARCHED_BYTES_PER_FILE = 8 * 1024 * 1024
SEARCHED_BYTES = 512 * 1024 * 1024

# Not looked at, each for a reason.
SKIPPED = {
    "/proc": "the kernel's view of processes; processes, ports and mounts are sections of their own",
    "/sys": "the kernel's view of devices",
    "/run": "lives in memory and is remade at every boot; units, processes and ports show who uses it",
    "/dev": "made by the kernel at boot; /dev/shm, the one writable part, is looked at",
    "/var/log/journal": "file names carry sequence numbers; its text is searched through journalctl instead",
    "/lost+found": "made by the file system itself",
}
LOOKED_AT_INSIDE_SKIPPED = ("/dev/shm",)  # noqa: S108 -- read, never written
# The way this check itself comes in: Ansible unpacks each module it runs there. Anything else in such a directory is seen.
OUR_WAY_IN = re.compile(r"/tmp/ansible_[\w.]+_payload_\w{8}(/ansible_[\w.]+_payload\.zip)?")  # noqa: S108
# Their presence, mode and owner count; their content is different on every host, or after every minute.
CONTENT_OF_ITS_OWN = {
    "/etc/machine-id": "made at first boot, different on every host",
    "/var/lib/dbus/machine-id": "a copy of it",
    "/etc/hostname": "the host's own name",
    "/etc/hosts": "holds the host's own name and address",
    "/etc/resolv.conf": "given by the network the host stands in",
    "/etc/ssh/ssh_host_": "the host's own keys, made at first boot",
    "/var/log/": "grows by itself; searched for the tenant's words instead",
    "/var/cache/": "rebuilt by the programs that own it",
    "/var/lib/systemd/": "stamps of timers and the random seed, written at every boot",
}
# Directory by directory instead of path by path: packages own what is below, and there are tens of thousands of paths.
FOLDED = "/usr"
LISTED_INSIDE_FOLDED = "/usr/local"


class CannotCheck(Exception):
    """The host could not be looked at; the message is one plain sentence."""


def run(*argv):
    """The output of a command of the host, or None where the host does not have the command."""
    try:
        done = subprocess.run(argv, capture_output=True, timeout=COMMAND_SECONDS, check=False, env=ENVIRONMENT)
    except FileNotFoundError:
        return None
    except subprocess.TimeoutExpired as error:
        raise CannotCheck(f"{argv[0]} did not answer within {COMMAND_SECONDS} s") from error
    return done.stdout.decode(errors="replace")


def read(path, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return default


def settle():
    """Wait for the boot to end, so that two snapshots of an idle host are equal."""
    run("systemctl", "is-system-running", "--wait")


# ---- sections of the snapshot: each a mapping from a thing's name to what is known of it ------------------------------


def packages():
    rows = run("dpkg-query", "--show", "--showformat", "${binary:Package}\t${Version} ${db:Status-Abbrev}\n")
    if rows is None:
        raise CannotCheck("this host has no dpkg: only Debian hosts can be compared")
    return {name: state.strip() for name, _, state in (row.partition("\t") for row in rows.splitlines())}


def users():
    return {user.pw_name: f"{user.pw_uid}:{user.pw_gid}:{user.pw_dir}:{user.pw_shell}" for user in pwd.getpwall()}


def groups():
    return {group.gr_name: f"{group.gr_gid}:{','.join(sorted(group.gr_mem))}" for group in grp.getgrall()}


def units():
    """Unit files with their enablement, and units that are active or failed. Devices and login sessions come and go."""
    known = {}
    for row in (run("systemctl", "list-unit-files", "--no-legend", "--no-pager") or "").splitlines():
        name, state = row.split()[:2]
        known[name] = state
    for row in (run("systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager") or "").splitlines():
        name, _load, active = row.split()[:3]
        if active in ("active", "failed") and not name.endswith((".device", ".scope")):
            known[name] = f"{known.get(name, 'no file')} {active}"
    return known


def processes():
    """Running programs by user and name. Two looks: what is gone at the second was passing by, as a job of cron does."""
    first = look_at_processes()
    time.sleep(SECONDS_BETWEEN_LOOKS)
    second = look_at_processes()
    return dict(second[pid] for pid in first.keys() & second.keys())


def look_at_processes():
    """{pid: ("user name", program)} without our own way in: the chain from this process up to the ssh server, and the ssh
    server's other sessions (a program left behind by one of them shows itself)."""
    table = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        text = read(f"/proc/{pid}/stat")
        if text:
            comm, rest = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
            table[int(pid)] = (comm, rest[0], int(rest[1]))
    own, pid = set(), os.getpid()
    while table[pid][2] > 1:
        own.add(pid)
        pid = table[pid][2]
    found = {}
    for pid, (comm, state, parent) in table.items():
        kernel_thread = pid == 2 or parent == 2
        ssh_session = comm == "sshd" and table.get(parent, ("",))[0] == "sshd"
        if pid in own or kernel_thread or ssh_session or state == "Z":
            continue
        try:
            user = owner_name(os.stat(f"/proc/{pid}").st_uid)
            found[pid] = (f"{user} {comm}", os.readlink(f"/proc/{pid}/exe"))
        except OSError:  # it ended while we looked
            continue
    return found


def owner_name(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def ports():
    """Sockets that wait for somebody: listening TCP, and UDP that is bound but not connected."""
    found = {}
    for protocol, waiting in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for row in read(f"/proc/net/{protocol}").splitlines()[1:]:
            local, state, user = (row.split() + [""] * 8)[1], row.split()[3], int(row.split()[7])
            if state == waiting:
                address, port = local.split(":")
                anywhere = "any address" if not address.strip("0") else "one address"
                found[f"{protocol} {int(port, 16)}"] = f"{anywhere}, {owner_name(user)}"
    return found


def firewall():
    lines = (run("nft", "--stateless", "list", "ruleset") or "").splitlines()
    tables, current = {}, ""
    for line in lines:
        if line.startswith("table "):
            current = line.rstrip(" {")
            tables[current] = ""
        tables[current] = tables.get(current, "") + line.strip() + "\n"
    return {table: digest_of(text.encode())[:16] for table, text in tables.items()}


def cron():
    places = ["/etc/crontab"]
    for directory in ("/etc/cron.d", "/var/spool/cron/crontabs", "/var/spool/cron/atjobs", "/etc/cron.hourly", "/etc/cron.daily",
                      "/etc/cron.weekly", "/etc/cron.monthly"):  # fmt: skip
        if os.path.isdir(directory):
            places += [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    return {place: file_digest(place) for place in places if os.path.isfile(place)}


def keys():
    found = {}
    for user in pwd.getpwall():
        for name in ("authorized_keys", "authorized_keys2"):
            path = os.path.join(user.pw_dir, ".ssh", name)
            for line in read(path).splitlines():
                if line.strip() and not line.startswith("#"):
                    found[f"{user.pw_name}: {digest_of(line.strip().encode())[:16]}"] = path
    return found


def mounts():
    rows = (row.split() for row in read("/proc/self/mounts").splitlines())
    return {row[1]: row[2] for row in rows if not row[1].startswith(("/proc", "/sys", "/run", "/dev"))}


def paths():
    """Every path of every type, with mode and owner, and a digest of what is in files; below /usr one entry a directory."""
    found, folded = {}, {}
    boot = read("/proc/sys/kernel/random/boot_id").strip().replace("-", "")
    unique = [(read("/etc/machine-id").strip(), "<machine-id>"), (boot, "<boot-id>")]
    stack = ["/", *LOOKED_AT_INSIDE_SKIPPED]
    while stack:
        directory = stack.pop()
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except OSError:  # it went away while we looked
            continue
        for entry in entries:
            if entry.path in SKIPPED:
                continue
            try:
                described = describe(entry.path)
            except FileNotFoundError:
                continue
            if entry.is_dir(follow_symlinks=False):
                stack.append(entry.path)
            if OUR_WAY_IN.fullmatch(entry.path):
                continue
            inside = entry.path.startswith(FOLDED + "/") and not entry.path.startswith(LISTED_INSIDE_FOLDED + "/")
            if inside and not entry.is_dir(follow_symlinks=False):
                folded.setdefault(directory, []).append(f"{entry.name} {described}")
            else:
                name = entry.path
                for value, word in unique:
                    name = name.replace(value, word) if value else name
                found[re.sub(r"(<boot-id>-.*-)\w{6}$", r"\1<random>", name)] = described
    for directory, lines in folded.items():
        found[directory] = f"{found.get(directory, '')} {len(lines)}:{digest_of(chr(10).join(lines).encode())[:16]}"
    return found


def describe(path):
    """`type mode uid:gid content`; the content is a digest of a file, the target of a link, the number of a device."""
    info = os.lstat(path)
    kind = {stat.S_IFDIR: "d", stat.S_IFREG: "f", stat.S_IFLNK: "l", stat.S_IFSOCK: "s", stat.S_IFIFO: "p",
            stat.S_IFBLK: "b", stat.S_IFCHR: "c"}[stat.S_IFMT(info.st_mode)]  # fmt: skip
    text = f"{kind} {stat.S_IMODE(info.st_mode):o} {info.st_uid}:{info.st_gid}"
    if kind == "f":
        text += " own" if own(path) else f" {file_digest(path)[:16]}"
    elif kind == "l":
        text += f" {os.readlink(path)}"
    elif kind in "bc":
        text += f" {info.st_rdev}"
    return text


def own(path):
    return path.startswith(tuple(CONTENT_OF_ITS_OWN))


def file_digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


def tenant_neutral_logs():
    """Digests of the logs as they are now. They may change, so they are not compared; but what has not changed since the
    baseline cannot name a tenant and is not searched."""
    found = {}
    for top in ("/var/log", "/var/cache", "/var/lib/systemd"):
        for directory, _directories, names in os.walk(top):
            if not directory.startswith("/var/log/journal"):
                for path in (os.path.join(directory, name) for name in names):
                    if os.path.isfile(path) and not os.path.islink(path):
                        found[path] = file_digest(path)[:16]
    return found


COLLECTORS = (packages, users, groups, units, processes, ports, firewall, cron, keys, mounts, paths)
SECTIONS = {collect.__name__: collect for collect in COLLECTORS}


def snapshot():
    settle()
    sections = {name: dict(sorted(collect().items())) for name, collect in SECTIONS.items()}
    canonical = json.dumps(sections, sort_keys=True, separators=(",", ":"))
    digest = "sha256:" + digest_of(canonical.encode())
    return {"snapshot": VERSION, "digest": digest, "sections": sections, "logs": tenant_neutral_logs()}


# ---- verify -----------------------------------------------------------------------------------------------------------


def compare(before, now):
    for name in sorted(before.keys() | now.keys()):
        if name not in before:
            yield f"{name} is new ({now[name]})"
        elif name not in now:
            yield f"{name} is gone"
        elif before[name] != now[name]:
            yield f"{name} changed from {before[name]} to {now[name]}"


def search(places, words, baseline):
    """Files and names below the places that carry one of the words, unless the file is as it was in the baseline."""
    searched = [word for word in words if len(word) >= 3]  # shorter ones are found everywhere by accident
    if not searched:
        return
    any_word = b"|".join(re.escape(word.lower().encode()) for word in searched)
    pattern = re.compile(rb"(?<![a-z0-9])(" + any_word + rb")(?![a-z0-9])")
    known, budget = baseline["sections"]["paths"], SEARCHED_BYTES
    for top in places:
        if top == "journal":
            journal = run("journalctl", "--no-pager", "--output=cat", "--lines=200000") or ""
            hit = pattern.search(journal.lower().encode())
            if hit:
                yield f"the journal names {hit[1].decode()}"
            continue
        for directory, directories, names in os.walk(top):
            directories[:] = [d for d in directories if os.path.join(directory, d) not in SKIPPED]
            for path in (os.path.join(directory, name) for name in sorted(directories + names)):
                hit = pattern.search(os.path.basename(path).lower().encode(errors="surrogateescape"))
                if hit and path not in known:
                    yield f"the name of {path} holds {hit[1].decode()}"
                data = b"" if as_in(baseline, path) else beginning(path, min(budget, SEARCHED_BYTES_PER_FILE))
                budget -= len(data)
                hit = pattern.search(data.lower())
                if hit:
                    yield f"{path} names {hit[1].decode()}"
    if budget <= 0:
        raise CannotCheck(f"more than {SEARCHED_BYTES // 2**20} MiB of changed files: too much to search for words")


def as_in(baseline, path):
    """Whether a path is what it was, or is no file at all, so that its content need not be searched."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return True
        if own(path):
            return baseline["logs"].get(path) == file_digest(path)[:16]
        return baseline["sections"]["paths"].get(path) == describe(path)
    except FileNotFoundError:  # it went away while we looked
        return True


def beginning(path, size):
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except FileNotFoundError:
        return b""


def verify(baseline, residues, words):
    """Look for every residue of the written list; a list and a check that know different things is an error, not a pass."""
    if not isinstance(baseline, dict) or baseline.get("snapshot") != VERSION or not baseline.get("sections"):
        raise CannotCheck("there is no baseline of this host to compare with")
    listed = {residue["compare"] for residue in residues if "compare" in residue}
    if listed != set(SECTIONS) or set(baseline["sections"]) != set(SECTIONS):
        unmatched = (listed ^ set(SECTIONS)) | (set(baseline["sections"]) ^ set(SECTIONS))
        raise CannotCheck(f"the list of residues, the baseline and the check differ: {', '.join(sorted(unmatched))}")
    now = snapshot()
    findings = []
    for residue in residues:
        if "compare" in residue:
            found = list(compare(baseline["sections"][residue["compare"]], now["sections"][residue["compare"]]))
        else:
            found = list(search(residue["search"], words, baseline))
        rest = len(found) - FINDINGS_PER_KIND
        found[FINDINGS_PER_KIND:] = [f"and {rest} more"] if rest > 0 else []
        findings += [{"kind": residue["kind"], "what": what} for what in found]
    checked = [residue["kind"] for residue in residues]
    return {"clean": not findings, "checked": checked, "findings": findings, "digest": now["digest"]}


def answer(request):
    if request["do"] == "snapshot":
        return {"baseline": snapshot()}
    return {"verify": verify(request.get("baseline"), request["residues"], request.get("tenant_words") or [])}


if __name__ == "__main__":
    try:
        print(json.dumps(answer(json.load(sys.stdin)), separators=(",", ":")))
    except CannotCheck as error:
        sys.exit(str(error))
