"""The pieces of request and answer bodies, as strict as Cinder's schemas."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from haneul.kernel import clock, ids
from haneul.kernel.errors import BadRequest


class Body(Struct, forbid_unknown_fields=True, kw_only=True):
    """A JSON object in which every key is known."""


Name = Annotated[str, Meta(max_length=255)] | None
Description = Annotated[str, Meta(max_length=255)] | None
Metadata = dict[Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:. /]{1,255}$")],
                Annotated[str, Meta(max_length=255)]]
LooseMetadata = dict[Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:. /]{1,255}$")],
                     Annotated[str, Meta(max_length=255)] | None] | None
Boolean = bool | Literal["True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "t", "T", "y", "Y",
                         "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "f", "F", "n", "N"]


def truth(value: bool | str) -> bool:
    return value if isinstance(value, bool) else value.lower() in ("true", "1", "on", "yes", "t", "y")


def stripped(value: str | None) -> str | None:
    return value.strip() if value else value


def uuid(value: str, field: str) -> str:
    if not ids.is_uuid(value):
        raise BadRequest(f"Invalid input for field/attribute {field}. Value: {value[:64]}. '{value[:64]}' is not a 'uuid'")
    return value


def texts(metadata: dict[str, Any] | None) -> dict[str, str]:
    """Without the keys that were sent as null."""
    return {key: value for key, value in (metadata or {}).items() if value is not None}


def moment(value: datetime | None) -> str | None:
    """As Cinder writes times: microseconds, no zone."""
    return None if value is None else (clock.iso(value, micro=True) or "").removesuffix("Z")
