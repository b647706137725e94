"""/auto-allocated-topology."""

from __future__ import annotations

from typing import Any

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import topologies
from haneul.network.errors_services import AutoAllocationFailure

routes = Routes()
PATH = "/auto-allocated-topology/{project_id}"


def _project(call: Call) -> dict[str, Any]:
    """Clients without a project in mind say None, and mean their own."""
    named = call.values["project_id"]
    return {"project_id": call.context.project_id if named in ("None", "null") else named}


@routes.get(PATH, rule="get_auto_allocated_topology", target=_project)
def show(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    """A question that makes what it asks for, in a write of its own; `fields=dry-run` only says whether it could."""
    project, fields = target["project_id"], call.arguments("fields")
    if "dry-run" in fields:
        topologies.check(call.tx, call.context)
        return _view("dry-run=pass", project)
    if set(fields) - {"id", "tenant_id", "project_id"}:
        raise BadRequest("Bad auto_allocate request: Unrecognized field.", type="BadRequest")
    found = topologies.present(call.tx, project)
    if found is None:
        context = call.context
        if not call.allows("create_network", target) or not call.allows("create_router", target):
            raise AutoAllocationFailure("No network was allocated yet, and the caller may not make one")
        call.tx.rollback()  # one writer at a time: the snapshot must not be held meanwhile
        found = call.cloud.database.transact(lambda tx: topologies.get(tx, context, project))
    return _view(found, project)


def _view(id: str, project: str) -> dict[str, Any]:
    return {"auto_allocated_topology": {"id": id, "project_id": project, "tenant_id": project}}


@routes.delete(PATH, rule="delete_auto_allocated_topology", target=_project)
def delete(call: Call, target: dict[str, Any]) -> None:
    topologies.delete(call.tx, call.context, target["project_id"])
