"""/types/{type_id}/os-volume-type-access and the actions that change it."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy import select

from haneul.kernel.errors import NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import types
from haneul.volume.api.shapes import Body
from haneul.volume.api.types import loaded
from haneul.volume.model import VolumeTypeAccessRow

routes = Routes()
_RULE = "volume_extension:volume_type_access:"
_A: Any = VolumeTypeAccessRow.__table__


class Access(Body):
    project: Annotated[str, Meta(min_length=1, max_length=64)]


@routes.get("/types/{type_id}/os-volume-type-access", rule=_RULE + "get_all_for_type")
def index(call: Call) -> dict[str, Any]:
    row = loaded(call)
    if row.is_public:
        raise NotFound("Access list not available for public volume types.")
    found = call.tx.core(select(_A.c.project_id).where(_A.c.type_id == row.id).order_by(_A.c.project_id)).scalars()
    return {"volume_type_access": [{"volume_type_id": row.id, "project_id": project_id} for project_id in found]}


@routes.action("/types/{type_id}/action", "addProjectAccess", rule=_RULE + "addProjectAccess", body=Access)
def add(call: Call, body: Access) -> None:
    types.give(call.tx, loaded(call), body.project)


@routes.action("/types/{type_id}/action", "removeProjectAccess", rule=_RULE + "removeProjectAccess", body=Access)
def remove(call: Call, body: Access) -> None:
    types.take(call.tx, loaded(call), body.project)
