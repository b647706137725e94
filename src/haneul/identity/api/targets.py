"""Loading what a route is about, as the policy's target and the handler's argument.

A caller who may not ask gets the same 403 whether a thing exists or not; one who may gets Keystone's 404.
"""

from __future__ import annotations

from typing import Any, TypeVar

from haneul.identity import lookup
from haneul.identity.model import Group, Project, Role, User
from haneul.kernel.database import Base
from haneul.kernel.errors import Forbidden, NotFound
from haneul.kernel.wire.call import Call

T = TypeVar("T", bound=Base)


def found(call: Call, kind: type[T], id: str) -> T:
    try:
        return lookup.require(call.tx, kind, id)
    except NotFound:
        raise absent(call) or NotFound(f"Could not find {lookup.WORDS[kind]}: {id}.")


def absent(call: Call) -> Forbidden | None:
    """The 403 for a caller who could not see the thing if it existed."""
    rule = call.route.rule
    assert rule is not None
    if call.cloud.policy.allows(rule, call.context, {}):
        return None
    return Forbidden(call.found.service.denied.format(rule=rule))


def project(call: Call) -> Project:
    return found(call, Project, call.values["project_id"])


def domain(call: Call) -> Project:
    row = call.tx.get(Project, call.values["domain_id"])
    if row is None or not row.is_domain:
        raise absent(call) or NotFound(f"Could not find domain: {call.values['domain_id']}.")
    return row


def user(call: Call) -> User:
    return found(call, User, call.values["user_id"])


def group(call: Call) -> Group:
    return found(call, Group, call.values["group_id"])


def role(call: Call) -> Role:
    return found(call, Role, call.values["role_id"])


def own_domain(call: Call) -> dict[str, Any]:
    """Of lists: a domain-scoped caller sees its own domain, and the list is cut down to that."""
    return {"target.domain_id": call.context.domain_id, "target.domain.id": call.context.domain_id}


def wide(call: Call) -> bool:
    """Whether a list shows all domains to the caller."""
    return call.context.is_admin or call.context.system_scope is not None


def new_in(call: Call, kind: str, domain_id: str | None) -> Project:
    """The domain that something is made in, once the policy agrees: the one named, else the caller's own, else the default."""
    wanted = domain_id or call.context.domain_id or "default"
    row = call.tx.get(Project, wanted)
    rule = call.route.rule
    assert rule is not None
    exists = row is not None and row.is_domain
    if not call.cloud.policy.allows(rule, call.context, {f"target.{kind}.domain_id": wanted if exists else None}):
        raise Forbidden(call.found.service.denied.format(rule=rule))
    if row is None or not exists:
        raise NotFound(f"Could not find domain: {wanted[:64]}.")
    return row
