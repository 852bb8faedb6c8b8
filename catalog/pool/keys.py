"""Pure reading of ssh public keys."""

import base64
import binascii
from hashlib import sha256

from catalog.pool.errors import HostKeyMalformed

KINDS = frozenset({"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"})


def fingerprint_of(public_key: str) -> tuple[str, str]:
    """The key without its comment, and its fingerprint as ``ssh-keygen -l`` prints it (``SHA256:…``).

    :raises HostKeyMalformed: not a kind we know, or its body is not what its kind says.
    """
    parts = public_key.split()
    if len(parts) < 2 or parts[0] not in KINDS or "\n" in public_key.strip():
        raise HostKeyMalformed()
    try:
        body = base64.b64decode(parts[1], validate=True)
    except binascii.Error as error:
        raise HostKeyMalformed() from error
    kind = parts[0].encode()
    # The body repeats its kind, length first (RFC 4253, section 6.6).
    if body[: 4 + len(kind)] != len(kind).to_bytes(4, "big") + kind or len(body) <= 4 + len(kind):
        raise HostKeyMalformed()
    digest = base64.b64encode(sha256(body).digest()).rstrip(b"=").decode()
    return f"{parts[0]} {parts[1]}", f"SHA256:{digest}"
