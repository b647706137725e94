"""Changes of an image as JSON patch, in Glance's two dialects: operations on one top-level key each."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from haneul.image import images, locations
from haneul.image.model import QUEUED, ImageRow
from haneul.kernel import clock
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, Forbidden, UnsupportedMedia

MEDIA_TYPES = ("application/openstack-images-v2.1-json-patch", "application/openstack-images-v2.0-json-patch",
               "application/openstack-images-v2.2-json-patch")
_FORMATS = ("disk_format", "container_format")


class Operation(Struct, frozen=True):
    op: str
    key: str
    value: Any = None
    position: str | None = None  # in the list of locations


def parse(content_type: str, body: Any) -> list[Operation]:
    """The operations of a body. UnsupportedMedia unless it says which dialect it speaks."""
    media = content_type.partition(";")[0].strip().lower()
    if media not in MEDIA_TYPES:
        raise UnsupportedMedia("Supported media types for an image's change are: " + ", ".join(MEDIA_TYPES))
    if not isinstance(body, list):
        raise BadRequest("Request body must be a JSON array of operation objects.")
    return [_operation(raw, old="v2.0" in media) for raw in body]


def _operation(raw: Any, *, old: bool) -> Operation:
    if not isinstance(raw, dict):
        raise BadRequest("Operations must be JSON objects.")
    op: Any
    pointer: Any
    if old:
        found = [(op, raw[op]) for op in ("add", "replace", "remove") if op in raw]
        if len(found) != 1:
            raise BadRequest("Operation objects must contain exactly one member named 'add', 'remove' or 'replace'.")
        op, pointer = found[0]
    else:
        op, pointer = raw.get("op"), raw.get("path")
    if op not in ("add", "replace", "remove"):
        raise BadRequest(f"Operation '{str(op)[:32]}' is not one of: add, replace, remove.")
    if not isinstance(pointer, str):
        raise BadRequest("Unable to find 'path' in JSON Schema change.")
    if op != "remove" and "value" not in raw:
        raise BadRequest(f"Operation \"{op}\" requires a member named \"value\".")
    key, position = _key(pointer)
    return Operation(op, key, raw.get("value"), position)


def _key(pointer: str) -> tuple[str, str | None]:
    if not pointer.startswith("/") or len(pointer) < 2:
        raise BadRequest(f"Pointer `{pointer[:64]}` does not start with \"/\".")
    if re.search(r"~(?![01])", pointer):
        raise BadRequest(f"Pointer `{pointer[:64]}` contains \"~\" not part of a recognized escape sequence.")
    parts = pointer[1:].split("/")
    if parts[0] == "locations" and len(parts) <= 2:
        return parts[0], parts[1] if len(parts) == 2 else None
    if len(parts) != 1 or not parts[0]:
        raise BadRequest(f"Invalid JSON pointer for this resource: '{pointer[:64]}'")
    return parts[0].replace("~1", "/").replace("~0", "~"), None


def apply(tx: Transaction, context: Context, row: ImageRow, operations: list[Operation]) -> None:
    """All of them or, when one raises, none."""
    properties = dict(row.properties)
    for operation in operations:
        key = operation.key
        if key == "locations":
            locations.change(tx, context, row, operation.op, operation.position, operation.value)
            continue
        images.check_key(key)
        if key == "tags":
            if operation.op == "remove":
                raise Forbidden("Property tags may not be removed.")
            images.set_tags(tx, row, images.check_tags(operation.value))
        elif key in images.CHANGEABLE:
            _change(tx, context, row, operation)
        else:
            _change_property(properties, operation)
    if len(properties) > images.MOST_PROPERTIES:
        raise BadRequest(f"An image has at most {images.MOST_PROPERTIES} properties.")
    row.properties = properties
    row.updated_at = clock.now()
    tx.flush()


def _change(tx: Transaction, context: Context, row: ImageRow, operation: Operation) -> None:
    key, value = operation.key, operation.value
    if operation.op == "remove":
        raise Forbidden(f"Property {key} may not be removed.")
    images.check_value(key, value)
    if key in _FORMATS and row.status != QUEUED and value != getattr(row, key):
        raise Forbidden(f"Attribute {key} can be only replaced for a queued image.")
    if key == "owner" and value != row.owner and not context.is_admin:
        raise Forbidden("Owner can't be updated by non admin.")
    if key == "visibility" and value != row.visibility:
        images.check_visibility(tx, context, value, row.owner)
    setattr(row, key, value)


def _change_property(properties: dict[str, str], operation: Operation) -> None:
    key = operation.key
    if operation.op != "add" and key not in properties:
        raise Conflict(f"Property {key[:255]} does not exist.")
    if operation.op == "remove":
        del properties[key]
    else:
        images.check_value(key, operation.value)
        properties[key] = operation.value
