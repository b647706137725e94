"""qcow2 headers, as far as disks of our own making need them."""

from __future__ import annotations

import os
import struct
from pathlib import Path

CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS


def virtual_size(path: Path) -> int:
    """From the header of a disk that this agent made (a guest never writes there)."""
    # Its folder is QEMU's: what was put in a disk's place must not lead elsewhere, or make the agent wait.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        head = file.read(32)
    if len(head) < 32 or head[:4] != b"QFI\xfb":
        raise ValueError(f"{path} is not a qcow2 file")
    return int(struct.unpack(">4s20xQ", head)[1])


def empty(size: int) -> bytes:
    """A whole, valid qcow2 file of this virtual size with nothing in it."""
    entries = -(-size // (CLUSTER * CLUSTER // 8))
    table_clusters = max(1, -(-entries * 8 // CLUSTER))
    clusters = 3 + table_clusters  # header, refcount table, refcount block, L1 table
    header = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, CLUSTER_BITS, size, 0, max(1, entries),
                         3 * CLUSTER, CLUSTER, 1, 0, 0, 0, 0, 0, 4, 104)
    table = struct.pack(">Q", 2 * CLUSTER)
    block = struct.pack(">H", 1) * clusters
    return b"".join(part.ljust(CLUSTER, b"\0") for part in (header, table, block)) + bytes(table_clusters * CLUSTER)
