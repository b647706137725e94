"""Identifiers, as each service spells them."""

from __future__ import annotations

import os
import uuid


def new() -> str:
    """A random UUID with dashes: Nova, Neutron, Glance, Cinder."""
    return str(uuid.UUID(bytes=os.urandom(16), version=4))


def new_hex() -> str:
    """A random UUID without dashes: Keystone."""
    return uuid.UUID(bytes=os.urandom(16), version=4).hex


def request() -> str:
    return "req-" + new()


def is_uuid(text: str) -> bool:
    """As oslo.utils' is_uuid_like: dashes and case do not matter."""
    try:
        return uuid.UUID(text).hex == text.replace("-", "").lower()
    except (ValueError, AttributeError, TypeError):
        return False
