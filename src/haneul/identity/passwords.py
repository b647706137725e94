"""Password hashes: bcrypt over an HMAC of the password, so that bytes beyond bcrypt's 72 count and NULs do no harm."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import secrets
import string

import bcrypt

MAXIMUM = 4096  # characters, as Keystone's max_password_length
_MARK = "$hmac$"


def _digest(password: str, salt: bytes) -> bytes:
    return base64.b64encode(hmac.digest(salt, password.encode("utf-8", "surrogatepass"), hashlib.sha256))


def hashed(password: str, rounds: int) -> str:
    salt = bcrypt.gensalt(rounds)
    return _MARK + bcrypt.hashpw(_digest(password, salt), salt).decode()


def matches(password: str, stored: str) -> bool:
    """In constant time for a cost; releases the interpreter lock while it works."""
    raw = stored.removeprefix(_MARK).encode()
    return bcrypt.checkpw(_digest(password, raw[:29]), raw)


@functools.cache
def dummy(rounds: int) -> str:
    """A hash that no password has: checked for users who do not exist, so that they take as long as others."""
    return _MARK + bcrypt.gensalt(rounds).decode() + "".join(secrets.choice(string.ascii_letters) for _ in range(31))
