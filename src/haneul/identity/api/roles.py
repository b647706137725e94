"""/roles, what they imply, and /role_inferences."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from haneul.identity import roles as rules
from haneul.identity.api import targets
from haneul.identity.api.bodies import entity
from haneul.identity.api.lists import filtered, page
from haneul.identity.api.views import collection, link
from haneul.identity.model import ImpliedRole, Role
from haneul.kernel.errors import Forbidden
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()


def role_view(call: Call, role: Role) -> dict[str, Any]:
    return {**role.extra, "id": role.id, "name": role.name, "domain_id": role.domain_id, "description": role.description,
            "options": role.options, "links": link(call, "roles", role.id)}


def _also(call: Call, rule: str, domain_id: str | None) -> None:
    """Domain roles have rules of their own besides."""
    if domain_id is not None and not call.allows(rule, {}):
        raise Forbidden(call.found.service.denied.format(rule=rule))


@routes.get("/roles", "identity:list_roles", target=targets.own_domain)
def index(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    domain_id = call.argument("domain_id")
    _also(call, "identity:list_domain_roles", domain_id)
    query = select(Role).where(Role.domain_id == domain_id if domain_id else Role.domain_id.is_(None))
    query = filtered(call, query, {"name": Role.name, "id": Role.id})
    return page(call, "roles", query, Role.id, lambda rows: [role_view(call, row) for row in rows])


@routes.post("/roles", "identity:create_role", status=201)
def create(call: Call) -> dict[str, Any]:
    fields, extra = entity(call, "role", rules.Fields)
    _also(call, "identity:create_domain_role", fields.domain_id or None)
    return {"role": role_view(call, rules.create(call.tx, fields, extra))}


def _one(call: Call) -> dict[str, Any]:
    role = targets.role(call)
    return {"role": role, "target.domain_id": call.context.domain_id if role.domain_id is None else role.domain_id,
            **role.policy_target}


@routes.get("/roles/{role_id}", "identity:get_role", target=_one)
def show(call: Call, one: dict[str, Any]) -> dict[str, Any]:
    _also(call, "identity:get_domain_role", one["role"].domain_id)
    return {"role": role_view(call, one["role"])}


@routes.patch("/roles/{role_id}", "identity:update_role", target=targets.role)
def update(call: Call, role: Role) -> dict[str, Any]:
    _also(call, "identity:update_domain_role", role.domain_id)
    fields, extra = entity(call, "role", rules.Fields)
    return {"role": role_view(call, rules.change(call.tx, role, fields, extra))}


@routes.delete("/roles/{role_id}", "identity:delete_role", target=targets.role)
def delete(call: Call, role: Role) -> None:
    _also(call, "identity:delete_domain_role", role.domain_id)
    rules.remove(call.tx, role)


# -------------------------------------------------------------------- implied roles

def _short(call: Call, role: Role) -> dict[str, Any]:
    return {"id": role.id, "name": role.name, "links": link(call, "roles", role.id)}


def _implied(call: Call) -> Role:
    return targets.found(call, Role, call.values["implied_id"])


@routes.get("/roles/{role_id}/implies", "identity:list_implied_roles", target=targets.role)
def implies(call: Call, prior: Role) -> dict[str, Any]:
    query = select(Role).join(ImpliedRole, ImpliedRole.implied_id == Role.id).where(ImpliedRole.prior_id == prior.id)
    found = call.tx.execute(query.order_by(Role.name)).scalars()
    return {"role_inference": {"prior_role": _short(call, prior), "implies": [_short(call, role) for role in found]},
            "links": link(call, "roles", prior.id, "implies")}


def _inference(call: Call, prior: Role, implied: Role) -> dict[str, Any]:
    return {"role_inference": {"prior_role": _short(call, prior), "implies": _short(call, implied)},
            "links": link(call, "roles", prior.id, "implies", implied.id)}


@routes.put("/roles/{role_id}/implies/{implied_id}", "identity:create_implied_role", target=targets.role, status=201)
def imply(call: Call, prior: Role) -> dict[str, Any]:
    implied = _implied(call)
    rules.imply(call.tx, prior, implied)
    return _inference(call, prior, implied)


@routes.get("/roles/{role_id}/implies/{implied_id}", "identity:get_implied_role", target=targets.role)
def show_implied(call: Call, prior: Role) -> dict[str, Any]:
    implied = _implied(call)
    rules.check_implied(call.tx, prior, implied)
    return _inference(call, prior, implied)


@routes.head("/roles/{role_id}/implies/{implied_id}", "identity:check_implied_role", target=targets.role, status=204)
def check_implied(call: Call, prior: Role) -> None:
    rules.check_implied(call.tx, prior, _implied(call))


@routes.delete("/roles/{role_id}/implies/{implied_id}", "identity:delete_implied_role", target=targets.role)
def unimply(call: Call, prior: Role) -> None:
    rules.unimply(call.tx, prior, _implied(call))


@routes.get("/role_inferences", "identity:list_role_inference_rules")
def inferences(call: Call) -> dict[str, Any]:
    roles = {role.id: role for role in call.tx.execute(select(Role)).scalars()}
    found: dict[str, list[dict[str, Any]]] = {}
    for prior, implied in call.tx.execute(select(ImpliedRole.prior_id, ImpliedRole.implied_id)):
        found.setdefault(prior, []).append(_short(call, roles[implied]))
    return collection(call, "role_inferences", [
        {"prior_role": _short(call, roles[prior]), "implies": implied} for prior, implied in sorted(found.items())])
