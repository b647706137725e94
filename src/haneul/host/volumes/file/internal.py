"""Snapshots inside qcow2 files.

QEMU keeps them: taking one and dropping one costs milliseconds, in use or not, and what is dropped is free at once; there is no
chain of files that could break. Their names in the file are padded to one length, so that one can be renamed in place and none
looks like one of QEMU's numbers.
"""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

from msgspec import Struct

from haneul.host.contract import HostError, NotThere, Refused
from haneul.host.disks.file.tools import qemu_img
from haneul.host.volumes.file.files import opened

LENGTH = 80  # of the longest segment
PAD = "."  # in no segment
MOST, TABLE = 65536, 16 << 20  # snapshots, and bytes of their table: QEMU's own bounds are as these
HARMLESS = 0b11  # incompatible features dirty and corrupt; never an external data file


class Snapshot(Struct, frozen=True):
    name: str
    size: int  # of the volume at that time
    at: int  # where its name lies in the file


def inner(name: str) -> str:
    return name.ljust(LENGTH, PAD)


def node(path: Path) -> dict[str, object]:
    return {"driver": "qcow2", "backing": None, "file": {"driver": "file", "filename": str(path)}}


def virtual_size(path: Path) -> int:
    """From a header that refers to nothing outside the file; else Refused."""
    with opened(path, os.O_RDONLY) as file:
        head = os.pread(file, 104, 0)
    if len(head) < 104 or head[:8] != b"QFI\xfb\0\0\0\3":
        raise Refused(f"{path.name} is not a qcow2 of this store")
    backing, size, features = (*struct.unpack(">Q8x", head[8:24]), *struct.unpack(">Q", head[24:32]),
                               *struct.unpack(">Q", head[72:80]))
    if backing or features & ~HARMLESS:
        raise Refused(f"{path.name} refers to another file, or is of an unknown kind")
    return int(size)


def snapshots(path: Path) -> list[Snapshot]:
    """Read beside a guest's process that may be changing them: the header says in one write where the table is."""
    with opened(path, os.O_RDONLY) as file:
        for _ in range(10):
            head = os.pread(file, 12, 60)
            count, offset = struct.unpack(">IQ", head)
            if not count:
                return []
            table = os.pread(file, TABLE, offset)
            if os.pread(file, 12, 60) == head:
                return _parse(table, min(count, MOST), offset)
    raise HostError(f"the snapshots of {path.name} do not hold still")


def _parse(table: bytes, count: int, offset: int) -> list[Snapshot]:
    found, at = [], 0
    for _ in range(count):
        if at + 40 > len(table):
            raise Refused("a table of snapshots that is not whole")
        id_size, name_size = struct.unpack_from(">HH", table, at + 12)
        extra = struct.unpack_from(">I", table, at + 36)[0]
        size = struct.unpack_from(">Q", table, at + 48)[0] if extra >= 16 else 0
        start = at + 40 + extra + id_size
        name = table[start:start + name_size].decode(errors="replace")
        found.append(Snapshot(name.rstrip(PAD), size, offset + start))
        at = -(-(start + name_size) // 8) * 8
    return found


def find(path: Path, name: str) -> Snapshot | None:
    return next((each for each in snapshots(path) if each.name == name), None)


def take(path: Path, name: str) -> None:
    _verb("-c", path, name)


def drop(path: Path, name: str) -> None:
    _verb("-d", path, name)


def go_to(path: Path, name: str) -> None:
    """Also the volume's size is that of the snapshot afterwards."""
    _verb("-a", path, name)


def _verb(verb: str, path: Path, name: str) -> None:
    virtual_size(path)
    qemu_img(["snapshot", "-q", verb, inner(name), f"json:{json.dumps(node(path))}"])


def rename(path: Path, name: str, to: str) -> None:
    """Only of a file that nobody has open: a process keeps the table in its memory."""
    known = find(path, name)
    if known is None:
        raise NotThere(f"no snapshot {name}")
    with opened(path, os.O_RDWR) as file:
        if os.pread(file, LENGTH, known.at) != inner(name).encode():
            raise Refused(f"snapshot {name} was not made here")
        os.pwrite(file, inner(to).encode(), known.at)
        os.fsync(file)


def grow(path: Path, size: int) -> None:
    if size > virtual_size(path):
        qemu_img(["resize", "-q", f"json:{json.dumps(node(path))}", str(size)])


def shrink(path: Path, size: int) -> None:
    """For a copy in the making, whose source was larger than the snapshot that was wanted."""
    qemu_img(["resize", "-q", "--shrink", f"json:{json.dumps(node(path))}", str(size)])
