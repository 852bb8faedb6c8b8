"""Removing what others may be removing at the same time, such as a private /tmp that systemd takes away with its service."""

from __future__ import annotations

import shutil


def _unless_gone(_function, _path, failure):
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]


def remove_path(path):
    """Delete a file, a link (never followed), or a folder with all that is in it; what is gone already is no failure."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=_unless_gone)
    else:
        path.unlink(missing_ok=True)
