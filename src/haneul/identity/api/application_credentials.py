"""/users/{id}/application_credentials and /users/{id}/access_rules."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import select

from haneul.identity import application_credentials as rules
from haneul.identity import passwords
from haneul.identity.api import targets
from haneul.identity.api.bodies import entity
from haneul.identity.api.lists import filtered, page
from haneul.identity.api.views import link
from haneul.identity.model import AccessRule, ApplicationCredential, Role, User
from haneul.kernel.errors import NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()


def _views(call: Call, rows: list[ApplicationCredential]) -> list[dict[str, Any]]:
    ids = {id for row in rows for id in row.role_ids}
    roles = {role.id: role for role in call.tx.execute(select(Role).where(Role.id.in_(ids))).scalars()}
    allowed = rules.rules_of(call.tx, rows)
    return [_view(call, row, roles, allowed) for row in rows]


def _view(call: Call, row: ApplicationCredential, roles: dict[str, Role], allowed: dict[str, AccessRule]) -> dict[str, Any]:
    shown = {
        "id": row.id, "name": row.name, "description": row.description, "user_id": row.user_id, "project_id": row.project_id,
        "expires_at": _moment(row), "unrestricted": row.unrestricted, "system": None,
        "roles": [{"id": id, "name": roles[id].name, "domain_id": roles[id].domain_id} for id in row.role_ids if id in roles],
        "links": link(call, "users", row.user_id, "application_credentials", row.id)}
    if row.limited:
        shown["access_rules"] = [_rule_view(allowed[id]) for id in row.access_rule_ids if id in allowed]
    return shown


def _moment(row: ApplicationCredential) -> str | None:
    """Without a zone, as this resource has always written it."""
    return row.expires_at.isoformat(timespec="microseconds") if row.expires_at is not None else None


def _rule_view(rule: AccessRule) -> dict[str, Any]:
    return {"id": rule.id, "service": rule.service, "path": rule.path, "method": rule.method}


class Owned(Struct):
    """Something of a user: the policy asks about the user it is stored with."""

    user: User
    row: Any

    @property
    def policy_target(self) -> dict[str, Any]:
        return self.user.policy_target


def _owned(call: Call, kind: Any, id: str, word: str) -> Owned:
    user = targets.user(call)
    row = call.tx.get(kind, id)
    if row is None or row.user_id != user.id:
        if call.allows(call.route.rule or "", user.policy_target):
            raise NotFound(f"Could not find {word}: {id}.")
        row = None  # the policy refuses
    return Owned(user, row)


def _credential(call: Call) -> Owned:
    return _owned(call, ApplicationCredential, call.values["credential_id"], "Application Credential")


def _rule(call: Call) -> Owned:
    return _owned(call, AccessRule, call.values["rule_id"], "Access Rule")


@routes.get("/users/{user_id}/application_credentials", "identity:list_application_credentials", target=targets.user)
def index(call: Call, user: User) -> dict[str, Any]:
    rules.check_reader(call.context)
    query = select(ApplicationCredential).where(ApplicationCredential.user_id == user.id)
    query = filtered(call, query, {"name": ApplicationCredential.name})
    return page(call, "application_credentials", query, ApplicationCredential.id, lambda rows: _views(call, rows))


@routes.post("/users/{user_id}/application_credentials", "identity:create_application_credential", target=targets.user,
             writes=False, status=201)
def create(call: Call, user: User) -> dict[str, Any]:
    """The only answer that shows the secret. Hashed before the write transaction begins."""
    rules.check_caller(call.context)
    wanted, _ = entity(call, "application_credential", rules.Wanted, extras=False)
    secret = rules.secret_of(wanted)
    hashed = passwords.hashed(secret, call.cloud.config.identity.bcrypt_rounds)
    row = call.cloud.database.transact(lambda tx: rules.create(tx, call.context, wanted, hashed))
    with call.cloud.database.read() as tx:  # the request's own snapshot is older than the row
        call._tx = tx
        return {"application_credential": {**_views(call, [row])[0], "secret": secret}}


@routes.get("/users/{user_id}/application_credentials/{credential_id}", "identity:get_application_credential", target=_credential)
def show(call: Call, owned: Owned) -> dict[str, Any]:
    rules.check_reader(call.context)
    return {"application_credential": _views(call, [owned.row])[0]}


@routes.delete("/users/{user_id}/application_credentials/{credential_id}", "identity:delete_application_credential",
               target=_credential)
def delete(call: Call, owned: Owned) -> None:
    rules.check_caller(call.context)
    rules.remove(call.tx, owned.row)


@routes.get("/users/{user_id}/access_rules", "identity:list_access_rules", target=targets.user)
def access_rules(call: Call, user: User) -> dict[str, Any]:
    rules.check_reader(call.context)
    query = filtered(call, select(AccessRule).where(AccessRule.user_id == user.id), {
        "service": AccessRule.service, "path": AccessRule.path, "method": AccessRule.method})
    return page(call, "access_rules", query, AccessRule.id, lambda rows: [
        {**_rule_view(row), "links": link(call, "users", user.id, "access_rules", row.id)} for row in rows])


@routes.get("/users/{user_id}/access_rules/{rule_id}", "identity:get_access_rule", target=_rule)
def show_rule(call: Call, owned: Owned) -> dict[str, Any]:
    rules.check_reader(call.context)
    return {"access_rule": {**_rule_view(owned.row), "links": link(call, "users", owned.user.id, "access_rules", owned.row.id)}}


@routes.delete("/users/{user_id}/access_rules/{rule_id}", "identity:delete_access_rule", target=_rule)
def delete_rule(call: Call, owned: Owned) -> None:
    rules.check_caller(call.context)
    rules.remove_rule(call.tx, owned.row)
