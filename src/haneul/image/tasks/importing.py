"""Brings an image's data from where the user put it: a staged file, or an address on the web."""

from __future__ import annotations

import threading

from msgspec import Struct

from haneul.image import fetch, store, uploads
from haneul.image.images import ImageNotFound, exclusive
from haneul.image.model import IMPORTING, QUEUED, ImageRow
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Gone, Problem
from haneul.kernel.tasks import Again, Fault, Task, Work

_SECONDS = 3600.0
_slots = threading.BoundedSemaphore(3)  # a transfer holds its runner's thread for minutes; the other threads are for others


class ImportArguments(Struct):
    image_id: str
    method: str
    uri: str | None = None


import_image = Task("image.import", ImportArguments, deadline=2 * _SECONDS)


@import_image.step(deadline=_SECONDS)
def transfer(work: Work[ImportArguments]) -> None:
    """Done already is fine: an active image is left as it is. A user who deletes the image meanwhile gets his way."""
    if not _slots.acquire(blocking=False):
        raise Again("a free place among the imports", 1.0)
    try:
        _transfer(work)
    except (ImageNotFound, Gone):
        return
    except Problem as problem:
        raise Fault(problem.message, code=problem.status) from problem
    finally:
        _slots.release()


def _transfer(work: Work[ImportArguments]) -> None:
    arguments, cloud = work.arguments, work.cloud
    upload = uploads.begin(cloud, arguments.image_id, status=IMPORTING, before=(IMPORTING,), resume=True)
    if upload is None:
        return
    try:
        if arguments.method == "web-download":
            with fetch.opened(arguments.uri or "", cloud.config.image, deadline=clock.seconds() + _SECONDS) as chunks:
                for batch in store.batches(chunks):
                    upload.write(batch)
        else:
            with open(store.staged_path(cloud, arguments.image_id), "rb", buffering=0) as staged:
                while batch := staged.read(store.BATCH):
                    upload.write(batch)
        taken = upload.intake.finish()
        with work.commit() as tx:
            uploads.settle(tx, upload, taken)
    except BaseException:
        uploads.give_up(cloud, upload)
        raise


@import_image.step(deadline=60.0)
def tidy(work: Work[ImportArguments]) -> None:
    store.staged_path(work.cloud, work.arguments.image_id).unlink(missing_ok=True)
    with work.commit() as tx:
        row = exclusive(tx, work.arguments.image_id)
        if row is not None:
            _mark(row, failed=False)


@import_image.failed
def back_to_queued(work: Work[ImportArguments], tx: Transaction, fault: Fault) -> None:
    cloud, image_id = work.cloud, work.arguments.image_id
    row = exclusive(tx, image_id)
    if row is not None and row.status == IMPORTING:
        row.status, row.writing, row.size = QUEUED, None, None
        _mark(row, failed=True)
        tx.after_commit(lambda: store.path_of(cloud, image_id).unlink(missing_ok=True))
    elif row is not None:
        _mark(row, failed=False)  # the data is there; only the tidying failed
    tx.after_commit(lambda: store.staged_path(cloud, image_id).unlink(missing_ok=True))


def _mark(row: ImageRow, *, failed: bool) -> None:
    kept = {key: value for key, value in row.properties.items() if not key.startswith("os_glance_import")}
    if failed:
        kept["os_glance_failed_import"] = "file"
    else:
        kept.pop("os_glance_failed_import", None)
    row.properties, row.updated_at = kept, clock.now()
