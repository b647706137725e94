"""Files between the control plane and volumes: images that come in, backups both ways, exports that go out.

    <id>.<format>       whole: taken in and inspected, begun to be written by ranges, or exported
    .partial-<hex>      on its way; swept when the agent starts
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from haneul.host.contract import HostError, NotThere, Refused
from haneul.host.disks.file.tools import own
from haneul.host.disks.intake import PARTIAL, TRUE_FORMATS, Upload, inspect, sweep
from haneul.host.segments import segment
from haneul.host.storage import Extent, Transfers, TransferState
from haneul.host.volumes import sparse

LARGEST = 1 << 50


class TransferFiles(Transfers):
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._making: WeakValueDictionary[str, Any] = WeakValueDictionary()  # by id: who asks again waits for the first
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o711)
        sweep(folder)

    # ------------------------------------------------------------ verbs

    def begin(self, id: str, size_bytes: int) -> TransferState:
        if not 0 <= size_bytes <= LARGEST:
            raise Refused(f"a transfer of {size_bytes} bytes")
        with self.made(id, "raw") as path:
            if path is not None:
                os.truncate(path, size_bytes)
        return self.transfer(id)

    def transfer(self, id: str) -> TransferState:
        return _state(self.file(id))

    def extents(self, id: str) -> list[Extent]:
        with self._opened(self._raw(id), os.O_RDONLY) as file:
            return [Extent(start, end - start) for start, end in sparse.data(file)]

    def transfers(self) -> list[TransferState]:
        found = []
        for path in self._folder.iterdir():
            try:
                if not path.name.startswith("."):
                    found.append(_state(path))
            except FileNotFoundError:
                continue  # dropped meanwhile
        return found

    def drop(self, id: str) -> None:
        path = self._find(id)
        if path is not None:
            path.unlink(missing_ok=True)

    # ------------------------------------------------------------ streams

    def take(self, id: str, declared: str, sha512: str) -> Upload:
        """An image on its way in: digest and format are checked before anybody may open it."""
        segment(id)

        def keep(path: Path, format: str, virtual: int) -> TransferState:  # noqa: ARG001
            own(path, 0o600)
            sparse.flush(path)
            with self._lock(id):
                if (old := self._find(id)) is not None:
                    old.unlink()
                path.rename(self._folder / f"{id}.{format}")
            sparse.flush(self._folder)
            return self.transfer(id)

        return Upload(self._folder, declared, sha512, keep)

    def write(self, id: str, offset: int, data: bytes | bytearray) -> None:
        """A range of one that was begun. Refused when it would become longer."""
        path = self._raw(id)
        with self._opened(path, os.O_WRONLY) as file:
            if offset < 0 or offset + len(data) > os.fstat(file).st_size:
                raise Refused(f"bytes {offset} to {offset + len(data)} are not within transfer {id}")
            view = memoryview(data)
            while view:
                written = os.pwrite(file, view, offset)
                view, offset = view[written:], offset + written

    def read(self, id: str) -> int:
        """An open file, to be closed by who asked."""
        return os.open(self.file(id), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    # ------------------------------------------------------------ for drivers

    def file(self, id: str) -> Path:
        """The whole file, whose suffix is its format; NotThere."""
        path = self._find(id)
        if path is None:
            raise NotThere(f"no transfer {id} here")
        return path

    def virtual_bytes(self, id: str) -> int:
        """How large a volume with its data must be; looked at again, for these are the bytes that will be opened."""
        path = self.file(id)
        return path.stat().st_size if path.suffix in (".raw", ".iso") else inspect(path, path.suffix[1:])

    @contextmanager
    def made(self, id: str, format: str) -> Iterator[Path | None]:
        """An empty file of QEMU's user, which is the transfer when the block has ended well; None when it is there already."""
        final = self._folder / f"{segment(id)}.{format}"
        with self._lock(id):
            if (old := self._find(id)) is not None:
                if old.suffix != final.suffix:
                    raise HostError(f"transfer {id} is {old.suffix[1:]}, not {format}")
                yield None
                return
            partial = self._folder / f"{PARTIAL}{uuid.uuid4().hex}"
            try:
                partial.touch(0o600)
                own(partial, 0o600)
                yield partial
                sparse.flush(partial)
                partial.rename(final)
            except OSError as error:
                raise sparse.told(error) from error
            finally:
                partial.unlink(missing_ok=True)
        sparse.flush(self._folder)

    # ------------------------------------------------------------ files

    def _lock(self, id: str) -> Any:
        with self._guard:
            return self._making.setdefault(id, threading.Lock())

    def _find(self, id: str) -> Path | None:
        for format in TRUE_FORMATS:
            path = self._folder / f"{segment(id)}.{format}"
            if path.exists():
                return path
        return None

    def _raw(self, id: str) -> Path:
        path = self.file(id)
        if path.suffix != ".raw":
            raise Refused(f"transfer {id} is {path.suffix[1:]}: only a raw one has ranges")
        return path

    @contextmanager
    def _opened(self, path: Path, flags: int) -> Iterator[int]:
        file = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield file
        finally:
            os.close(file)


def _state(path: Path) -> TransferState:
    return TransferState(id=path.stem, format=path.suffix[1:], bytes=path.stat().st_size)
