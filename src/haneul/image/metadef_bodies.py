"""What a caller may say of definitions: Glance's schemas as types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from haneul.kernel.errors import BadRequest, Forbidden

Name = Annotated[str, Meta(min_length=1, max_length=80)]
Short = Annotated[str, Meta(max_length=80)]
Count = Annotated[int, Meta(ge=0)]
Kind = Literal["array", "boolean", "integer", "number", "object", "string"]
READONLY = ("self", "schema", "created_at", "updated_at")


class Items(Struct, forbid_unknown_fields=True):
    type: Kind | UnsetType = UNSET
    enum: list[Any] | UnsetType = UNSET


class Property(Struct, forbid_unknown_fields=True, kw_only=True):
    """The shape of one key's values; under JSON schema's names."""

    name: Short | UnsetType = UNSET
    title: str
    type: Kind
    description: str | UnsetType = UNSET
    operators: list[str] | UnsetType = UNSET
    required: list[str] | UnsetType = UNSET
    minimum: float | int | UnsetType = UNSET
    maximum: float | int | UnsetType = UNSET
    maxLength: Count | UnsetType = UNSET
    minLength: Count | UnsetType = UNSET
    pattern: str | UnsetType = UNSET
    enum: list[Any] | UnsetType = UNSET
    readonly: bool | UnsetType = UNSET
    default: Any = UNSET
    items: Items | UnsetType = UNSET
    maxItems: Count | UnsetType = UNSET
    minItems: Count | UnsetType = UNSET
    uniqueItems: bool | UnsetType = UNSET
    additionalItems: bool | UnsetType = UNSET

    def body(self) -> dict[str, Any]:
        kept: dict[str, Any] = msgspec.to_builtins(self)
        kept.pop("name", None)
        return kept


class NamedProperty(Property, forbid_unknown_fields=True, kw_only=True):
    name: Name


class Object(Struct, forbid_unknown_fields=True, kw_only=True):
    """Properties that belong together."""

    name: Name
    description: str | UnsetType = UNSET
    required: list[str] | UnsetType = UNSET
    properties: dict[Name, Property] | UnsetType = UNSET

    def body(self) -> dict[str, Any]:
        kept: dict[str, Any] = msgspec.to_builtins(self)
        del kept["name"]
        if "properties" in kept:
            kept["properties"] = {name: {key: value for key, value in of.items() if key != "name"}
                                  for name, of in kept["properties"].items()}
        return kept


class Tag(Struct, forbid_unknown_fields=True):
    name: Name

    def body(self) -> dict[str, Any]:
        return {}


class Tags(Struct, forbid_unknown_fields=True):
    tags: list[Tag] = []


class Association(Struct, forbid_unknown_fields=True):
    name: Name
    prefix: Short | None = None
    properties_target: Short | None = None


class Namespace(Struct, forbid_unknown_fields=True, kw_only=True):
    namespace: Name
    display_name: Short | None = None
    description: Annotated[str, Meta(max_length=500)] | None = None
    visibility: Literal["public", "private"] = "private"
    protected: bool = False
    owner: Annotated[str, Meta(max_length=255)] | None = None
    resource_type_associations: list[Association] = []
    properties: dict[Name, Property] = {}
    objects: list[Object] = []
    tags: list[Tag] = []


def taken(body: Any, kind: Any, *, linked: bool = True) -> Any:
    """The body as `kind`. Forbidden for keys that are the service's own, BadRequest for what its schema does not know."""
    for key in READONLY if linked else READONLY[2:]:
        if isinstance(body, dict) and key in body:
            raise Forbidden(f"Attribute '{key}' is read-only.")
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Provided object does not match schema '{kind.__name__.lower()}': {error}") from error
