"""Identifiers, as each service spells them."""

from __future__ import annotations

import os
import uuid


def new() -> str:
    """A random UUID with dashes: Nova, Neutron, Glance, Cinder."""
    hexadecimal = new_hex()
    return f"{hexadecimal[:8]}-{hexadecimal[8:12]}-{hexadecimal[12:16]}-{hexadecimal[16:20]}-{hexadecimal[20:]}"


def new_hex() -> str:
    """A random UUID without dashes: Keystone."""
    raw = bytearray(os.urandom(16))  # each request has one: uuid.UUID takes four times as long
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return raw.hex()


def request() -> str:
    return "req-" + new()


def is_uuid(text: str) -> bool:
    """As oslo.utils' is_uuid_like: dashes and case do not matter."""
    try:
        return uuid.UUID(text).hex == text.replace("-", "").lower()
    except (ValueError, AttributeError, TypeError):
        return False
