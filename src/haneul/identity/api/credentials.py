"""/credentials, and /policies: secrets and documents that Keystone keeps for others."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import select

from haneul.identity import credentials as rules
from haneul.identity.api import targets
from haneul.identity.api.bodies import entity
from haneul.identity.api.lists import filtered, page
from haneul.identity.api.views import link
from haneul.identity.credentials import Vault
from haneul.identity.model import Credential, StoredPolicy, User
from haneul.kernel import ids
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()


def _view(call: Call, row: Credential) -> dict[str, Any]:
    return {**row.extra, "id": row.id, "user_id": row.user_id, "project_id": row.project_id, "type": row.type,
            "blob": call.cloud.get(Vault).open(row.sealed), "links": link(call, "credentials", row.id)}


def _credential(call: Call) -> Credential:
    return targets.found(call, Credential, call.values["stored_id"])


@routes.get("/credentials", "identity:list_credentials")
def index(call: Call) -> dict[str, Any]:
    rules.check_caller(call.context)
    query = select(Credential)
    if not call.allows("identity:get_credential", {}):
        query = query.where(Credential.user_id == call.context.user_id)
    query = filtered(call, query, {"user_id": Credential.user_id, "type": Credential.type})
    return page(call, "credentials", query, Credential.id, lambda rows: [_view(call, row) for row in rows])


def _new(call: Call) -> dict[str, Any]:
    """For the caller unless another user is named, whom only an administrator may name."""
    fields, extra = entity(call, "credential", rules.Fields)
    user = call.tx.get(User, fields.user_id or call.context.user_id)
    return {"fields": fields, "extra": extra, "user": user, "target.credential.user_id": user.id if user else None}


@routes.post("/credentials", "identity:create_credential", target=_new, status=201)
def create(call: Call, new: dict[str, Any]) -> dict[str, Any]:
    rules.check_caller(call.context)
    if new["user"] is None:
        raise BadRequest("The user of the credential does not exist.")
    return {"credential": _view(call, rules.create(call.tx, new["fields"], new["user"], new["extra"]))}


@routes.get("/credentials/{stored_id}", "identity:get_credential", target=_credential)
def show(call: Call, row: Credential) -> dict[str, Any]:
    rules.check_caller(call.context)
    return {"credential": _view(call, row)}


@routes.patch("/credentials/{stored_id}", "identity:update_credential", target=_credential)
def update(call: Call, row: Credential) -> dict[str, Any]:
    rules.check_caller(call.context)
    fields, extra = entity(call, "credential", rules.Fields)
    return {"credential": _view(call, rules.change(call.tx, row, fields, extra))}


@routes.delete("/credentials/{stored_id}", "identity:delete_credential", target=_credential)
def delete(call: Call, row: Credential) -> None:
    rules.check_caller(call.context)
    call.tx.delete(row)


# -------------------------------------------------------------------- policies

class PolicyFields(Struct):
    type: str | UnsetType = UNSET
    blob: Any = UNSET


def policy_view(call: Call, row: StoredPolicy) -> dict[str, Any]:
    return {**row.extra, "id": row.id, "type": row.type, "blob": row.blob, "links": link(call, "policies", row.id)}


def _policy(call: Call) -> StoredPolicy:
    return targets.found(call, StoredPolicy, call.values["policy_id"])


@routes.get("/policies", "identity:list_policies")
def policies(call: Call) -> dict[str, Any]:
    query = filtered(call, select(StoredPolicy), {"type": StoredPolicy.type})
    return page(call, "policies", query, StoredPolicy.id, lambda rows: [policy_view(call, row) for row in rows])


@routes.post("/policies", "identity:create_policy", status=201)
def create_policy(call: Call) -> dict[str, Any]:
    fields, extra = entity(call, "policy", PolicyFields)
    if not isinstance(fields.type, str) or len(fields.type) > 255 or fields.blob is UNSET:
        raise BadRequest("Invalid input: 'type' and 'blob' are required properties.")
    row = StoredPolicy(id=ids.new_hex(), type=fields.type, blob=fields.blob, extra=extra)
    call.tx.add(row)
    return {"policy": policy_view(call, row)}


@routes.get("/policies/{policy_id}", "identity:get_policy", target=_policy)
def show_policy(call: Call, row: StoredPolicy) -> dict[str, Any]:
    return {"policy": policy_view(call, row)}


@routes.patch("/policies/{policy_id}", "identity:update_policy", target=_policy)
def update_policy(call: Call, row: StoredPolicy) -> dict[str, Any]:
    fields, extra = entity(call, "policy", PolicyFields)
    if isinstance(fields.type, str):
        if len(fields.type) > 255:
            raise BadRequest("Invalid input: 'type' is longer than 255 characters.")
        row.type = fields.type
    if fields.blob is not UNSET:
        row.blob = fields.blob
    row.extra = {**row.extra, **extra}
    return {"policy": policy_view(call, row)}


@routes.delete("/policies/{policy_id}", "identity:delete_policy", target=_policy)
def delete_policy(call: Call, row: StoredPolicy) -> None:
    call.tx.delete(row)
