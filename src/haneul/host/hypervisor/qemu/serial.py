"""The serial console's file, kept within bounds while QEMU goes on writing to its end."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

KEEP = 2 << 20  # bytes at the end that stay
SLACK = 2 << 20  # what may come on top before the beginning is cut away
BLOCK = 64 << 10
_COLLAPSE_RANGE = 0x08

_libc = ctypes.CDLL(None, use_errno=True)


def open_new(path: Path) -> int:
    """An empty file, opened for appending: after its beginning was cut away, QEMU's next byte still goes to its end."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)


def bound(path: Path) -> None:
    """Cuts the beginning away when the file has grown too long."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        size = os.fstat(file).st_size
        if size <= KEEP + SLACK:
            return
        excess = (size - KEEP) // BLOCK * BLOCK
        if _libc.fallocate(file, _COLLAPSE_RANGE, ctypes.c_long(0), ctypes.c_long(excess)) != 0:
            # No such thing on this file system: what QEMU writes between these lines is lost.
            kept = os.pread(file, KEEP, size - KEEP)
            os.ftruncate(file, 0)
            os.pwrite(file, kept, 0)
    finally:
        os.close(file)


def tail(path: Path, size: int) -> str:
    try:
        with open(path, "rb") as file:
            length = os.fstat(file.fileno()).st_size
            file.seek(max(0, length - size))
            return file.read(size).decode(errors="replace") if size > 0 else ""
    except FileNotFoundError:
        return ""
