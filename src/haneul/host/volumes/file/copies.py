"""Data from one file into another, of the same kind or not. qemu-img is told every format."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from msgspec import Struct

from haneul.host.contract import Refused
from haneul.host.disks import qcow2
from haneul.host.disks.file.tools import LONG, qemu_img
from haneul.host.storage import VolumeFormat
from haneul.host.volumes import sparse
from haneul.host.volumes.file import internal, luks
from haneul.host.volumes.file.files import Kind, opened

# By the formats of transfers and the kinds of files: what QEMU calls them.
DRIVERS = {"raw": "raw", "iso": "raw", "luks": "raw", "qcow2": "qcow2", "vmdk": "vmdk", "vdi": "vdi", "vhd": "vpc",
           "vhdx": "vhdx"}
LARGEST_QCOW2 = 1 << 46  # its first table alone would be larger than is sensible


class Source(Struct, frozen=True):
    """`bytes` is the size of the data; `opened` that of the file's node, where it is larger: an internal snapshot of a volume
    that grew. `movable`: nobody needs it afterwards."""

    path: Path
    format: str
    bytes: int
    opened: int = 0
    snapshot: str | None = None
    movable: bool = False

    @property
    def opened_bytes(self) -> int:
        return max(self.bytes, self.opened)


def bytes_of(format: str) -> str:
    """Formats with the same word are copied as they lie."""
    return "raw" if format == "iso" else format


def node(path: Path, format: str) -> dict[str, Any]:
    """QEMU's options; of a format that could name another file, it is said that there is none."""
    found: dict[str, Any] = {"driver": DRIVERS[format], "file": {"driver": "file", "filename": str(path)}}
    return found | ({"backing": None} if format == "qcow2" else {})


def prepare(path: Path, format: VolumeFormat, size: int) -> None:
    """An empty file becomes an empty volume."""
    if format == "raw":
        os.truncate(path, size)
        return
    if size > LARGEST_QCOW2:
        raise Refused(f"a qcow2 volume of {size} bytes")
    with opened(path, os.O_WRONLY) as file:
        os.write(file, qcow2.empty(size))


def verbatim(source: Path, target: Path, movable: bool = False) -> None:
    """The target, an empty file, becomes equal: on the same blocks, else by a copy that keeps holes."""
    if movable:
        try:
            source.replace(target)
            return
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
    with opened(source, os.O_RDONLY) as read, opened(target, os.O_RDWR) as written:
        if not sparse.share(read, written):
            sparse.copy(read, written)


def _from(source: Source) -> tuple[str, list[str]]:
    """How qemu-img names the source, and the flags it needs. What a snapshot inside a file refers to stays as it is for as long
    as the snapshot exists, so that a guest's process may go on writing to that file (-U)."""
    if source.format == "qcow2":
        internal.virtual_size(source.path)  # and refuses one that refers to other files
    flags = ["-U", "-l", f"snapshot.name={internal.inner(source.snapshot)}"] if source.snapshot else []
    return f"json:{json.dumps(node(source.path, source.format))}", flags


def convert(source: Source, target: Path, kind: Kind, key: str | None) -> None:
    """Into an empty volume that is at least as large."""
    name, flags = _from(source)
    if kind == "luks":
        luks.fill(name, target, key or "", flags)
        return
    qemu_img(["convert", "-q", *flags, "-n", "--target-is-zero", "-O", kind, name, str(target)], LONG)


def export(source: Source, target: Path, format: str) -> None:
    """Into an empty file, which becomes an image of that format. Of LUKS the bytes as they lie."""
    if format == "raw" and source.format in ("raw", "luks"):
        verbatim(source.path, target, source.movable)
        return
    name, flags = _from(source)
    if format == "raw" and source.opened_bytes > source.bytes:
        prepare(target, "raw", source.opened_bytes)
        qemu_img(["convert", "-q", *flags, "-n", "--target-is-zero", "-O", "raw", name, str(target)], LONG)
        os.truncate(target, source.bytes)
        return
    options = ["-o", "force_size=on"] if format == "vhd" else []
    qemu_img(["convert", "-q", *flags, "-O", DRIVERS[format], *options, name, str(target)], LONG)
