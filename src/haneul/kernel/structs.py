"""Structs made ready before threads meet them.

msgspec learns what a Struct is made of when it is decoded for the first time, and keeps what it is learning where other
threads find it half done: two that decode the same Struct for the first time at once end the process by signal 11
(seen in 0.22 with two servers asked for in one request).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct


def prepare() -> None:
    """Every Struct of ours that is imported by now; some 30 ms for all of them. To be called before threads start."""
    for kind in _below(Struct):
        if kind.__module__.startswith("haneul."):
            try:
                msgspec.json.Decoder(kind)
            except (TypeError, NameError):
                continue  # holds what JSON cannot say: nobody decodes it


def _below(kind: type) -> Iterator[type]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)
