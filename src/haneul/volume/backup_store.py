"""Where backups lie and what they look like there: enough beside the data to restore it on another cloud.

    <root>/<container>/<data id>/<number>.z       one chunk of the volume that is not all zeros, zlib
    <root>/<container>/<data id>/manifest.json    written last: a backup without it is none

The manifest maps every chunk to its SHA-256 and to the backup that holds it: an incremental backup names its ancestors' chunks
where the volume has not changed. Chunks and manifests get their names once they are on the disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from haneul.host.storage import Extent
from haneul.kernel.cloud import Cloud
from haneul.kernel.errors import BadRequest
from haneul.kernel.tasks import Fault

SERVICE = "cinder.backup.drivers.haneul.directory"  # as records name their driver; the format is this module's
CONTAINER = "volumebackups"
VERSION = 1
MANIFEST = "manifest.json"

ReadRange = Callable[[int, int], bytes]


class Chunk(Struct, frozen=True):
    sha256: str
    data: str  # the data id of the backup that holds it


class Manifest(Struct, kw_only=True):
    """`volume` is what a restored one should get: name, description, metadata, image, bootable, format, type. Sizes in bytes."""

    version: int
    data: str
    parent: str | None
    chunk_bytes: int
    size_bytes: int
    volume: dict[str, Any]
    chunks: dict[int, Chunk] = {}

    def own(self) -> int:
        return sum(chunk.data == self.data for chunk in self.chunks.values())


class BackupStore:
    """One directory with its containers."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    def of(cls, cloud: Cloud) -> BackupStore:
        return cls(Path(cloud.config.volume.backup_folder) if cloud.config.volume.backup_folder else cloud.paths.backups)

    def _folder(self, container: str, data: str) -> Path:
        check_container(container)
        assert "/" not in data and not data.startswith("."), data
        return self._root / container / data

    def write(self, container: str, manifest: Manifest, extents: Iterable[Extent], read: ReadRange,
              parent: Manifest | None) -> Manifest:
        """Takes in what lies in `extents`; asked again after a crash it begins anew. Raises OSError when the store is full."""
        folder = self._folder(container, manifest.data)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        known = parent.chunks if parent is not None and parent.chunk_bytes == manifest.chunk_bytes else {}
        for number in _numbers(extents, manifest.chunk_bytes):
            offset = number * manifest.chunk_bytes
            data = read(offset, min(manifest.chunk_bytes, manifest.size_bytes - offset))
            if not data.strip(b"\0"):
                continue
            digest = hashlib.sha256(data).hexdigest()
            before = known.get(number)
            if before is not None and before.sha256 == digest:
                manifest.chunks[number] = before
                continue
            _keep(folder / f"{number}.z", zlib.compress(data, 1))
            manifest.chunks[number] = Chunk(digest, manifest.data)
        _keep(folder / MANIFEST, msgspec.json.encode(manifest))
        return manifest

    def manifest(self, container: str, data: str) -> Manifest:
        """Fault when there is none, or one that this release cannot read."""
        path = self._folder(container, data) / MANIFEST
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Manifest)
        except FileNotFoundError as error:
            raise Fault("The backup's data is not in its container.", str(path), code=404) from error
        except (OSError, msgspec.DecodeError) as error:
            raise Fault("The backup's manifest cannot be read.", str(error)) from error
        if found.version != VERSION:
            raise Fault(f"The backup's manifest is of version {found.version}, which is not known.")
        return found

    def read(self, container: str, manifest: Manifest) -> Iterator[tuple[int, bytes]]:
        """Offset and bytes of every chunk, checked; Fault for one that is missing or not what it was."""
        for number, chunk in sorted(manifest.chunks.items()):
            path = self._folder(container, chunk.data) / f"{number}.z"
            try:
                data = zlib.decompress(path.read_bytes(), bufsize=manifest.chunk_bytes)
            except (OSError, zlib.error) as error:
                raise Fault("A part of the backup cannot be read.", f"{path}: {error}") from error
            if hashlib.sha256(data).hexdigest() != chunk.sha256:
                raise Fault("A part of the backup is damaged: its checksum is wrong.", str(path))
            yield number * manifest.chunk_bytes, data

    def size_of(self, container: str, data: str) -> int:
        return sum(path.stat().st_size for path in self._folder(container, data).glob("*"))

    def remove(self, container: str, data: str) -> None:
        """Gone; what never was is fine. The manifest goes first, so that half a backup is none."""
        folder = self._folder(container, data)
        (folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)

    def held(self) -> list[tuple[str, str]]:
        """Container and data id of everything there."""
        return [(path.parent.name, path.name) for path in self._root.glob("*/*") if path.is_dir()]


def check_container(name: str) -> str:
    if not name or len(name) > 255 or "/" in name or name.startswith(".") or not name.isprintable():
        raise BadRequest("Invalid input: a container's name has 1 to 255 printable characters, no slash, and no dot in front.")
    return name


def _numbers(extents: Iterable[Extent], chunk_bytes: int) -> Iterator[int]:
    """Chunks that extents touch, each once, in order."""
    last = -1
    for extent in extents:
        first = max(last + 1, extent.offset // chunk_bytes)
        end = (extent.offset + extent.length - 1) // chunk_bytes
        for number in range(first, end + 1):
            yield number
            last = number


def _keep(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}")
    with open(fresh, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
