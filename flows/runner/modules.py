"""Modules as Ansible packs them, kept between runs.

Ansible sends a module packed with everything that it imports. To pack one takes about half a second of computing, more than most
tasks need, and Ansible forgets its packages (``ansiballz_cache``) at the end of every run. What is in one depends on sources
alone, never on values of a run, so here a run finds those of the runs before it.
"""

import hashlib
import os
import sys
from pathlib import Path

from ansible.release import __version__ as ansible_version

VARIABLE = "PUMASI_MODULES"
"""In the environment of Ansible: where packed modules are kept."""

CALLBACKS = Path(__file__).parent / "callbacks"


def store(kept: Path, *sources: Path) -> Path:
    """Where modules packed from the very sources below these directories are kept, below ``kept``: for this user alone.

    Ansible knows its packages by the names of their modules, and two versions of an offering may well have modules of one name.
    """
    digest = hashlib.sha256(f"{ansible_version} {sys.version}".encode())
    for directory in sources:
        for path in sorted(directory.rglob("*.py")):
            digest.update(f"\0{path.relative_to(directory)}\0".encode())
            digest.update(path.read_bytes())
    directory = kept / digest.hexdigest()[:16]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def environment(directory: Path, *callbacks: str) -> dict[str, str]:
    """What Ansible must be told to keep them there.

    :param callbacks: directories of other callback plugins.
    """
    return {VARIABLE: str(directory), "ANSIBLE_CALLBACK_PLUGINS": os.pathsep.join([*callbacks, str(CALLBACKS)])}
