"""The pieces of request bodies, as strict as Nova's schemas."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import unicodedata
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from haneul.kernel import ids
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call


class Body(Struct, forbid_unknown_fields=True, kw_only=True):
    """A JSON object in which every key is known."""


Name = Annotated[str, Meta(min_length=1, max_length=255)]
Description = Annotated[str, Meta(max_length=255)] | None
KeypairName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[_\- a-zA-Z0-9]+$")]
KeypairName292 = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[_\-@. a-zA-Z0-9]+$")]
Hostname = Annotated[str, Meta(min_length=2, max_length=63, pattern=r"^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$")]
Fqdn = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9-._]*$")]
Tag = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^,/]*$")]
Digits = Annotated[str, Meta(min_length=1, max_length=20, pattern=r"^[0-9]+$")]
Number = Annotated[int, Meta(ge=0, le=2**31 - 1)] | Digits
Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)] | Digits


class File(Body):
    """Of a personality."""

    path: str
    contents: str


Metadata = dict[Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:. ]{1,255}$")],
                Annotated[str, Meta(max_length=255)]]
DiskConfig = Literal["AUTO", "MANUAL"]
Boolean = bool | Literal["True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes",
                         "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no"]


def truth(value: bool | str) -> bool:
    return value if isinstance(value, bool) else value.lower() in ("true", "1", "on", "yes")


def number(value: int | str, name: str, least: int = 0) -> int:
    """An integer that may have been sent as text."""
    found = int(value)
    if not least <= found <= 2**31 - 1:
        raise BadRequest(f"Invalid input for field/attribute {name}. Value: {found}. {found} is less than the minimum "
                         f"of {least}" if found < least else f"Invalid input for field/attribute {name}: too large")
    return found


def _blank(char: str) -> bool:
    return unicodedata.category(char) in ("Zs", "Zl", "Zp") or unicodedata.category(char).startswith("C")


def name(value: str, field: str = "name") -> str:
    """A name of printable characters that neither begins nor ends with white space."""
    if _blank(value[0]) or _blank(value[-1]) or any(_blank(char) and unicodedata.category(char) != "Zs" for char in value):
        raise BadRequest(f"Invalid input for field/attribute {field}. Value: {value[:64]!r} does not match: printable "
                         "characters. Can not start or end with whitespace.")
    return value


def description(value: str | None) -> str | None:
    if value and any(_blank(char) and unicodedata.category(char) != "Zs" for char in value):
        raise BadRequest("Invalid input for field/attribute description: it holds characters that cannot be printed.")
    return value


def uuid(value: str, field: str) -> str:
    if not ids.is_uuid(value):
        raise BadRequest(f"Invalid input for field/attribute {field}. Value: {value[:64]}. '{value[:64]}' is not a 'uuid'")
    return value


def address(value: str, field: str, version: int | None = None) -> str:
    try:
        found = ipaddress.ip_address(value) if "%" not in value else None  # a zone, behind which anything may stand
    except ValueError:
        found = None
    if found is None or (version is not None and found.version != version):
        kind = f"ipv{version}" if version else "ip address"
        raise BadRequest(f"Invalid input for field/attribute {field}. Value: {value[:64]}. '{value[:64]}' is not a '{kind}'")
    return str(found)


def base64_text(value: str, field: str) -> str:
    try:
        base64.b64decode(value.encode("ascii"), validate=False)
        base64.b64decode("".join(value.split()).encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raise BadRequest(f"Invalid input for field/attribute {field}. '{value[:32]}' is not a 'base64'")
    return value


def files(given: list[File]) -> list[tuple[str, str]]:
    return [(file.path, base64_text(file.contents, "contents")) for file in given]


def only(call: Call, allowed: set[str], since: tuple[int, int] = (2, 75)) -> None:
    """Unknown query keys are refused from 2.75 on; before, they were ignored."""
    if call.version >= since:
        unknown = sorted({key for key, _ in call.query} - allowed)
        if unknown:
            raise BadRequest(f"Additional properties are not allowed ({', '.join(repr(key[:64]) for key in unknown)} "
                             f"{'was' if len(unknown) == 1 else 'were'} unexpected)")


def links(call: Call, collection: str, identifier: object) -> list[dict[str, str]]:
    """Self and bookmark."""
    return [{"rel": "self", "href": f"{call.base_url}/{collection}/{identifier}"},
            {"rel": "bookmark", "href": f"{call.base_url.removesuffix('/v2.1')}/{collection}/{identifier}"}]


def next_links(call: Call, found: int, limit: int, marker: object) -> list[dict[str, str]]:
    """The link to the next page, when this one is full."""
    from haneul.kernel.wire import paging
    if not limit or found < limit:
        return []
    return [{"rel": "next", "href": paging.link(call, marker=str(marker))}]


def scalar(value: Any) -> str:
    """An extra spec's or a quota's value as text."""
    return value if isinstance(value, str) else str(value)
