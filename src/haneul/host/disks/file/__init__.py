"""Disks as files below the state directory.

    images/<image id>.<format>                                     the cache
    disks/<server id>/<name>.<format>                              an empty disk, a full copy or the config drive
    disks/<server id>/<name>@<image id>.<image format>.qcow2       an overlay
    snapshots/<id>.qcow2

A file's name says all there is to know, so that one rename makes a disk: a kill at any moment leaves it whole
or not there.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from msgspec import Struct

from haneul.host.contract import ConfigDrive, Conflict, Disks, DiskState, ImageState, NotThere, Refused, SnapshotState
from haneul.host.disks import qcow2
from haneul.host.disks.file import configdrive
from haneul.host.disks.file.images import ImageCache
from haneul.host.disks.file.tools import LONG, own, qemu_img
from haneul.host.disks.guests import Guests
from haneul.host.disks.intake import PARTIAL, Upload, sweep
from haneul.host.segments import segment

log = logging.getLogger(__name__)


class DiskFile(Struct, frozen=True, kw_only=True):
    """Where a disk lies, for the hypervisor. An overlay's image is named, never read from the overlay."""

    name: str
    path: Path
    format: str
    image: Path | None = None
    image_id: str | None = None
    image_format: str | None = None


class FileDisks(Disks):
    guests: Guests | None = None

    def __init__(self, folder: Path, cache_bytes: int) -> None:
        self._disks = folder / "disks"
        self._images_folder = folder / "images"
        self._snapshots = folder / "snapshots"
        self._guard = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}  # by server: a slow disk holds up its own server only
        self._busy: list[str] = []  # images that a disk is being put on
        for each in (self._disks, self._snapshots):
            each.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o711)
        os.chmod(self._disks, 0o711)
        own(self._snapshots, 0o700)
        self._cache = ImageCache(self._images_folder, cache_bytes, self._images_in_use)
        sweep(self._snapshots)
        for mine in self._disks.iterdir():
            sweep(mine)
            _remove_if_empty(mine)

    # ------------------------------------------------------------ images

    def images(self) -> list[ImageState]:
        return self._cache.states()

    def has_image(self, id: str) -> bool:
        return self._cache.find(id) is not None

    def drop_image(self, id: str) -> None:
        self._cache.drop(id)

    def take_image(self, id: str, declared: str, sha512: str) -> Upload:
        return self._cache.upload(id, declared, sha512)

    @contextmanager
    def _image(self, id: str | None) -> Iterator[Path | None]:
        """The image's file, which stays for the length of the block."""
        if id is None:
            yield None
            return
        with self._cache.lock:
            self._busy.append(id)
        try:
            yield self._cache.use(id)
        finally:
            self._busy.remove(id)

    def _images_in_use(self) -> set[str]:
        return {file.image_id for file in self._every_file() if file.image_id}.union(self._busy)

    # ------------------------------------------------------------ finding files

    def _parse(self, path: Path) -> DiskFile:
        stem, format = path.name.rsplit(".", 1)
        name, _, image = stem.partition("@")
        if not image:
            return DiskFile(name=name, path=path, format=format)
        image_id, image_format = image.rsplit(".", 1)
        return DiskFile(name=name, path=path, format=format, image_id=image_id, image_format=image_format,
                        image=self._images_folder / f"{image_id}.{image_format}")

    def _files_of(self, server_id: str) -> list[DiskFile]:
        folder = self._disks / segment(server_id)
        if not folder.is_dir():
            return []
        return [self._parse(path) for path in folder.iterdir() if not path.name.startswith(".")]

    def _every_file(self) -> list[DiskFile]:
        return [file for folder in self._disks.iterdir() for file in self._files_of(folder.name)]

    def _find(self, server_id: str, name: str) -> DiskFile | None:
        return next((file for file in self._files_of(server_id) if file.name == name), None)

    def locate(self, server_id: str, name: str) -> DiskFile:
        """NotThere when there is no such disk."""
        file = self._find(server_id, name)
        if file is None:
            raise NotThere(f"server {server_id} has no disk {name} here")
        return file

    def _must_be_off(self, server_id: str) -> None:
        if self.guests and self.guests.uses_disks(server_id):
            raise Conflict(f"server {server_id} is using its disks")

    @contextmanager
    def _lock(self, server_id: str) -> Iterator[None]:
        with self._guard:
            lock = self._locks.setdefault(segment(server_id), threading.RLock())
        with lock:
            yield

    def _folder(self, server_id: str) -> Path:
        folder = self._disks / segment(server_id)
        if not folder.exists():
            folder.mkdir()
            own(folder, 0o700)
        return folder

    # ------------------------------------------------------------ disks

    def create(self, server_id: str, name: str, format: Literal["qcow2", "raw"], size_bytes: int,
               image_id: str | None = None, image_format: str | None = None) -> DiskState:
        with self._lock(server_id), self._image(image_id) as image:
            if known := self._find(server_id, segment(name)):
                return _state(server_id, known)
            base = image.suffix[1:] if image else ""
            if image:
                size_bytes = max(size_bytes, qcow2.virtual_size(image) if base == "qcow2" else image.stat().st_size)
            size_bytes = -(-size_bytes // 512) * 512
            folder = self._folder(server_id)
            partial = folder / f"{PARTIAL}{uuid.uuid4().hex}"
            try:
                if image is None:
                    qemu_img(["create", "-q", "-f", format, str(partial), str(size_bytes)])
                elif format == "qcow2":
                    qemu_img(["create", "-q", "-f", "qcow2", "-F", base, "-b", str(image), str(partial),
                              str(size_bytes)])
                else:
                    qemu_img(["convert", "-f", base, "-O", "raw", str(image), str(partial)], LONG)
                    qemu_img(["resize", "-q", "-f", "raw", str(partial), str(size_bytes)])
                own(partial, 0o600)
                overlay = f"@{image_id}.{base}" if image and format == "qcow2" else ""
                final = partial.rename(folder / f"{name}{overlay}.{format}")
            finally:
                partial.unlink(missing_ok=True)
                _remove_if_empty(folder)
            return _state(server_id, self._parse(final))

    def create_config_drive(self, server_id: str, drive: ConfigDrive) -> DiskState:
        with self._lock(server_id):
            self._must_be_off(server_id)
            folder = self._folder(server_id)
            partial = folder / f"{PARTIAL}{uuid.uuid4().hex}"
            try:
                configdrive.write(drive, partial)
                own(partial, 0o400)
                final = partial.rename(folder / "config.raw")
            finally:
                partial.unlink(missing_ok=True)
                _remove_if_empty(folder)
            return _state(server_id, self._parse(final))

    def resize(self, server_id: str, name: str, size_bytes: int) -> DiskState:
        with self._lock(server_id):
            file = self.locate(server_id, name)
            self._must_be_off(server_id)
            size = _state(server_id, file).virtual_bytes
            if size_bytes < size:
                raise Refused(f"disk {name} has {size} bytes and would shrink")
            if size_bytes > size:
                qemu_img(["resize", "-q", "-f", file.format, str(file.path), str(-(-size_bytes // 512) * 512)])
            return _state(server_id, file)

    def disks(self) -> list[DiskState]:
        found: list[DiskState] = []
        for folder in self._disks.iterdir():
            for file in self._files_of(folder.name):
                try:
                    found.append(_state(folder.name, file))
                except FileNotFoundError:
                    continue  # removed meanwhile
                except (OSError, ValueError) as error:  # one broken disk must not hide all others from who looks for leaks
                    log.warning("%s: %s", file.path, error)
                    found.append(DiskState(server_id=folder.name, name=file.name, format=file.format, allocated_bytes=0,
                                           virtual_bytes=0, image_id=file.image_id))
        return found

    def remove(self, server_id: str, name: str | None = None) -> None:
        with self._lock(server_id):
            gone = [file for file in self._files_of(server_id) if name in (None, file.name)]
            if gone:
                self._must_be_off(server_id)
            for file in gone:
                file.path.unlink(missing_ok=True)
            folder = self._disks / segment(server_id)
            if name is None and folder.is_dir():
                shutil.rmtree(folder)
            _remove_if_empty(folder)

    # ------------------------------------------------------------ snapshots

    def snapshot(self, server_id: str, name: str, snapshot_id: str) -> SnapshotState:
        final = self._snapshots / f"{segment(snapshot_id)}.qcow2"
        with self._lock(f"snapshot-{snapshot_id}"):  # a copy takes longer than callers wait: asked again, it is awaited
            if not final.exists():
                self._copy(server_id, name, final)
        return SnapshotState(id=snapshot_id, format="qcow2", bytes=final.stat().st_size)

    def _copy(self, server_id: str, name: str, final: Path) -> None:
        file = self.locate(server_id, name)
        partial = self._snapshots / f"{PARTIAL}{uuid.uuid4().hex}"
        try:
            if self.guests and self.guests.uses_disks(server_id):
                size = _state(server_id, file).virtual_bytes
                qemu_img(["create", "-q", "-f", "qcow2", str(partial), str(size)])
                self.guests.copy_disk(server_id, name, partial)
            else:
                qemu_img(["convert", "-f", file.format, "-O", "qcow2", str(file.path), str(partial)], LONG)
            partial.rename(final)
        finally:
            partial.unlink(missing_ok=True)

    def open_snapshot(self, snapshot_id: str) -> tuple[BinaryIO, int]:
        path = self._snapshots / f"{segment(snapshot_id)}.qcow2"
        try:
            file = open(path, "rb")
        except FileNotFoundError as error:
            raise NotThere(f"no snapshot {snapshot_id} here") from error
        return file, os.fstat(file.fileno()).st_size

    def drop_snapshot(self, snapshot_id: str) -> None:
        (self._snapshots / f"{segment(snapshot_id)}.qcow2").unlink(missing_ok=True)


def _state(server_id: str, file: DiskFile) -> DiskState:
    stat = file.path.stat()
    return DiskState(server_id=server_id, name=file.name, format=file.format, allocated_bytes=stat.st_blocks * 512,
                     virtual_bytes=qcow2.virtual_size(file.path) if file.format == "qcow2" else stat.st_size,
                     image_id=file.image_id)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        pass  # not empty, or not there
