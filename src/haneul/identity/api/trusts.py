"""/OS-TRUST/trusts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from haneul.identity import trusts as rules
from haneul.identity.api.bodies import entity
from haneul.identity.api.roles import role_view
from haneul.identity.api.views import collection, link
from haneul.identity.delegation import PRIMARY
from haneul.identity.lookup import refuse
from haneul.identity.model import Role, Trust
from haneul.kernel import clock
from haneul.kernel.errors import Forbidden, NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
PATH = "/OS-TRUST/trusts"


def _check_caller(call: Call) -> None:
    """Tokens of credentials neither manage nor see trusts; a trust's own token redelegates, which is what it may."""
    if not PRIMARY.issuperset(call.context.methods):
        raise refuse("Delegated tokens cannot manage trusts.")


def _summary(call: Call, trust: Trust) -> dict[str, Any]:
    return {**trust.extra, "id": trust.id, "trustor_user_id": trust.trustor_user_id, "trustee_user_id": trust.trustee_user_id,
            "project_id": trust.project_id, "impersonation": trust.impersonation, "deleted_at": None,
            "expires_at": clock.iso(trust.expires_at, micro=True), "remaining_uses": trust.remaining_uses,
            "redelegation_count": trust.redelegation_count, "redelegated_trust_id": trust.redelegated_trust_id,
            "links": link(call, "OS-TRUST", "trusts", trust.id)}


def _roles(call: Call, trust: Trust) -> list[dict[str, Any]]:
    query = select(Role).where(Role.id.in_(trust.role_ids)).order_by(Role.name)
    return [role_view(call, role) for role in call.tx.execute(query).scalars()]


def _roles_links(call: Call, trust: Trust) -> dict[str, Any]:
    return {"next": None, "previous": None, **link(call, "OS-TRUST", "trusts", trust.id, "roles")}


def _view(call: Call, trust: Trust) -> dict[str, Any]:
    return {**_summary(call, trust), "roles": _roles(call, trust), "roles_links": _roles_links(call, trust)}


def _trust(call: Call) -> Trust:
    """404 before any rule, as in Keystone: ids are not to be guessed."""
    return rules.get(call.tx, call.values["trust_id"])


def _new(call: Call) -> dict[str, Any]:
    wanted, extra = entity(call, "trust", rules.Wanted)
    return {"wanted": wanted, "extra": extra, "target.trust.trustor_user_id": wanted.trustor_user_id}


@routes.post(PATH, "identity:create_trust", target=_new, status=201)
def create(call: Call, new: dict[str, Any]) -> dict[str, Any]:
    _check_caller(call)
    return {"trust": _view(call, rules.create(call.tx, call.context, new["wanted"], new["extra"]))}


def _asked(call: Call) -> dict[str, Any]:
    """Whose trusts: each has a rule of its own."""
    for name in ("trustor", "trustee"):
        user_id = call.argument(f"{name}_user_id")
        if user_id:
            rule, target = f"identity:list_trusts_for_{name}", {f"target.trust.{name}_user_id": user_id}
            column = Trust.trustor_user_id if name == "trustor" else Trust.trustee_user_id
            conditions = [column == user_id]
            break
    else:
        rule, target, conditions = "identity:list_trusts", {}, []
    if not call.allows(rule, target):
        raise Forbidden(call.found.service.denied.format(rule=rule))
    return {"conditions": conditions, **target, "user_id": call.context.user_id}


# Each of the three ways to ask has its rule, checked in `_asked`; besides, nobody lists what they could not show
@routes.get(PATH, "identity:get_trust", target=_asked)
def index(call: Call, asked: dict[str, Any]) -> dict[str, Any]:
    _check_caller(call)
    found = call.tx.execute(rules.listed(*asked["conditions"])).scalars()
    return collection(call, "trusts", [_summary(call, trust) for trust in found])


@routes.get(PATH + "/{trust_id}", "identity:get_trust", target=_trust)
def show(call: Call, trust: Trust) -> dict[str, Any]:
    _check_caller(call)
    return {"trust": _view(call, trust)}


@routes.delete(PATH + "/{trust_id}", "identity:delete_trust", target=_trust)
def delete(call: Call, trust: Trust) -> None:
    _check_caller(call)
    rules.remove(call.tx, trust)


@routes.get(PATH + "/{trust_id}/roles", "identity:list_roles_for_trust", target=_trust)
def roles(call: Call, trust: Trust) -> dict[str, Any]:
    _check_caller(call)
    return {"roles": _roles(call, trust), "links": _roles_links(call, trust)}


@routes.get(PATH + "/{trust_id}/roles/{role_id}", "identity:get_role_for_trust", target=_trust)
def show_role(call: Call, trust: Trust) -> dict[str, Any]:
    _check_caller(call)
    role = call.tx.get(Role, call.values["role_id"])
    if role is None or role.id not in trust.role_ids:
        raise NotFound(f"Could not find role: {call.values['role_id'][:64]}.")
    return {"role": role_view(call, role)}
