"""Traits and resource classes: the standard names, and the ones that users add."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import os_resource_classes
import os_traits
from sqlalchemy import select

from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest
from haneul.placement.model import CustomClass, CustomTrait

STANDARD_TRAITS = frozenset(os_traits.get_traits())
STANDARD_CLASSES: tuple[str, ...] = tuple(os_resource_classes.STANDARDS)
_CUSTOM = re.compile(r"CUSTOM_[A-Z0-9_]+")


def is_custom(name: str) -> bool:
    return len(name) <= 255 and _CUSTOM.fullmatch(name) is not None


def physnet_trait(network: str) -> str:
    """The trait of hosts that are plugged into a physical network."""
    return "CUSTOM_PHYSNET_" + os_traits.normalize_name(network).removeprefix("CUSTOM_")


def known_traits(tx: Transaction, names: Collection[str]) -> set[str]:
    custom = [name for name in names if name not in STANDARD_TRAITS]
    found = set(names) & STANDARD_TRAITS
    if custom:
        found |= set(tx.execute(select(CustomTrait.name).where(CustomTrait.name.in_(custom))).scalars())
    return found


def require_traits(tx: Transaction, names: Collection[str]) -> None:
    if missing := set(names) - known_traits(tx, names):
        raise BadRequest(f"No such trait(s): {', '.join(sorted(missing))[:500]}.")


def known_classes(tx: Transaction) -> set[str]:
    return set(STANDARD_CLASSES) | set(tx.execute(select(CustomClass.name)).scalars())


def require_classes(tx: Transaction, names: Collection[str]) -> None:
    if missing := set(names) - known_classes(tx):
        raise BadRequest(f"Unknown resource class in inventory: No such resource class: {', '.join(sorted(missing))[:300]}.")


def ensure_traits(tx: Transaction, names: Iterable[str]) -> None:
    """Custom ones that do not exist yet are made."""
    missing = {name for name in names if is_custom(name)} - known_traits(tx, list(names))
    tx.add_all(CustomTrait(name=name, created_at=clock.now()) for name in sorted(missing))
    tx.flush()
