"""Backups taken, restored, deleted and taken over from another cloud."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import select

from haneul.fleet.agents import Agent
from haneul.host.contract import NotThere
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Cancelled, Fault, Task, Work
from haneul.volume import attachments, messages, rows, secrets, stores
from haneul.volume.backup_store import VERSION, BackupStore, Manifest
from haneul.volume.model import BackupRow, SnapshotRow, VolumeRow, VolumeTypeRow
from haneul.volume.tasks import steps
from haneul.volume.tasks.steps import OnVolume, plain

GIB = 1 << 30


class OnBackup(OnVolume, kw_only=True):
    """`volume_id` is whose data is taken, or the volume that is to have the backup's."""

    backup_id: str


class BackupAlone(Struct, kw_only=True):
    """Arguments of a task that concerns no volume."""

    backup_id: str


create_backup = Task("volume.backup.create", OnBackup, deadline=86400.0)
restore_backup = Task("volume.backup.restore", OnBackup, deadline=86400.0)
delete_backup = Task("volume.backup.delete", BackupAlone, deadline=3600.0)
import_backup = Task("volume.backup.import", BackupAlone, deadline=600.0)


def by_id(tx: Transaction, backup_id: str) -> BackupRow | None:
    return tx.execute(select(BackupRow).where(BackupRow.id == backup_id)).scalar_one_or_none()


def row_of(tx: Transaction, work: Work[Any]) -> BackupRow:
    row = by_id(tx, work.arguments.backup_id)
    if row is None:
        raise Fault("The backup was deleted.", code=steps.NOT_THERE)
    return row


def put(row: BackupRow, status: str, reason: str | None = None) -> None:
    row.status, row.updated_at = status, clock.now()
    row.fail_reason = reason[:255] if reason else None


def data_of(row: BackupRow) -> str:
    """The name of its data: its own id, or the id it had where it was exported."""
    return row.service_metadata or row.id


def manifest_of(cloud: Cloud, row: BackupRow) -> Manifest:
    return BackupStore.of(cloud).manifest(row.container or "", data_of(row))


def tell(work: Work[Any], tx: Transaction, row: BackupRow, action: str, detail: str) -> None:
    messages.record(tx, project_id=row.project_id, request_id=work.request_id, action=action, detail=detail,
                    resource_type=messages.BACKUP, resource_id=row.id)


def _both(work: Work[Any]) -> tuple[BackupRow, VolumeRow]:
    with work.cloud.database.read() as tx:
        return row_of(tx, work), steps.row_of(tx, work)


# ---------------------------------------------------------------- create


def _copy_of(work: Work[OnBackup]) -> str:
    return f"backup-{work.arguments.backup_id}"


@create_backup.step(deadline=7200)
@plain
def export(work: Work[OnBackup]) -> None:
    """A copy of one moment on the volume's host: the guest writes on while it is read."""
    backup, volume = _both(work)
    stored = None
    if backup.snapshot_id is not None:
        with work.cloud.database.read() as tx:
            stored = tx.execute(select(SnapshotRow.stored_as).where(SnapshotRow.id == backup.snapshot_id)).scalar()
        if stored is None:
            raise Fault("The snapshot was deleted.", code=steps.NOT_THERE)
    stores.of(work.cloud, volume.host).export(volume.stored_as, _copy_of(work), stored)
    with work.commit() as tx:
        if backup.snapshot_id is None:
            row_of(tx, work).data_timestamp = clock.now()


@export.undo
def drop_copy(work: Work[OnBackup]) -> None:
    with work.cloud.database.read() as tx:
        volume = rows.by_id(tx, work.arguments.volume_id)
    if volume is not None and volume.host is not None:
        stores.agent(work.cloud, volume.host).transfers.drop(_copy_of(work))


@create_backup.step(deadline=86400)
@plain
def keep(work: Work[OnBackup]) -> None:
    """Only what differs from the parent is written."""
    backup, volume = _both(work)
    agent, store = stores.agent(work.cloud, volume.host), BackupStore.of(work.cloud)
    parent = None
    if backup.parent_id is not None:
        with work.cloud.database.read() as tx:
            row = by_id(tx, backup.parent_id)
        if row is None:
            raise Fault("The backup that this one stands on was deleted.", code=steps.NOT_THERE)
        parent = manifest_of(work.cloud, row)
    copy = agent.transfers.transfer(_copy_of(work))
    manifest = Manifest(
        version=VERSION, data=backup.id, parent=parent.data if parent else None, size_bytes=copy.bytes,
        chunk_bytes=parent.chunk_bytes if parent else work.cloud.config.volume.backup_chunk_bytes, volume=_facts(work, volume))
    try:
        manifest = store.write(backup.container or "", manifest, agent.transfers.extents(copy.id), _reader(agent, copy.id),
                               parent)
    except OSError as error:
        raise Fault("The backup could not be written.", str(error), code=steps.NO_ROOM) from error
    with work.commit() as tx:
        row = row_of(tx, work)
        row.object_count, row.stored_bytes = manifest.own(), store.size_of(row.container or "", row.id)


@keep.undo
def unkeep(work: Work[OnBackup]) -> None:
    with work.cloud.database.read() as tx:
        row = by_id(tx, work.arguments.backup_id)
    if row is not None:
        BackupStore.of(work.cloud).remove(row.container or "", row.id)


@create_backup.step(deadline=600)
@plain
def finish(work: Work[OnBackup]) -> None:
    """A step of its own: while `keep` may run again, the copy must be there."""
    _, volume = _both(work)
    stores.agent(work.cloud, volume.host).transfers.drop(_copy_of(work))
    with work.commit() as tx:
        row = row_of(tx, work)
        if row.status != "deleting":
            put(row, "available")
        _settle(tx, work)


@create_backup.failed
def creation_failed(work: Work[OnBackup], tx: Transaction, fault: Fault) -> None:
    row = by_id(tx, work.arguments.backup_id)
    if row is not None and row.status == "creating":
        put(row, "error", fault.message)
        if not isinstance(fault, Cancelled):
            tell(work, tx, row, "BACKUP_CREATE", "BACKUP_CREATE_DRIVER_ERROR")
    _settle(tx, work)


def _facts(work: Work[OnBackup], volume: VolumeRow) -> dict[str, Any]:
    with work.cloud.database.read() as tx:
        kind = tx.get(VolumeTypeRow, volume.type_id)
    return {"id": volume.id, "name": volume.name, "description": volume.description, "size": volume.size,
            "metadata": dict(volume.meta), "image": dict(volume.image), "bootable": volume.bootable,
            "encrypted": volume.encrypted, "type": kind.name if kind is not None else None}


def _reader(agent: Agent, transfer: str) -> Any:
    return lambda offset, length: b"".join(agent.read_transfer(transfer, offset, length))


def _settle(tx: Transaction, work: Work[OnBackup]) -> None:
    """The volume, or the snapshot, that was backed up is what it was."""
    volume, backup = rows.by_id(tx, work.arguments.volume_id), by_id(tx, work.arguments.backup_id)
    if volume is not None and volume.status == "backing-up":
        volume.previous_status = None
        rows.put(volume, attachments.status_of(tx, volume.id))
    if backup is not None and backup.snapshot_id is not None:
        snapshot = tx.execute(select(SnapshotRow).where(SnapshotRow.id == backup.snapshot_id)).scalar_one_or_none()
        if snapshot is not None and snapshot.status == "backing-up":
            snapshot.status = "available"


# ---------------------------------------------------------------- restore


def _bringing(work: Work[OnBackup]) -> str:
    return f"restore-{work.task_id}"


def _fresh(work: Work[OnBackup]) -> str:
    """Under which the volume's new data lies until the old is gone; the leak reconciler knows it by the task's id."""
    return f"volume-{work.task_id}"


@restore_backup.step(deadline=86400)
@plain
def bring(work: Work[OnBackup]) -> None:
    backup, volume = _both(work)
    if volume.status != "restoring-backup":
        raise Fault(f"The volume is {volume.status}: the backup has nowhere to go.", code=409)
    manifest = manifest_of(work.cloud, backup)
    agent = stores.agent(work.cloud, volume.host)
    agent.transfers.drop(_bringing(work))
    agent.transfers.begin(_bringing(work), manifest.size_bytes)
    for offset, data in BackupStore.of(work.cloud).read(backup.container or "", manifest):
        agent.write_transfer(_bringing(work), offset, data)


@bring.undo
def drop_bringing(work: Work[OnBackup]) -> None:
    with work.cloud.database.read() as tx:
        volume = rows.by_id(tx, work.arguments.volume_id)
    if volume is None or volume.host is None:
        return
    stores.agent(work.cloud, volume.host).transfers.drop(_bringing(work))
    try:
        stores.of(work.cloud, volume.host).delete(_fresh(work))
    except NotThere:
        return


@restore_backup.step(deadline=7200)
@plain
def fill(work: Work[OnBackup]) -> None:
    """Beside the volume's old data, which is lost only once the new is whole."""
    backup, volume = _both(work)
    store, transfers = stores.of(work.cloud, volume.host), stores.agent(work.cloud, volume.host).transfers
    key = secrets.opened(work.cloud, backup.key) if backup.key else None  # LUKS as it lay: header and all, opened by its own key
    known: Any = volume.format
    store.create_from_transfer(_fresh(work), known, volume.size * GIB, _bringing(work), key=key)
    transfers.drop(_bringing(work))
    with work.commit():
        work.result = {"filled": True}


@restore_backup.step(deadline=600)
@plain
def drop_old(work: Work[OnBackup]) -> None:
    _, volume = _both(work)
    try:
        stores.of(work.cloud, volume.host).delete(volume.stored_as)
    except NotThere:
        pass
    with work.commit():
        work.result = {"dropped": True}


@restore_backup.step(deadline=600)
@plain
def name(work: Work[OnBackup]) -> None:
    backup, volume = _both(work)
    manifest = manifest_of(work.cloud, backup)
    stores.of(work.cloud, volume.host).rename(_fresh(work), volume.stored_as)
    with work.commit() as tx:
        volume = steps.row_of(tx, work)
        facts = manifest.volume
        volume.meta = {**volume.meta, **facts.get("metadata", {})}
        volume.image, volume.bootable = dict(facts.get("image", {})), bool(facts.get("bootable"))
        if backup.encrypted:
            volume.key, volume.key_id = backup.key, backup.key_id
        volume.previous_status = None
        steps.rest(tx, volume)
        _free(tx, work)


@restore_backup.failed
def restore_failed(work: Work[OnBackup], tx: Transaction, fault: Fault) -> None:
    volume = rows.by_id(tx, work.arguments.volume_id)
    if volume is not None and volume.status == "restoring-backup":
        rows.put(volume, "error_restoring")
    row = by_id(tx, work.arguments.backup_id)
    if row is not None and not isinstance(fault, Cancelled):
        tell(work, tx, row, "BACKUP_RESTORE", "BACKUP_RESTORE_ERROR")
    _free(tx, work)


def _free(tx: Transaction, work: Work[OnBackup]) -> None:
    row = by_id(tx, work.arguments.backup_id)
    if row is not None and row.status == "restoring":
        put(row, "available")


# ---------------------------------------------------------------- delete and import


@delete_backup.step(deadline=1800)
@plain
def remove(work: Work[BackupAlone]) -> None:
    with work.cloud.database.read() as tx:
        row = by_id(tx, work.arguments.backup_id)
        shared = row is not None and tx.execute(select(BackupRow.id).where(
            BackupRow.id != row.id, BackupRow.service_metadata == data_of(row))).first() is not None
    if row is not None and not shared:
        BackupStore.of(work.cloud).remove(row.container or "", data_of(row))
    with work.commit() as tx:
        found = by_id(tx, work.arguments.backup_id)
        if found is not None:
            tx.delete(found)


@delete_backup.failed
def deletion_failed(work: Work[BackupAlone], tx: Transaction, fault: Fault) -> None:
    row = by_id(tx, work.arguments.backup_id)
    if row is not None and not isinstance(fault, Cancelled):
        put(row, "error_deleting", fault.message)
        tell(work, tx, row, "BACKUP_DELETE", "BACKUP_DELETE_DRIVER_ERROR")


@import_backup.step(deadline=300)
@plain
def verify(work: Work[BackupAlone]) -> None:
    """What the record says is compared with what lies in the container."""
    with work.cloud.database.read() as tx:
        row = row_of(tx, work)
    manifest = manifest_of(work.cloud, row)
    with work.commit() as tx:
        row = row_of(tx, work)
        row.object_count = manifest.own()
        row.stored_bytes = BackupStore.of(work.cloud).size_of(row.container or "", data_of(row))
        if row.status == "creating":
            put(row, "available")


@import_backup.failed
def import_failed(work: Work[BackupAlone], tx: Transaction, fault: Fault) -> None:
    row = by_id(tx, work.arguments.backup_id)
    if row is not None and row.status == "creating":
        put(row, "error", fault.message)
