"""Request bodies as Neutron takes them: an object under the resource's name or a list under its plural, and its refusals."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from haneul.kernel.errors import BadRequest
from haneul.network.errors import BadAttribute

T = TypeVar("T")
Body = dict[str, Any]
_AT = re.compile(r"(?P<reason>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_ZONED = re.compile(r"\s*[0-9a-fA-F:.]*:[0-9a-fA-F:.]*%")
_FREE = frozenset({"name", "description", "tags"})
_FIELD = re.compile(r"field `(?P<name>[^`]*)`")


def one(body: Body, name: str, kind: type[T], *, read_only: frozenset[str] = frozenset()) -> T:
    """The object of a create or update."""
    if name not in body:
        raise BadRequest(f"Unable to find '{name}' in request body")
    return _convert(body[name], kind, read_only, "Cannot update read-only attribute {}")


def some(
    body: Body, name: str, plural: str, kind: type[T], *, read_only: frozenset[str] = frozenset()
) -> tuple[list[T], bool]:
    """The objects of a create, and whether they were sent as a list."""
    refusal = "Attribute '{}' not allowed in POST"
    if plural in body:
        if not isinstance(body[plural], list) or not body[plural]:
            raise BadRequest("Resources required")
        items = [item[name] if isinstance(item, dict) and set(item) == {name} else item for item in body[plural]]
        return [_convert(item, kind, read_only, refusal) for item in items], True
    if name not in body:
        raise BadRequest(f"Unable to find '{name}' in request body")
    return [_convert(body[name], kind, read_only, refusal)], False


def plain(body: Body, kind: type[T]) -> T:
    """A body without a name around it (router interfaces)."""
    return _convert(body, kind, frozenset(), "{}")


def _convert(value: Any, kind: type[T], read_only: frozenset[str], refusal: str) -> T:
    if not isinstance(value, dict):
        raise BadRequest("Body contains invalid data")
    known: tuple[str, ...] = kind.__struct_encode_fields__  # type: ignore[attr-defined]
    unknown = [name for name in value if name not in known]
    if unknown:
        for name in unknown:
            if name in read_only:
                raise BadRequest(refusal.format(name))
        raise BadRequest(f"Unrecognized attribute(s) '{', '.join(sorted(name[:64] for name in unknown))}'")
    for key in ("project_id", "tenant_id"):
        if key in value and value.get("project_id", value[key]) != value.get("tenant_id", value[key]):
            raise BadRequest("'project_id' and 'tenant_id' are not identical")
    for name, given in value.items():
        if name not in _FREE and _has_zone(given):
            raise BadAttribute(name, f"'{str(given)[:80]}' is not a valid IP address: it has a zone")
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refused(str(error), value) from None


def _has_zone(value: Any) -> bool:
    """An address like fe80::1%eth0 somewhere in it. Python takes one with whatever stands behind the sign, line breaks too,
    and keeps it; it means something on one machine only."""
    if isinstance(value, str):
        return _ZONED.match(value) is not None
    if isinstance(value, dict):
        return any(_has_zone(inner) for inner in value.values())
    return isinstance(value, list) and any(_has_zone(inner) for inner in value)


def _refused(text: str, value: dict[str, Any]) -> BadRequest:
    match = _AT.fullmatch(text)
    assert match is not None
    reason, path = match["reason"], match["path"] or ""
    field = _FIELD.search(reason)
    if field and "missing required" in reason and not path:
        return BadRequest(f"Failed to parse request. Required attribute '{field['name']}' not specified")
    attribute = re.split(r"[.\[]", path)[0]
    given = value.get(attribute)
    length = re.search(r"length <= (\d+)", reason)
    if length and isinstance(given, str):
        return BadAttribute(attribute, f"'{given[:300]}' exceeds maximum length of {length[1]}")
    return BadAttribute(
        attribute or "the request", f"{str(given)[:80]!r} is not valid: {reason}" if attribute else reason
    )
