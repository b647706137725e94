"""One volume's data into another, of guests that write nothing meanwhile."""

from __future__ import annotations

import os
from typing import Any

from msgspec import Struct

from haneul.host.disks.file.tools import LONG, qemu_img


class End(Struct, frozen=True):
    """A volume: QEMU's options of its node, and its passphrase when it is encrypted."""

    node: dict[str, Any]
    key: str | None = None


def copy(source: End, target: End) -> None:
    words: list[str] = []
    nodes: list[str] = []
    fds: list[int] = []
    try:
        for id, end in (("source", source), ("target", target)):
            node = end.node
            if end.key is not None:
                fds.append(os.memfd_create("key"))
                os.fchmod(fds[-1], 0o444)  # qemu-img runs as another user
                os.write(fds[-1], end.key.encode())
                words += ["--object", f"secret,id={id},file=/proc/self/fd/{fds[-1]}"]
                node = {"driver": "luks", "key-secret": id, "file": node}
            nodes.append(flat(node))
        qemu_img(["convert", *words, "-q", "-n", "--image-opts", "--target-image-opts", *nodes], LONG, fds=tuple(fds))
    finally:
        for fd in fds:
            os.close(fd)


def flat(node: dict[str, Any]) -> str:
    """As one word, the way qemu-img wants it: driver=raw,file.driver=file,..."""
    return ",".join(f"{key}={value.replace(',', ',,')}" for key, value in _pairs(node))


def _pairs(node: dict[str, Any], above: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in node.items():
        if isinstance(value, dict):
            found += _pairs(value, f"{above}{key}.")
        elif isinstance(value, list):
            found += _pairs({str(index): each for index, each in enumerate(value)}, f"{above}{key}.")
        elif isinstance(value, bool):
            found.append((above + key, "on" if value else "off"))
        elif value is not None:
            found.append((above + key, str(value)))
    return found
