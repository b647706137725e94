"""Volumes that change hands: one project offers one under a key, whoever has the key takes it, quota and all."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from sqlalchemy import select, update

from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound
from haneul.volume import attachments, quotas, rows
from haneul.volume.model import AttachmentRow, SnapshotRow, TransferRow, VolumeRow, VolumeTypeRow
from haneul.volume.problems import InvalidSnapshot, InvalidVolume

WAITING = "awaiting-transfer"


class TransferNotFound(NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Transfer {id[:64]} could not be found.")


def _hash(salt: str, key: str) -> str:
    return hmac.new(salt.encode(), key.encode(), hashlib.sha256).hexdigest()


def get(tx: Transaction, context: Context, transfer_id: str) -> TransferRow:
    """One that the caller's project offers."""
    row = tx.get(TransferRow, transfer_id)
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise TransferNotFound(transfer_id)
    return row


def create(tx: Transaction, context: Context, volume: VolumeRow, *, name: str | None, no_snapshots: bool,
           encrypted: bool) -> tuple[TransferRow, str]:
    """The offer and its key, which is shown this once. `encrypted`: whether such a volume may go."""
    volume = rows.locked(tx, volume)
    if volume.status != "available":
        raise InvalidVolume("status must be available")
    if volume.encrypted and not encrypted:
        raise InvalidVolume("transferring encrypted volume is not supported")
    if volume.group_id is not None:
        raise InvalidVolume("volume is in a group")
    if tx.execute(select(AttachmentRow.id).where(AttachmentRow.volume_id == volume.id).limit(1)).first() is not None:
        raise InvalidVolume("status must be available")
    if not no_snapshots:
        for snapshot in tx.execute(select(SnapshotRow).where(SnapshotRow.volume_id == volume.id)).scalars():
            if snapshot.status != "available":
                raise InvalidSnapshot(f"snapshot: {snapshot.id} status must be available")
            if snapshot.group_snapshot_id is not None:
                raise InvalidSnapshot(f"snapshot: {snapshot.id} belongs to a group snapshot")
    key, salt = secrets.token_hex(8), secrets.token_hex(8)
    row = TransferRow(id=ids.new(), volume_id=volume.id, project_id=volume.project_id, name=name, salt=salt,
                      hash=_hash(salt, key), no_snapshots=no_snapshots, accepted=False, created_at=clock.now())
    tx.add(row)
    volume.previous_status = volume.status
    rows.put(volume, WAITING)
    tx.flush()
    return row, key


def _offered(tx: Transaction, row: TransferRow) -> VolumeRow | None:
    """The volume, now that nobody else changes it. TransferNotFound if the offer was accepted or withdrawn meanwhile."""
    volume = rows.by_id(tx, row.volume_id)
    volume = rows.locked(tx, volume) if volume is not None else None
    if tx.execute(select(TransferRow.id).where(TransferRow.id == row.id)).first() is None:
        raise TransferNotFound(row.id)
    return volume


def delete(tx: Transaction, row: TransferRow) -> None:
    """The offer is withdrawn."""
    volume = _offered(tx, row)
    if volume is not None and volume.status == WAITING:
        rows.put(volume, "available")
    tx.delete(row)


def accept(tx: Transaction, context: Context, transfer_id: str, key: str) -> TransferRow:
    """The volume, and its snapshots unless they stay, are the caller's project's from now on."""
    row = tx.get(TransferRow, transfer_id)
    if row is None:
        raise TransferNotFound(transfer_id)
    if not hmac.compare_digest(row.hash, _hash(row.salt, key)):
        raise BadRequest(f"Invalid auth key: Attempt to transfer {row.id} with invalid auth key.")
    volume = _offered(tx, row)
    if volume is None or volume.status != WAITING or attachments.of_volume(tx, volume.id):
        raise InvalidVolume(f"Transfer {row.id}: Volume id {row.volume_id} expected in state {WAITING}")
    project_id = context.project_id or ""
    mine = [] if row.no_snapshots else list(tx.execute(
        select(SnapshotRow).where(SnapshotRow.volume_id == volume.id)).scalars())
    if project_id != volume.project_id:
        kind = tx.get(VolumeTypeRow, volume.type_id)
        quotas.check(tx, project_id, kind.name if kind is not None else None, volumes=1, snapshots=len(mine),
                     gigabytes=volume.size + sum(snapshot.volume_size for snapshot in mine))
        quotas.check_size(tx, project_id, volume.size)
    volume.project_id, volume.user_id = project_id, context.user_id or ""
    rows.put(volume, "available")
    if mine:
        tx.execute(update(SnapshotRow).where(SnapshotRow.volume_id == volume.id).values(
            project_id=project_id, user_id=context.user_id or "", updated_at=clock.now()))
    row.accepted, row.destination_project_id = True, project_id
    tx.flush()
    tx.delete(row)
    return row
