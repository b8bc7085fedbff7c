"""Credentials at rest: sealed where they must be read again, digested where they only need to be recognised."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from apps.foundation.errors import DomainError


class Unreadable(DomainError):
    """The text was sealed under a key that this portal does not have."""

    code = "secret_unreadable"
    http_status = 409


@lru_cache(maxsize=4)
def _box(secrets: tuple[str, ...]) -> MultiFernet:
    keys = [
        HKDF(algorithm=SHA256(), length=32, salt=None, info=b"incident portal field key").derive(secret.encode())
        for secret in secrets
    ]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])


def _current_box() -> MultiFernet:
    return _box((settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


def seal(text: str) -> str:
    """`text` encrypted and authenticated: Fernet, its key derived from SECRET_KEY. Each call gives another result."""
    return _current_box().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """What `seal` was given, also under a key in SECRET_KEY_FALLBACKS. Raises Unreadable for anything else."""
    try:
        return _current_box().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable(
            "A stored secret can't be read with this SECRET_KEY: put the old key into SECRET_KEY_FALLBACKS, "
            "or set the secret again."
        ) from error


def digest(text: str) -> str:
    """The SHA-256 of a long random text, in hex. Not for passwords, which people choose."""
    return hashlib.sha256(text.encode()).hexdigest()


def keyed_digest(text: str) -> str:
    """An HMAC-SHA-256 of `text` under SECRET_KEY, in hex: alike texts are recognised, short ones can't be guessed."""
    return _keyed(settings.SECRET_KEY, text)


def is_keyed_digest(found: str, text: str) -> bool:
    """Whether `found` is the `keyed_digest` of `text`, also under a key in SECRET_KEY_FALLBACKS."""
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return any(hmac.compare_digest(found, _keyed(key, text)) for key in keys)


def _keyed(secret: str, text: str) -> str:
    key = hmac.digest(secret.encode(), b"incident portal digest key", "sha256")
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
