"""/qos-specs."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy import select

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import qos, types
from haneul.volume.api import lists
from haneul.volume.api.shapes import Body
from haneul.volume.model import QosSpecsRow, VolumeTypeRow

routes = Routes()
_RULE = "volume_extension:qos_specs_manage:"
_Q: Any = QosSpecsRow.__table__
_T: Any = VolumeTypeRow.__table__
_SORTABLE = {"id": _Q.c.id, "name": _Q.c.name, "created_at": _Q.c.created_at, "updated_at": _Q.c.updated_at,
             "consumer": _Q.c.consumer}
Key = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:. ]{1,255}$")]
Value = Annotated[str, Meta(max_length=255)]


class Create(Body):
    qos_specs: dict[Key, Value]


class DeleteKeys(Body):
    keys: list[Key]


def _loaded(call: Call) -> QosSpecsRow:
    return qos.get(call.tx, call.values["qos_id"])


def _view(row: Any) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "consumer": row.consumer, "specs": row.specs}


def _shown(call: Call, row: QosSpecsRow) -> dict[str, Any]:
    """Bookmarks leave the version out."""
    return {"qos_specs": _view(row), "links": [
        {"rel": "self", "href": f"{call.base_url}/qos-specs/{row.id}"},
        {"rel": "bookmark", "href": f"{call.base_url.removesuffix('/v3')}/qos-specs/{row.id}"}]}


@routes.get("/qos-specs", rule=_RULE + "get_all")
def index(call: Call) -> dict[str, Any]:
    listing = lists.of(call, _Q, sortable=_SORTABLE, unique="id", where=[], missing=qos.QosSpecsNotFound)
    found = call.tx.core(lists.page(select(_Q), _SORTABLE, listing)).all()
    return {"qos_specs": [_view(row) for row in found], **lists.links(call, list(found), listing, "qos_specs_links")}


@routes.post("/qos-specs", rule=_RULE + "create", body=Create)
def create(call: Call, body: Create) -> dict[str, Any]:
    specs = dict(body.qos_specs)
    name = specs.pop("name", "").strip()
    if not name:
        raise BadRequest("Invalid input for field/attribute name: it is required and can not be empty.")
    return _shown(call, qos.create(call.tx, name, specs.pop("consumer", "back-end"), specs))


@routes.get("/qos-specs/{qos_id}", rule=_RULE + "get")
def show(call: Call) -> dict[str, Any]:
    return _shown(call, _loaded(call))


@routes.put("/qos-specs/{qos_id}", rule=_RULE + "update", body=Create)
def update(call: Call, body: Create) -> dict[str, Any]:
    """Adds to what there is; `consumer` is one of the keys."""
    qos.update(_loaded(call), body.qos_specs)
    return {"qos_specs": body.qos_specs}


@routes.put("/qos-specs/{qos_id}/delete_keys", rule=_RULE + "delete", body=DeleteKeys, status=202)
def delete_keys(call: Call, body: DeleteKeys) -> None:
    qos.delete_keys(_loaded(call), body.keys)


@routes.delete("/qos-specs/{qos_id}", rule=_RULE + "delete", status=202)
def delete(call: Call) -> None:
    row = _loaded(call)
    qos.delete(call.tx, row, force=paging.flag(call.argument("force") or "false", "force"))


# ---------------------------------------------------------------- types with them


@routes.get("/qos-specs/{qos_id}/associations", rule=_RULE + "get_all")
def associations(call: Call) -> dict[str, Any]:
    row = _loaded(call)
    found = call.tx.core(select(_T.c.id, _T.c.name).where(_T.c.qos_specs_id == row.id).order_by(_T.c.name))
    return {"qos_associations": [{"association_type": "volume_type", "name": one.name, "id": one.id} for one in found]}


def _type(call: Call) -> VolumeTypeRow:
    type_id = call.argument("vol_type_id")
    if not type_id:
        raise BadRequest("Volume Type id must not be None.")
    return types.get(call.tx, call.context, type_id)


@routes.get("/qos-specs/{qos_id}/associate", rule=_RULE + "update", status=202, writes=True)
def associate(call: Call) -> None:
    """A GET that changes something, as Cinder has it."""
    qos.associate(_loaded(call), _type(call))


@routes.get("/qos-specs/{qos_id}/disassociate", rule=_RULE + "update", status=202, writes=True)
def disassociate(call: Call) -> None:
    qos.disassociate(_loaded(call), _type(call))


@routes.get("/qos-specs/{qos_id}/disassociate_all", rule=_RULE + "update", status=202, writes=True)
def disassociate_all(call: Call) -> None:
    qos.disassociate_all(call.tx, _loaded(call))
