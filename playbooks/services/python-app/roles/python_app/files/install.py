#!/usr/bin/python3
"""Make the virtual environment of one release and install what its requirements.txt asks for. Runs as the slice's user.

Reads one JSON object from standard input: `release` (its folder) and `index` (address of a package index, or nothing).
Wheels that the source brings in `wheels/` are used. Prints `{}` or `{"code", "msg"}`.
Codes: `environment_failed`, `requirements_unsatisfied`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ADVICE = (
    "Put wheels of all of them into wheels/ of the source, or give the address of a package index inside the network."
)


def ran(words, folder, **more):
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", **more}  # noqa: S108
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def installed(asked):
    release = Path(asked["release"])
    source, venv = release / "source", release / "venv"
    if (release / "installed").exists():
        return {}
    shutil.rmtree(venv, ignore_errors=True)
    wanted = source / "requirements.txt"
    words = [
        "/usr/bin/python3",
        "-m",
        "venv",
        "--system-site-packages",
        *([] if wanted.exists() else ["--without-pip"]),
    ]
    made = ran([*words, str(venv)], release)
    if made.returncode != 0:
        return {"code": "environment_failed", "msg": "The virtual environment could not be made."}
    if wanted.exists():
        words = [f"{venv}/bin/python", "-m", "pip", "install", "--no-cache-dir", "--requirement", "requirements.txt"]
        words += ["--find-links", "wheels"] if (source / "wheels").is_dir() else []
        # The address may hold a password, and a command line can be read by everyone on the host.
        index = {"PIP_INDEX_URL": asked["index"]} if asked["index"] else {"PIP_NO_INDEX": "1"}
        calm = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        done = ran(words, source, **calm, **index, PIP_DEFAULT_TIMEOUT="15", PIP_RETRIES="1")
        if done.returncode != 0:
            errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
            said = re.sub(r"//[^/@\s]*@", "//***@", errors[-1] if errors else "pip ended without a word")[:300]
            return {"code": "requirements_unsatisfied", "msg": f"The requirements cannot be installed: {said} {ADVICE}"}
    (release / "installed").touch()
    return {}


if __name__ == "__main__":
    os.umask(0o022)
    json.dump(installed(json.load(sys.stdin)), sys.stdout)
