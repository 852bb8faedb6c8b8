"""A callback of Ansible's: packed modules of earlier runs are found, and those of this run are kept with their byte code.

Ansible has no setting for where it keeps them; see :mod:`flows.runner.modules`.
"""

import base64
import io
import os
import tempfile
import zipfile
from dataclasses import replace
from importlib import util
from importlib._bootstrap_external import _code_to_hash_pyc  # type: ignore[attr-defined]  # what py_compile itself uses
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.executor.module_common import _CachedModule
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: pumasi_modules
type: aggregate
short_description: keep packed modules between runs
description: Links the directory in which Ansible keeps packed modules to the one that PUMASI_MODULES names.
"""

COMPILED = ".compiled"
"""Beside a package that has its byte code."""


class CallbackModule(CallbackBase):
    """Links ``ansiballz_cache`` of this process to the directory that is kept."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "pumasi_modules"

    # ``flows.runner.modules.VARIABLE``: Ansible's process does not find our packages.
    kept = os.environ.get("PUMASI_MODULES", "")

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Once for each playbook; the first makes the link."""
        place = Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache"
        if self.kept and not place.exists():
            place.symlink_to(self.kept, target_is_directory=True)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """After the last task: what was packed anew gets its byte code."""
        for package in sorted(Path(self.kept).glob("*-none")) if self.kept else ():
            done = package.with_name(package.name + COMPILED)
            if not done.exists():
                compile_package(package)
                done.touch()


def compile_package(package: Path) -> None:
    """Put the byte code of every source into a package, beside the source.

    A host with this Python takes the byte code without asking for the source's time; any other takes the source.
    """
    module = _CachedModule.load(str(package))
    data = io.BytesIO(base64.b64decode(module.zip_data))
    with zipfile.ZipFile(data, "a", zipfile.ZIP_DEFLATED) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith(".py"):
                source = archive.read(entry)
                code = compile(source, entry.filename, "exec", dont_inherit=True)
                cached = _code_to_hash_pyc(code, util.source_hash(source), checked=False)
                archive.writestr(zipfile.ZipInfo(f"{entry.filename}c", entry.date_time), cached, zipfile.ZIP_DEFLATED)
    compiled = replace(module, zip_data=base64.b64encode(data.getvalue()))
    # Others may read it meanwhile, or do the same.
    with tempfile.TemporaryDirectory(dir=package.parent) as directory:
        new = Path(directory) / package.name
        compiled.dump(str(new))
        new.replace(package)
