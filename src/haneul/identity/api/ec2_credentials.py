"""/users/{id}/credentials/OS-EC2: access keys of a user in a project, kept as credentials of type ec2."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import select

from haneul.identity import credentials as rules
from haneul.identity import standing
from haneul.identity.api import targets
from haneul.identity.api.views import link
from haneul.identity.credentials import Vault
from haneul.identity.model import Credential, Project, User
from haneul.kernel.errors import Forbidden, NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
PATH = "/users/{user_id}/credentials/OS-EC2"


class New(Struct):
    tenant_id: str


def _view(call: Call, row: Credential) -> dict[str, Any]:
    blob = msgspec.json.decode(call.cloud.get(Vault).open(row.sealed))
    return {"access": blob["access"], "secret": blob.get("secret"), "user_id": row.user_id, "tenant_id": row.project_id,
            "trust_id": blob.get("trust_id"),
            "links": link(call, "users", row.user_id, "credentials", "OS-EC2", str(blob["access"]))}


def _one(call: Call, user: User) -> Credential:
    row = call.tx.get(Credential, rules.ec2_id(call.values["access"]))
    if row is None or row.user_id != user.id or row.type != "ec2":
        raise NotFound(f"Could not find credential: {call.values['access'][:64]}.")
    return row


@routes.get(PATH, "identity:ec2_list_credentials", target=targets.user)
def index(call: Call, user: User) -> dict[str, Any]:
    rules.check_caller(call.context)
    query = select(Credential).where(Credential.user_id == user.id, Credential.type == "ec2").order_by(Credential.id)
    return {"credentials": [_view(call, row) for row in call.tx.execute(query).scalars()]}


@routes.post(PATH, "identity:ec2_create_credential", target=targets.user, body=New, status=201)
def create(call: Call, user: User, body: New) -> dict[str, Any]:
    """For a project in which the user has a role: what the keys open is never more than the user may enter."""
    rules.check_caller(call.context)
    project = call.tx.get(Project, body.tenant_id)
    if project is None:
        raise NotFound(f"Could not find project: {body.tenant_id[:64]}.")
    if not call.context.is_admin and project.id not in standing.places(call.tx, user.id, "project"):
        raise Forbidden(f"User {user.id} has no access to project {project.id}")
    blob = msgspec.json.encode({"access": secrets.token_hex(16), "secret": secrets.token_hex(16), "trust_id": None}).decode()
    row = rules.create(call.tx, rules.Fields(project_id=project.id, type="ec2", blob=blob), user, {})
    return {"credential": _view(call, row)}


@routes.get(PATH + "/{access}", "identity:ec2_get_credential", target=targets.user)
def show(call: Call, user: User) -> dict[str, Any]:
    rules.check_caller(call.context)
    return {"credential": _view(call, _one(call, user))}


@routes.delete(PATH + "/{access}", "identity:ec2_delete_credential", target=targets.user)
def delete(call: Call, user: User) -> None:
    rules.check_caller(call.context)
    call.tx.delete(_one(call, user))
