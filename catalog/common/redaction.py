"""What a log line never says."""

import re
from collections.abc import MutableMapping
from typing import Any

_SECRET = re.compile(r"passw|secret|token|authori[sz]ation|credential|private_?key|cookie|api_?key", re.IGNORECASE)
HIDDEN = "[hidden]"


def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: values whose name sounds like a secret are hidden, however deep they lie.

    A second wall: nobody should log them in the first place.
    """
    return {name: _hidden(name, value) for name, value in event.items()}


def _hidden(name: str, value: Any) -> Any:
    # structlog's own members (_record, exc_info) are objects that its later processors need as they are.
    if name.startswith("_") or value is None or isinstance(value, bool):
        return value
    if _SECRET.search(name):
        return HIDDEN
    if isinstance(value, dict):
        return {inner: _hidden(str(inner), of) for inner, of in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden("", of) for of in value]
    return value
