"""/rbac-policies."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from haneul.kernel.database import Transaction
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import access, rbac
from haneul.network.api import attributes, bodies, lists
from haneul.network.api.networks import Project
from haneul.network.errors import PolicyNotAuthorized
from haneul.network.model import RbacRow

routes = Routes()


class CreatePolicy(Struct, kw_only=True, forbid_unknown_fields=True):
    object_type: str
    object_id: str
    action: str
    target_tenant: Project | UnsetType = UNSET
    target_project: Project | UnsetType = UNSET
    project_id: Project | UnsetType = UNSET
    tenant_id: Project | UnsetType = UNSET


class UpdatePolicy(Struct, kw_only=True, forbid_unknown_fields=True):
    target_tenant: Project


def view(tx: Transaction, rows: list[RbacRow]) -> list[dict[str, Any]]:
    return [
        {
            "id": row.id,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "object_type": row.object_type,
            "object_id": row.object_id,
            "action": row.action,
            "target_tenant": row.target_project,
        }
        for row in rows
    ]


LISTING = lists.Listing(
    resource="rbac_policy",
    plural="rbac_policies",
    model=RbacRow,
    view=view,
    visible=rbac.visible,
    columns={
        **{name: getattr(RbacRow, name) for name in ("id", "project_id", "object_type", "object_id", "action")},
        "tenant_id": RbacRow.project_id,
        "target_tenant": RbacRow.target_project,
    },
)


def loaded(call: Call) -> RbacRow:
    return rbac.get(call.tx, call.context, call.values["rbac_policy_id"])


def _check_target(call: Call, rule: str, project: str | None, target: str) -> None:
    if not call.allows(f"{rule}:target_tenant", {"project_id": project, "target_tenant": target}):
        raise PolicyNotAuthorized(f"({rule} and rule:{rule}:target_tenant)")


@routes.get("/rbac-policies", rule="get_rbac_policy")
def index(call: Call) -> dict[str, Any]:
    return lists.answer(call, LISTING)


@routes.get("/rbac-policies/{rbac_policy_id}", rule="get_rbac_policy")
def show(call: Call) -> dict[str, Any]:
    return {"rbac_policy": attributes.shown(call, "rbac_policy", view(call.tx, [loaded(call)]))[0]}


@routes.post("/rbac-policies", rule="create_rbac_policy", body=bodies.Body, status=201)
def create(call: Call, body: bodies.Body) -> dict[str, Any]:
    wanted, bulk = bodies.some(body, "rbac_policy", "rbac_policies", CreatePolicy)
    found = view(call.tx, [_create(call, new) for new in wanted])
    return {"rbac_policies": found} if bulk else {"rbac_policy": found[0]}


def _create(call: Call, new: CreatePolicy) -> RbacRow:
    project = access.owner(call.context, new.project_id or new.tenant_id or None)
    target = new.target_tenant or new.target_project or ""
    attributes.require(call, "create_rbac_policy", {"project_id": project})
    _check_target(call, "create_rbac_policy", project, target)
    return rbac.create(
        call.tx,
        call.context,
        project_id=project,
        object_type=new.object_type,
        object_id=new.object_id,
        action=new.action,
        target_project=target,
    )


@routes.put("/rbac-policies/{rbac_policy_id}", rule="update_rbac_policy", target=loaded, body=bodies.Body)
def update(call: Call, row: RbacRow, body: bodies.Body) -> dict[str, Any]:
    new = bodies.one(
        body, "rbac_policy", UpdatePolicy, read_only=frozenset({"object_type", "object_id", "action", "id"})
    )
    _check_target(call, "update_rbac_policy", row.project_id, new.target_tenant)
    return {"rbac_policy": view(call.tx, [rbac.retarget(call.tx, row, new.target_tenant)])[0]}


@routes.delete("/rbac-policies/{rbac_policy_id}", rule="delete_rbac_policy", target=loaded)
def delete(call: Call, row: RbacRow) -> None:
    rbac.delete(call.tx, row)
