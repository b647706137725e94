"""/types: what kinds of volumes there are."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, field
from sqlalchemy import ColumnElement, and_, false, or_, select

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import types
from haneul.volume.api import lists, shapes
from haneul.volume.api.shapes import Body, Boolean, Description, Name
from haneul.volume.model import VolumeTypeAccessRow, VolumeTypeRow
from haneul.volume.problems import VolumeTypeNotFound

routes = Routes()
_T: Any = VolumeTypeRow.__table__
_A: Any = VolumeTypeAccessRow.__table__
_SORTABLE = {"id": _T.c.id, "name": _T.c.name, "created_at": _T.c.created_at, "updated_at": _T.c.updated_at,
             "is_public": _T.c.is_public, "description": _T.c.description}
_IS_PUBLIC = "os-volume-type-access:is_public"
FILTERS = (3, 52)
SpecKey = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:.]{1,255}$")]
LooseSpecs = dict[SpecKey, Annotated[str, Meta(max_length=255)] | None] | None


class New(Body):
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    description: Description = None
    extra_specs: LooseSpecs = None
    is_public: Boolean = field(name=_IS_PUBLIC, default=True)


class Create(Body):
    volume_type: New


class Changes(Body):
    name: Name = None
    description: Description = None
    is_public: Boolean | None = None
    also_public: Boolean | None = field(name=_IS_PUBLIC, default=None)  # as the SDK says it


class Update(Body):
    volume_type: Changes


def loaded(call: Call) -> VolumeTypeRow:
    """The type of the path, if the caller may use it."""
    return types.get(call.tx, call.context, call.values["type_id"])


def specs_of(call: Call, row: Any) -> dict[str, str]:
    """What an administrator reads of a back end is not everybody's business."""
    specs: dict[str, str] = row.extra_specs
    if call.allows("volume_extension:types_extra_specs:read_sensitive"):
        return specs
    return {key: specs[key] for key in types.VISIBLE if key in specs}


def _view(call: Call, row: Any, *, full: bool = True, access: bool = True) -> dict[str, Any]:
    """`full`: with the id of its QoS specs, which creation and change do not show."""
    found = {"id": row.id, "name": row.name, "is_public": row.is_public, "description": row.description}
    if call.allows("volume_extension:access_types_extra_specs"):
        found["extra_specs"] = specs_of(call, row)
    if full and call.allows("volume_extension:access_types_qos_specs_id"):
        found["qos_specs_id"] = row.qos_specs_id
    if access and call.allows("volume_extension:volume_type_access"):
        found[_IS_PUBLIC] = row.is_public
    return found


def _where(call: Call) -> list[ColumnElement[bool]]:
    """Public ones and those given to the caller's project; what an administrator asks for; and the extra specs asked for."""
    given = (call.argument("is_public") or "true").lower() if call.context.is_admin else "true"
    found: list[ColumnElement[bool]] = []
    if given != "none":
        try:
            public = paging.flag(given)
        except BadRequest:
            raise BadRequest(f"Invalid is_public filter [{given[:64]}]")
        mine = _T.c.id.in_(select(_A.c.type_id).where(_A.c.project_id == (call.context.project_id or "")))
        found.append(or_(_T.c.is_public.is_(True), mine) if public else _T.c.is_public.is_(False))
    if call.version >= FILTERS:
        lists.filters(call, "volume_type", {}, special=frozenset({"is_public", "extra_specs"}))
        text = call.argument("extra_specs")
        wanted = lists.mapping(text) if text is not None else {}
        if not call.allows("volume_extension:types_extra_specs:read_sensitive") and not set(wanted) <= set(types.VISIBLE):
            found.append(false())
        found += [and_(*(_T.c.extra_specs[key].as_string() == value for key, value in wanted.items()))] if wanted else []
    return found


@routes.get("/types", rule="volume_extension:type_get_all")
def index(call: Call) -> dict[str, Any]:
    listing = lists.of(call, _T, sortable=_SORTABLE, unique="id", where=_where(call), missing=VolumeTypeNotFound)
    found = call.tx.core(lists.page(select(_T), _SORTABLE, listing)).all()
    return {"volume_types": [_view(call, row) for row in found], **lists.links(call, list(found), listing, "volume_type_links")}


@routes.get("/types/default", rule="volume_extension:type_get")
def default(call: Call) -> dict[str, Any]:
    return {"volume_type": _view(call, types.default(call.tx, call.context))}


@routes.get("/types/{type_id}", rule="volume_extension:type_get")
def show(call: Call) -> dict[str, Any]:
    return {"volume_type": _view(call, loaded(call))}


@routes.post("/types", rule="volume_extension:type_create", body=Create)
def create(call: Call, body: Create) -> dict[str, Any]:
    new = body.volume_type
    if not new.name.strip():
        raise BadRequest("Invalid input for field/attribute name: it can not be empty.")
    row = types.create(call.tx, name=new.name.strip(), description=shapes.stripped(new.description),
                       is_public=shapes.truth(new.is_public), specs=shapes.texts(new.extra_specs))
    return {"volume_type": _view(call, row, full=False)}


@routes.put("/types/{type_id}", rule="volume_extension:type_update", body=Update)
def update(call: Call, body: Update) -> dict[str, Any]:
    row, asked = loaded(call), body.volume_type
    public = asked.is_public if asked.is_public is not None else asked.also_public
    types.update(call.tx, row, name=asked.name, description=asked.description,
                 is_public=None if public is None else shapes.truth(public))
    return {"volume_type": _view(call, row, full=False, access=False)}


@routes.delete("/types/{type_id}", rule="volume_extension:type_delete", status=202)
def delete(call: Call) -> None:
    types.delete(call.tx, loaded(call))
