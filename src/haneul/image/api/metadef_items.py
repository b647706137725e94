"""What is in a namespace of metadata definitions, on the wire: objects, properties, tags."""

from __future__ import annotations

from typing import Any

from haneul.image import metadefs
from haneul.image.api.metadefs import ONE, namespace_of, object_view, sort_of, times
from haneul.image.metadef_bodies import NamedProperty, Object, Property, Tag, Tags, taken
from haneul.image.metadefs import OBJECT, PROPERTY, TAG
from haneul.image.model import MetadefItem, MetadefNamespace
from haneul.kernel.errors import Forbidden, NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.paging import flag, limit_of
from haneul.kernel.wire.routes import Routes

routes = Routes()
_SORT_KEYS = ("created_at", "updated_at", "name")


def _page(call: Call, row: MetadefNamespace, kind: str) -> list[MetadefItem]:
    return metadefs.items(call.tx, row, kind, sort=sort_of(call, _SORT_KEYS, "name"), marker=call.argument("marker"),
                          limit=limit_of(call))


# ---------------------------------------------------------------- objects


@routes.get(ONE + "/objects", rule="get_metadef_objects", target=namespace_of)
def objects(call: Call, row: MetadefNamespace) -> dict[str, Any]:
    return {"objects": [object_view(row, found) for found in _page(call, row, OBJECT)], "schema": "v2/schemas/metadefs/objects"}


@routes.post(ONE + "/objects", rule="add_metadef_object", target=namespace_of, body=dict[str, Any], status=201)
def add_object(call: Call, row: MetadefNamespace, body: dict[str, Any]) -> dict[str, Any]:
    asked: Object = taken(body, Object)
    return object_view(row, metadefs.add(call.tx, row, OBJECT, asked.name, asked.body()))


@routes.get(ONE + "/objects/{object_name}", rule="get_metadef_object", target=namespace_of)
def show_object(call: Call, row: MetadefNamespace) -> dict[str, Any]:
    return object_view(row, metadefs.item(call.tx, row, OBJECT, call.values["object_name"]))


@routes.put(ONE + "/objects/{object_name}", rule="modify_metadef_object", target=namespace_of, body=dict[str, Any])
def change_object(call: Call, row: MetadefNamespace, body: dict[str, Any]) -> dict[str, Any]:
    asked: Object = taken(body, Object)
    found = metadefs.item(call.tx, row, OBJECT, call.values["object_name"])
    return object_view(row, metadefs.change(call.tx, row, found, asked.name, asked.body()))


@routes.delete(ONE + "/objects/{object_name}", rule="delete_metadef_object", target=namespace_of)
def remove_object(call: Call, row: MetadefNamespace) -> None:
    metadefs.drop(call.tx, row, metadefs.item(call.tx, row, OBJECT, call.values["object_name"]))


@routes.delete(ONE + "/objects", rule="delete_metadef_namespace", target=namespace_of)
def remove_objects(call: Call, row: MetadefNamespace) -> None:
    metadefs.drop_all(call.tx, row, OBJECT)


# ---------------------------------------------------------------- properties


def property_view(found: MetadefItem) -> dict[str, Any]:
    return {"name": found.name, **found.body}


@routes.get(ONE + "/properties", rule="get_metadef_properties", target=namespace_of)
def properties(call: Call, row: MetadefNamespace) -> dict[str, Any]:
    return {"properties": {found.name: found.body for found in metadefs.items(call.tx, row, PROPERTY)}}


@routes.post(ONE + "/properties", rule="add_metadef_property", target=namespace_of, body=dict[str, Any], status=201)
def add_property(call: Call, row: MetadefNamespace, body: dict[str, Any]) -> dict[str, Any]:
    asked: Property = taken(body, NamedProperty, linked=False)
    return property_view(metadefs.add(call.tx, row, PROPERTY, str(asked.name), asked.body()))


@routes.get(ONE + "/properties/{property_name}", rule="get_metadef_property", target=namespace_of)
def show_property(call: Call, row: MetadefNamespace) -> dict[str, Any]:
    name = call.values["property_name"]
    if (resource_type := call.argument("resource_type")) is not None:
        if not call.allows("get_metadef_resource_type", row.policy_target):
            raise Forbidden("You are not authorized to complete get_metadef_resource_type action.")
        found = [each for each in metadefs.associations(call.tx, [row.id])[row.id] if each.name == resource_type]
        if not found:
            raise NotFound(f"The metadata definition resource-type association of resource-type={resource_type[:80]} to "
                           f"namespace={row.namespace} was not found.")
        prefix = found[0].prefix or ""
        if not prefix or not name.startswith(prefix):
            raise NotFound(f"Property {name[:80]} does not start with the expected resource type association prefix of "
                           f"'{prefix}'.")
        name = name.removeprefix(prefix)
    return property_view(metadefs.item(call.tx, row, PROPERTY, name))


@routes.put(ONE + "/properties/{property_name}", rule="modify_metadef_property", target=namespace_of, body=dict[str, Any])
def change_property(call: Call, row: MetadefNamespace, body: dict[str, Any]) -> dict[str, Any]:
    asked: Property = taken(body, NamedProperty, linked=False)
    found = metadefs.item(call.tx, row, PROPERTY, call.values["property_name"])
    return property_view(metadefs.change(call.tx, row, found, str(asked.name), asked.body()))


@routes.delete(ONE + "/properties/{property_name}", rule="remove_metadef_property", target=namespace_of)
def remove_property(call: Call, row: MetadefNamespace) -> None:
    metadefs.drop(call.tx, row, metadefs.item(call.tx, row, PROPERTY, call.values["property_name"]))


@routes.delete(ONE + "/properties", rule="delete_metadef_namespace", target=namespace_of)
def remove_properties(call: Call, row: MetadefNamespace) -> None:
    metadefs.drop_all(call.tx, row, PROPERTY)


# ---------------------------------------------------------------- tags


def tag_view(found: MetadefItem) -> dict[str, Any]:
    return {"name": found.name, **times(found)}


@routes.get(ONE + "/tags", rule="get_metadef_tags", target=namespace_of)
def tags(call: Call, row: MetadefNamespace) -> dict[str, Any]:
    return {"tags": [{"name": found.name} for found in _page(call, row, TAG)]}


@routes.post(ONE + "/tags", rule="add_metadef_tags", target=namespace_of, body=dict[str, Any], status=201)
def set_tags(call: Call, row: MetadefNamespace, body: dict[str, Any]) -> dict[str, Any]:
    """They replace those that are there, unless the header says that they are added."""
    names = [tag.name for tag in taken(body, Tags, linked=False).tags]
    metadefs.set_tags(call.tx, row, names, append=flag(call.headers.get("x-openstack-append") or "false"))
    return {"tags": [{"name": name} for name in names]}


@routes.delete(ONE + "/tags", rule="delete_metadef_tags", target=namespace_of)
def remove_tags(call: Call, row: MetadefNamespace) -> None:
    metadefs.drop_all(call.tx, row, TAG)


@routes.post(ONE + "/tags/{tag_name}", rule="add_metadef_tag", target=namespace_of, status=201)
def add_tag(call: Call, row: MetadefNamespace) -> dict[str, Any]:
    asked: Tag = taken({"name": call.values["tag_name"]}, Tag)
    return tag_view(metadefs.add(call.tx, row, TAG, asked.name, {}))


@routes.get(ONE + "/tags/{tag_name}", rule="get_metadef_tag", target=namespace_of)
def show_tag(call: Call, row: MetadefNamespace) -> dict[str, Any]:
    return tag_view(metadefs.item(call.tx, row, TAG, call.values["tag_name"]))


@routes.put(ONE + "/tags/{tag_name}", rule="modify_metadef_tag", target=namespace_of, body=dict[str, Any])
def change_tag(call: Call, row: MetadefNamespace, body: dict[str, Any]) -> dict[str, Any]:
    asked: Tag = taken(body, Tag, linked=False)
    found = metadefs.item(call.tx, row, TAG, call.values["tag_name"])
    return tag_view(metadefs.change(call.tx, row, found, asked.name, {}))


@routes.delete(ONE + "/tags/{tag_name}", rule="delete_metadef_tag", target=namespace_of)
def remove_tag(call: Call, row: MetadefNamespace) -> None:
    metadefs.drop(call.tx, row, metadefs.item(call.tx, row, TAG, call.values["tag_name"]))
