"""What lies on a back end already becomes a volume, or a volume's snapshot: it gets the name that ours have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from haneul.host.contract import Conflict, NotThere
from haneul.host.storage import StoredVolume, Volumes
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Cancelled, Fault, Task, TaskRow, Work
from haneul.kernel.tasks.model import ACTIVE
from haneul.volume import quotas, rows, stores
from haneul.volume.model import SnapshotRow, VolumeRow, VolumeTypeRow
from haneul.volume.tasks import snapshots, steps
from haneul.volume.tasks.snapshots import OnSnapshot
from haneul.volume.tasks.steps import GIB, OnVolume, plain


class ManageVolume(OnVolume, kw_only=True):
    """`name` is what the back end calls it."""

    name: str


class ManageSnapshot(OnSnapshot, kw_only=True):
    name: str


manage_volume = Task("volume.manage", ManageVolume, deadline=1800.0)
manage_snapshot = Task("volume.snapshot.manage", ManageSnapshot, deadline=1800.0)
_V: Any = VolumeRow.__table__


def managed(tx: Transaction, backend: str) -> dict[str, str]:
    """Ids of the volumes on a back end, by the names that they have there."""
    return {stored_as: id for id, stored_as, host in tx.core(select(_V.c.id, _V.c.stored_as, _V.c.host))
            if host is not None and stores.backend_of(host) == backend}


def unfinished(tx: Transaction) -> set[str]:
    """Names of copies that tasks are making: nobody's yet, and not to be taken."""
    return {f"volume-{id}" for id in tx.execute(select(TaskRow.id).where(TaskRow.state.in_(ACTIVE))).scalars()}


def gib(size_bytes: int) -> int:
    """Rounded up, as Cinder does."""
    return max(1, -(-size_bytes // GIB))


def _there(store: Volumes, name: str) -> StoredVolume | None:
    try:
        return store.volume(name)
    except NotThere:
        return None


# ---------------------------------------------------------------- volumes


@manage_volume.step(deadline=1800)
@plain
def adopt(work: Work[ManageVolume]) -> None:
    row = steps.load(work)
    store, name = stores.of(work.cloud, row.host), work.arguments.name
    found = _there(store, row.stored_as)
    if found is None:
        with work.cloud.database.read() as tx:
            owner = managed(tx, stores.backend_of(row.host or "")).get(name)
            copy = name in unfinished(tx)
        if owner is not None or copy:
            raise Fault("The storage object is managed already.", owner or "a copy in the making", code=409)
        found = _there(store, name)
        if found is None:
            raise Fault("The back end has nothing of that name.", name, code=steps.NOT_THERE)
        store.rename(name, row.stored_as)
    size = gib(found.size_bytes)
    with work.commit() as tx:
        row = steps.row_of(tx, work)
        kind = tx.get(VolumeTypeRow, row.type_id)
        quotas.check_size(tx, row.project_id, size)
        quotas.check(tx, row.project_id, kind.name if kind is not None else None, gigabytes=size)
        row.size, row.format, row.launched_at = size, found.format, clock.now()
        steps.rest(tx, row)


@adopt.undo
def let_go(work: Work[ManageVolume]) -> None:
    """It has the name again that it had."""
    with work.cloud.database.read() as tx:
        row = rows.by_id(tx, work.arguments.volume_id)
    if row is not None:
        try:
            stores.of(work.cloud, row.host).rename(row.stored_as, work.arguments.name)
        except (NotThere, Conflict):
            return


@manage_volume.failed
def managing_failed(work: Work[ManageVolume], tx: Transaction, fault: Fault) -> None:
    row = rows.by_id(tx, work.arguments.volume_id)
    if row is not None and row.status == "managing" and not isinstance(fault, Cancelled):
        rows.put(row, "error_managing")
        steps.tell(work, tx, row, "CREATE_VOLUME_FROM_BACKEND", "DRIVER_FAILED_CREATE")


# ---------------------------------------------------------------- snapshots


@manage_snapshot.step(deadline=1800)
@plain
def adopt_snapshot(work: Work[ManageSnapshot]) -> None:
    store, volume, row = snapshots.both(work)
    name, there = work.arguments.name, store.volume(volume.stored_as).snapshots
    if row.stored_as not in there:
        with work.cloud.database.read() as tx:
            taken = tx.execute(select(SnapshotRow.id).where(
                SnapshotRow.volume_id == volume.id, SnapshotRow.stored_as == name)).first()
        if taken is not None:
            raise Fault("The storage object is managed already.", code=409)
        if name not in there:
            raise Fault("The volume has no snapshot of that name on its back end.", name, code=steps.NOT_THERE)
        store.rename_snapshot(volume.stored_as, name, row.stored_as)
    with work.commit() as tx:
        row = snapshots.row_of(tx, work)
        row.progress = "100%"
        snapshots.put(row, "available")


@adopt_snapshot.undo
def let_snapshot_go(work: Work[ManageSnapshot]) -> None:
    with work.cloud.database.read() as tx:
        volume, row = rows.by_id(tx, work.arguments.volume_id), snapshots.by_id(tx, work.arguments.snapshot_id)
    if volume is not None and row is not None:
        try:
            stores.of(work.cloud, volume.host).rename_snapshot(volume.stored_as, row.stored_as, work.arguments.name)
        except (NotThere, Conflict):
            return


manage_snapshot.failed(snapshots.creation_failed)
