"""Secrets at rest, bound to where they belong.

Each context (for example ``binding:<uuid>``) has a key of its own, derived by HKDF-SHA256 (RFC 5869) from every master key of
``PUMASI_SECRET_KEYS``; the first master key encrypts, all decrypt, so keys can be rotated. A ciphertext moved to another row
does not decrypt there.
"""

import base64
import hashlib
import hmac
import secrets
import string

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

__all__ = ["InvalidToken", "decrypt", "encrypt", "random_identifier", "random_secret", "sign", "signed"]

_SECRET_ALPHABET = string.ascii_letters + string.digits


def _derive(master: str, purpose: str) -> bytes:
    hkdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose.encode())
    return hkdf.derive(master.encode())


def _fernet(context: str) -> MultiFernet:
    keys = [base64.urlsafe_b64encode(_derive(m, f"fernet:{context}")) for m in settings.PUMASI_SECRET_KEYS]
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(plain: str, *, context: str) -> str:
    """Encrypt for one context; returns an ASCII token."""
    return _fernet(context).encrypt(plain.encode()).decode()


def decrypt(token: str, *, context: str) -> str:
    """The plain text. Raises :class:`InvalidToken` for a wrong key, a changed token or another context."""
    return _fernet(context).decrypt(token.encode()).decode()


def sign(message: bytes, *, purpose: str) -> str:
    """HMAC-SHA256 under the first master key, as hex: evidence that this installation issued ``message``."""
    return hmac.new(_derive(settings.PUMASI_SECRET_KEYS[0], f"sign:{purpose}"), message, hashlib.sha256).hexdigest()


def signed(message: bytes, signature: str, *, purpose: str) -> bool:
    """Whether :func:`sign` made ``signature`` of ``message``, under any master key still listed (keys rotate)."""
    made = (
        hmac.new(_derive(master, f"sign:{purpose}"), message, hashlib.sha256).hexdigest()
        for master in settings.PUMASI_SECRET_KEYS
    )
    return any(hmac.compare_digest(candidate.encode(), signature.encode()) for candidate in made)


def random_secret(length: int = 32) -> str:
    """A password of letters and digits (5.95 bits each), safe in every connection string. ``length`` ≥ 16."""
    if length < 16:
        raise ValueError("a generated secret has at least 16 characters")
    return "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(length))


def random_identifier(length: int = 8, *, prefix: str = "") -> str:
    """``prefix`` and then ``length`` characters of ``[a-z0-9]``."""
    alphabet = string.ascii_lowercase + string.digits
    return prefix + "".join(secrets.choice(alphabet) for _ in range(length))
