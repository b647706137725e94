"""Time, in one place, so that tests can move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def seconds() -> float:
    """Seconds since the epoch."""
    return time.time()


def now() -> datetime:
    """The present in UTC, without a zone, as every table keeps it."""
    return datetime.fromtimestamp(seconds(), UTC).replace(tzinfo=None)


def iso(moment: datetime | None, *, micro: bool = False) -> str | None:
    """2026-01-31T08:00:00Z as most services write it; with microseconds as Keystone does (.000000Z)."""
    if moment is None:
        return None
    return moment.isoformat(timespec="microseconds" if micro else "seconds") + "Z"
