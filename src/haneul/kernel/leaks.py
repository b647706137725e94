"""What was found to belong to nothing, and what became of it: any room's reconciler notes it, `haneul status` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Float, String, Text, delete
from sqlalchemy.orm import Mapped, mapped_column

from haneul.kernel import clock
from haneul.kernel.database import Base, Transaction

if TYPE_CHECKING:
    from haneul.kernel.cloud import Cloud

log = structlog.get_logger("leaks")
KEEP_SECONDS = 7 * 86400.0  # for so long it is shown


class LeakRow(Base):
    """Something on a host or in a table that belongs to nothing: what it is, since when, and what became of it."""

    __tablename__ = "leaks"

    id: Mapped[str] = mapped_column(String(255), primary_key=True)  # kind/host/name
    kind: Mapped[str] = mapped_column(String(32))  # process, disk, allocation, port, task_state, fabric, image_file
    host: Mapped[str | None] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(128))
    found: Mapped[float] = mapped_column(Float)
    mended: Mapped[float | None] = mapped_column(Float)
    what: Mapped[str] = mapped_column(Text, default="")


def note(cloud: Cloud, kind: str, host: str | None, name: str, what: str, *, mended: bool = True) -> None:
    """Found now, and mended or not. Found again, it is the same leak."""
    log.warning("leak", kind=kind, host=host, name=name, what=what, mended=mended)
    now, id = clock.seconds(), f"{kind}/{host or ''}/{name[:128]}"[:255]
    with cloud.database.write() as tx:
        row = tx.get(LeakRow, id)
        if row is None:
            row = LeakRow(id=id, kind=kind, host=host, name=name[:128], found=now)
            tx.add(row)
        row.what, row.mended = what, now if mended else None


def forget_old(tx: Transaction) -> None:
    tx.execute(delete(LeakRow).where(LeakRow.found < clock.seconds() - KEEP_SECONDS))
