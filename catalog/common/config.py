"""Settings from the environment, failing loudly. ``NAME_FILE`` may name a file that holds the value (for secrets)."""

import os
from pathlib import Path


class BadSetting(SystemExit):
    """A setting is missing or malformed; the process must not start."""


def env(name: str, default: str | None = None) -> str:
    """The value of ``name``, else the content of the file ``name_FILE`` names, else ``default``.

    :raises BadSetting: neither is set and there is no default, or the file cannot be read.
    """
    value = os.environ.get(name)
    if value:
        return value
    path = os.environ.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise BadSetting(f"{name}_FILE names {path}, which cannot be read: {error.strerror}.") from error
    if default is None:
        raise BadSetting(f"The setting {name} is missing. Set it (or {name}_FILE) in the environment; see the README.")
    return default


def env_bool(name: str, default: bool) -> bool:
    """``true``/``false`` (or 1/0). Raises :class:`BadSetting` for anything else."""
    value = env(name, "true" if default else "false").lower()
    if value in {"true", "1"}:
        return True
    if value in {"false", "0"}:
        return False
    raise BadSetting(f"The setting {name} must be true or false, not {value!r}.")


def env_int(name: str, default: int, *, least: int = 0) -> int:
    """A whole number of at least ``least``. Raises :class:`BadSetting` otherwise."""
    text = env(name, str(default))
    if not text.isdigit() or int(text) < least:
        raise BadSetting(f"The setting {name} must be a whole number of at least {least}, not {text!r}.")
    return int(text)


def env_list(name: str, default: str) -> list[str]:
    """Comma-separated values, blanks dropped."""
    return [part.strip() for part in env(name, default).split(",") if part.strip()]
