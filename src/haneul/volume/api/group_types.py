"""/group_types and their specs (3.11)."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy import select

from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import group_types
from haneul.volume.api import lists, shapes
from haneul.volume.api.shapes import Body, Boolean, Description, Name
from haneul.volume.group_types import GroupTypeNotFound
from haneul.volume.model import GroupTypeRow

routes = Routes()
_T: Any = GroupTypeRow.__table__
_SORTABLE = {"id": _T.c.id, "name": _T.c.name, "created_at": _T.c.created_at, "updated_at": _T.c.updated_at,
             "is_public": _T.c.is_public, "description": _T.c.description}
SINCE = (3, 11)
_SPECS = "/group_types/{group_type_id}/group_specs"
Specs = dict[Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9_.:\-]+$")],
             Annotated[str, Meta(max_length=255)]]
LooseSpecs = dict[Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9_.:\-]+$")],
                  Annotated[str, Meta(max_length=255)] | None] | None


class New(Body):
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    description: Description = None
    is_public: Boolean = True
    group_specs: LooseSpecs = None


class Create(Body):
    group_type: New


class Changes(Body):
    name: Name = None
    description: Description = None
    is_public: Boolean | None = None


class Update(Body):
    group_type: Changes


class SpecsBody(Body):
    group_specs: Specs


def _type(call: Call) -> GroupTypeRow:
    return group_types.get(call.tx, call.context, call.values["group_type_id"])


def _view(call: Call, row: Any) -> dict[str, Any]:
    found = {"id": row.id, "name": row.name, "description": row.description, "is_public": row.is_public}
    if call.allows("group:access_group_types_specs"):
        found["group_specs"] = row.group_specs
    return found


@routes.get("/group_types", rule="group:group_types:get_all", minimum=SINCE)
def index(call: Call) -> dict[str, Any]:
    wanted = (call.argument("is_public") or "true").lower() if call.context.is_admin else "true"
    where = [] if wanted == "none" else [_T.c.is_public.is_(paging.flag(wanted, "is_public"))]
    listing = lists.of(call, _T, sortable=_SORTABLE, unique="id", where=where, missing=GroupTypeNotFound)
    found = call.tx.core(lists.page(select(_T), _SORTABLE, listing)).all()
    return {"group_types": [_view(call, row) for row in found], **lists.links(call, list(found), listing, "group_type_links")}


@routes.get("/group_types/default", rule="group:group_types:get", minimum=SINCE)
def default(call: Call) -> dict[str, Any]:
    raise NotFound("Default group type can not be found.")


@routes.get("/group_types/{group_type_id}", rule="group:group_types:get", minimum=SINCE)
def show(call: Call) -> dict[str, Any]:
    return {"group_type": _view(call, _type(call))}


@routes.post("/group_types", rule="group:group_types:create", body=Create, status=202, minimum=SINCE)
def create(call: Call, body: Create) -> dict[str, Any]:
    new = body.group_type
    if not new.name.strip():
        raise BadRequest("Invalid input for field/attribute name: it can not be empty.")
    row = group_types.create(call.tx, name=new.name.strip(), description=shapes.stripped(new.description),
                             is_public=shapes.truth(new.is_public), specs=shapes.texts(new.group_specs))
    return {"group_type": _view(call, row)}


@routes.put("/group_types/{group_type_id}", rule="group:group_types:update", body=Update, minimum=SINCE)
def update(call: Call, body: Update) -> dict[str, Any]:
    row, asked = _type(call), body.group_type
    group_types.update(call.tx, row, name=asked.name, description=asked.description,
                       is_public=None if asked.is_public is None else shapes.truth(asked.is_public))
    return {"group_type": _view(call, row)}


@routes.delete("/group_types/{group_type_id}", rule="group:group_types:delete", status=202, minimum=SINCE)
def delete(call: Call) -> None:
    group_types.delete(call.tx, _type(call))


# ---------------------------------------------------------------- specs


@routes.get(_SPECS, rule="group:group_types_specs:get_all", minimum=SINCE)
def specs(call: Call) -> dict[str, Any]:
    return {"group_specs": _type(call).group_specs}


@routes.post(_SPECS, rule="group:group_types_specs:create", body=SpecsBody, status=202, minimum=SINCE)
def add_specs(call: Call, body: SpecsBody) -> dict[str, Any]:
    group_types.set_specs(_type(call), body.group_specs)
    return {"group_specs": body.group_specs}


@routes.get(_SPECS + "/{key}", rule="group:group_types_specs:get", minimum=SINCE)
def spec(call: Call) -> dict[str, Any]:
    row, key = _type(call), call.values["key"]
    if key not in row.group_specs:
        raise NotFound(f"Group Type {row.id} has no extra spec with key {key[:255]}.")
    return {key: row.group_specs[key]}


@routes.put(_SPECS + "/{key}", rule="group:group_types_specs:update", body=Specs, minimum=SINCE)
def set_spec(call: Call, body: dict[str, str]) -> dict[str, str]:
    row = _type(call)
    if call.values["key"] not in body:
        raise BadRequest("Request body and URI mismatch")
    if len(body) > 1:
        raise BadRequest("Request body contains too many items")
    group_types.set_specs(row, body)
    return body


@routes.delete(_SPECS + "/{key}", rule="group:group_types_specs:delete", status=202, minimum=SINCE)
def delete_spec(call: Call) -> None:
    group_types.delete_spec(_type(call), call.values["key"])
