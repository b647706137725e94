"""One volume's bytes into another, of guests that write nothing meanwhile."""

from __future__ import annotations

from typing import Any

from haneul.host.disks.file.tools import LONG, qemu_img


def copy(source: dict[str, Any], target: dict[str, Any]) -> None:
    """Both by QEMU's options of their nodes."""
    qemu_img(["convert", "-q", "-n", "--image-opts", "--target-image-opts", flat(source), flat(target)], LONG)


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
