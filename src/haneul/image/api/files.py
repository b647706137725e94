"""An image's data on the wire, streamed both ways."""

from __future__ import annotations

import asyncio
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from haneul.image import sources, store, stores, uploads
from haneul.image.api.images import image_of
from haneul.image.model import ACTIVE, DEACTIVATED, UPLOADING, ImageRow
from haneul.kernel.cloud import Cloud
from haneul.kernel.errors import BadRequest, Forbidden, Gone, NotFound, Problem, Unavailable, UnsupportedMedia
from haneul.kernel.tasks import Fault
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()
# Of its own: a server elsewhere that answers slowly must not hold the threads that all transfers share
_fetching = ThreadPoolExecutor(3, "image-fetch")


class RangeNotSatisfiable(Problem):
    status = 416
    title = "Requested Range Not Satisfiable"


# ---------------------------------------------------------------- in


@routes.put("/images/{image_id}/file", rule="upload_image", target=image_of, status=204, stream=True)
async def upload(call: Call, row: ImageRow) -> Reply:
    return await _take(call, row, staged=False)


@routes.put("/images/{image_id}/stage", rule="modify_image", target=image_of, status=204, stream=True)
async def stage(call: Call, row: ImageRow) -> Reply:
    return await _take(call, row, staged=True)


async def _take(call: Call, row: ImageRow, *, staged: bool) -> Reply:
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/octet-stream":
        raise UnsupportedMedia("The content type of image data is application/octet-stream.")
    length = call.headers.get("content-length") or call.headers.get("x-openstack-image-size")
    if length is not None and not (length.isascii() and length.isdigit()):
        raise BadRequest("The size of image data is a number.")
    into = call.headers.get("x-image-meta-store")
    if into is not None and not staged and into not in stores.files(call.cloud):
        raise BadRequest(f"Store {into[:64]!r} is not one that data can be written to.")
    status = {"status": UPLOADING, "staged": True} if staged else {"into": into}
    begun = await asyncio.to_thread(lambda: uploads.begin(
        call.cloud, row.id, expected=int(length) if length else None, **status))  # type: ignore[arg-type]
    assert begun is not None
    try:
        await _receive(call, begun)
        await asyncio.to_thread(uploads.finish, call.cloud, begun)
    except BaseException as error:
        await asyncio.shield(asyncio.to_thread(uploads.give_up, call.cloud, begun))
        if isinstance(error, ConnectionError):
            raise BadRequest("The image data broke off.") from error
        raise
    return Reply(status=204)


async def _receive(call: Call, begun: uploads.Upload) -> None:
    """Puts what arrives together to large batches: hashing and writing release the interpreter only worthwhile for those."""
    kept: list[bytes] = []
    size = 0

    async def flush() -> None:
        batch = b"".join(kept)
        kept.clear()
        if begun.intake.ready():
            begun.write(batch)
        else:
            await asyncio.to_thread(begun.write, batch)

    async for chunk in call.chunks():
        kept.append(chunk)
        size += len(chunk)
        if size >= store.BATCH:
            await flush()
            size = 0
    if kept:
        await flush()


# ---------------------------------------------------------------- out


@routes.get("/images/{image_id}/file", rule="download_image", target=image_of, stream=True)
async def download(call: Call, row: ImageRow) -> Reply | None:
    if row.status == DEACTIVATED and not call.context.is_admin:
        raise Forbidden("The requested image has been deactivated. Image data download is forbidden.")
    if row.status not in (ACTIVE, DEACTIVATED):
        return Reply(status=204)
    try:
        away = await asyncio.to_thread(sources.away, call.cloud, row)
        file = await asyncio.get_running_loop().run_in_executor(_fetching if away else None, _open, call.cloud, row)
    except (FileNotFoundError, NotFound) as error:
        raise Gone(f"The data of image {row.id} is gone.") from error
    try:
        size = os.fstat(file).st_size
        first, last = _range(call.headers.get("range"), size)
        headers = {"content-type": "application/octet-stream", "content-length": str(last - first + 1),
                   "accept-ranges": "bytes"}
        if (first, last) == (0, size - 1) and call.headers.get("range") is None:
            headers["content-md5"] = row.checksum or ""
            await call.start(200, headers)
        else:
            await call.start(206, {**headers, "content-range": f"bytes {first}-{last}/{size}"})
        if call.method == "HEAD":
            await call.write(b"", more=False)
        else:
            await _give(call, file, first, last + 1)
    finally:
        os.close(file)
    return None


def _open(cloud: Cloud, row: ImageRow) -> int:
    try:
        file = os.open(sources.path(cloud, row), os.O_RDONLY)
    except Fault as fault:
        raise Unavailable(fault.message) from fault
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return file


async def _give(call: Call, file: int, position: int, end: int) -> None:
    """The next piece is read while the last one goes out, until the client has all or is gone."""
    loop = asyncio.get_running_loop()
    await call.receive()  # the empty body; what comes next is the end of the connection
    gone = asyncio.ensure_future(call.receive())

    def piece(start: int) -> Any:
        return loop.run_in_executor(None, os.pread, file, min(store.READ, end - start), start)

    coming = piece(position) if position < end else None
    try:
        while coming is not None:
            chunk = await coming
            coming = None
            if not chunk:
                raise ConnectionError("the image's file became shorter")
            if gone.done():
                return
            position += len(chunk)
            coming = piece(position) if position < end else None
            await call.write(chunk, more=coming is not None)
        if position == 0 and end == 0:
            await call.write(b"", more=False)
    finally:
        gone.cancel()
        if coming is not None:
            await asyncio.wait([coming])  # nothing may read a file that is closed


def _range(header: str | None, size: int) -> tuple[int, int]:
    """First and last byte of a request for one range; all of it without one."""
    if header is None:
        return 0, size - 1
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header.strip())
    if found is None or (not found[1] and not found[2]):
        raise RangeNotSatisfiable("The Range header must name one range of bytes.")
    if not found[1]:
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(int(found[2]) if found[2] else size - 1, size - 1)
    if first > last or first >= size:
        raise RangeNotSatisfiable(f"The range lies outside of the image's {size} bytes.")
    return first, last


