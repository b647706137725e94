"""A volume ends, with its snapshots when they go too: first in the store, then in the table."""

from __future__ import annotations

from sqlalchemy import delete as delete_from
from sqlalchemy import select, update

from haneul.host.contract import Conflict, NotThere
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Again, Cancelled, Fault, Task, Work
from haneul.volume import rows, stores
from haneul.volume.model import AttachmentRow, SnapshotRow, TransferRow
from haneul.volume.tasks.steps import OnVolume, plain

BUSY = 409  # code of the fault that the volume can be deleted once something else has gone
delete = Task("volume.delete", OnVolume, deadline=3600.0)


@delete.step(deadline=1800)
@plain
def remove(work: Work[OnVolume]) -> None:
    with work.cloud.database.read() as tx:
        row = rows.by_id(tx, work.arguments.volume_id)
        if row is None:
            return
        snapshots = list(tx.execute(select(SnapshotRow).where(SnapshotRow.volume_id == row.id)).scalars())
        if rows.copying(tx, source_volid=row.id) or any(rows.copying(tx, snapshot_id=snapshot.id) for snapshot in snapshots):
            raise Again("copies that are being made of the volume", 0.2)
    if row.host is not None:
        store = stores.of(work.cloud, row.host)
        for snapshot in snapshots:
            try:
                store.delete_snapshot(row.stored_as, snapshot.stored_as)
            except NotThere:
                continue
        try:
            store.delete(row.stored_as)
        except NotThere:
            pass
        except Conflict as error:
            raise Fault("The volume is still in use on its back end.", str(error), code=BUSY) from error
    with work.commit() as tx:
        forget(tx, row.id)


def forget(tx: Transaction, volume_id: str) -> None:
    """The row and those that hang on it: nothing of the volume is left, or ever was, on a back end."""
    gone = rows.by_id(tx, volume_id)
    for kind in (SnapshotRow, TransferRow, AttachmentRow):
        tx.execute(delete_from(kind).where(kind.volume_id == volume_id))
    if gone is not None:
        tx.delete(gone)


@delete.failed
def failed(work: Work[OnVolume], tx: Transaction, fault: Fault) -> None:
    row = rows.by_id(tx, work.arguments.volume_id)
    if row is not None and not isinstance(fault, Cancelled):
        rows.put(row, row.previous_status or "available" if fault.code == BUSY else "error_deleting")
        tx.execute(update(SnapshotRow).where(SnapshotRow.volume_id == row.id, SnapshotRow.status == "deleting").values(
            status="error_deleting", updated_at=row.updated_at))
