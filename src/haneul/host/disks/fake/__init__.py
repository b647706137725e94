"""Disks that are only remembered: sizes, images and who uses them are real, bytes are not kept."""

from __future__ import annotations

import io
import tempfile
import threading
import time
from pathlib import Path
from typing import BinaryIO, Literal

from msgspec import Struct

from haneul.host.contract import (
    ConfigDrive,
    Conflict,
    Disks,
    DiskState,
    ImageState,
    NotThere,
    Refused,
    SnapshotState,
)
from haneul.host.disks import qcow2
from haneul.host.disks.guests import Guests
from haneul.host.disks.intake import Upload
from haneul.host.journal import Journal
from haneul.host.segments import segment


class Image(Struct):
    state: ImageState
    virtual_bytes: int


class Snapshot(Struct):
    state: SnapshotState
    virtual_bytes: int


class FakeDisks(Disks):
    guests: Guests | None = None

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.RLock()
        self._images: dict[str, Image] = journal.load("image", Image)
        self._snapshots: dict[str, Snapshot] = journal.load("snapshot", Snapshot)
        self._disks: dict[str, dict[str, DiskState]] = {}
        for disk in journal.load("disk", DiskState).values():
            self._disks.setdefault(disk.server_id, {})[disk.name] = disk

    # ------------------------------------------------------------ images

    def images(self) -> list[ImageState]:
        with self._lock:
            return [image.state for image in self._images.values()]

    def has_image(self, id: str) -> bool:
        return id in self._images

    def drop_image(self, id: str) -> None:
        with self._lock:
            if any(disk.image_id == id for disks in self._disks.values() for disk in disks.values()):
                raise Conflict(f"disks stand on image {id}")
            if self._images.pop(id, None):
                self._journal.put("image", id, None)

    def take_image(self, id: str, declared: str, sha512: str) -> Upload:
        segment(id)

        def keep(path: Path, format: str, virtual: int) -> ImageState:
            state = ImageState(id=id, format=format, bytes=path.stat().st_size, last_used=time.time())
            path.unlink()
            with self._lock:
                self._images[id] = Image(state, virtual)
                self._journal.put("image", id, self._images[id])
            return state

        return Upload(Path(tempfile.gettempdir()), declared, sha512, keep)

    # ------------------------------------------------------------ disks

    def _keep(self, disk: DiskState) -> DiskState:
        self._disks.setdefault(disk.server_id, {})[disk.name] = disk
        self._journal.put("disk", f"{disk.server_id}/{disk.name}", disk)
        return disk

    def _find(self, server_id: str, name: str) -> DiskState:
        disk = self._disks.get(server_id, {}).get(name)
        if disk is None:
            raise NotThere(f"server {server_id} has no disk {name} here")
        return disk

    def _must_be_off(self, server_id: str) -> None:
        if self.guests and self.guests.uses_disks(server_id):
            raise Conflict(f"server {server_id} is using its disks")

    def has_disk(self, server_id: str, name: str) -> bool:
        return name in self._disks.get(server_id, {})

    def create(self, server_id: str, name: str, format: Literal["qcow2", "raw"], size_bytes: int,
               image_id: str | None = None, image_format: str | None = None) -> DiskState:
        with self._lock:
            known = self._disks.get(segment(server_id), {}).get(segment(name))
            if known:
                return known
            allocated = 200 << 10 if format == "qcow2" else 0
            if image_id is not None:
                image = self._images.get(image_id)
                if image is None:
                    raise NotThere(f"image {image_id} is not in the cache")
                size_bytes = max(size_bytes, image.virtual_bytes)
            return self._keep(DiskState(server_id=server_id, name=name, format=format, virtual_bytes=size_bytes,
                                        allocated_bytes=allocated, image_id=image_id))

    def create_config_drive(self, server_id: str, drive: ConfigDrive) -> DiskState:
        with self._lock:
            self._must_be_off(segment(server_id))
            size = sum(map(len, drive.files.values())) + sum(map(len, drive.base64_files.values()))
            return self._keep(DiskState(server_id=server_id, name="config", format="raw", virtual_bytes=size,
                                        allocated_bytes=size))

    def resize(self, server_id: str, name: str, size_bytes: int) -> DiskState:
        with self._lock:
            disk = self._find(server_id, name)
            self._must_be_off(server_id)
            if size_bytes < disk.virtual_bytes:
                raise Refused(f"disk {name} has {disk.virtual_bytes} bytes and would shrink")
            return self._keep(DiskState(server_id=server_id, name=name, format=disk.format, virtual_bytes=size_bytes,
                                        allocated_bytes=disk.allocated_bytes, image_id=disk.image_id))

    def disks(self) -> list[DiskState]:
        with self._lock:
            return [disk for disks in self._disks.values() for disk in disks.values()]

    def remove(self, server_id: str, name: str | None = None) -> None:
        with self._lock:
            mine = self._disks.get(server_id, {})
            gone = [name] if name is not None else list(mine)
            if any(each in mine for each in gone):
                self._must_be_off(server_id)
            for each in gone:
                if mine.pop(each, None):
                    self._journal.put("disk", f"{server_id}/{each}", None)
            if not mine:
                self._disks.pop(server_id, None)

    # ------------------------------------------------------------ snapshots

    def snapshot(self, server_id: str, name: str, snapshot_id: str) -> SnapshotState:
        with self._lock:
            known = self._snapshots.get(segment(snapshot_id))
            if known is None:
                size = self._find(server_id, name).virtual_bytes
                state = SnapshotState(id=snapshot_id, format="qcow2", bytes=len(qcow2.empty(size)))
                known = self._snapshots[snapshot_id] = Snapshot(state, size)
                self._journal.put("snapshot", snapshot_id, known)
            return known.state

    def open_snapshot(self, snapshot_id: str) -> tuple[BinaryIO, int]:
        snapshot = self._snapshots.get(snapshot_id)
        if snapshot is None:
            raise NotThere(f"no snapshot {snapshot_id} here")
        content = qcow2.empty(snapshot.virtual_bytes)
        return io.BytesIO(content), len(content)

    def drop_snapshot(self, snapshot_id: str) -> None:
        with self._lock:
            if self._snapshots.pop(snapshot_id, None):
                self._journal.put("snapshot", snapshot_id, None)
