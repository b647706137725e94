"""Files with holes: which parts hold data, copies that keep the holes, copies that share the blocks."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from haneul.host.contract import HostError, NoRoom, Refused

FICLONE = 0x40049409
PUNCH, KEEP_SIZE = 2, 1  # fallocate(2)
STEP = 64 << 20
NO_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.ETXTBSY)

_libc = ctypes.CDLL(None, use_errno=True)


def data(file: int, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Ranges (from, to) that may hold other than zeros; adjacent ones are one."""
    end = os.fstat(file).st_size if end is None else end
    at = 0
    while at < end:
        try:
            start = os.lseek(file, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # only a hole from here on
            raise
        if start >= end:
            return
        at = min(end, os.lseek(file, start, os.SEEK_HOLE))
        yield start, at


def share(source: int, target: int) -> bool:
    """The target becomes the source as of this moment, on the same blocks; False where the file system cannot do it."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno in NO_CLONE:
            return False
        raise
    return True


def copy(source: int, target: int) -> None:
    """The target, an empty file, becomes equal to the source; holes stay holes."""
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    for start, end in data(source, size):
        at = start
        while at < end:
            at += _copy_range(source, target, at, min(STEP, end - at))


def _copy_range(source: int, target: int, at: int, length: int) -> int:
    try:
        done = os.copy_file_range(source, target, length, at, at)
    except OSError as error:
        if error.errno not in (*NO_CLONE, errno.EIO):
            raise
        done = 0
    if not done:  # between file systems that do not know each other
        done = os.pwrite(target, os.pread(source, min(length, 4 << 20), at), at)
        if not done:
            raise OSError(errno.EIO, "the source became shorter while it was copied")
    return done


def dig(path: Path) -> None:
    """Gives back the blocks of what was written as zeros or never written: QEMU's copies allocate them."""
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size, at = os.fstat(file).st_size, 0
        for start, end in [*data(file, size), (size, size)]:
            if start > at:
                _punch(file, at, start - at)
            at = end
    finally:
        os.close(file)


def _punch(file: int, offset: int, length: int) -> None:
    if _libc.fallocate(file, PUNCH | KEEP_SIZE, ctypes.c_int64(offset), ctypes.c_int64(length)):
        code = ctypes.get_errno()
        if code not in NO_CLONE:
            raise OSError(code, os.strerror(code))


def flush(path: Path) -> None:
    """A file's content, or what a folder says about its files, is on the disk."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def told(error: OSError) -> HostError:
    """In the contract's words."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoRoom("no space left in the store")
    if error.errno == errno.EFBIG:
        return Refused("larger than a file can be there")
    return HostError(f"{type(error).__name__}: {error.strerror}")
