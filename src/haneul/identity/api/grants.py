"""Granting roles: to users and groups, on projects, domains and the system, inherited by what is below or not."""

from __future__ import annotations

from typing import Any

from haneul.identity import assignments as rules
from haneul.identity.api import targets
from haneul.identity.api.roles import role_view
from haneul.identity.api.views import collection
from haneul.identity.assignments import Grant
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()


def _load(call: Call) -> Grant:
    """From the path alone. Without a role in the path: all of the actor's there."""
    values = call.values
    actor = targets.user(call) if "user_id" in values else targets.group(call)
    target = targets.project(call) if "project_id" in values else targets.domain(call) if "domain_id" in values else None
    role = targets.role(call) if "role_id" in values else None
    return Grant(actor, target, role, inherited="/OS-INHERIT/" in call.path)


def _put(call: Call, wanted: Grant) -> None:
    rules.grant(call.tx, wanted)


def _check(call: Call, wanted: Grant) -> None:
    rules.check(call.tx, wanted)


def _revoke(call: Call, wanted: Grant) -> None:
    rules.revoke(call.tx, wanted)


def _index(call: Call, wanted: Grant) -> dict[str, Any]:
    return collection(call, "roles", [role_view(call, role) for role in rules.roles_of(call.tx, wanted)])


def _register() -> None:
    names = {"list": "list_grants", "check": "check_grant", "put": "create_grant", "revoke": "revoke_grant"}
    for target in ("projects/{project_id}", "domains/{domain_id}"):
        for actor in ("users/{user_id}", "groups/{group_id}"):
            _register_at(f"/{target}/{actor}/roles", "", names)
            _register_at(f"/OS-INHERIT/{target}/{actor}/roles", "/inherited_to_projects", names)
    for actor, word in (("users/{user_id}", "user"), ("groups/{group_id}", "group")):
        _register_at(f"/system/{actor}/roles", "", {
            "list": f"list_system_grants_for_{word}", "check": f"check_system_grant_for_{word}",
            "put": f"create_system_grant_for_{word}", "revoke": f"revoke_system_grant_for_{word}"})


def _register_at(path: str, end: str, names: dict[str, str]) -> None:
    one = f"{path}/{{role_id}}{end}"
    routes.get(path + end, f"identity:{names['list']}", target=_load)(_index)
    routes.get(one, f"identity:{names['check']}", target=_load, status=204)(_check)
    routes.put(one, f"identity:{names['put']}", target=_load, status=204)(_put)
    routes.delete(one, f"identity:{names['revoke']}", target=_load)(_revoke)


_register()
