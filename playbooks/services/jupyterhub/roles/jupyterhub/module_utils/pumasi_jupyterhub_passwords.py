"""How passwords of notebook users are kept: as salted scrypt hashes. The hub itself runs with this file, too."""

from __future__ import annotations

import hashlib
import hmac
import os

# 16 MB and some fifty milliseconds for each try.
_COST = {"n": 2**14, "r": 8, "p": 1}
_SALT_BYTES = 16


def hashed(password, salt=None):
    """What is kept of a password."""
    salt = os.urandom(_SALT_BYTES) if salt is None else salt
    return f"{salt.hex()}:{hashlib.scrypt(password.encode(), salt=salt, **_COST).hex()}"


def matches(password, kept):
    """Whether a password is the one that was kept."""
    return hmac.compare_digest(hashed(password, bytes.fromhex(kept.split(":")[0])), kept)
