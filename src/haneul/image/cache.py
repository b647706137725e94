"""Copies of images' data near by: what was fetched from elsewhere is kept, after it was found to be what it says."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import delete, select, update

from haneul.image import fetch, store, stores
from haneul.image.model import QUEUED, CachedImage, ImageRow
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Gone, NotFound
from haneul.kernel.tasks import Fault

_SECONDS = 3600.0  # for one fetch
_fetching: dict[str, threading.Lock] = defaultdict(threading.Lock)


class Changed(Fault):
    """What is fetched is not what it was, or was said to be."""


def folder(cloud: Cloud) -> Path:
    cloud.paths.image_cache.mkdir(parents=True, exist_ok=True)
    return cloud.paths.image_cache


def ensure(cloud: Cloud, row: ImageRow) -> Path:
    """The cached file of an image, fetched if need be; each image once, whoever wants it at the moment."""
    found = folder(cloud) / row.id
    if not found.exists():
        with _fetching[row.id]:
            if not found.exists():
                bring(cloud, row)
    with cloud.database.write() as tx:
        tx.execute(update(CachedImage).where(CachedImage.image_id == row.id).values(
            hits=CachedImage.hits + 1, accessed_at=clock.seconds()))
    return found


def digest(cloud: Cloud, row: ImageRow) -> str:
    ensure(cloud, row)
    with cloud.database.read() as tx:
        found = tx.get(CachedImage, row.id)
    if found is None or found.sha512 is None:
        raise NotFound(f"No data of image {row.id} was found.")
    return found.sha512


def bring(cloud: Cloud, row: ImageRow, *, settle: Callable[[Transaction, ImageRow, store.Taken], None] | None = None,
          commit: Callable[[], AbstractContextManager[Transaction]] | None = None) -> None:
    """Reads all of an image's data into the cache. What is known of it must hold, and it must be of its format; then
    `settle` and the cache's row are one commit (a task's step gives its own). Gone when the image was deleted meanwhile."""
    uri = next((at["url"] for at in stores.ordered(cloud, row) if "url" in at), None)
    declared = row.disk_format if row.container_format == "bare" else None
    intake = store.Intake(folder(cloud), declared, cloud.config.image.max_bytes, cloud.config.image.require_format_match,
                          row.os_hash_algo or "sha512")
    try:
        with _bytes(cloud, row, uri) as chunks:
            beat = clock.seconds()
            for batch in store.batches(chunks):
                intake.write(batch)
                if clock.seconds() - beat > 1.0:
                    beat = clock.seconds()
                    _still_there(cloud, row.id)
        taken = intake.finish()
        if row.size not in (None, taken.size) or row.os_hash_value not in (None, taken.os_hash_value) \
                or row.checksum not in (None, taken.checksum):
            raise Changed(f"The data of image {row.id} is not what it was: its size or its hash differs.")
        with (commit or cloud.database.write)() as tx:
            there = tx.get(ImageRow, row.id)
            if there is None or not _same(there, row, uri):
                raise Gone(f"Image {row.id} was deleted or changed meanwhile.")
            there.size, there.virtual_size = taken.size, taken.virtual_size or there.virtual_size
            if settle is not None:
                settle(tx, there, taken)
            _noted(tx, row.id, taken)
            prune(tx, row.id)
            tx.after_commit(lambda: store.name(taken, folder(cloud) / row.id))  # lost in a crash, it is fetched again
    finally:
        intake.abort()


def _same(there: ImageRow, row: ImageRow, uri: str | None) -> bool:
    """Whether the bytes that were looked at as `row`'s are still its data, of the same format."""
    return there.status != QUEUED and (there.disk_format, there.container_format) == (row.disk_format, row.container_format) \
        and (uri is None or any(at.get("url") == uri for at in there.locations))


@contextmanager
def _bytes(cloud: Cloud, row: ImageRow, uri: str | None) -> Iterator[Iterator[bytes]]:
    if uri is not None:
        with fetch.opened(uri, cloud.config.image, deadline=clock.seconds() + _SECONDS) as chunks:
            yield chunks
        return
    for at in stores.ordered(cloud, row):
        if (path := store.path_of(cloud, row.id, at["store"])).exists():
            with open(path, "rb", buffering=0) as file:
                yield iter(lambda: file.read(store.READ), b"")
            return
    raise NotFound(f"No data of image {row.id} was found.")


def _still_there(cloud: Cloud, image_id: str) -> None:
    with cloud.database.read() as tx:
        if tx.execute(select(ImageRow.id).where(ImageRow.id == image_id)).first() is None:
            raise Gone(f"Image {image_id} was deleted meanwhile.")


def _noted(tx: Transaction, image_id: str, taken: store.Taken) -> None:
    now = clock.seconds()
    row = tx.get(CachedImage, image_id)
    if row is None:
        row = CachedImage(image_id=image_id, queued_at=now, hits=0)
        tx.add(row)
    row.size, row.sha512, row.cached_at, row.accessed_at = taken.size, taken.sha512, now, now
    tx.flush()


def prune(tx: Transaction, keep: str = "") -> list[int]:
    """What was not read for the longest time goes, until the rest fits. The sizes of what went."""
    rows = list(tx.execute(select(CachedImage).where(CachedImage.size.is_not(None))
                           .order_by(CachedImage.accessed_at.desc())).scalars())
    room, gone = tx.cloud.config.image.cache_bytes, []
    for row in sorted(rows, key=lambda row: row.image_id != keep):
        room -= row.size or 0
        if room < 0 and row.image_id != keep:
            gone.append(row.size or 0)
            drop(tx, row.image_id)
    return gone


def clean(tx: Transaction) -> None:
    """Rows whose file is gone, and files that no row knows any more (never those of a fetch under way)."""
    cached, _ = listed(tx)
    known = {row.image_id for row in cached}
    for row in cached:
        if not (folder(tx.cloud) / row.image_id).exists():
            drop(tx, row.image_id)
    for path in folder(tx.cloud).iterdir():
        if path.name not in known and not path.name.startswith(store.PARTIAL):
            drop(tx, path.name)


# ---------------------------------------------------------------- as administrators see it


def listed(tx: Transaction) -> tuple[list[CachedImage], list[str]]:
    """What is there, and what is waited for."""
    rows = list(tx.execute(select(CachedImage).order_by(CachedImage.queued_at)).scalars())
    return [row for row in rows if row.size is not None], [row.image_id for row in rows if row.size is None]


def drop(tx: Transaction, image_id: str) -> None:
    """Out of the cache or out of its queue."""
    path = folder(tx.cloud) / image_id
    tx.execute(delete(CachedImage).where(CachedImage.image_id == image_id))
    tx.after_commit(lambda: path.unlink(missing_ok=True))


def clear(tx: Transaction, target: str) -> None:
    if target not in ("", "cache", "queue"):
        raise BadRequest("If provided 'x-image-cache-clear-target' must be 'cache' or 'queue'")
    cached, queued = listed(tx)
    for image_id in [*([row.image_id for row in cached] if target != "queue" else []), *(queued if target != "cache" else [])]:
        drop(tx, image_id)
