"""The image cache: whole, checked images only, least recently used ones go when it is full."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from haneul.host.contract import Conflict, ImageState, NotThere, Refused
from haneul.host.disks.file.tools import LONG, own, qemu_img
from haneul.host.disks.intake import PARTIAL, Upload, sweep
from haneul.host.segments import segment

# What QEMU calls the formats that are not kept as they come: they are converted once, at the door.
FOREIGN = {"vmdk": "vmdk", "vdi": "vdi", "vhd": "vpc", "vhdx": "vhdx"}
KEPT = {"qcow2": "qcow2", "raw": "raw", "iso": "raw"}


class ImageCache:
    """`used` answers the ids of images that disks stand on. The lock is held while a disk is put on an image."""

    def __init__(self, folder: Path, limit_bytes: int, used: Callable[[], set[str]]) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._used = used
        self.lock = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o711)
        sweep(folder)

    def states(self) -> list[ImageState]:
        return [self._state(path) for path in self._files()]

    def _files(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if path.suffix in (".qcow2", ".raw")
                and not path.name.startswith(PARTIAL)]

    def _state(self, path: Path) -> ImageState:
        stat = path.stat()
        return ImageState(id=path.stem, format=path.suffix[1:], bytes=stat.st_size, last_used=stat.st_mtime)

    def find(self, id: str) -> Path | None:
        for format in ("qcow2", "raw"):
            path = self._folder / f"{segment(id)}.{format}"
            if path.exists():
                return path
        return None

    def use(self, id: str) -> Path:
        """The file of an image that is used now; NotThere when it is not in the cache."""
        path = self.find(id)
        if path is None:
            raise NotThere(f"image {id} is not in the cache")
        os.utime(path)
        return path

    def drop(self, id: str) -> None:
        with self.lock:
            path = self.find(id)
            if path is None:
                return
            if id in self._used():
                raise Conflict(f"disks stand on image {id}")
            path.unlink()

    def upload(self, id: str, declared: str, sha512: str) -> Upload:
        segment(id)

        def keep(file: Path, format: str, virtual: int) -> ImageState:
            return self._keep(id, file, format, virtual)

        return Upload(self._folder, declared, sha512, keep)

    def _keep(self, id: str, file: Path, format: str, virtual: int) -> ImageState:
        if virtual > 1 << 50:
            raise Refused(f"a virtual size of {virtual} bytes")
        if format in FOREIGN:
            file = self._converted(file, FOREIGN[format])
            format = "qcow2"
        target = self._folder / f"{id}.{KEPT[format]}"
        with self.lock:
            if old := self.find(id):
                file.unlink()  # the same image was taken twice at once; disks may stand on the first
                os.utime(old)
                return self._state(old)
            os.chmod(file, 0o644)
            os.utime(file)
            _flush(file)
            file.rename(target)
            self._evict(keep=id)
        return self._state(target)

    def _converted(self, file: Path, driver: str) -> Path:
        output = file.with_name(file.name + ".qcow2")
        try:
            output.touch()
            own(output, 0o600)
            os.chmod(file, 0o644)
            qemu_img(["convert", "-f", driver, "-O", "qcow2", str(file), str(output)], LONG)
            os.chown(output, 0, 0)
        except BaseException:
            output.unlink(missing_ok=True)
            raise
        file.unlink()
        return output

    def _evict(self, keep: str) -> None:
        """Images that disks stand on do not count: they are needed, whatever the limit says."""
        used = self._used() | {keep}
        spare = sorted((image for image in self.states() if image.id not in used), key=lambda image: image.last_used)
        excess = sum(image.bytes for image in self.states() if image.id not in used - {keep}) - self._limit
        for image in spare:
            if excess <= 0:
                return
            (self._folder / f"{image.id}.{image.format}").unlink(missing_ok=True)
            excess -= image.bytes



def _flush(path: Path) -> None:
    """Before a rename: a power cut must not leave a whole name with half a content."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
