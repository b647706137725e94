"""File stores: an image's data is `<folder>/<id>`, whole or not there.

Bytes come in under a temporary name, are hashed twice and inspected on the way, and get their name only after fsync.
"""

from __future__ import annotations

import errno
import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from haneul.image import stores
from haneul.image.inspection import Inspection
from haneul.kernel import ids
from haneul.kernel.cloud import Cloud
from haneul.kernel.errors import TooLarge

PARTIAL = ".partial-"
BATCH = 4 << 20  # what the threads of an intake are handed at once
READ = 2 << 20
_SYNC_EVERY = 64 << 20  # written back to the disk while more comes, so that the last fsync is short
_DEPTH = 3


class Taken(Struct, frozen=True):
    """An image's data, safe on the disk under a temporary name."""

    path: Path
    size: int
    virtual_size: int | None
    checksum: str
    os_hash_value: str
    sha512: str


def path_of(cloud: Cloud, image_id: str, store: str = stores.FILE) -> Path:
    return stores.folder(cloud, store) / image_id


def staged_path(cloud: Cloud, image_id: str) -> Path:
    return stores.folder(cloud) / f"{image_id}.staged"


class Intake:
    """Takes one image's bytes in. MD5, SHA-512 and the disk each have a thread: they release the interpreter while they work.

    `declared` is the format that the data must have; None takes anything (staging, containers) as it is. What `strict`
    means, `Inspection` says. `algorithm` is another hash that somebody wants.
    """

    def __init__(self, folder: Path, declared: str | None, limit: int, strict: bool = True, algorithm: str = "sha512") -> None:
        self.path = folder / f"{PARTIAL}{ids.new()}"
        self.size = 0
        self._limit = limit
        self._inspection = Inspection(declared, strict) if declared is not None else None
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha512 = hashlib.sha512()
        self._other = hashlib.new(algorithm, usedforsecurity=False) if algorithm != "sha512" else None
        self._error: BaseException | None = None
        self._unsynced = 0
        self._queues: list[queue.Queue[bytes | None]] = []
        self._threads = [self._worker(work) for work in (
            self._md5.update, self._sha512.update, self._keep, *([self._other.update] if self._other else []))]

    def _worker(self, work: Any) -> threading.Thread:
        batches: queue.Queue[bytes | None] = queue.Queue(_DEPTH)
        self._queues.append(batches)

        def run() -> None:
            while (batch := batches.get()) is not None:
                if self._error is None:
                    try:
                        work(batch)
                    except Exception as error:
                        self._error = _full(error) or error  # raised to the writer; the queue is still emptied

        thread = threading.Thread(target=run, name="image-intake", daemon=True)
        thread.start()
        return thread

    def _keep(self, batch: bytes) -> None:
        if self._inspection is not None:
            self._inspection.eat(batch)
        view = memoryview(batch)
        while view:
            view = view[os.write(self._file, view):]
        self._unsynced += len(batch)
        if self._unsynced >= _SYNC_EVERY:
            os.fdatasync(self._file)
            self._unsynced = 0

    def ready(self) -> bool:
        """Whether `write` would return at once."""
        return not any(batches.full() for batches in self._queues)

    def write(self, batch: bytes) -> None:
        """Large batches, in order. Waits for the slowest thread."""
        if self._error is not None:
            raise self._error
        self.size += len(batch)
        if self.size > self._limit:
            raise TooLarge(f"The image is larger than the {self._limit} bytes that it may have.")
        for batches in self._queues:
            batches.put(batch)

    def _join(self) -> None:
        for batches in self._queues:
            batches.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []

    def finish(self) -> Taken:
        self._join()
        if self._error is not None:
            raise self._error
        virtual = self._inspection.verdict() if self._inspection is not None else None
        try:
            os.fsync(self._file)
        except OSError as error:
            raise _full(error) or error from error
        os.close(self._file)
        self._file = -1
        sha512 = self._sha512.hexdigest()
        wanted = self._other.hexdigest() if self._other else sha512
        return Taken(self.path, self.size, virtual, self._md5.hexdigest(), wanted, sha512)

    def abort(self) -> None:
        """Nothing stays. Fine also after `finish`, if the file has not got its name."""
        if self._threads:
            self._error = self._error or ConnectionError("given up")
            self._join()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self.path.unlink(missing_ok=True)


def _full(error: Exception) -> TooLarge | None:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return TooLarge("Image storage media is full: There is not enough disk space on the image storage media.")
    return None


def name(taken: Taken, path: Path) -> None:
    """Gives finished data its name, durably."""
    rename(taken.path, path)


def rename(partial: Path, path: Path) -> None:
    os.rename(partial, path)
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def batches(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Small chunks put together to what an intake likes."""
    kept: list[bytes] = []
    size = 0
    for chunk in chunks:
        kept.append(chunk)
        size += len(chunk)
        if size >= BATCH:
            yield b"".join(kept)
            kept, size = [], 0
    if kept:
        yield b"".join(kept)


def copy(source: Path, target: Path, beat: Callable[[], None]) -> None:
    """Another file of the same bytes, durably under its name or not there. `beat` is called now and then; it may raise."""
    partial = target.parent / f"{PARTIAL}{ids.new()}"
    try:
        with open(source, "rb", buffering=0) as file, open(partial, "xb", buffering=0) as out:
            while os.copy_file_range(file.fileno(), out.fileno(), _SYNC_EVERY):
                os.fdatasync(out.fileno())
                beat()
            os.fsync(out.fileno())
        rename(partial, target)
    except OSError as error:
        raise _full(error) or error from error
    finally:
        partial.unlink(missing_ok=True)


def read(cloud: Cloud, image_id: str) -> Iterator[bytes]:
    """An image's data. The file is opened at once: NotFound when there is none; a delete meanwhile does no harm."""
    from haneul.image import sources  # the rules stand above the store

    return _pieces(sources.opened(cloud, image_id))


def read_known(cloud: Cloud, image_id: str) -> tuple[str, Iterator[bytes]]:
    """The SHA-512 of an image's data, and the data as `read` gives it."""
    from haneul.image import sources

    file, digest = sources.opened_and_known(cloud, image_id)
    return digest, _pieces(file)


def _pieces(file: Any) -> Iterator[bytes]:
    with file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while piece := file.read(READ):
            yield piece


def write(cloud: Cloud, image_id: str, chunks: Iterable[bytes]) -> None:
    """Gives an image that was begun its data and makes it active; done already is fine. Nothing stays of a failure.

    Raises NotWhatItSays, TooLarge, ImageNotFound (deleted meanwhile).
    """
    from haneul.image import uploads  # the rules stand above the store

    upload = uploads.begin(cloud, image_id, resume=True)
    if upload is None:
        return
    try:
        for batch in batches(chunks):
            upload.write(batch)
        uploads.finish(cloud, upload)
    except BaseException:
        uploads.give_up(cloud, upload)
        raise
