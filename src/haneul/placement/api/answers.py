"""What every answer of Placement has: its moment since 1.15."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from haneul.kernel import clock
from haneul.kernel.wire.call import Call, Reply
from haneul.placement import providers
from haneul.placement.model import Provider

PREFIX = "/placement"


def reply(call: Call, body: Any, *, moment: datetime | None = None, status: int | None = None, **headers: str) -> Reply:
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    if call.version >= (1, 15):
        found["last-modified"] = format_datetime((moment or clock.now()).replace(tzinfo=UTC, microsecond=0), usegmt=True)
        found["cache-control"] = "no-cache"
    return Reply(body, status=status, headers=found)


def provider_of(call: Call) -> Provider:
    return providers.get(call.tx, call.values["uuid"])


def full(call: Call) -> bool:
    """Since 1.26 the whole of an inventory may be reserved."""
    return call.version >= (1, 26)
