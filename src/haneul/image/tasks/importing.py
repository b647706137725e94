"""Brings an image's data from where the user put it (a staged file, an address on the web) to one store, and from there to
the others that are wanted; or copies an image that is there already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, field

from haneul.image import fetch, sources, store, uploads
from haneul.image.images import ImageNotFound, exclusive
from haneul.image.model import ACTIVE, IMPORTING, QUEUED, ImageRow
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Gone, Problem
from haneul.kernel.tasks import Fault, Task, Work

COPY = "copy-image"
PENDING, FAILED = "os_glance_importing_to_stores", "os_glance_failed_import"  # properties: stores that are to come, that failed
TAKEN = ("hw_", "trait:", "os_distro", "os_secure_boot", "os_type")  # properties that come with another image's data
_SECONDS = 3600.0


class ImportArguments(Struct):
    """`must_all`: all stores or none. `asked` and `type` are what the user sees of his request in the task."""

    image_id: str
    method: str
    uri: str | None = None
    source: str | None = None  # another image of this cloud
    refusal: str = ""  # why it may not be that one
    stores: list[str] = field(default_factory=lambda: ["file"])
    must_all: bool = True
    asked: dict[str, Any] = {}
    type: str = "api_image_import"


import_image = Task("image.import", ImportArguments, deadline=3 * _SECONDS)


@import_image.step(deadline=_SECONDS)
def transfer(work: Work[ImportArguments]) -> None:
    """Done already is fine: an active image is left as it is. A user who deletes the image meanwhile gets his way."""
    if work.arguments.method == COPY:
        return
    try:
        with fetch.one_of_few():
            _transfer(work)
    except (ImageNotFound, Gone):
        return
    except Problem as problem:
        raise Fault(problem.message, code=problem.status) from problem


def _transfer(work: Work[ImportArguments]) -> None:
    arguments, cloud = work.arguments, work.cloud
    first = arguments.stores[0]
    upload = uploads.begin(cloud, arguments.image_id, status=IMPORTING, before=(IMPORTING,), resume=True, into=first,
                           copies=len(arguments.stores))
    if upload is None:
        return
    try:
        if arguments.method == "glance-download":
            for batch in store.batches(_other(work)):
                upload.write(batch)
        elif arguments.method == "web-download":
            with fetch.opened(arguments.uri or "", cloud.config.image, deadline=clock.seconds() + _SECONDS) as chunks:
                for batch in store.batches(chunks):
                    upload.write(batch)
        else:
            with open(store.staged_path(cloud, arguments.image_id), "rb", buffering=0) as staged:
                while batch := staged.read(store.BATCH):
                    upload.write(batch)
        taken = upload.intake.finish()
        with work.commit() as tx:
            whole = len(arguments.stores) == 1 or not arguments.must_all
            uploads.settle(tx, upload, taken, status=ACTIVE if whole else IMPORTING)
            _arrived(tx, arguments.image_id, first)
            if arguments.source is not None:
                _take_properties(tx, arguments.image_id, arguments.source)
    except BaseException:
        uploads.give_up(cloud, upload)
        raise


def _other(work: Work[ImportArguments]) -> Iterator[bytes]:
    if work.arguments.refusal:
        raise Fault(work.arguments.refusal)
    return store.read(work.cloud, work.arguments.source or "")


def _take_properties(tx: Transaction, image_id: str, source_id: str) -> None:
    """What the data needs to be used comes with it."""
    row, source = exclusive(tx, image_id), tx.get(ImageRow, source_id)
    if row is not None and source is not None:
        row.properties = {**row.properties, **{key: value for key, value in source.properties.items() if key.startswith(TAKEN)}}


@import_image.step(deadline=_SECONDS)
def spread(work: Work[ImportArguments]) -> None:
    """A copy for each store that lacks the image. One that fails is noted; where all were to succeed, it fails them all."""
    arguments, cloud = work.arguments, work.cloud
    for name in arguments.stores:
        row = _row(cloud, arguments.image_id)
        if row is None:
            return
        if any(at["store"] == name for at in row.locations) or name in _words(row, FAILED):
            continue
        try:
            store.copy(sources.path(cloud, row), store.path_of(cloud, row.id, name), lambda: _alive(cloud, arguments.image_id))
        except Gone:
            return
        except (Problem, Fault, OSError) as error:
            if arguments.must_all:
                raise Fault(f"The image could not be copied to the store {name}: {error}") from error
            with cloud.database.write() as tx:
                _missed(tx, row.id, name)
            continue
        with cloud.database.write() as tx:
            there = _arrived(tx, row.id, name)
        if not there:
            store.path_of(cloud, row.id, name).unlink(missing_ok=True)


def _row(cloud: Cloud, image_id: str) -> ImageRow | None:
    with cloud.database.read() as tx:
        return tx.get(ImageRow, image_id)


def _alive(cloud: Cloud, image_id: str) -> None:
    if _row(cloud, image_id) is None:
        raise Gone(f"Image {image_id} was deleted during the copy.")


@import_image.step(deadline=60.0)
def tidy(work: Work[ImportArguments]) -> None:
    if work.arguments.method != COPY:
        store.staged_path(work.cloud, work.arguments.image_id).unlink(missing_ok=True)
    with work.commit() as tx:
        row = exclusive(tx, work.arguments.image_id)
        if row is not None and row.status == IMPORTING and row.locations:
            row.status, row.updated_at = ACTIVE, clock.now()


@import_image.failed
def back_to_queued(work: Work[ImportArguments], tx: Transaction, fault: Fault) -> None:
    arguments, cloud, image_id = work.arguments, work.cloud, work.arguments.image_id
    row = exclusive(tx, image_id)
    if arguments.method != COPY:
        tx.after_commit(lambda: store.staged_path(cloud, image_id).unlink(missing_ok=True))
    if row is None:
        return
    if arguments.method == COPY:
        gone = arguments.stores
        row.locations = [at for at in row.locations if at["store"] not in gone]
    elif row.status == IMPORTING:
        gone = arguments.stores
        row.status, row.writing, row.size, row.virtual_size, row.locations = QUEUED, None, None, None, []
        row.checksum = row.os_hash_algo = row.os_hash_value = None
    else:
        gone = _words(row, PENDING)  # the data is there; what came after it failed
    row.properties = {**row.properties, PENDING: "", FAILED: ",".join(gone)}
    row.updated_at = clock.now()

    def remove() -> None:
        for name in gone:
            store.path_of(cloud, image_id, name).unlink(missing_ok=True)

    tx.after_commit(remove)


# ---------------------------------------------------------------- what users see of it


def _words(row: ImageRow, key: str) -> list[str]:
    return [word for word in row.properties.get(key, "").split(",") if word]


def _arrived(tx: Transaction, image_id: str, name: str) -> bool:
    """The image is in the store, and says so; False when it was deleted meanwhile."""
    row = exclusive(tx, image_id)
    if row is None:
        return False
    if not any(at["store"] == name for at in row.locations):
        row.locations = [*row.locations, {"store": name}]
    row.properties = {**row.properties, PENDING: ",".join(word for word in _words(row, PENDING) if word != name)}
    row.updated_at = clock.now()
    return True


def _missed(tx: Transaction, image_id: str, name: str) -> None:
    if _arrived(tx, image_id, name) and (row := exclusive(tx, image_id)) is not None:
        row.locations = [at for at in row.locations if at["store"] != name]
        row.properties = {**row.properties, FAILED: ",".join([*_words(row, FAILED), name])}
