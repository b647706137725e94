"""/users: users, their passwords and groups.

Routes that hash a password are `writes=False` and write in a transaction of their own, so that a hash of a quarter of a second
never holds the database's one writer.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import select

from haneul.identity import authentication, password_rules, passwords
from haneul.identity import users as rules
from haneul.identity.api import targets
from haneul.identity.api.bodies import entity
from haneul.identity.api.groups import group_view
from haneul.identity.api.lists import filtered, page
from haneul.identity.api.views import link
from haneul.identity.lookup import domain as require_domain
from haneul.identity.lookup import require
from haneul.identity.model import Group, Membership, Project, User
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Unauthorized
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
_FILTERS = {"name": User.name, "enabled": User.enabled, "domain_id": User.domain_id, "id": User.id}


def user_view(call: Call, user: User) -> dict[str, Any]:
    shown = {**user.extra, "id": user.id, "name": user.name, "domain_id": user.domain_id, "enabled": user.enabled,
             "password_expires_at": clock.iso(user.password_expires_at, micro=True), "options": user.options,
             "links": link(call, "users", user.id)}
    if user.default_project_id is not None:
        shown["default_project_id"] = user.default_project_id
    return shown


@routes.get("/users", "identity:list_users", target=targets.own_domain)
def index(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    query = select(User)
    if not targets.wide(call):
        query = query.where(User.domain_id == call.context.domain_id)
    query = filtered(call, query, _FILTERS)
    return page(call, "users", query, User.id, lambda rows: [user_view(call, row) for row in rows])


def _new(call: Call) -> dict[str, Any]:
    fields, extra = entity(call, "user", rules.Fields)
    domain: Project = targets.new_in(call, "user", fields.domain_id or None)
    return {"fields": fields, "extra": extra, "domain": domain, "target.user.domain_id": domain.id}


def _hash(call: Call, fields: rules.Fields) -> str | None:
    if not fields.password:
        return None
    settings = call.cloud.config.identity
    return passwords.hashed(password_rules.check(settings, fields.password), settings.bcrypt_rounds)


@routes.post("/users", "identity:create_user", target=_new, writes=False, status=201)
def create(call: Call, new: dict[str, Any]) -> dict[str, Any]:
    hashed, domain_id = _hash(call, new["fields"]), new["domain"].id

    def work(tx: Transaction) -> User:
        return rules.create(tx, new["fields"], require_domain(tx, domain_id), new["extra"], hashed)

    return {"user": user_view(call, call.cloud.database.transact(work))}


@routes.get("/users/{user_id}", "identity:get_user", target=targets.user)
def show(call: Call, user: User) -> dict[str, Any]:
    return {"user": user_view(call, user)}


@routes.patch("/users/{user_id}", "identity:update_user", target=targets.user, writes=False)
def update(call: Call, user: User) -> dict[str, Any]:
    fields, extra = entity(call, "user", rules.Fields)
    hashed, user_id = _hash(call, fields), user.id
    changed = call.cloud.database.transact(lambda tx: rules.change(tx, user_id, fields, extra, hashed))
    return {"user": user_view(call, changed)}


@routes.delete("/users/{user_id}", "identity:delete_user", target=targets.user)
def delete(call: Call, user: User) -> None:
    rules.remove(call.tx, user)


@routes.delete("/users/{user_id}/tokens", "identity:revoke_tokens_for_user", target=targets.user)
def revoke_tokens(call: Call, user: User) -> None:
    rules.revoke_tokens(call.tx, user)


class NewPassword(Struct):
    password: str
    original_password: str


@routes.post("/users/{user_id}/password", None, anonymous=True, writes=False, status=204)
def change_password(call: Call) -> None:
    """By the old password, not by a token: also for users whose password has expired."""
    fields, _ = entity(call, "user", NewPassword)
    settings, user_id = call.cloud.config.identity, call.values["user_id"]
    user = authentication.by_old_password(call.cloud, user_id, fields.original_password)
    if user is None:
        raise Unauthorized()
    if user.options.get("lock_password"):
        raise BadRequest("You cannot change your password at this time due to password policy disallowing password changes. "
                         "Please contact your administrator to reset your password.")
    chosen = password_rules.check(settings, fields.password)
    if chosen == fields.original_password:
        raise BadRequest("Password validation error: the new password must differ from the old one.")
    with call.cloud.database.read() as tx:
        password_rules.check_age(settings, rules.newest_password(tx, user_id))
        old = rules.history(tx, user_id)
    if any(passwords.matches(chosen, stored) for stored in old):
        raise BadRequest("The new password cannot be identical to a previous password. The total number which includes the new "
                         f"password must be unique is {settings.unique_last_passwords}.")
    hashed = passwords.hashed(chosen, settings.bcrypt_rounds)
    call.cloud.database.transact(lambda tx: rules.set_password(tx, require(tx, User, user_id), hashed, own=True))


@routes.get("/users/{user_id}/groups", "identity:list_groups_for_user", target=targets.user)
def groups(call: Call, user: User) -> dict[str, Any]:
    mine = select(Membership.group_id).where(Membership.user_id == user.id)
    query = filtered(call, select(Group).where(Group.id.in_(mine)), {"name": Group.name})
    return page(call, "groups", query, Group.id, lambda rows: [
        {**group_view(call, row), "membership_expires_at": None} for row in rows])  # only federation's memberships expire


@routes.get("/groups/{group_id}/users", "identity:list_users_in_group", target=targets.group)
def of_group(call: Call, group: Group) -> dict[str, Any]:
    members = select(Membership.user_id).where(Membership.group_id == group.id)
    query = filtered(call, select(User).where(User.id.in_(members)), _FILTERS)
    return page(call, "users", query, User.id, lambda rows: [user_view(call, row) for row in rows])
