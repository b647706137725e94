"""Ids and names of callers become names of files: what may."""

from __future__ import annotations

import re

from haneul.host.contract import Refused

_SEGMENT = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_-]{0,79}\Z")


def segment(text: str) -> str:
    """The text itself, fit to be a part of a path; Refused otherwise."""
    if not _SEGMENT.match(text):
        raise Refused(f"{text[:100]!r} cannot be an id: letters, digits, - and _, at most 80")
    return text
