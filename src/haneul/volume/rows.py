"""Volumes by id, for whoever may not import the rules: the tasks that the rules submit."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select

from haneul.kernel import clock
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.volume.model import VolumeRow
from haneul.volume.problems import VolumeNotFound

_volumes: Any = VolumeRow.__table__
_BY_ID = select(VolumeRow).where(VolumeRow.id == bindparam("id"))


def resource(volume_id: str) -> str:
    """What every task on a volume, or on a snapshot of it, names: they run one at a time."""
    return f"volume:{volume_id}"


def by_id(tx: Transaction, volume_id: str) -> VolumeRow | None:
    return tx.execute(_BY_ID, {"id": volume_id}).scalar_one_or_none()


def get(tx: Transaction, context: Context, volume_id: str) -> VolumeRow:
    """A volume of the caller's project, or any for an administrator. VolumeNotFound."""
    row = by_id(tx, volume_id)
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise VolumeNotFound(volume_id)
    return row


def locked(tx: Transaction, row: VolumeRow) -> VolumeRow:
    """The row as it is now that nobody else changes the volume until this transaction ends. VolumeNotFound."""
    tx.lock("volume", row.id)
    if tx.cloud.database.sqlite:  # one writer at a time: it is as it was read
        return row
    tx.flush()
    found = tx.execute(select(VolumeRow).where(VolumeRow.id == row.id).execution_options(
        populate_existing=True)).scalar_one_or_none()
    if found is None:
        raise VolumeNotFound(row.id)
    return found


def put(row: VolumeRow, status: str) -> None:
    row.status, row.updated_at = status, clock.now()


def copying(tx: Transaction, *, source_volid: str | None = None, snapshot_id: str | None = None) -> bool:
    """Whether a volume is being made of this one's, or this snapshot's, data: until then the data must stay."""
    column, value = (_volumes.c.source_volid, source_volid) if source_volid else (_volumes.c.snapshot_id, snapshot_id)
    return tx.core(select(_volumes.c.seq).where(_volumes.c.status == "creating", column == value).limit(1)).first() is not None
