"""Keeps the store and the table of images the same."""

from __future__ import annotations

import os
import time

from sqlalchemy import select

from haneul.image import store, uploads
from haneul.image.model import ACTIVE, DEACTIVATED, ImageRow
from haneul.kernel import leaks
from haneul.kernel.cloud import Cloud
from haneul.kernel.reconcilers import reconciler

_GRACE = 600.0  # seconds: a file may be older than its row's commit, and a transfer's file has no row's name yet


@reconciler("image.store", every=60.0)
def mend(cloud: Cloud) -> int:
    """Transfers that died wait for data again; files that no image owns are removed."""
    return uploads.release_dead(cloud) + sweep(cloud, _GRACE)


def sweep(cloud: Cloud, grace: float) -> int:
    limit, removed = time.time() - grace, 0
    names = os.listdir(store.folder(cloud))
    with cloud.database.read() as tx:
        owned = {_file_of(image_id, status) for image_id, status in tx.execute(select(ImageRow.id, ImageRow.status))}
    for name in names:
        path = store.folder(cloud) / name
        try:
            if name not in owned and path.stat().st_mtime < limit:
                path.unlink()
                removed += 1
                leaks.note(cloud, "image_file", None, name, "a file that no image owns")
        except FileNotFoundError:
            continue
    return removed


def _file_of(image_id: str, status: str) -> str:
    """The one file that an image in this state has, if it has one."""
    return image_id if status in (ACTIVE, DEACTIVATED) else f"{image_id}.staged"


def at_start(cloud: Cloud) -> None:
    """One control process: whatever transfer there was died with the last one."""
    if cloud.database.sqlite:
        uploads.release_dead(cloud, silent=0.0)
        for path in store.folder(cloud).glob(f"{store.PARTIAL}*"):
            path.unlink(missing_ok=True)
