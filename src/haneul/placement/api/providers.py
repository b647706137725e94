"""Resource providers on the wire."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.placement import providers
from haneul.placement.api.answers import PREFIX, reply
from haneul.placement.errors import BadQuery
from haneul.placement.model import Provider
from haneul.placement.query import Group, groups_of

routes = Routes()
_LINKS = [("self", "", (1, 0)), ("inventories", "/inventories", (1, 0)), ("usages", "/usages", (1, 0)),
          ("aggregates", "/aggregates", (1, 1)), ("traits", "/traits", (1, 6)), ("allocations", "/allocations", (1, 11))]
_FILTERS = {"name": (1, 0), "uuid": (1, 0), "member_of": (1, 3), "resources": (1, 4), "in_tree": (1, 14), "required": (1, 18)}


class Create(Struct, forbid_unknown_fields=True):
    name: str
    uuid: str | None = None


class CreateNested(Struct, forbid_unknown_fields=True):
    name: str
    uuid: str | None = None
    parent_provider_uuid: str | None = None


class Change(Struct, forbid_unknown_fields=True):
    name: str


class ChangeNested(Struct, forbid_unknown_fields=True):
    name: str
    parent_provider_uuid: str | None | UnsetType = UNSET


def view(call: Call, row: Provider, uuids: dict[int | None, str | None]) -> dict[str, Any]:
    base = f"{PREFIX}/resource_providers/{row.uuid}"
    shown: dict[str, Any] = {
        "uuid": row.uuid, "name": row.name, "generation": row.generation,
        "links": [{"rel": rel, "href": base + path} for rel, path, since in _LINKS if call.version >= since]}
    if call.version >= (1, 14):
        shown["root_provider_uuid"], shown["parent_provider_uuid"] = uuids[row.root_id], uuids[row.parent_id]
    return shown


def _one(call: Call, row: Provider) -> dict[str, Any]:
    return view(call, row, providers.uuids(call.tx, {row.root_id, row.parent_id}))


@routes.get("/resource_providers", rule="placement:resource_providers:list")
def index(call: Call) -> Reply:
    for key, _ in call.query:
        if call.version < _FILTERS.get(key, (9, 9)):
            raise BadQuery("Invalid query string parameters: Additional properties are not allowed "
                           f"('{key[:64]}' was unexpected)")
    group = groups_of(call).get("", Group())
    rows = providers.list_providers(call.tx, group, name=call.argument("name"), uuid=call.argument("uuid"))
    uuids = providers.uuids(call.tx, {number for row in rows for number in (row.root_id, row.parent_id)})
    return reply(call, {"resource_providers": [view(call, row, uuids) for row in rows]},
                 moment=max((row.updated_at for row in rows), default=None))


@routes.post("/resource_providers", rule="placement:resource_providers:create", body=[((1, 0), Create), ((1, 14), CreateNested)])
def create(call: Call, body: Create | CreateNested) -> Reply:
    row = providers.create(call.tx, body.name, body.uuid, getattr(body, "parent_provider_uuid", None))
    location = f"{call.base_url}/resource_providers/{row.uuid}"
    if call.version >= (1, 20):
        return reply(call, _one(call, row), status=200, moment=row.updated_at, location=location)
    return reply(call, None, status=201, location=location)


@routes.get("/resource_providers/{uuid}", rule="placement:resource_providers:show")
def show(call: Call) -> Reply:
    row = providers.get(call.tx, call.values["uuid"])
    return reply(call, _one(call, row), moment=row.updated_at)


@routes.put("/resource_providers/{uuid}", rule="placement:resource_providers:update",
            body=[((1, 0), Change), ((1, 14), ChangeNested)])
def change(call: Call, body: Change | ChangeNested) -> Reply:
    row = providers.get(call.tx, call.values["uuid"])
    parent = getattr(body, "parent_provider_uuid", UNSET)
    providers.change(call.tx, row, body.name, None if parent is UNSET else parent, move=call.version >= (1, 37),
                     keep_parent=parent is UNSET)
    return reply(call, _one(call, row), moment=row.updated_at)


@routes.delete("/resource_providers/{uuid}", rule="placement:resource_providers:delete")
def remove(call: Call) -> None:
    providers.remove(call.tx, providers.get(call.tx, call.values["uuid"]))
