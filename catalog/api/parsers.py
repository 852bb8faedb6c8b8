"""Reading JSON strictly: what a lenient reader would guess at is refused."""

import json
from collections.abc import Mapping
from typing import IO, Any

from django.utils.translation import gettext as _
from rest_framework.parsers import JSONParser

from catalog.api.errors import Malformed, TooLarge

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32


class StrictJSONParser(JSONParser):
    """RFC 8259 without the loose ends.

    Refused with ``malformed-request``: names given twice (which of the two would a signature or a log mean?), NaN and Infinity,
    numbers beyond a double, lone surrogates in strings (UTF-8 cannot write them), and nesting deeper than 32. More than 256 KiB
    is refused with ``request-too-large`` without being read.
    """

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise TooLarge()
        try:
            value = json.loads(
                raw.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant, parse_float=_float
            )
        except RecursionError as error:
            raise Malformed(_("The body is nested too deeply.")) from error
        except ValueError as error:
            raise Malformed(_("The body is not valid JSON: %(what)s.") % {"what": error}) from error
        _check(value, 1)
        return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name is given twice in one object")
    return value


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return value


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Malformed(_("The body is nested too deeply."))
    if isinstance(value, str):
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise Malformed(_("A text contains a character that cannot be stored (half of a surrogate pair)."))
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check(name, depth)
            _check(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth + 1)
