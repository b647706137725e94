"""/role_assignments: who has which role where, as granted or as it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from haneul.identity.api import targets
from haneul.identity.api.lists import switch
from haneul.identity.api.views import collection
from haneul.identity.assignments import Filter, Line, listed
from haneul.identity.lookup import require
from haneul.identity.model import Group, Project, Role, User
from haneul.kernel.errors import BadRequest, Forbidden
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()


def _asked(call: Call) -> Filter:
    inherited = call.argument("scope.OS-INHERIT:inherited_to")
    if inherited not in (None, "projects"):
        raise BadRequest("scope.OS-INHERIT:inherited_to must be projects.")
    asked = Filter(
        role_id=call.argument("role.id"), user_id=call.argument("user.id"), group_id=call.argument("group.id"),
        project_id=call.argument("scope.project.id"), domain_id=call.argument("scope.domain.id"),
        system=call.argument("scope.system") is not None, inherited=True if inherited else None,
        effective=switch(call, "effective"), subtree=switch(call, "include_subtree"))
    if asked.user_id and asked.group_id:
        raise BadRequest("Specify a user or group, not both")
    if sum(bool(part) for part in (asked.project_id, asked.domain_id, asked.system)) > 1:
        raise BadRequest("Specify a domain or project, not both")
    if asked.effective and asked.group_id:
        raise BadRequest("Combining effective and group filter will always result in an empty list.")
    if asked.effective and asked.inherited and asked.domain_id:
        raise BadRequest("Combining effective, domain and inherited filters will always result in an empty list.")
    if asked.subtree and not asked.project_id:
        raise BadRequest("scope.project.id must be specified if include_subtree is also specified")
    return asked


@routes.get("/role_assignments", "identity:list_role_assignments", target=targets.own_domain)
def index(call: Call, target: dict[str, Any]) -> dict[str, Any]:
    asked = _asked(call)
    if asked.subtree:
        project = require(call.tx, Project, asked.project_id or "")
        if not call.allows("identity:list_role_assignments_for_tree", project.policy_target):
            raise Forbidden(call.found.service.denied.format(rule="identity:list_role_assignments_for_tree"))
    lines = listed(call.tx, asked)
    if not targets.wide(call):
        lines = _within(call, lines, call.context.domain_id or "")
    names = _Names(call, lines) if switch(call, "include_names") else None
    return collection(call, "role_assignments", [_view(call, line, names) for line in lines])


def _within(call: Call, lines: list[Line], domain_id: str) -> list[Line]:
    inside = set(call.tx.execute(select(Project.id).where(Project.domain_id == domain_id)).scalars()) | {domain_id}
    return [line for line in lines if line.target_id in inside]


class _Names:
    """Names of all that a list mentions, in four statements."""

    def __init__(self, call: Call, lines: list[Line]) -> None:
        tx = call.tx
        actors, places = {line.actor_id for line in lines}, {line.target_id for line in lines}
        self.roles = {id: (name, domain) for id, name, domain in tx.execute(
            select(Role.id, Role.name, Role.domain_id).where(Role.id.in_({line.role_id for line in lines})))}
        self.actors = {id: (name, domain) for kind in (User, Group) for id, name, domain in tx.execute(
            select(kind.id, kind.name, kind.domain_id).where(kind.id.in_(actors)))}
        self.places = {id: (name, domain) for id, name, domain in tx.execute(
            select(Project.id, Project.name, Project.domain_id).where(Project.id.in_(places)))}
        domains = {domain for _, domain in (*self.actors.values(), *self.places.values(), *self.roles.values()) if domain}
        self._domains = {id: name for id, name in tx.execute(select(Project.id, Project.name).where(Project.id.in_(domains)))}

    def put(self, reference: dict[str, Any], known: Mapping[str, tuple[str, str | None]]) -> dict[str, Any]:
        name, domain = known.get(reference["id"], ("", None))
        reference["name"] = name
        if domain is not None:
            reference["domain"] = {"id": domain, "name": self._domains.get(domain, "")}
        return reference


def _view(call: Call, line: Line, names: _Names | None) -> dict[str, Any]:
    role: dict[str, Any] = {"id": line.role_id}
    actor: dict[str, Any] = {"id": line.actor_id}
    place: dict[str, Any] = {"id": line.target_id}
    if names is not None:
        names.put(role, names.roles)
        names.put(actor, names.actors)
        if line.target_type != "system":
            names.put(place, names.places)
    scope: dict[str, Any] = {"system": {"all": True}} if line.target_type == "system" else {line.target_type: place}
    if line.inherited:
        scope["OS-INHERIT:inherited_to"] = "projects"
    return {"role": role, line.actor_type: actor, "scope": scope, "links": _links(call, line)}


def _links(call: Call, line: Line) -> dict[str, str]:
    base = call.base_url
    kind, place = line.origin or (line.target_type, line.target_id)
    actor = f"groups/{line.group_id}" if line.group_id else f"{line.actor_type}s/{line.actor_id}"
    role = line.prior_id or line.role_id
    where = "system" if kind == "system" else f"{kind}s/{place}"
    path = f"/{where}/{actor}/roles/{role}"
    if line.inherited:
        path = f"/OS-INHERIT{path}/inherited_to_projects"
    links = {"assignment": base + path}
    if line.group_id:
        links["membership"] = f"{base}/groups/{line.group_id}/users/{line.actor_id}"
    if line.prior_id:
        links["prior_role"] = f"{base}/prior_role/{line.prior_id}/implies/{line.role_id}"
    return links
