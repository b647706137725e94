"""/registered_limits and /limits."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import or_, select

from haneul.identity import limits as rules
from haneul.identity.api import targets
from haneul.identity.api.lists import filtered
from haneul.identity.api.views import collection, link
from haneul.identity.lookup import require
from haneul.identity.model import Limit, Project, RegisteredLimit
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()


class NewRegistered(Struct, forbid_unknown_fields=True):
    registered_limits: list[rules.NewRegistered]


class ChangedRegistered(Struct, forbid_unknown_fields=True):
    registered_limit: rules.RegisteredFields


class NewLimits(Struct, forbid_unknown_fields=True):
    limits: list[rules.NewLimit]


class ChangedLimit(Struct, forbid_unknown_fields=True):
    limit: rules.LimitFields


def _registered_view(call: Call, row: RegisteredLimit) -> dict[str, Any]:
    return {"id": row.id, "service_id": row.service_id, "region_id": row.region_id, "resource_name": row.resource_name,
            "default_limit": row.default_limit, "description": row.description, "links": link(call, "registered_limits", row.id)}


@routes.get("/registered_limits", "identity:list_registered_limits")
def registered(call: Call) -> dict[str, Any]:
    query = filtered(call, select(RegisteredLimit).order_by(RegisteredLimit.id), {
        "service_id": RegisteredLimit.service_id, "region_id": RegisteredLimit.region_id,
        "resource_name": RegisteredLimit.resource_name})
    return collection(call, "registered_limits", [_registered_view(call, row) for row in call.tx.execute(query).scalars()])


@routes.post("/registered_limits", "identity:create_registered_limits", body=NewRegistered, status=201)
def register(call: Call, body: NewRegistered) -> dict[str, Any]:
    return {"registered_limits": [_registered_view(call, row) for row in rules.register(call.tx, body.registered_limits)]}


def _registered(call: Call) -> RegisteredLimit:
    return targets.found(call, RegisteredLimit, call.values["registered_limit_id"])


# Its rule lets everybody ask, so that whether it exists is no secret
@routes.get("/registered_limits/{registered_limit_id}", "identity:get_registered_limit", target=_registered)
def show_registered(call: Call, row: RegisteredLimit) -> dict[str, Any]:
    return {"registered_limit": _registered_view(call, row)}


@routes.patch("/registered_limits/{registered_limit_id}", "identity:update_registered_limit", target=_registered,
              body=ChangedRegistered)
def change_registered(call: Call, row: RegisteredLimit, body: ChangedRegistered) -> dict[str, Any]:
    return {"registered_limit": _registered_view(call, rules.change_registered(call.tx, row, body.registered_limit))}


@routes.delete("/registered_limits/{registered_limit_id}", "identity:delete_registered_limit", target=_registered)
def delete_registered(call: Call, row: RegisteredLimit) -> None:
    rules.remove_registered(call.tx, row)


# -------------------------------------------------------------------- limits

def _view(call: Call, row: Limit, registered: RegisteredLimit) -> dict[str, Any]:
    return {"id": row.id, "service_id": registered.service_id, "region_id": registered.region_id,
            "resource_name": registered.resource_name, "project_id": row.project_id, "domain_id": row.domain_id,
            "resource_limit": row.resource_limit, "description": row.description, "links": link(call, "limits", row.id)}


@routes.get("/limits/model", "identity:get_limit_model")
def model(call: Call) -> dict[str, Any]:
    return {"model": rules.MODEL}


@routes.get("/limits", "identity:list_limits")
def index(call: Call) -> dict[str, Any]:
    """Administrators and services see all; others those of their project, or of their domain and what is in it."""
    query: Any = select(Limit, RegisteredLimit).join(
        RegisteredLimit, RegisteredLimit.id == Limit.registered_id).order_by(Limit.id)
    context = call.context
    if not (context.is_admin or context.is_service or context.system_scope is not None):
        if context.domain_id is not None:
            inside = select(Project.id).where(Project.domain_id == context.domain_id)
            query = query.where(or_(Limit.domain_id == context.domain_id, Limit.project_id.in_(inside)))
        else:
            query = query.where(Limit.project_id == (context.project_id or ""))
    query = filtered(call, query, {
        "service_id": RegisteredLimit.service_id, "region_id": RegisteredLimit.region_id, "project_id": Limit.project_id,
        "resource_name": RegisteredLimit.resource_name, "domain_id": Limit.domain_id})
    return collection(call, "limits", [_view(call, row, registered) for row, registered in call.tx.execute(query)])


@routes.post("/limits", "identity:create_limits", body=NewLimits, status=201)
def create(call: Call, body: NewLimits) -> dict[str, Any]:
    rows = rules.create(call.tx, body.limits)
    return {"limits": [_view(call, row, require(call.tx, RegisteredLimit, row.registered_id)) for row in rows]}


def _limit(call: Call) -> dict[str, Any]:
    row = targets.found(call, Limit, call.values["limit_id"])
    project = call.tx.get(Project, row.project_id or "")
    return {"row": row, "target.limit.project_id": row.project_id, "target.limit.domain.id": row.domain_id,
            "target.limit.project.domain_id": project.domain_id if project else None}


@routes.get("/limits/{limit_id}", "identity:get_limit", target=_limit)
def show(call: Call, found: dict[str, Any]) -> dict[str, Any]:
    row = found["row"]
    return {"limit": _view(call, row, require(call.tx, RegisteredLimit, row.registered_id))}


@routes.patch("/limits/{limit_id}", "identity:update_limit", target=_limit, body=ChangedLimit)
def change(call: Call, found: dict[str, Any], body: ChangedLimit) -> dict[str, Any]:
    row = rules.change(call.tx, found["row"], body.limit)
    return {"limit": _view(call, row, require(call.tx, RegisteredLimit, row.registered_id))}


@routes.delete("/limits/{limit_id}", "identity:delete_limit", target=_limit)
def delete(call: Call, found: dict[str, Any]) -> None:
    call.tx.delete(found["row"])
