"""Keeps the store and the table of images the same."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from sqlalchemy import select

from haneul.image import cache, store, stores, uploads
from haneul.image.model import ACTIVE, DEACTIVATED, CachedImage, ImageRow
from haneul.kernel import leaks
from haneul.kernel.cloud import Cloud
from haneul.kernel.reconcilers import reconciler

_GRACE = 600.0  # seconds: a file may be older than its row's commit, and a transfer's file has no row's name yet


@reconciler("image.store", every=60.0)
def mend(cloud: Cloud) -> int:
    """Transfers that died wait for data again; files that no image owns are removed."""
    return uploads.release_dead(cloud) + sweep(cloud, _GRACE)


def sweep(cloud: Cloud, grace: float) -> int:
    removed = 0
    for name in stores.files(cloud):
        folder = stores.folder(cloud, name)
        names = os.listdir(folder)  # before the rows: what comes meanwhile is not looked at
        with cloud.database.read() as tx:
            owned = {file for image_id, status, at in tx.execute(select(ImageRow.id, ImageRow.status, ImageRow.locations))
                     for file in _files_of(image_id, status, at, name)}
        removed += _remove(cloud, folder, names, owned, grace)
    names = os.listdir(cache.folder(cloud))
    with cloud.database.read() as tx:
        kept = set(tx.execute(select(CachedImage.image_id)).scalars())
    return removed + _remove(cloud, cache.folder(cloud), names, kept, grace)


def _remove(cloud: Cloud, folder: Path, names: list[str], owned: set[str], grace: float) -> int:
    limit, removed = time.time() - grace, 0
    for name in names:
        path = folder / name
        try:
            if name not in owned and path.stat().st_mtime < limit:
                path.unlink()
                removed += 1
                leaks.note(cloud, "image_file", None, name, "a file that no image owns")
        except FileNotFoundError:
            continue
    return removed


def _files_of(image_id: str, status: str, locations: list[dict[str, Any]], name: str) -> list[str]:
    """What an image in this state has in a store."""
    found = [image_id] if any(at["store"] == name for at in locations) else []
    if name == stores.FILE and status not in (ACTIVE, DEACTIVATED):
        found.append(f"{image_id}.staged")
    return found


def at_start(cloud: Cloud) -> None:
    """One control process: whatever transfer there was died with the last one."""
    if cloud.database.sqlite:
        uploads.release_dead(cloud, silent=0.0)
        for folder in (*(stores.folder(cloud, name) for name in stores.files(cloud)), cache.folder(cloud)):
            for path in folder.glob(f"{store.PARTIAL}*"):
                path.unlink(missing_ok=True)
