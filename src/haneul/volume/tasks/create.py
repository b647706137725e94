"""A volume comes to be: on a back end, with nothing, an image's, a volume's or a snapshot's data."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, case, select, update

from haneul.host.contract import NotThere
from haneul.host.storage import VolumeFormat
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Again, Cancelled, Fault, Task, Work
from haneul.volume import attachments, rows, scheduler, stores
from haneul.volume.model import PoolRow, SnapshotRow, VolumeRow, VolumeTypeRow
from haneul.volume.scheduler import NoBackend
from haneul.volume.tasks import images, steps
from haneul.volume.tasks.steps import GIB, OnVolume, plain

REPORT_SECONDS = 10.0  # for which a cloud that has just started waits for its back ends
NOWHERE = 412  # code of the fault that no back end fits


class CreateArguments(OnVolume, kw_only=True):
    """`image_id` is where the data comes from; other sources are named by the row. `same_as` and `other_than` are pools."""

    image_id: str | None = None
    zone: str | None = None
    same_as: list[str] = []
    other_than: list[str] = []


_volumes: Any = VolumeRow.__table__
_MADE = update(_volumes).where(_volumes.c.id == bindparam("b_id")).values(
    status=case((_volumes.c.status == "deleting", "deleting"), else_=bindparam("b_status"))).returning(_volumes.c.seq)
create = Task("volume.create", CreateArguments, deadline=7200.0)


@create.step(deadline=7200)
@plain
def make(work: Work[CreateArguments]) -> None:
    row = steps.load(work)
    if row.host is None:
        row = _place(work)
    if row.source_volid is not None or row.snapshot_id is not None:
        _clone(work, row)
    elif work.arguments.image_id is not None:
        _from_image(work, row)
    else:
        stores.of(work.cloud, row.host).create(row.stored_as, _format(row), row.size * GIB, key=steps.key_of(work.cloud, row))
    with work.commit() as tx:
        now = clock.now()  # a backup's data is brought by the next task
        status = attachments.status_of(tx, row.id) if row.backup_id is None else "restoring-backup"
        if tx.core(_MADE, b_id=row.id, b_status=status, updated_at=now, launched_at=now).first() is None:
            raise Fault("The volume was deleted.", code=steps.NOT_THERE)


@make.undo
def unmake(work: Work[CreateArguments]) -> None:
    with work.cloud.database.read() as tx:
        row = rows.by_id(tx, work.arguments.volume_id)
    if row is None or row.host is None:
        return
    try:
        stores.of(work.cloud, row.host).delete(row.stored_as)
    except NotThere:
        pass
    if work.arguments.image_id is not None:
        images.release(stores.agent(work.cloud, row.host), work.arguments.image_id, row.id)


@create.failed
def failed(work: Work[CreateArguments], tx: Transaction, fault: Fault) -> None:
    """In `error`, with a message that says why; one whose deletion was asked for is left to that."""
    row = rows.by_id(tx, work.arguments.volume_id)
    if row is None or isinstance(fault, Cancelled) or row.status != "creating":
        return
    rows.put(row, "error")
    if fault.code == NOWHERE:
        steps.tell(work, tx, row, "SCHEDULE_ALLOCATE_VOLUME", "NO_BACKEND_AVAILABLE")
    elif work.arguments.image_id is not None:
        steps.tell(work, tx, row, "COPY_IMAGE_TO_VOLUME",
                   "NOT_ENOUGH_SPACE_FOR_IMAGE" if fault.code == steps.NO_ROOM else "UNKNOWN_ERROR")
    else:
        steps.tell(work, tx, row, "CREATE_VOLUME_FROM_BACKEND", "DRIVER_FAILED_CREATE")


def _format(row: VolumeRow) -> VolumeFormat:
    return "qcow2" if row.format == "qcow2" else "raw"


def _place(work: Work[CreateArguments]) -> VolumeRow:
    """A back end, when the request found none: another look, and for a while until all have reported."""
    with work.cloud.database.write() as tx:
        row = steps.row_of(tx, work)
        type_row = tx.get(VolumeTypeRow, row.type_id)
        try:
            chosen = scheduler.choose(tx, scheduler.Ask(
                size=row.size, specs=type_row.extra_specs if type_row is not None else {}, format=row.format,
                zone=work.arguments.zone, same_as=frozenset(work.arguments.same_as),
                other_than=frozenset(work.arguments.other_than)))
        except NoBackend as error:
            known = set(tx.execute(select(PoolRow.backend).where(PoolRow.at > 0)).scalars())
            waited = (clock.now() - row.created_at).total_seconds()
            if waited < REPORT_SECONDS and set(work.cloud.config.volume.backends) - known:
                raise Again("back ends to report", 0.2) from error
            raise Fault(error.message, str(error.reasons), code=NOWHERE) from error
        row.host, row.availability_zone, row.scheduled_at = chosen.pool, chosen.zone, clock.now()
    return row


def _clone(work: Work[CreateArguments], row: VolumeRow) -> None:
    """The copy carries the source's key: the row has it already."""
    snapshot = None
    with work.cloud.database.read() as tx:
        if row.snapshot_id is not None:
            found = tx.execute(select(SnapshotRow).where(SnapshotRow.id == row.snapshot_id)).scalar_one_or_none()
            source = rows.by_id(tx, found.volume_id) if found is not None else None
            snapshot = found.stored_as if found is not None else None
        else:
            source = rows.by_id(tx, row.source_volid or "")
    if source is None:
        raise Fault("What the volume was to be a copy of is gone.", code=steps.NOT_THERE)
    stores.of(work.cloud, row.host).clone(row.stored_as, _format(row), row.size * GIB, source.stored_as, snapshot,
                                          key=steps.key_of(work.cloud, row))


def _from_image(work: Work[CreateArguments], row: VolumeRow) -> None:
    agent, image_id = stores.agent(work.cloud, row.host), work.arguments.image_id or ""
    transfer = images.ensure(work.cloud, agent, image_id, row.id)
    try:
        stores.of(work.cloud, row.host).create_from_transfer(row.stored_as, _format(row), row.size * GIB, transfer,
                                                             key=steps.key_of(work.cloud, row))
    except NotThere as error:  # another process dropped it between its volumes and ours
        raise Again("the image to be sent once more", 0.1) from error
    images.release(agent, image_id, row.id)  # before the commit: what comes after it, a crash would leave undone
