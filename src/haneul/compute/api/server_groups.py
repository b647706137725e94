"""/os-server-groups."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta
from sqlalchemy import select, update

from haneul.compute import groups
from haneul.compute.api import shapes
from haneul.compute.api.shapes import Body, Name, Positive
from haneul.compute.model import ServerGroupRow, ServerRow
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
_RULE = "os_compute_api:os-server-groups:"
Policy = Literal["anti-affinity", "affinity", "soft-anti-affinity", "soft-affinity"]


class New21(Body):
    name: Name
    policies: Annotated[list[Policy], Meta(min_length=1, max_length=1)]


class Rules(Body):
    max_server_per_host: Positive | None = None


class New264(Body):
    name: Name
    policy: Policy
    rules: Rules | None = None


class Create21(Body):
    server_group: New21


class Create264(Body):
    server_group: New264


def _group(call: Call) -> ServerGroupRow:
    return groups.get(call.tx, call.context, call.values["group_id"])


def _view(call: Call, row: ServerGroupRow, members: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"id": row.id, "name": row.name, "members": members}
    if call.version >= (2, 64):
        found.update(policy=row.policy, rules=row.rules or {})
    else:
        found.update(policies=[row.policy], metadata={})
    if call.version >= (2, 13):
        found.update(project_id=row.project_id, user_id=row.user_id)
    return found


@routes.get("/os-server-groups", rule=_RULE + "index")
def index(call: Call) -> dict[str, Any]:
    shapes.only(call, {"all_projects", "limit", "offset"})
    query = select(ServerGroupRow).order_by(ServerGroupRow.seq)
    everything = call.argument("all_projects") is not None and call.allows(_RULE + "index:all_projects")
    if not everything:
        query = query.where(ServerGroupRow.project_id == call.context.project_id)
    offset = call.argument("offset") or "0"
    if not offset.isdigit():
        raise BadRequest("offset must be a non-negative integer.")
    rows = list(call.tx.execute(query.limit(paging.limit_of(call)).offset(int(offset))).scalars())
    members = groups.members(call.tx, [row.id for row in rows])
    return {"server_groups": [_view(call, row, members[row.id]) for row in rows]}


@routes.get("/os-server-groups/{group_id}", rule=_RULE + "show", target=_group)
def show(call: Call, row: ServerGroupRow) -> dict[str, Any]:
    return {"server_group": _view(call, row, groups.members(call.tx, [row.id])[row.id])}


@routes.post("/os-server-groups", rule=_RULE + "create", body=[((2, 1), Create21), ((2, 64), Create264)])
def create(call: Call, body: Create21 | Create264) -> dict[str, Any]:
    new = body.server_group
    rules: dict[str, int] = {}
    if isinstance(new, New264):
        policy = new.policy
        if new.rules is not None and new.rules.max_server_per_host is not None:
            if policy != "anti-affinity":
                raise BadRequest("Only anti-affinity policy supports rules.")
            rules["max_server_per_host"] = shapes.number(new.rules.max_server_per_host, "max_server_per_host", 1)
    else:
        policy = new.policies[0]
        if policy.startswith("soft-") and call.version < (2, 15):
            raise BadRequest(f"Invalid input for field/attribute 0. Value: {policy}. '{policy}' is not one of "
                             "['anti-affinity', 'affinity']")
    row = groups.create(call.tx, call.context, shapes.name(new.name), policy, rules)
    return {"server_group": _view(call, row, [])}


@routes.delete("/os-server-groups/{group_id}", rule=_RULE + "delete", target=_group)
def delete(call: Call, row: ServerGroupRow) -> None:
    call.tx.execute(update(ServerRow).where(ServerRow.group_id == row.id).values(group_id=None))
    call.tx.delete(row)
