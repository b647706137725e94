"""Where an image's bytes are read from: the heaviest file store that has them, else the cache, which fetches them first."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import select

from haneul.image import cache, fetch, store, stores
from haneul.image.model import ImageRow
from haneul.kernel.cloud import Cloud
from haneul.kernel.errors import NotFound


def path(cloud: Cloud, row: ImageRow) -> Path:
    """A file with the image's bytes. NotFound when there is none; Problem or Fault when it cannot be fetched."""
    for at in stores.ordered(cloud, row):
        if "url" not in at and (found := store.path_of(cloud, row.id, at["store"])).exists():
            return found
    return cache.ensure(cloud, row)


def away(cloud: Cloud, row: ImageRow) -> bool:
    """Whether the bytes have to be fetched before they can be read."""
    return all("url" in at for at in row.locations) and not (cache.folder(cloud) / row.id).exists()


def opened(cloud: Cloud, image_id: str) -> Any:
    """The file, open: a delete meanwhile does no harm."""
    return _open(cloud, _row(cloud, image_id))


def opened_and_known(cloud: Cloud, image_id: str) -> tuple[Any, str]:
    """The file, open, and the SHA-512 of what is in it. For tasks: Again while too many of them fetch."""
    row = _row(cloud, image_id)
    known = row.os_hash_value if row.os_hash_algo == "sha512" else None
    with fetch.one_of_few() if away(cloud, row) else nullcontext():
        return _open(cloud, row), known or cache.digest(cloud, row)


def _open(cloud: Cloud, row: ImageRow) -> Any:
    try:
        return open(path(cloud, row), "rb", buffering=0)
    except FileNotFoundError as error:
        raise NotFound(f"No data of image {row.id} was found.") from error


def _row(cloud: Cloud, image_id: str) -> ImageRow:
    with cloud.database.read() as tx:
        row = tx.execute(select(ImageRow).where(ImageRow.id == image_id)).scalar_one_or_none()
    if row is None:
        raise NotFound(f"No data of image {image_id} was found.")
    return row
