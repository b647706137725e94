"""Snapshots taken, dropped and gone back to. Each is a task of its volume, so that they and the volume's own come in turn."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from haneul.host.contract import Conflict, NotThere
from haneul.host.storage import Volumes
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Again, Cancelled, Fault, Task, Work
from haneul.volume import messages, rows, stores
from haneul.volume.model import SnapshotRow, VolumeRow
from haneul.volume.tasks import steps
from haneul.volume.tasks.steps import OnVolume, plain


class OnSnapshot(OnVolume, kw_only=True):
    """Arguments of a task that needs a snapshot and its volume."""

    snapshot_id: str


BUSY = 409  # code of the fault that something on the back end stands on the snapshot, which is as good as it was
create_snapshot = Task("volume.snapshot.create", OnSnapshot, deadline=3600.0)
delete_snapshot = Task("volume.snapshot.delete", OnSnapshot, deadline=3600.0)
revert_volume = Task("volume.revert", OnSnapshot, deadline=3600.0)


def by_id(tx: Transaction, snapshot_id: str) -> SnapshotRow | None:
    return tx.execute(select(SnapshotRow).where(SnapshotRow.id == snapshot_id)).scalar_one_or_none()


def put(row: SnapshotRow, status: str) -> None:
    row.status, row.updated_at = status, clock.now()


def both(work: Work[Any]) -> tuple[Volumes, VolumeRow, SnapshotRow]:
    """The store, the volume and the snapshot; Fault when one of them is gone."""
    with work.cloud.database.read() as tx:
        volume, row = rows.by_id(tx, work.arguments.volume_id), by_id(tx, work.arguments.snapshot_id)
    if volume is None or row is None:
        raise Fault("The volume or its snapshot was deleted.", code=steps.NOT_THERE)
    return stores.of(work.cloud, volume.host), volume, row


def row_of(tx: Transaction, work: Work[Any]) -> SnapshotRow:
    row = by_id(tx, work.arguments.snapshot_id)
    if row is None:
        raise Fault("The snapshot was deleted.", code=steps.NOT_THERE)
    return row


def tell(tx: Transaction, work: Work[Any], row: SnapshotRow, action: str, detail: str) -> None:
    messages.record(tx, project_id=row.project_id, request_id=work.request_id, action=action, detail=detail,
                    resource_type=messages.SNAPSHOT, resource_id=row.id)


# ---------------------------------------------------------------- create


@create_snapshot.step(deadline=1800)
@plain
def take(work: Work[Any]) -> None:
    store, volume, row = both(work)
    store.snapshot(volume.stored_as, row.stored_as)
    with work.commit() as tx:
        row = row_of(tx, work)
        row.progress = "100%"
        put(row, "available" if row.status == "creating" else row.status)


@take.undo
def drop_again(work: Work[Any]) -> None:
    with work.cloud.database.read() as tx:
        volume, row = rows.by_id(tx, work.arguments.volume_id), by_id(tx, work.arguments.snapshot_id)
    if volume is not None and row is not None:
        try:
            stores.of(work.cloud, volume.host).delete_snapshot(volume.stored_as, row.stored_as)
        except NotThere:
            return


@create_snapshot.failed
def creation_failed(work: Work[Any], tx: Transaction, fault: Fault) -> None:
    row = by_id(tx, work.arguments.snapshot_id)
    if row is not None and row.status != "deleting":
        put(row, "error")
        if not isinstance(fault, Cancelled):
            tell(tx, work, row, "SNAPSHOT_CREATE", "SNAPSHOT_CREATE_ERROR")


# ---------------------------------------------------------------- delete


@delete_snapshot.step(deadline=1800)
@plain
def drop(work: Work[Any]) -> None:
    """What never was on the back end, or went with its volume, is dropped."""
    with work.cloud.database.read() as tx:
        volume, row = rows.by_id(tx, work.arguments.volume_id), by_id(tx, work.arguments.snapshot_id)
        if row is not None and rows.copying(tx, snapshot_id=row.id):
            raise Again("copies that are being made of the snapshot", 0.2)
    if volume is not None and volume.host is not None and row is not None:
        try:
            stores.of(work.cloud, volume.host).delete_snapshot(volume.stored_as, row.stored_as)
        except NotThere:
            pass
        except Conflict as error:
            raise Fault("Snapshot is busy.", str(error), code=BUSY) from error
    with work.commit() as tx:
        found = by_id(tx, work.arguments.snapshot_id)
        if found is not None:
            tx.delete(found)


@delete_snapshot.failed
def deletion_failed(work: Work[Any], tx: Transaction, fault: Fault) -> None:
    row = by_id(tx, work.arguments.snapshot_id)
    if row is None or isinstance(fault, Cancelled):
        return
    busy = fault.code == BUSY
    put(row, "available" if busy else "error_deleting")
    tell(tx, work, row, "SNAPSHOT_DELETE", "SNAPSHOT_IS_BUSY" if busy else "SNAPSHOT_DELETE_ERROR")


# ---------------------------------------------------------------- revert


@revert_volume.step(deadline=1800)
@plain
def go_back(work: Work[Any]) -> None:
    store, volume, row = both(work)
    store.revert(volume.stored_as, row.stored_as)
    with work.commit() as tx:
        settle(tx, work, "available")


@revert_volume.failed
def revert_failed(work: Work[Any], tx: Transaction, fault: Fault) -> None:
    """What the volume has now nobody can say; the snapshot is as it was."""
    settle(tx, work, "error")


def settle(tx: Transaction, work: Work[Any], status: str) -> None:
    volume, row = rows.by_id(tx, work.arguments.volume_id), by_id(tx, work.arguments.snapshot_id)
    if volume is not None and volume.status == "reverting":
        volume.status, volume.previous_status, volume.updated_at = status, None, clock.now()
    if row is not None and row.status == "restoring":
        put(row, "available")
