"""Unified limits of a project's images, by Glance's names: kept once an administrator has registered them at identity.

A size is not known before the data is there. So the transfer that goes over a limit of MiB still ends well, and the next
one is refused, as in Glance.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from haneul.identity import limits
from haneul.image.model import IMPORTING, SAVING, UPLOADING, ImageRow
from haneul.kernel.database import Transaction
from haneul.kernel.errors import TooLarge

IMAGES, TRANSFERS = "image_count_total", "image_count_uploading"
STORED, STAGED = "image_size_total", "image_stage_total"  # MiB
MIB = 1 << 20


def check(tx: Transaction, owner: str | None, **wanted: int) -> None:
    """TooLarge unless the owner may have that much more of each."""
    if owner is None:
        return
    allowed = {name: limit for name, limit in limits.of_project(tx, "image", owner).items() if name in wanted and limit >= 0}
    if not allowed:
        return
    tx.lock("image", "limits", owner)
    for name, limit in allowed.items():
        used = _used(tx, owner, name)
        if used + wanted[name] > limit:
            raise TooLarge(f"Project {owner} is over a limit for [Resource {name} is over limit of {limit} due to current usage "
                           f"{used} and delta {wanted[name]}]")


def usage(tx: Transaction, project_id: str) -> dict[str, dict[str, int]]:
    """Of those that an administrator has registered."""
    allowed = limits.of_project(tx, "image", project_id)
    return {name: {"limit": allowed[name], "usage": _used(tx, project_id, name)}
            for name in (STORED, IMAGES, STAGED, TRANSFERS) if name in allowed}


def _used(tx: Transaction, owner: str, name: str) -> int:
    of_owner: Any = ImageRow.owner == owner
    if name == IMAGES:
        return int(tx.execute(select(func.count()).where(of_owner)).scalar_one())
    if name == TRANSFERS:
        moving = ImageRow.status.in_((SAVING, UPLOADING, IMPORTING))
        return int(tx.execute(select(func.count()).where(of_owner, moving)).scalar_one())
    if name == STAGED:
        staged = ImageRow.status.in_((UPLOADING, IMPORTING))
        return int(tx.execute(select(func.sum(ImageRow.size)).where(of_owner, staged)).scalar_one() or 0) // MIB
    # Once for each store that has it
    rows = tx.execute(select(ImageRow.size, ImageRow.locations).where(of_owner, ImageRow.size.is_not(None)))
    return sum(size * len(locations) for size, locations in rows) // MIB
