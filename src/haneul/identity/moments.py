"""Moments as requests write them."""

from __future__ import annotations

from datetime import UTC, datetime

from haneul.kernel.errors import BadRequest


def parsed(text: str | None) -> datetime | None:
    """UTC without a zone; what names no zone is taken for UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError as error:
        raise BadRequest(f"Invalid timestamp {text[:64]}.") from error
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
