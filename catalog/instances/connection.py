"""Ready lines for the clients of a service."""

from collections.abc import Mapping, Sequence
from typing import Any


def lines(manifest: Mapping[str, Any], public: Mapping[str, Any]) -> Sequence[dict[str, str]]:
    """The manifest's connection lines, filled with what is no secret: address, port, username, database, virtual host.

    ``{address}`` is what a client is to connect to: the service's name where it has one.
    A line that asks for a value this service does not have is left out.
    """
    known = {name: str(value) for name, value in public.items()}
    known["address"] = known.get("name") or known.get("address", "")
    filled = []
    for line in manifest.get("connection", ()):
        try:
            filled.append({"label": line["label"], "text": line["text"].format_map(known)})
        except KeyError:
            continue
    return filled
