"""The rules of backups: of a volume or a snapshot, whole or on top of the one before, into a volume, out of and into records."""

from __future__ import annotations

import base64
from datetime import datetime

import msgspec
from msgspec import Struct
from sqlalchemy import select

from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest
from haneul.kernel.tasks import Fault
from haneul.volume import quotas, rows, snapshots, volumes
from haneul.volume.backup_store import CONTAINER, SERVICE, check_container
from haneul.volume.model import BackupRow, SnapshotRow, VolumeRow
from haneul.volume.problems import BackupNotFound, InvalidSnapshot, InvalidVolume
from haneul.volume.tasks import backups as tasks
from haneul.volume.tasks.backups import BackupAlone, OnBackup, by_id, data_of, put

RESET = ("available", "error")
LOOSE = ("available", "error", "error_deleting")


class InvalidBackup(BadRequest):
    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid backup: {reason}")


class Wish(Struct, frozen=True, kw_only=True):
    """A backup as it was asked for."""

    volume_id: str
    snapshot_id: str | None = None
    name: str | None = None
    description: str | None = None
    container: str | None = None
    incremental: bool = False
    force: bool = False
    metadata: dict[str, str] = {}
    availability_zone: str | None = None


class Record(Struct, kw_only=True):
    """What an exported backup says of itself: enough to be imported where its container is, too."""

    id: str
    volume_id: str
    size: int
    container: str
    service: str
    service_metadata: str
    display_name: str | None = None
    display_description: str | None = None
    volume_name: str | None = None
    snapshot_id: str | None = None
    parent_id: str | None = None
    object_count: int = 0
    data_timestamp: datetime | None = None
    backup_metadata: dict[str, str] = {}


def get(tx: Transaction, context: Context, backup_id: str) -> BackupRow:
    """Another project's is not there."""
    row = by_id(tx, backup_id)
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise BackupNotFound(backup_id)
    return row


def _locked(tx: Transaction, row: BackupRow) -> BackupRow:
    """As it is now that nobody else deletes it, restores it or makes another one that stands on it."""
    tx.lock("volume", row.volume_id)
    found = tx.execute(select(BackupRow).where(BackupRow.id == row.id).execution_options(
        populate_existing=True)).scalar_one_or_none()
    if found is None:
        raise BackupNotFound(row.id)
    return found


def dependents(tx: Transaction, backup_ids: list[str]) -> set[str]:
    """Those of the ids that other backups stand on."""
    return {id for id in tx.execute(select(BackupRow.parent_id).where(BackupRow.parent_id.in_(backup_ids))).scalars() if id}


# ---------------------------------------------------------------- create


def create(tx: Transaction, context: Context, wish: Wish) -> BackupRow:
    volume = rows.locked(tx, rows.get(tx, context, wish.volume_id))
    snapshot = _snapshot(tx, context, wish, volume)
    if snapshot is None:
        _check(volume, wish.force)
    container = check_container(wish.container or CONTAINER)
    project_id = context.project_id or volume.project_id
    parent = _parent(tx, wish, project_id, container, snapshot) if wish.incremental else None
    quotas.check(tx, project_id, None, backups=1, backup_gigabytes=volume.size)
    backup_id = ids.new()
    row = BackupRow(
        id=backup_id, project_id=project_id, user_id=context.user_id or volume.user_id,
        name=wish.name, description=wish.description, volume_id=volume.id, volume_name=volume.name,
        snapshot_id=wish.snapshot_id, parent_id=parent.id if parent is not None else None, status="creating",
        container=container, service=SERVICE, service_metadata=backup_id, host=volume.host,
        availability_zone=wish.availability_zone or volume.availability_zone, size=volume.size, encrypted=volume.encrypted,
        key=volume.key, key_id=volume.key_id, meta=dict(wish.metadata), created_at=clock.now(),
        data_timestamp=snapshot.created_at if snapshot is not None else None)
    tx.add(row)
    tx.flush()
    if snapshot is not None:
        snapshots.put(snapshot, "backing-up")
    else:
        volume.previous_status = volume.status
        rows.put(volume, "backing-up")
    tasks.create_backup.submit(tx, OnBackup(volume_id=volume.id, backup_id=backup_id), resource=rows.resource(volume.id),
                               context=context)
    return row


def _snapshot(tx: Transaction, context: Context, wish: Wish, volume: VolumeRow) -> SnapshotRow | None:
    if wish.snapshot_id is None:
        return None
    row = snapshots.get(tx, context, wish.snapshot_id)
    if row.volume_id != volume.id:
        raise InvalidSnapshot(f"Snapshot {row.id} is not of volume {volume.id}.")
    if row.status != "available":
        raise InvalidSnapshot(f'Snapshot to be backed up must be available, but the current status is "{row.status}".')
    return row


def _check(volume: VolumeRow, force: bool) -> None:
    if volume.status not in ("available", "in-use") or volume.host is None:
        raise InvalidVolume(f'Volume to be backed up must be available or in-use, but the current status is "{volume.status}".')
    if volume.status == "in-use" and not force:
        raise InvalidVolume("Backing up an in-use volume must use the force flag.")


def _parent(tx: Transaction, wish: Wish, project_id: str, container: str, snapshot: SnapshotRow | None) -> BackupRow:
    """The project's newest whole one of the volume, not newer than the snapshot: an earlier owner's stays that one's."""
    of_it = select(BackupRow).where(BackupRow.volume_id == wish.volume_id, BackupRow.project_id == project_id,
                                    BackupRow.status == "available",
                                    BackupRow.container == container, BackupRow.service == SERVICE,
                                    BackupRow.data_timestamp.is_not(None))
    if snapshot is not None:
        of_it = of_it.where(BackupRow.data_timestamp <= snapshot.created_at)
    row = tx.execute(of_it.order_by(BackupRow.data_timestamp.desc(), BackupRow.seq.desc()).limit(1)).scalar_one_or_none()
    if row is None:
        raise InvalidBackup("No backups available to do an incremental backup.")
    return row


# ---------------------------------------------------------------- restore


def restore(tx: Transaction, context: Context, row: BackupRow, volume_id: str | None, name: str | None) -> VolumeRow:
    """Into an available volume that is large enough, or into one made for it."""
    row = _locked(tx, row)
    if row.status != "available":
        raise InvalidBackup(f"Backup status must be available, but the current status is {row.status}.")
    if volume_id is None:
        volume = volumes.create(tx, context, volumes.Wish(
            size=row.size, name=name or f"restore_backup_{row.id}", description=row.description, backup_id=row.id,
            type_id=_type(tx, row)))
    else:
        volume = rows.locked(tx, rows.get(tx, context, volume_id))
        _check_target(tx, row, volume)
        volume.previous_status = volume.status
        rows.put(volume, "restoring-backup")
    bring(tx, context, row, volume)
    return volume


def bring(tx: Transaction, context: Context, row: BackupRow, volume: VolumeRow) -> None:
    """The backup's data into a volume that is being made for it, or whose status says so."""
    if row.status not in ("available", "restoring"):
        raise InvalidBackup(f"Backup status must be available, but the current status is {row.status}.")
    if row.encrypted != volume.encrypted:
        raise InvalidVolume("An encrypted volume's backup is restored into an encrypted volume, and into no other.")
    put(row, "restoring")
    row.restore_volume_id = volume.id
    tasks.restore_backup.submit(tx, OnBackup(volume_id=volume.id, backup_id=row.id), resource=rows.resource(volume.id),
                                context=context)


def _type(tx: Transaction, row: BackupRow) -> str | None:
    """The type of the volume that was backed up, where its being encrypted matters."""
    if not row.encrypted:
        return None
    try:
        kind = tasks.manifest_of(tx.cloud, row).volume.get("type")
    except Fault as fault:
        raise InvalidBackup(fault.message)
    return str(kind) if kind else None


def _check_target(tx: Transaction, row: BackupRow, volume: VolumeRow) -> None:
    if volume.status not in ("available", "error_restoring"):
        raise InvalidVolume("Volume to be restored to must be available")
    if volume.size < row.size:
        raise InvalidVolume(f"volume size {volume.size} is too small to restore backup of size {row.size}.")
    if snapshots.of_volume(tx, volume.id):
        raise InvalidVolume("Volume to be restored to must have no snapshots: they are snapshots of the data that goes.")


# ---------------------------------------------------------------- change, delete


def delete(tx: Transaction, context: Context, row: BackupRow, *, force: bool = False) -> None:
    row = _locked(tx, row)
    if row.status not in LOOSE and not force:
        raise InvalidBackup("Backup status must be available or error")
    if row.status in ("creating", "restoring"):
        raise InvalidBackup(f"Backup is {row.status}; it can be deleted once that has ended.")
    if dependents(tx, [row.id]):
        raise InvalidBackup("Incremental backups exist for this backup.")
    put(row, "deleting")
    tasks.delete_backup.submit(tx, BackupAlone(backup_id=row.id), resource=f"backup:{row.id}", context=context)


def reset(row: BackupRow, status: str) -> None:
    if row.status in ("creating", "restoring", "deleting"):
        raise InvalidBackup(f"Backup is {row.status}: its task will say what becomes of it.")
    put(row, status)


# ---------------------------------------------------------------- records


def export_record(row: BackupRow) -> dict[str, str]:
    if row.status != "available":
        raise InvalidBackup(f"Backup status must be available and not {row.status}.")
    if row.encrypted:
        raise InvalidBackup("The backup of an encrypted volume is not exported: its key does not leave this cloud.")
    record = Record(
        id=row.id, volume_id=row.volume_id, size=row.size, container=row.container or "", service=row.service or SERVICE,
        service_metadata=data_of(row), display_name=row.name, display_description=row.description,
        volume_name=row.volume_name, snapshot_id=row.snapshot_id, parent_id=row.parent_id, object_count=row.object_count,
        data_timestamp=row.data_timestamp, backup_metadata=dict(row.meta))
    return {"backup_service": record.service, "backup_url": base64.b64encode(msgspec.json.encode(record)).decode()}


def import_record(tx: Transaction, context: Context, service: str, url: str) -> BackupRow:
    """The row at once; that its data is there, and whole, a task finds out."""
    if service != SERVICE:
        raise BadRequest(f"Invalid input received: there is no backup service {service[:64]} here.")
    record = _decoded(url)
    tx.lock("volume", record.volume_id)
    if by_id(tx, record.id) is not None:
        raise InvalidBackup(f"Backup already exists: {record.id}.")
    if record.parent_id is not None and by_id(tx, record.parent_id) is None:
        raise InvalidBackup(f"The backup {record.parent_id} that this one stands on is to be imported first.")
    quotas.check(tx, context.project_id or "", None, backups=1, backup_gigabytes=record.size)
    row = BackupRow(
        id=record.id, project_id=context.project_id or "", user_id=context.user_id or "", name=record.display_name,
        description=record.display_description, volume_id=record.volume_id, volume_name=record.volume_name,
        snapshot_id=record.snapshot_id, parent_id=record.parent_id, status="creating", container=record.container,
        service=SERVICE, service_metadata=record.service_metadata, size=record.size, object_count=record.object_count,
        meta=dict(record.backup_metadata), data_timestamp=_naive(record.data_timestamp), created_at=clock.now())
    tx.add(row)
    tx.flush()
    tasks.import_backup.submit(tx, BackupAlone(backup_id=row.id), resource=f"backup:{row.id}", context=context)
    return row


def _decoded(url: str) -> Record:
    try:
        record = msgspec.json.decode(base64.b64decode(url, validate=True), type=Record)
    except (ValueError, msgspec.DecodeError, RecursionError):
        raise BadRequest("Invalid input received: Can't decode backup record.")
    for name in ("id", "volume_id", "service_metadata", "snapshot_id", "parent_id"):
        value = getattr(record, name)
        if value is not None and not ids.is_uuid(value):
            raise BadRequest(f"Invalid input received: Can't decode backup record: {name} is not a UUID.")
    if not 1 <= record.size <= 2**31 - 1 or record.object_count < 0:
        raise BadRequest("Invalid input received: Can't decode backup record: its size is out of range.")
    check_container(record.container)
    return record


def _naive(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=None) if moment is not None else None


