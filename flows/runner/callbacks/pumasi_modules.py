"""A callback of Ansible's: before the first task, let the packed modules of earlier runs be found.

Ansible has no setting for where it keeps them; see :mod:`flows.runner.modules`.
"""

import os
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: pumasi_modules
type: aggregate
short_description: keep packed modules between runs
description: Links the directory in which Ansible keeps packed modules to the one that PUMASI_MODULES names.
"""


class CallbackModule(CallbackBase):
    """Links ``ansiballz_cache`` of this process to the directory that is kept."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "pumasi_modules"

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Once for each playbook; the first makes the link."""
        # ``flows.runner.modules.VARIABLE``: Ansible's process does not find our packages.
        place = Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache"
        if (kept := os.environ.get("PUMASI_MODULES")) and not place.exists():
            place.symlink_to(kept, target_is_directory=True)
