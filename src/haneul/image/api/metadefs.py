"""Metadata definitions on the wire: namespaces and the resource types that they are for."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from haneul.image import listing, metadefs
from haneul.image.metadef_bodies import Association, Namespace, taken
from haneul.image.metadefs import OBJECT, PROPERTY, TAG
from haneul.image.model import MetadefAssociation, MetadefItem, MetadefNamespace
from haneul.kernel.clock import iso
from haneul.kernel.errors import BadRequest, Forbidden
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.paging import Sort, limit_of
from haneul.kernel.wire.routes import Routes

routes = Routes()
NAMESPACES = "/metadefs/namespaces"
ONE = NAMESPACES + "/{namespace}"


def namespace_of(call: Call) -> MetadefNamespace:
    return metadefs.get(call.tx, call.context, call.values["namespace"])


def times(row: Any) -> dict[str, Any]:
    return {"created_at": iso(row.created_at), "updated_at": iso(row.updated_at)}


def associated(row: MetadefAssociation) -> dict[str, Any]:
    said = {"prefix": row.prefix, "properties_target": row.properties_target}
    return {"name": row.name, **{key: value for key, value in said.items() if value is not None}, **times(row)}


def view(row: MetadefNamespace, associations: list[MetadefAssociation]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "namespace": row.namespace, "visibility": row.visibility, "protected": row.protected, "owner": row.owner, **times(row),
        "self": f"/v2{NAMESPACES}/{row.namespace}", "schema": "/v2/schemas/metadefs/namespace"}
    said = {"display_name": row.display_name, "description": row.description}
    shown.update({key: value for key, value in said.items() if value is not None})
    if associations:
        shown["resource_type_associations"] = [associated(found) for found in associations]
    return shown


def object_view(row: MetadefNamespace, found: MetadefItem) -> dict[str, Any]:
    return {"name": found.name, **found.body, **times(found), "self": f"/v2{NAMESPACES}/{row.namespace}/objects/{found.name}",
            "schema": "/v2/schemas/metadefs/object"}


def sort_of(call: Call, keys: tuple[str, ...], unique: str) -> Sort:
    """Newest first unless it is asked otherwise, as all of Glance's lists."""
    key, direction = call.argument("sort_key", "created_at"), call.argument("sort_dir", "desc")
    if key not in keys:
        raise BadRequest(f"Invalid sort key: {str(key)[:32]}. It must be one of the following: {', '.join(keys)}.")
    if direction not in ("asc", "desc"):
        raise BadRequest(f"Invalid sort direction: {str(direction)[:16]}")
    sort: Sort = [(str(key), "asc" if direction == "asc" else "desc")]
    return sort if key == unique else [*sort, (unique, sort[0][1])]


def _visibility(call: Call) -> str | None:
    asked = call.argument("visibility")
    if asked not in (None, "public", "private"):
        raise BadRequest(f"Invalid visibility value: {str(asked)[:32]}")
    return asked


# ---------------------------------------------------------------- namespaces


@routes.get(NAMESPACES, rule="get_metadef_namespaces")
def index(call: Call) -> dict[str, Any]:
    limit = limit_of(call, default=listing.DEFAULT_PAGE)
    asked = [part for part in (call.argument("resource_types") or "").split(",") if part]
    rows = metadefs.page(call.tx, call.context, visibility=_visibility(call), resource_types=asked,
                         sort=sort_of(call, metadefs.SORT_KEYS, "namespace"), marker=call.argument("marker"), limit=limit + 1)
    shown = rows[:limit]
    of = metadefs.associations(call.tx, [row.id for row in shown])
    kept = [(key, value) for key, value in call.query if key != "marker"]
    answer: dict[str, Any] = {"namespaces": [view(row, of[row.id]) for row in shown], "schema": "/v2/schemas/metadefs/namespaces",
                              "first": f"/v2{NAMESPACES}" + (f"?{urlencode(kept)}" if kept else "")}
    if len(rows) > limit and shown:
        answer["next"] = f"/v2{NAMESPACES}?" + urlencode([*kept, ("marker", shown[-1].namespace)])
    return answer


@routes.post(NAMESPACES, rule="add_metadef_namespace", body=dict[str, Any], status=201)
def create(call: Call, body: dict[str, Any]) -> Reply:
    asked: Namespace = taken(body, Namespace)
    for given, rule in ((asked.resource_type_associations, "add_metadef_resource_type_association"),
                        (asked.objects, "add_metadef_object"), (asked.properties, "add_metadef_property"),
                        (asked.tags, "add_metadef_tag")):
        if given and not call.allows(rule):
            raise Forbidden(f"You are not authorized to complete {rule} action.")
    row = metadefs.create(call.tx, call.context, asked)
    return Reply(_whole(call, row), headers={"Location": f"/v2{NAMESPACES}/{row.namespace}"})


@routes.get(ONE, rule="get_metadef_namespace", target=namespace_of)
def show(call: Call, row: MetadefNamespace) -> dict[str, Any]:
    _visibility(call)
    shown = _whole(call, row)
    resource_type = call.argument("resource_type")
    prefix = next((found.get("prefix") for found in shown.get("resource_type_associations", [])
                   if found["name"] == resource_type), None)
    return _prefixed(shown, prefix) if prefix else shown


def _whole(call: Call, row: MetadefNamespace) -> dict[str, Any]:
    shown = view(row, metadefs.associations(call.tx, [row.id])[row.id])
    objects = [object_view(row, found) for found in metadefs.items(call.tx, row, OBJECT)]
    properties = {found.name: found.body for found in metadefs.items(call.tx, row, PROPERTY)}
    tags = [{"name": found.name} for found in metadefs.items(call.tx, row, TAG)]
    return shown | {key: value for key, value in (("objects", objects), ("properties", properties), ("tags", tags)) if value}


def _prefixed(shown: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Keys as they are called on that kind of resource."""
    if "properties" in shown:
        shown["properties"] = {prefix + name: value for name, value in shown["properties"].items()}
    for found in shown.get("objects", []):
        found["properties"] = {prefix + name: value for name, value in found.get("properties", {}).items()}
        if found.get("required"):
            found["required"] = [prefix + name for name in found["required"]]
    return shown


@routes.put(ONE, rule="modify_metadef_namespace", target=namespace_of, body=dict[str, Any])
def change(call: Call, row: MetadefNamespace, body: dict[str, Any]) -> dict[str, Any]:
    metadefs.update(call.tx, call.context, row, taken(body, Namespace))
    return view(row, [])


@routes.delete(ONE, rule="delete_metadef_namespace", target=namespace_of)
def remove(call: Call, row: MetadefNamespace) -> None:
    metadefs.remove(call.tx, row)


# ---------------------------------------------------------------- resource types


@routes.get("/metadefs/resource_types", rule="list_metadef_resource_types")
def resource_types(call: Call) -> dict[str, Any]:
    return {"resource_types": [{"name": row.name, **times(row)} for row in metadefs.resource_types(call.tx)]}


@routes.get(ONE + "/resource_types", rule="list_metadef_resource_types", target=namespace_of)
def associations(call: Call, row: MetadefNamespace) -> dict[str, Any]:
    return {"resource_type_associations": [associated(found) for found in metadefs.associations(call.tx, [row.id])[row.id]]}


@routes.post(ONE + "/resource_types", rule="add_metadef_resource_type_association", target=namespace_of, body=dict[str, Any],
             status=201)
def associate(call: Call, row: MetadefNamespace, body: dict[str, Any]) -> dict[str, Any]:
    return associated(metadefs.associate(call.tx, row, taken(body, Association, linked=False)))


@routes.delete(ONE + "/resource_types/{resource_type}", rule="remove_metadef_resource_type_association", target=namespace_of)
def dissociate(call: Call, row: MetadefNamespace) -> None:
    metadefs.dissociate(call.tx, row, call.values["resource_type"])
