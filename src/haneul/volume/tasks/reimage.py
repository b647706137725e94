"""A volume's data becomes an image's: beside the old data first, then in its place."""

from __future__ import annotations

from haneul.host.contract import NotThere
from haneul.host.storage import VolumeFormat
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Again, Fault, Task, Work
from haneul.volume import attachments, rows, stores
from haneul.volume.tasks import images, steps
from haneul.volume.tasks.steps import GIB, OnVolume, plain


class ReimageArguments(OnVolume, kw_only=True):
    """`image` is what the volume remembers of it."""

    image_id: str
    image: dict[str, str]


reimage = Task("volume.reimage", ReimageArguments, deadline=7200.0)


def _beside(work: Work[ReimageArguments]) -> str:
    return f"volume-{work.task_id}"


@reimage.step(deadline=7200)
@plain
def bring(work: Work[ReimageArguments]) -> None:
    row = steps.load(work)
    agent, kind = stores.agent(work.cloud, row.host), _format(row.format)
    transfer = images.ensure(work.cloud, agent, work.arguments.image_id, work.task_id)
    try:
        stores.of(work.cloud, row.host).create_from_transfer(_beside(work), kind, row.size * GIB, transfer,
                                                             key=steps.key_of(work.cloud, row))
    except NotThere as error:
        raise Again("the image to be sent once more", 0.1) from error
    images.release(agent, work.arguments.image_id, work.task_id)
    with work.commit() as tx:
        row = steps.row_of(tx, work)
        work.result = {"old": row.stored_as}
        row.stored_as, row.image, row.bootable, row.previous_status = _beside(work), work.arguments.image, True, None
        steps.rest(tx, row)


@bring.undo
def forget(work: Work[ReimageArguments]) -> None:
    with work.cloud.database.read() as tx:
        row = rows.by_id(tx, work.arguments.volume_id)
    if row is None or row.stored_as == _beside(work):
        return
    images.release(stores.agent(work.cloud, row.host), work.arguments.image_id, work.task_id)
    stores.of(work.cloud, row.host).delete(_beside(work))


@reimage.step(deadline=600)
@plain
def drop(work: Work[ReimageArguments]) -> None:
    """The old data. The volume has been usable since the step before."""
    stores.of(work.cloud, steps.load(work).host).delete(work.results["bring"]["old"])


@reimage.failed
def failed(work: Work[ReimageArguments], tx: Transaction, fault: Fault) -> None:
    row = rows.by_id(tx, work.arguments.volume_id)
    if "bring" in work.results:  # what could not be dropped is a leak now
        tx.after_commit(lambda: work.cloud.reconcilers.signal("volume.leaks"))
    if row is None or row.status != "downloading":
        return
    row.status = row.previous_status or attachments.status_of(tx, row.id)
    row.previous_status = None
    rows.put(row, row.status)
    steps.tell(work, tx, row, "REIMAGE_VOLUME",
               "NOT_ENOUGH_SPACE_FOR_IMAGE" if fault.code == steps.NO_ROOM else "REIMAGE_VOLUME_FAILED")


def _format(word: str) -> VolumeFormat:
    return "qcow2" if word == "qcow2" else "raw"
