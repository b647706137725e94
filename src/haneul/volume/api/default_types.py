"""/default-types: the volume type of those of a project's volumes that name none (3.62)."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy import select

from haneul.identity import projects
from haneul.kernel.errors import NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import types
from haneul.volume.api.shapes import Body
from haneul.volume.model import DefaultTypeRow

routes = Routes()
_RULE = "volume_extension:default_"
SINCE = (3, 62)
_D: Any = DefaultTypeRow.__table__


class Wanted(Body):
    volume_type: Annotated[str, Meta(min_length=1, max_length=255)]


class Update(Body):
    default_type: Wanted


def _view(row: Any) -> dict[str, str]:
    return {"project_id": row.project_id, "volume_type_id": row.type_id}


def _row(call: Call) -> DefaultTypeRow:
    row = call.tx.get(DefaultTypeRow, call.values["project_id"])
    if row is None:
        raise NotFound(f"Default type for project {call.values['project_id'][:64]} not found.")
    return row


@routes.get("/default-types", rule=_RULE + "get_all", minimum=SINCE)
def index(call: Call) -> dict[str, Any]:
    return {"default_types": [_view(row) for row in call.tx.core(select(_D).order_by(_D.c.project_id))]}


@routes.get("/default-types/{project_id}", rule=_RULE + "get", minimum=SINCE)
def show(call: Call) -> dict[str, Any]:
    return {"default_type": _view(_row(call))}


@routes.put("/default-types/{project_id}", rule=_RULE + "set_or_update", minimum=SINCE, body=Update)
def update(call: Call, body: Update) -> dict[str, Any]:
    project_id = call.values["project_id"]
    projects.require(call.tx, project_id)
    kind = types.named(call.tx, call.context, body.default_type.volume_type)
    return {"default_type": _view(call.tx.merge(DefaultTypeRow(project_id=project_id, type_id=kind.id)))}


@routes.delete("/default-types/{project_id}", rule=_RULE + "unset", minimum=SINCE)
def delete(call: Call) -> None:
    call.tx.delete(_row(call))
