"""From a bare Debian to a virtual environment, and back: what `make` calls.

    python3 catalog/stack/bootstrap.py demo | test | test-rack | check | bench | stop | clean

Standard library only, and no import of the package: it runs before the virtual environment exists. First it looks whether the
machine can do what is asked; if not, it says so, names what works instead, and has changed nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[2]
STATE = Path(os.environ.get("PUMASI_STATE") or ROOT / ".pumasi").resolve()
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
RACK = ROOT / "playbooks" / "rack"
RECORD = STATE / "installed-packages.json"
POLICY = Path("/usr/sbin/policy-rc.d")
NO_CLUSTER = Path("/etc/postgresql-common/createcluster.d/pumasi.conf")

TESTS = "PUMASI_TESTS"
"""Every process that tests start carries this variable, so that none outlives them."""

HOSTS_WANTED = ("demo", "test", "test-rack", "bench")
LOCKS = {"demo": "requirements.txt", **dict.fromkeys(("test", "test-rack", "check", "bench"), "requirements-dev.txt")}
NEEDED_GB = {"demo": 3, "test": 6, "test-rack": 6, "bench": 6, "check": 2}
EXACTLY = ("--no-deps", "--require-hashes")
CACHES = (".pytest_cache", ".mypy_cache", ".ruff_cache", ".import_linter_cache", ".hypothesis", ".ansible")


def say(text: str, since: float | None = None) -> None:
    """One plain line; with ``since`` also how long it took."""
    took = "       " if since is None else f"{time.monotonic() - since:5.1f} s"
    print(f"{took}  {text}", flush=True)


# ---- can this machine do it? ------------------------------------------------------------------------------------------


def doctor(goal: str) -> list[str]:
    """What this machine lacks for ``goal``, in sentences; empty when nothing. Changes nothing."""
    lacks = runpy.run_path(str(ROOT / "catalog" / "stack" / "doctor.py"))["lacks"]
    gigabytes = 0 if PYTHON.exists() else NEEDED_GB[goal]
    found: list[str] = lacks(hosts=goal in HOSTS_WANTED, place=STATE if STATE.exists() else ROOT, gigabytes=gigabytes)
    return found


def refuse(goal: str, missing: list[str]) -> NoReturn:
    """Say what is missing and what works instead."""
    print(f"make {goal} cannot run on this machine:", file=sys.stderr)
    for sentence in missing:
        print(f"  - {sentence}", file=sys.stderr)
    if goal == "demo":
        instead = 'run Pumasi on machines you have, enrolled over ssh: README, "Without the rack".'
        print(f"What works instead: {instead}", file=sys.stderr)
    elif goal in HOSTS_WANTED:
        print("What works instead: `make check`, every test that needs neither root nor hosts.", file=sys.stderr)
    print("Nothing was changed.", file=sys.stderr)
    sys.exit(2)


# ---- Debian packages ----------------------------------------------------------------------------------------------------


def wanted_packages(goal: str) -> list[str]:
    """The Debian packages ``goal`` needs, from the lists kept beside what needs them."""
    lists = [RACK / "packages.txt", ROOT / "catalog" / "stack" / "packages-demo.txt"]
    if goal != "demo":
        lists.append(ROOT / "catalog" / "stack" / "packages-test.txt")
    words: set[str] = set()
    for path in lists:
        lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
        words.update(line for line in lines if line and not line.startswith("#"))
    return sorted(words)


def installed_packages() -> set[str]:
    """Names of the packages that are installed on this machine."""
    words = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[-1] for line in lines if line.startswith("ii ")}


@contextmanager
def nothing_starts() -> Iterator[None]:
    """While packages are installed, keep Debian from starting their services and from making a PostgreSQL cluster."""
    refuse_to_start = "#!/bin/sh\n# Put here by Pumasi while it installs packages: start no service.\nexit 101\n"
    texts = {POLICY: refuse_to_start, NO_CLUSTER: "create_main_cluster = false\n"}
    made = [path for path in texts if not path.exists()]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path], encoding="utf-8")
        path.chmod(0o755 if path == POLICY else 0o644)
    try:
        yield
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def run_logged(name: str, words: list[str], **extra: str) -> None:
    """Run a command with its output in a log file; a failure shows the log's end and stops everything."""
    log = STATE / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        code = subprocess.run(
            words, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env={**os.environ, **extra}, check=False
        ).returncode  # fmt: skip
    if code != 0:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        raise SystemExit(f"{' '.join(words[:3])} … failed ({code}); the end of {log}:\n{tail}")


def install_packages(goal: str) -> None:
    """Install what is missing, and record every package that was not there before."""
    before = installed_packages()
    missing = [name for name in wanted_packages(goal) if name not in before]
    if not missing:
        return
    since = time.monotonic()
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    try:
        with nothing_starts():
            run_logged("apt", [*apt, "update"], **quiet)
            install = ["-o", "APT::Keep-Downloaded-Packages=false", "install", "-y", "--no-install-recommends"]
            run_logged("apt", [*apt, *install, *missing], **quiet)
    finally:
        ours = set(json.loads(RECORD.read_text(encoding="utf-8"))) if RECORD.exists() else set()
        ours |= installed_packages() - before
        RECORD.write_text(json.dumps(sorted(ours)), encoding="utf-8")
    say(f"installed {len(missing)} Debian packages with what they depend on", since)


def purge_packages() -> None:
    """Remove what :func:`install_packages` recorded, unless something else needs it by now."""
    if not RECORD.exists():
        return
    ours = set(json.loads(RECORD.read_text(encoding="utf-8"))) & installed_packages()
    if not ours:
        return
    if os.environ.get("KEEP_PACKAGES") == "1":
        say(f"kept the Debian packages that were installed: {' '.join(sorted(ours))}")
        return
    since = time.monotonic()
    plan = subprocess.run(["apt-get", "-s", "purge", *sorted(ours)], capture_output=True, text=True, check=True).stdout
    going = {line.split()[1].split(":")[0] for line in plan.splitlines() if line.startswith(("Remv ", "Purg "))}
    others = going - ours
    if others:
        say(f"kept the Debian packages that were installed: {' '.join(sorted(ours))}")
        say(f"because these need them by now: {' '.join(sorted(others))}")
        return
    words = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=120", "purge", *sorted(ours)]
    run_logged("apt", words, DEBIAN_FRONTEND="noninteractive")
    for path in (NO_CLUSTER.parent, NO_CLUSTER.parent.parent):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    say(f"removed the {len(ours)} Debian packages that had been installed", since)


# ---- the virtual environment --------------------------------------------------------------------------------------------


def install_python(lock_name: str) -> None:
    """Make ``.venv`` agree with the lock; nothing is done when it agreed the last time."""
    lock = ROOT / lock_name
    digest = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    stamp = VENV / f".{lock_name}.sha256"
    if PYTHON.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return
    since = time.monotonic()
    if not PYTHON.exists():
        run_logged("pip", [sys.executable, "-m", "venv", "--clear", str(VENV)])
    cache = ["--cache-dir", str(STATE / "cache" / "pip")]
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", *cache, "install", "--quiet", *EXACTLY]
    try:
        run_logged("pip", [*pip, "--no-compile", "-r", str(_lock_of_uv())])
        uv = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--compile-bytecode", *EXACTLY, *_places_of_pip()]
        run_logged("pip", [*uv, "--python", str(PYTHON), "--cache-dir", str(STATE / "cache" / "uv"), "-r", str(lock)])
    except SystemExit:
        # Whatever else pip's settings say that uv does not understand; pip takes a minute longer.
        run_logged("pip", [*pip, "-r", str(lock)])
    stamp.write_text(digest, encoding="utf-8")
    say(f"installed the Python packages of {lock_name} into .venv", since)


def _lock_of_uv() -> Path:
    """A lock of nothing but uv, which installs the rest in a tenth of the time that pip takes."""
    lines = iter((ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines())
    first = next(line for line in lines if line.startswith("uv=="))
    path = STATE / "cache" / "uv.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([first, *takewhile(lambda line: line.startswith(" "), lines)]), encoding="utf-8")
    return path


def _places_of_pip() -> list[str]:
    """Where pip looks for packages, and whom it trusts, in the words of uv, which does not read pip's settings."""
    words = [str(PYTHON), "-m", "pip", "config", "list"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    said = {line.split("=")[0]: line.split("=", 1)[1].strip("'").split() for line in lines if "=" in line}
    kinds = ("index-url", "extra-index-url", "find-links")
    found = [(name.split(".")[-1], place) for name, places in said.items() for place in places]
    chosen = [word for kind, place in found if kind in kinds for word in (f"--{kind}", place)]
    return ["--system-certs", "--index-strategy", "unsafe-best-match", *chosen]


def _can_make_venv() -> bool:
    words = [sys.executable, "-c", "import ensurepip, venv"]
    return subprocess.run(words, stderr=subprocess.DEVNULL, check=False).returncode == 0


def prepare(goal: str) -> dict[str, str]:
    """Install everything ``goal`` needs; returns the environment to go on in."""
    missing = doctor(goal)
    if missing:
        refuse(goal, missing)
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    (STATE / "secrets").mkdir(mode=0o700, exist_ok=True)
    key = STATE / "secrets" / "secret_key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(secrets.token_urlsafe(32) + "\n", encoding="utf-8")
    with ThreadPoolExecutor() as side_by_side:
        packages = side_by_side.submit(install_packages, goal) if goal in HOSTS_WANTED else None
        if packages is not None and not _can_make_venv():
            packages.result()
        install_python(LOCKS[goal])
        if packages is not None:
            packages.result()
    # Hundreds of processes will start; each would compile again what it imports.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PUMASI_STATE": str(STATE), "PUMASI_SECRET_KEY_FILE": str(key)}


# ---- the way back -------------------------------------------------------------------------------------------------------


def _processes() -> dict[str, Any]:
    """The names of ``processes.py``, which cannot be imported as part of the package yet."""
    return runpy.run_path(str(ROOT / "catalog" / "stack" / "processes.py"))


def tests_mark() -> str:
    """The value of :data:`TESTS` for this checkout."""
    return str(_processes()["mark_of"](STATE))


def test_directory() -> Path:
    """Where tests of this checkout keep everything temporary: a short path that also the PostgreSQL server's user can enter."""
    return Path(tempfile.gettempdir()) / f"pumasi-tests-{tests_mark()}"


def _rack_environment(state: Path) -> dict[str, str]:
    """A rack that exists knows its own settings; the caller's, meant for another, must not contradict them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RACK_")}
    return {**kept, "RACK_STATE": str(state)}


def _rack_clean(state: Path) -> None:
    for _twice in range(2):  # a host whose monitor was killed goes at the second time
        result = subprocess.run([str(RACK / "rack"), "clean"], env=_rack_environment(state), check=False)
    if result.returncode != 0:
        raise SystemExit(f"The rack in {state} could not be taken down, so nothing more was removed; see above.")


def _clean_racks(directory: Path) -> int:
    """Take down every rack that is kept below a directory; returns how many."""
    found = []
    for place, folders, files in os.walk(directory):
        if "rack.conf" in files:
            folders.clear()  # what lies below goes with the rack
            found.append(Path(place))
    for rack in found:
        _rack_clean(rack)
    return len(found)


def _remove_temporary(owner: Path) -> None:
    """Remove what the stack, or the PostgreSQL servers, of a directory left among the temporary files."""
    for path in Path(tempfile.gettempdir()).glob(f"pumasi*-{_processes()['mark_of'](owner)}*"):
        shutil.rmtree(path, ignore_errors=True)


def sweep_tests() -> None:
    """End what tests of this checkout left: processes, hosts, networks, files. Nothing of theirs must be running."""
    directory = test_directory()
    _processes()["end_marked"](tests_mark(), variable=TESTS)
    _clean_racks(directory)
    _remove_temporary(directory)
    shutil.rmtree(directory, ignore_errors=True)


def stop() -> None:
    """End every process of the stack and switch the rack's hosts off. Data stays."""
    since = time.monotonic()
    if PYTHON.exists() and (STATE / "stack.json").exists():
        key = {"PUMASI_SECRET_KEY_FILE": str(STATE / "secrets" / "secret_key"), "PUMASI_STATE": str(STATE)}
        subprocess.run([str(PYTHON), str(ROOT / "manage.py"), "down"], env={**os.environ, **key}, check=False)
    _processes()["end_marked"](_processes()["mark_of"](STATE))
    say("the stack is stopped", since)
    if (STATE / "rack" / "hosts").is_dir():
        since = time.monotonic()
        rack = _rack_environment(STATE / "rack")
        words = [str(RACK / "rack"), "ls"]
        listing = subprocess.run(words, env=rack, capture_output=True, text=True, check=False).stdout
        on = [line.split("\t")[0] for line in listing.splitlines() if line.endswith("\ton")]
        for host in on:
            subprocess.run([str(RACK / "rack"), "off", host], env=rack, check=False)
        say(f"{len(on)} hosts of the rack are switched off; their disks are kept", since)


def clean() -> None:
    """Undo everything: processes, hosts, network, kernel settings, Debian packages, files."""
    stop()
    sweep_tests()
    since = time.monotonic()
    # A bench that was killed leaves a stack and hosts of its own.
    for owner in (STATE, STATE / "bench", STATE / "bench" / "stack"):
        _processes()["end_marked"](_processes()["mark_of"](owner))
        _remove_temporary(owner)
    if _clean_racks(STATE):
        say("the rack is gone: hosts, network, mounts and kernel settings", since)
    with suppress(OSError):  # not there, or in use by another stack
        Path(f"/dev/shm/pumasi-{os.getuid()}").rmdir()  # noqa: S108  # ours, if it is there
    purge_packages()
    for path in (STATE, VENV, *(ROOT / name for name in CACHES)):
        if path.exists():
            shutil.rmtree(path)
            say(f"removed {path}")
    for path in ROOT.rglob("__pycache__"):
        shutil.rmtree(path)


def main() -> None:
    """Do what the one argument says."""
    goal = sys.argv[1] if len(sys.argv) == 2 else ""
    if goal == "stop":
        stop()
    elif goal == "clean":
        clean()
    elif goal in LOCKS:
        environment = prepare(goal)
        module = {"demo": ["manage.py", "demo"], "bench": ["-m", "tests.bench"]}
        words = [str(PYTHON), *module.get(goal, ["-m", "tests.harness.suite", goal])]
        os.chdir(ROOT)
        os.execve(words[0], words, environment)  # noqa: S606  # so that Ctrl-C and exit codes are its own
    else:
        raise SystemExit("usage: bootstrap.py demo | test | test-rack | check | bench | stop | clean")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
