"""A secret belongs to one context; a signature to one purpose."""

from typing import Any

import pytest

from catalog.common import crypto


def test_a_secret_opens_in_its_own_context_only() -> None:
    token = crypto.encrypt("pässwörd 비밀", context="binding:1")
    assert crypto.decrypt(token, context="binding:1") == "pässwörd 비밀"
    for context in ("binding:2", "binding:", "binding:11", ""):
        with pytest.raises(crypto.InvalidToken):
            crypto.decrypt(token, context=context)


def test_a_changed_token_does_not_open() -> None:
    token = crypto.encrypt("secret", context="a")
    middle = len(token) // 2
    forged = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    with pytest.raises(crypto.InvalidToken):
        crypto.decrypt(forged, context="a")


def test_keys_rotate(settings: Any) -> None:
    settings.PUMASI_SECRET_KEYS = ["old-key-of-the-group"]
    token, signature = crypto.encrypt("secret", context="a"), crypto.sign(b"said", purpose="certificate")
    settings.PUMASI_SECRET_KEYS = ["new-key-of-the-group", "old-key-of-the-group"]
    assert crypto.decrypt(token, context="a") == "secret"
    assert crypto.signed(b"said", signature, purpose="certificate")
    assert crypto.sign(b"said", purpose="certificate") != signature
    settings.PUMASI_SECRET_KEYS = ["new-key-of-the-group"]
    with pytest.raises(crypto.InvalidToken):
        crypto.decrypt(token, context="a")
    assert not crypto.signed(b"said", signature, purpose="certificate")


def test_a_signature_is_for_one_message_and_one_purpose() -> None:
    signature = crypto.sign(b"said", purpose="certificate")
    assert crypto.signed(b"said", signature, purpose="certificate")
    assert not crypto.signed(b"sayd", signature, purpose="certificate")
    assert not crypto.signed(b"said", signature, purpose="other")
    assert not crypto.signed(b"said", "é", purpose="certificate")


def test_generated_secrets_are_long_and_safe_everywhere() -> None:
    made = {crypto.random_secret(32) for _ in range(100)}
    assert len(made) == 100
    assert all(len(secret) == 32 and secret.isascii() and secret.isalnum() for secret in made)
    with pytest.raises(ValueError, match="at least 16"):
        crypto.random_secret(15)
    assert crypto.random_identifier(8, prefix="app_").startswith("app_")
