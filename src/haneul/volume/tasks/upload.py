"""A volume's data becomes an image's: copied out on its host at one point in time, then brought to the image service."""

from __future__ import annotations

from typing import Any

from haneul.image import images, store
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Fault, Task, Work
from haneul.volume import attachments, rows, stores
from haneul.volume.tasks import steps
from haneul.volume.tasks.steps import OnVolume, plain


class UploadArguments(OnVolume, kw_only=True):
    """The image exists already, queued."""

    image_id: str
    disk_format: str


upload = Task("volume.upload", UploadArguments, deadline=7200.0)


def _transfer(work: Work[UploadArguments]) -> str:
    return f"upload-{work.arguments.image_id}"


@upload.step(deadline=3600)
@plain
def export(work: Work[UploadArguments]) -> None:
    row = steps.load(work)
    known: Any = work.arguments.disk_format  # the rules let no other through
    stores.of(work.cloud, row.host).export(row.stored_as, _transfer(work), format=known)


@export.undo
def drop(work: Work[UploadArguments]) -> None:
    with work.cloud.database.read() as tx:
        row = rows.by_id(tx, work.arguments.volume_id)
    if row is not None:
        stores.agent(work.cloud, row.host).transfers.drop(_transfer(work))
    with work.commit() as tx:
        images.discard(tx, work.arguments.image_id)


@upload.step(deadline=3600)
@plain
def bring(work: Work[UploadArguments]) -> None:
    agent = stores.agent(work.cloud, steps.load(work).host)
    store.write(work.cloud, work.arguments.image_id, agent.read_transfer(_transfer(work)))
    agent.transfers.drop(_transfer(work))
    with work.commit() as tx:
        row = steps.row_of(tx, work)
        row.previous_status = None
        steps.rest(tx, row)


@upload.failed
def failed(work: Work[UploadArguments], tx: Transaction, fault: Fault) -> None:
    row = rows.by_id(tx, work.arguments.volume_id)
    if row is not None and row.status == "uploading":
        row.previous_status = None
        rows.put(row, attachments.status_of(tx, row.id))
        steps.tell(work, tx, row, "COPY_VOLUME_TO_IMAGE", "FAILED_TO_UPLOAD_VOLUME")
