"""Snapshots: points in time of a volume, on the back end that has it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict
from haneul.volume import attachments, quotas, rows
from haneul.volume.model import GroupSnapshotRow, SnapshotRow, VolumeRow, VolumeTypeRow
from haneul.volume.problems import InvalidSnapshot, InvalidVolume, SnapshotNotFound
from haneul.volume.tasks.snapshots import OnSnapshot, by_id, create_snapshot, delete_snapshot, put, revert_volume

RESET = ("available", "creating", "deleting", "error", "error_deleting")
_STEPS = {"creating": ("creating", "available", "error"), "deleting": ("deleting", "error_deleting")}


def stored_name(snapshot_id: str) -> str:
    return f"_snapshot-{snapshot_id}"


def get(tx: Transaction, context: Context, snapshot_id: str) -> SnapshotRow:
    """Another project's is not there."""
    row = by_id(tx, snapshot_id)
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise SnapshotNotFound(snapshot_id)
    return row


def of_volume(tx: Transaction, volume_id: str) -> list[SnapshotRow]:
    """Oldest first."""
    return list(tx.execute(select(SnapshotRow).where(SnapshotRow.volume_id == volume_id)
                           .order_by(SnapshotRow.created_at, SnapshotRow.seq)).scalars())


def add(tx: Transaction, context: Context, volume: VolumeRow, *, name: str | None, description: str | None,
        metadata: dict[str, str], group_snapshot_id: str | None = None) -> SnapshotRow:
    """The row, within the quota; nothing happens in the world yet."""
    kind = tx.get(VolumeTypeRow, volume.type_id)
    project_id = context.project_id or volume.project_id
    quotas.check(tx, project_id, kind.name if kind is not None else None, snapshots=1, gigabytes=volume.size)
    snapshot_id = ids.new()
    row = SnapshotRow(
        id=snapshot_id, volume_id=volume.id, project_id=project_id, user_id=context.user_id or volume.user_id, name=name,
        description=description, volume_size=volume.size, volume_type_id=volume.type_id, status="creating", progress="0%",
        meta=dict(metadata), stored_as=stored_name(snapshot_id), group_snapshot_id=group_snapshot_id, created_at=clock.now())
    tx.add(row)
    tx.flush()
    return row


def create(tx: Transaction, context: Context, volume: VolumeRow, *, name: str | None = None, description: str | None = None,
           metadata: dict[str, str] | None = None, force: bool = False, group_snapshot_id: str | None = None) -> SnapshotRow:
    """With `force` also of a volume that a guest is using."""
    volume = rows.locked(tx, volume)
    check(volume, force=force)
    row = add(tx, context, volume, name=name, description=description, metadata=metadata or {},
              group_snapshot_id=group_snapshot_id)
    create_snapshot.submit(tx, OnSnapshot(snapshot_id=row.id, volume_id=volume.id), resource=rows.resource(volume.id),
                           context=context)
    return row


def check(volume: VolumeRow, *, force: bool) -> None:
    if volume.migration_status not in (None, "", "error", "success"):
        raise InvalidVolume("Snapshot cannot be created while volume is migrating.")
    if volume.status.startswith("maintenance"):
        raise InvalidVolume("Snapshot cannot be created while volume is in maintenance")
    fit = ("available", "in-use") if force else ("available",)
    if volume.status not in fit or volume.host is None:
        raise InvalidVolume(f"Volume {volume.id} status must be {' or '.join(fit)}, but current status is: {volume.status}.")


def delete(tx: Transaction, context: Context, row: SnapshotRow, force: bool = False, *, with_group: bool = False) -> None:
    """`with_group`: its whole group snapshot is being deleted, which alone may."""
    check_free(tx, row, force=force, with_group=with_group)
    put(row, "deleting")
    delete_snapshot.submit(tx, OnSnapshot(snapshot_id=row.id, volume_id=row.volume_id), resource=rows.resource(row.volume_id),
                           context=context)


def check_free(tx: Transaction, row: SnapshotRow, *, force: bool = False, with_group: bool = False) -> None:
    """Raises unless the snapshot may go, or be forgotten."""
    status = "" if force else "Snapshot status must be available or error and must not be part of a group."
    grouped = row.group_snapshot_id is not None and tx.get(GroupSnapshotRow, row.group_snapshot_id) is not None
    if (grouped and not with_group) or (not force and row.status not in ("available", "error", "error_deleting")):
        raise InvalidSnapshot(status or "Snapshot must not be part of a group.")


def forget(tx: Transaction, row: SnapshotRow) -> None:
    """No longer ours; what lies on the back end stays (os-unmanage)."""
    tx.lock("volume", row.volume_id)
    check_free(tx, row)
    if rows.copying(tx, snapshot_id=row.id):
        raise InvalidSnapshot("A volume is being created from the snapshot.")
    tx.delete(row)


def report(row: SnapshotRow, status: str, progress: str | None) -> None:
    """Whoever takes a snapshot by itself says how far it is; from a status that is at rest, nothing may be said."""
    if row.status not in _STEPS:
        raise InvalidSnapshot(f"Snapshot status {row.status} not allowed for update_snapshot_status")
    if status not in _STEPS[row.status]:
        raise InvalidSnapshot(f"Provided snapshot status {status[:64]} not allowed for snapshot with status {row.status}.")
    put(row, status)
    if progress is not None:
        row.progress = progress


def revert(tx: Transaction, context: Context, volume: VolumeRow, snapshot_id: str) -> None:
    """The volume's data goes back to its latest snapshot, unless it has been extended since."""
    volume = rows.locked(tx, volume)
    of_it = of_volume(tx, volume.id)
    if not of_it:
        raise BadRequest(f"Volume {volume.id} doesn't have any snapshots.")
    latest = of_it[-1]
    if latest.id != snapshot_id or latest.project_id != volume.project_id:  # an earlier owner's stays that one's
        raise BadRequest(f"Specified snapshot {snapshot_id[:64]} is None or not the latest one of volume {volume.id}.")
    if volume.size != latest.volume_size:
        raise BadRequest(f"Can't revert volume {volume.id} to its latest snapshot {latest.id}. The volume's size must be that of "
                         "the snapshot.")
    if volume.status != "available" or attachments.of_volume(tx, volume.id):  # a status can be reset by hand
        raise Conflict(f"Invalid volume: Can't revert volume {volume.id} to its latest snapshot. Volume's status must be "
                       "'available'.")
    if latest.status != "available":
        raise Conflict(f"Invalid snapshot: Can't revert volume {volume.id} to its latest snapshot. Snapshot's status must be "
                       "'available'.")
    volume.previous_status, volume.status, volume.updated_at = volume.status, "reverting", clock.now()
    put(latest, "restoring")
    revert_volume.submit(tx, OnSnapshot(snapshot_id=latest.id, volume_id=volume.id), resource=rows.resource(volume.id),
                         context=context)


def change_metadata(row: SnapshotRow, metadata: dict[str, Any], *, whole: bool) -> dict[str, str]:
    """Merged in, or in place of what there was."""
    row.meta = dict(metadata) if whole else {**row.meta, **metadata}
    row.updated_at = clock.now()
    return dict(row.meta)
