"""Brings an image into the cache because an administrator wants it there."""

from __future__ import annotations

from msgspec import Struct

from haneul.image import cache, fetch
from haneul.image.model import ACTIVE, CachedImage, ImageRow
from haneul.kernel import clock
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Gone, Problem
from haneul.kernel.tasks import Fault, Task, Work


class CacheArguments(Struct):
    image_id: str


cache_image = Task("image.cache", CacheArguments, deadline=7200.0)


def queue(tx: Transaction, context: Context, row: ImageRow) -> None:
    """There or on its way already is fine."""
    if row.status != ACTIVE:
        raise BadRequest("Only images with status active can be targeted for queueing")
    if tx.get(CachedImage, row.id) is None:
        tx.add(CachedImage(image_id=row.id, queued_at=clock.seconds(), hits=0))
        cache_image.submit(tx, CacheArguments(image_id=row.id), resource=f"image:{row.id}", context=context)


@cache_image.step(deadline=3600.0)
def bring(work: Work[CacheArguments]) -> None:
    """Nothing to do once it is there, is not waited for any more, or the image is gone."""
    with work.cloud.database.read() as tx:
        wanted = tx.get(CachedImage, work.arguments.image_id)
        row = tx.get(ImageRow, work.arguments.image_id)
    if wanted is None or wanted.size is not None or row is None:
        return
    try:
        with fetch.one_of_few():
            cache.bring(work.cloud, row, commit=work.commit)
    except Gone:
        return
    except Problem as problem:
        raise Fault(problem.message, code=problem.status) from problem


@cache_image.failed
def forget(work: Work[CacheArguments], tx: Transaction, fault: Fault) -> None:
    cache.drop(tx, work.arguments.image_id)
