"""Hides secrets by value, in every form they are likely to travel in. ``no_log`` in playbooks comes first, this next."""

import base64
import binascii
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

MARK = "***"
SHORT = 4
"""Characters. A secret shorter than this hides the whole text it occurs in, since cutting it out would show where it was."""

_BASE64_CORE = 8


class Redactor:
    """Replaces the secrets it was made with.

    :param secrets: values to hide. Empty ones are ignored.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        given = {secret for secret in secrets if secret}
        self._short = frozenset(secret for secret in given if len(secret) < SHORT)
        forms = {form for secret in given - self._short for form in forms_of(secret)}
        # Longest first: a form that contains another must go as a whole.
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """``text`` without any of the secrets."""
        if any(secret in text for secret in self._short):
            return MARK
        if self._pattern is None:
            return text
        # A replacement can join its neighbours into another secret; each round is shorter than the one before, so it ends.
        while self._pattern.search(text):
            text = self._pattern.sub(MARK, text)
        return text

    def value(self, value: Any) -> Any:
        """``value`` (as JSON knows it) without any of the secrets, in keys as well."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            shown = self.text(str(value))
            return value if shown == str(value) else shown
        return value


def forms_of(secret: str) -> Iterator[str]:
    """``secret`` as it stands, and as JSON, Python, a shell, a URL, base64 and hex would write it. None is under 4 characters."""
    raw = secret.encode("utf-8", "surrogatepass")
    once = [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    candidates = [
        secret,
        *once,
        # JSON within JSON, as in a command's output that a module reports.
        *(json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in once for ascii_only in (True, False)),
        repr(secret)[1:-1],
        shlex.quote(secret),
        shlex.quote(secret)[1:-1],
        binascii.hexlify(raw).decode(),
        binascii.hexlify(raw).decode().upper(),
        *_url_forms(raw),
        *_base64_forms(raw),
    ]
    for form in candidates:
        if len(form) >= SHORT:
            yield form


def _url_forms(raw: bytes) -> Iterator[str]:
    for form in (quote(raw), quote(raw, safe=""), quote_plus(raw)):
        yield form
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match.group().lower(), form)


def _base64_forms(raw: bytes) -> Iterator[str]:
    """base64 of the secret alone, and what stays the same of it inside a longer text, whatever stands before and after."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(raw).decode()
        yield whole
        yield whole.rstrip("=")
        for before in range(3):
            coded = encode(b"\0" * before + raw).decode().rstrip("=")
            first = -(-before * 8 // 6)  # characters that also carry bits of what stands before
            last = (before + len(raw)) * 8 // 6  # from here on, bits of what follows
            core = coded[first:last]
            if len(core) >= _BASE64_CORE:
                yield core
