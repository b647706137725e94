"""Volume types: what kind of volume, on which back end, encrypted or not."""

from __future__ import annotations

from sqlalchemy import select

from haneul.host.storage import DiskLimits
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.volume import qos
from haneul.volume.model import DefaultTypeRow, VolumeTypeAccessRow, VolumeTypeRow
from haneul.volume.problems import VolumeTypeNotFound


def bootstrap(tx: Transaction) -> None:
    """The type of volumes that name none."""
    name = tx.cloud.config.volume.default_type
    if tx.execute(select(VolumeTypeRow.id).where(VolumeTypeRow.name == name)).first() is None:
        tx.add(VolumeTypeRow(id=ids.new(), name=name, description="Default Volume Type", created_at=clock.now()))


def get(tx: Transaction, context: Context, type_id: str) -> VolumeTypeRow:
    """By id; what the caller's project may not use is not there."""
    row = tx.get(VolumeTypeRow, type_id)
    if row is None or not usable(tx, context, row):
        raise VolumeTypeNotFound(type_id)
    return row


def named(tx: Transaction, context: Context, name_or_id: str) -> VolumeTypeRow:
    row = tx.get(VolumeTypeRow, name_or_id) or tx.execute(
        select(VolumeTypeRow).where(VolumeTypeRow.name == name_or_id)).scalar_one_or_none()
    if row is None or not usable(tx, context, row):
        raise VolumeTypeNotFound(name_or_id)
    return row


def usable(tx: Transaction, context: Context, row: VolumeTypeRow) -> bool:
    return row.is_public or context.is_admin or tx.get(VolumeTypeAccessRow, (row.id, context.project_id or "")) is not None


def default(tx: Transaction, context: Context) -> VolumeTypeRow:
    """The project's own, else the configured one."""
    own = tx.get(DefaultTypeRow, context.project_id or "")
    row = tx.get(VolumeTypeRow, own.type_id) if own is not None else None
    if row is None:
        name = tx.cloud.config.volume.default_type
        row = tx.execute(select(VolumeTypeRow).where(VolumeTypeRow.name == name)).scalar_one_or_none()
    if row is None:
        raise VolumeTypeNotFound(tx.cloud.config.volume.default_type)
    return row


def limits_of(tx: Transaction, type_id: str, size: int = 0) -> DiskLimits | None:
    """What a guest's disk is throttled to when it is a volume of the type; `size` in GiB is for limits that grow with it."""
    return qos.limits_of(tx, type_id, size)
