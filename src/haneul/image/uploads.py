"""An image's data on its way in: queued → saving → active, and back to queued when it breaks off."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import or_, select, update

from haneul.image import limits, store, stores
from haneul.image.images import ImageConflict, ImageNotFound, exclusive
from haneul.image.model import ACTIVE, QUEUED, SAVING, UPLOADING, ImageRow
from haneul.kernel import clock, ids
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Gone, TooLarge

BEAT = 5.0  # seconds between signs of life of a transfer
SILENT = 60.0  # after which a transfer counts as dead


class Upload:
    """A transfer that this process carries out."""

    def __init__(self, cloud: Cloud, row: ImageRow, token: str, back_to: str, room: int, staged: bool, store_name: str) -> None:
        self.image_id = row.id
        self.token = token
        self.back_to = back_to
        self.staged = staged
        self.store = store_name
        declared = row.disk_format if row.container_format == "bare" and not staged else None
        self.intake = store.Intake(stores.folder(cloud, store_name), declared, room, cloud.config.image.require_format_match)
        self._cloud = cloud
        self._beat = clock.seconds()

    def write(self, batch: bytes) -> None:
        self.intake.write(batch)
        if clock.seconds() - self._beat > BEAT:
            self._beat = clock.seconds()
            with self._cloud.database.write() as tx:
                alive = tx.execute(update(ImageRow).where(ImageRow.id == self.image_id, ImageRow.writing == self.token)
                                   .values(written_at=self._beat).returning(ImageRow.id)).first()
            if alive is None:
                raise Gone(f"Image {self.image_id} was deleted during the upload.")


def room_for(tx: Transaction, row: ImageRow, copies: int = 1) -> int:
    """How many bytes an image may have that is to be stored so many times: the service's limit and what its owner's quota
    leaves. Every store that has an image counts."""
    config = tx.cloud.config.image
    if config.user_quota_bytes <= 0:
        return config.max_bytes
    sizes = tx.execute(select(ImageRow.size, ImageRow.locations).where(ImageRow.owner == row.owner, ImageRow.size.is_not(None)))
    used = sum(size * max(1, len(locations)) for size, locations in sizes)
    return max(0, min(config.max_bytes, (config.user_quota_bytes - used) // copies))


def begin(cloud: Cloud, image_id: str, *, expected: int | None = None, status: str = SAVING, staged: bool = False,
          before: tuple[str, ...] = (QUEUED,), resume: bool = False, into: str | None = None,
          copies: int = 1) -> Upload | None:
    """Takes the image for one transfer into the store `into` (or the default one). Conflict unless it waits for data;
    `resume` takes a dead process's place (a task's step run again), and answers None when the data is there already."""
    token = ids.new()
    into = stores.FILE if staged else into or stores.default(cloud)
    with cloud.database.write() as tx:
        row = exclusive(tx, image_id)
        if row is None:
            raise ImageNotFound(image_id)
        if resume and (row.status == ACTIVE or row.locations and row.status != QUEUED):
            return None
        if row.status not in before and not (resume and row.status == SAVING):
            raise ImageConflict(f"Image status transition from {row.status} to {status} is not allowed")
        if not staged and (row.disk_format is None or row.container_format is None):
            raise BadRequest("Properties disk_format, container_format must be set prior to saving data.")
        _check_limits(tx, row, staged)
        room = room_for(tx, row, copies)
        if expected is not None and expected > room:
            raise TooLarge(f"Image {image_id} of {expected} bytes exceeds what is left: {room} bytes.")
        back_to = QUEUED if row.status in (SAVING, UPLOADING) else row.status
        row.status, row.writing, row.written_at, row.locations = status, token, clock.seconds(), []
        if expected is not None:
            row.size = expected
        upload = Upload(cloud, row, token, back_to, room, staged, into)
    return upload


def _check_limits(tx: Transaction, row: ImageRow, staged: bool) -> None:
    """An image that is staged, or imported, is among the transfers already, and what is staged of it has a size."""
    if row.status == QUEUED:
        limits.check(tx, row.owner, image_count_uploading=1)
    if staged:
        limits.check(tx, row.owner, image_stage_total=0)
    else:
        limits.check(tx, row.owner, image_size_total=0 if row.status == QUEUED else (row.size or 0) // limits.MIB)


def finish(cloud: Cloud, upload: Upload) -> None:
    """The data gets its name and the image becomes active (or stays uploading, when staged), together."""
    taken = upload.intake.finish()
    with cloud.database.write() as tx:
        settle(tx, upload, taken)


def settle(tx: Transaction, upload: Upload, taken: store.Taken, status: str = ACTIVE) -> None:
    """`finish` in the caller's transaction. Data that is named although the transaction fails is swept."""
    row = exclusive(tx, upload.image_id)
    if row is None or row.writing != upload.token:
        raise Gone(f"Image {upload.image_id} could not be found after upload. The image may have been deleted during "
                   "the upload.")
    row.writing, row.size = None, taken.size
    if upload.staged:
        path: Path = store.staged_path(tx.cloud, row.id)
    else:
        path = store.path_of(tx.cloud, row.id, upload.store)
        row.locations = [{"store": upload.store}]
        row.virtual_size, row.checksum = taken.virtual_size, taken.checksum
        row.os_hash_algo, row.os_hash_value = "sha512", taken.os_hash_value
        row.status = status
    row.updated_at = clock.now()
    tx.flush()
    store.name(taken, path)


def give_up(cloud: Cloud, upload: Upload) -> None:
    """Nothing of a transfer stays, and the image waits for data again."""
    upload.intake.abort()
    with cloud.database.write() as tx:
        tx.execute(update(ImageRow).where(ImageRow.id == upload.image_id, ImageRow.writing == upload.token)
                   .values(status=upload.back_to, writing=None, size=None))


def release_dead(cloud: Cloud, silent: float = SILENT) -> int:
    """Images whose transfer died with its process wait for data again."""
    limit = clock.seconds() - silent
    dead = or_(ImageRow.status == SAVING, ImageRow.status == UPLOADING)
    with cloud.database.read() as tx:
        found = list(tx.execute(select(ImageRow.id).where(
            dead, ImageRow.writing.is_not(None), ImageRow.written_at <= limit)).scalars())
    if not found:
        return 0
    with cloud.database.write() as tx:
        freed = tx.execute(update(ImageRow).where(ImageRow.id.in_(found), dead, ImageRow.written_at <= limit).values(
            status=QUEUED, writing=None, size=None).returning(ImageRow.id))
        return len(freed.all())
