"""The schemas of metadata definitions that clients ask for."""

from __future__ import annotations

from typing import Any

from haneul.kernel.errors import NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
_TEXT: dict[str, Any] = {"type": "string"}
_NAME = {"type": "string", "maxLength": 80}
_KINDS = {"type": "string", "enum": ["array", "boolean", "integer", "number", "object", "string", None]}
_COUNT, _COUNT0 = {"$ref": "#/definitions/positiveInteger"}, {"$ref": "#/definitions/positiveIntegerDefault0"}
_TEXTS = {"$ref": "#/definitions/stringArray"}


def _time(what: str) -> dict[str, Any]:
    return {"type": "string", "readOnly": True, "description": f"Date and time of {what}", "format": "date-time"}


_LINKS = {"self": {"readOnly": True, "type": "string"}, "schema": {"readOnly": True, "type": "string"}}
_PROPERTY: dict[str, Any] = {
    "name": _NAME, "title": _TEXT, "description": _TEXT, "operators": {"type": "array", "items": _TEXT}, "type": _KINDS,
    "required": _TEXTS, "minimum": {"type": "number"}, "maximum": {"type": "number"}, "maxLength": _COUNT, "minLength": _COUNT0,
    "pattern": {"type": "string", "format": "regex"}, "enum": {"type": "array"}, "readonly": {"type": "boolean"}, "default": {},
    "items": {"type": "object", "properties": {"type": _KINDS, "enum": {"type": "array"}}}, "maxItems": _COUNT,
    "minItems": _COUNT0, "uniqueItems": {"type": "boolean", "default": False}, "additionalItems": {"type": "boolean"}}
_BASE: dict[str, Any] = {
    "positiveInteger": {"type": "integer", "minimum": 0},
    "positiveIntegerDefault0": {"allOf": [_COUNT, {"default": 0}]},
    "stringArray": {"type": "array", "items": _TEXT, "uniqueItems": True}}
_DEFINITIONS = {**_BASE, "property": {"type": "object", "additionalProperties": {
    "type": "object", "required": ["title", "type"], "properties": _PROPERTY}}}
_PROPERTIES = {"$ref": "#/definitions/property"}
_OBJECT: dict[str, Any] = {"name": _NAME, "description": _TEXT, "required": _TEXTS, "properties": _PROPERTIES}
_ASSOCIATION: dict[str, Any] = {
    "name": {**_NAME, "description": "The kind of resource: a name of Heat's wherever it has one"},
    "prefix": {**_NAME, "description": "What keys begin with on this kind of resource, with its separator"},
    "properties_target": {**_NAME, "description": "Which of the resource's sets of keys is meant, where there are several"}}
_NAMESPACE: dict[str, Any] = {
    "namespace": {**_NAME, "description": "The unique namespace text."},
    "display_name": {**_NAME, "description": "The user friendly name for the namespace. Used by UI if available."},
    "description": {"type": "string", "maxLength": 500, "description": "Provides a user friendly description of the namespace."},
    "visibility": {"type": "string", "enum": ["public", "private"], "description": "Scope of namespace accessibility."},
    "protected": {"type": "boolean", "description": "If true, namespace will not be deletable."},
    "owner": {"type": "string", "maxLength": 255, "description": "Owner of the namespace."},
    "created_at": _time("namespace creation"), "updated_at": _time("the last namespace modification"), **_LINKS,
    "resource_type_associations": {"type": "array", "items": {"type": "object", "properties": {
        "name": _TEXT, "prefix": _TEXT, "properties_target": _TEXT}}},
    "properties": _PROPERTIES,
    "objects": {"type": "array", "items": {"type": "object", "properties": {**_OBJECT, "name": _TEXT}}},
    "tags": {"type": "array", "items": {"type": "object", "properties": {"name": _TEXT}}}}


def _one(name: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"name": name, "properties": properties, "additionalProperties": False, "required": required}


def _many(name: str, of: dict[str, Any], definitions: dict[str, Any] | None = None, *, mapped: bool = False) -> dict[str, Any]:
    items = {"type": "object", "additionalProperties": of} if mapped else {"type": "array", "items": of}
    return {"name": name, "properties": {name: items, "first": _TEXT, "next": _TEXT, "schema": _TEXT},
            "links": [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"},
                      {"rel": "describedby", "href": "{schema}"}], **({"definitions": definitions} if definitions else {})}


_NAMESPACES = _one("namespace", _NAMESPACE, ["namespace"])
_OBJECTS = _one("object", {**_OBJECT, **_LINKS, "created_at": _time("object creation"),
                           "updated_at": _time("the last object modification")}, ["name"])
_ONE_PROPERTY = _one("property", _PROPERTY, ["type", "title", "name"])
_TAG = _one("tag", {
    "name": _NAME, "created_at": _time("tag creation"), "updated_at": _time("the last tag modification")}, ["name"])
_TYPE = _one("resource_type_association", {
    **_ASSOCIATION, "created_at": _time("resource type association"),
    "updated_at": _time("the last resource type association modification")}, ["name"])
SCHEMAS: dict[str, dict[str, Any]] = {
    "namespace": {**_NAMESPACES, "definitions": _DEFINITIONS}, "namespaces": _many("namespaces", _NAMESPACES, _DEFINITIONS),
    "object": {**_OBJECTS, "definitions": _DEFINITIONS}, "objects": _many("objects", _OBJECTS, _DEFINITIONS),
    "property": {**_ONE_PROPERTY, "definitions": _BASE},
    "properties": _many("properties", _ONE_PROPERTY, _BASE, mapped=True),
    "tag": _TAG, "tags": _many("tags", _TAG),
    "resource_type": _TYPE, "resource_types": _many("resource_type_associations", _TYPE)}


@routes.get("/schemas/metadefs/{kind}", rule="image:schemas")
def show(call: Call) -> dict[str, Any]:
    if call.values["kind"] not in SCHEMAS:
        raise NotFound()
    return SCHEMAS[call.values["kind"]]
