"""Data between images and files, by qemu-img as QEMU's user. Keys are handed over in memory and lie in no file."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from haneul.host.contract import HostError
from haneul.host.disks.file.tools import qemu_img
from haneul.host.volumes.ceph.cluster import Cluster
from haneul.host.volumes.file.copies import DRIVERS, node

STORE, LUKS = "store", "luks"  # secrets of qemu-img
LUKS_OPTIONS = f"key-secret={LUKS},iter-time=10"  # a key is 256 bits of chance: many iterations would only cost time
LIMITS = (8 << 30, 4 * 3600)  # bytes of address space: librados has many threads, each with its stack and heap; seconds of CPU


class Copies:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def write(self, file: Path, image: str, key: str | None = None) -> None:
        """A transfer's data into an image that is large enough and empty."""
        source = f"json:{json.dumps(node(file, file.suffix[1:]))}"
        with _secrets({STORE: self._cluster.key(), LUKS: _base64(key)}) as (objects, fds):
            words = ["convert", *objects, "-n", "-W", "-m", "8", "--target-image-opts"]
            if key is None:
                words += ["--target-is-zero"]
            _qemu_img([*words, source, self._image(image, luks=key is not None)], fds)

    def read(self, image: str, snapshot: str, file: Path, format: str) -> None:
        """An image's bytes as they lie into an empty file; zeros become holes."""
        with _secrets({STORE: self._cluster.key()}) as (objects, fds):
            source = f"{self._image(image)},snapshot={snapshot}"
            options = ["-o", "force_size=on"] if format == "vhd" else []
            _qemu_img(["convert", *objects, "-W", "-m", "8", "--image-opts", "-O", DRIVERS[format], *options, source, str(file)],
                      fds)

    def luks_header(self, image: str, key: str, grow: Callable[[int], None]) -> None:
        """The header of an empty encrypted disk at the start of an image, once `grow` has made room for so many bytes of it."""
        with _header(key) as (path, fd), _secrets({STORE: self._cluster.key()}) as (objects, fds):
            grow(os.fstat(fd).st_size)
            _qemu_img(["convert", *objects, "-n", "-f", "raw", "--target-image-opts", path, self._image(image)], [*fds, fd])

    def _image(self, name: str, *, luks: bool = False) -> str:
        options = self._cluster.options
        given = {"driver": "rbd", "pool": options.pool, "image": name, "conf": str(self._cluster.conf_for_copies()),
                 "user": options.user, "key-secret": STORE}
        if luks:
            given = {"driver": LUKS, "key-secret": LUKS} | {f"file.{key}": value for key, value in given.items()}
        return ",".join(f"{key}={value.replace(',', ',,')}" for key, value in given.items())


@contextmanager
def _header(key: str) -> Iterator[tuple[str, int]]:
    """Says nothing of the disk's size."""
    file = os.memfd_create("header", os.MFD_CLOEXEC)
    try:
        with _secrets({LUKS: _base64(key)}) as (objects, fds):
            path = f"/dev/fd/{file}"
            _qemu_img(["create", *objects, "-q", "-f", "luks", "-o", LUKS_OPTIONS, path, "0"], [*fds, file])
            yield path, file
    finally:
        os.close(file)


def _base64(key: str | None) -> str | None:
    return None if key is None else base64.b64encode(key.encode()).decode()


@contextmanager
def _secrets(wanted: dict[str, str | None]) -> Iterator[tuple[list[str], list[int]]]:
    """Arguments that name them, and the descriptors that they are read from."""
    with ExitStack() as open_files:
        words: list[str] = []
        fds: list[int] = []
        for id, value in wanted.items():
            if value is None:
                continue
            file = os.memfd_create("key", os.MFD_CLOEXEC)
            open_files.callback(os.close, file)
            os.write(file, value.encode())
            fds.append(file)
            words += ["--object", f"secret,id={id},format=base64,file=/dev/fd/{file}"]
        yield words, fds


def _qemu_img(arguments: list[str], fds: list[int]) -> None:
    try:
        qemu_img(arguments, LIMITS, tuple(fds))
    except HostError as error:
        if "Unknown driver 'rbd'" in str(error):
            raise HostError("QEMU's rbd driver is not installed: ./haneul --make ceph") from error
        raise
