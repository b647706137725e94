"""LUKS as far as a store needs it: where the data begins, and qemu-img that is given a key."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from haneul.host.contract import HostError, Refused
from haneul.host.disks.file.tools import LONG, QUICK, qemu_img
from haneul.host.volumes import luks1
from haneul.host.volumes.file.files import opened


def header_bytes(path: Path) -> int:
    """Of a LUKS 1 volume: the length of what lies before its data. 0 for what is no such volume."""
    with opened(path, os.O_RDONLY) as file:
        return luks1.data_offset(os.pread(file, 108, 0))


def create(path: Path, size: int, key: str) -> None:
    """An empty file becomes a volume."""
    with opened(path, os.O_WRONLY) as file:
        os.pwrite(file, luks1.header(key), 0)
        os.ftruncate(file, luks1.PAYLOAD + size)


def fill(source: str, path: Path, key: str, flags: list[str]) -> None:
    """Everything that `source` (json: of a node) reads as, zeros too, into a volume made by `create`."""
    target = f"driver=luks,key-secret=key,file.driver=file,file.filename={str(path).replace(',', ',,')}"
    with _secret(key) as (words, fd):
        qemu_img(["convert", *words, *flags, "-n", "--target-image-opts", source, target], LONG, fds=(fd,))


def opens(path: Path, key: str) -> bool:
    """The file is a LUKS volume that this key opens."""
    if not header_bytes(path):
        return False
    node = {"driver": "luks", "key-secret": "key", "file": {"driver": "file", "filename": str(path)}}
    try:
        with _secret(key) as (words, fd):
            qemu_img(["info", *words, f"json:{json.dumps(node)}"], QUICK, fds=(fd,))
    except HostError as error:
        if "Invalid password" in str(error):
            return False
        raise Refused(f"a LUKS header that cannot be read: {error}") from error
    return True


@contextmanager
def _secret(key: str) -> Iterator[tuple[list[str], int]]:
    """In memory that only the child inherits: not on a command line, not on a disk."""
    fd = os.memfd_create("key")
    try:
        os.fchmod(fd, 0o444)  # of another user, by a path that leads nowhere but for who has it open
        os.write(fd, key.encode())
        yield ["--object", f"secret,id=key,file=/proc/self/fd/{fd}"], fd
    finally:
        os.close(fd)
