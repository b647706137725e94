"""Request bodies: {"user": {…}} with the keys that haneul knows typed, and the others kept as Keystone keeps extras."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call

T = TypeVar("T", bound=Struct)
_NEVER = frozenset({"id", "links"})


def entity(call: Call, name: str, kind: type[T], *, extras: bool = True) -> tuple[T, dict[str, Any]]:
    """The known keys and the extra ones. `id` and `links` are never taken from a body."""
    given = call.decode(dict[str, Any]).get(name)
    if not isinstance(given, dict):
        raise BadRequest(f"Expecting to find {name} in request body. The server could not comply with the request since it is "
                         "either malformed or otherwise incorrect. The client is assumed to be in error.")
    try:
        fields = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid input: {error}") from error
    known = set(kind.__struct_fields__) | _NEVER
    return fields, {key: value for key, value in given.items() if key not in known} if extras else {}
