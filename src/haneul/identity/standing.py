"""What a user is and may in a scope right now: the part of a token that is looked up, not carried."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import and_, bindparam, or_, select, union_all
from sqlalchemy.orm import aliased

from haneul.identity.model import Assignment, ImpliedRole, Membership, Project, Role, User
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Unauthorized

SYSTEM = "system"


class Scope(Struct, frozen=True, array_like=True):
    """`kind` is "unscoped", "project", "domain" or "system"."""

    kind: str = "unscoped"
    id: str = ""


UNSCOPED = Scope()


class Standing(Struct, frozen=True):
    """A user in a scope. `roles` are (id, name), implied ones included; `domain_roles` only count through what they imply."""

    user_id: str
    user_name: str
    user_domain_id: str
    user_domain_name: str
    password_expires_at: datetime | None
    default_project_id: str | None
    options: dict[str, Any]
    scope: Scope
    scope_name: str = ""
    scope_domain_id: str | None = None
    scope_domain_name: str = ""
    is_domain: bool = False
    roles: tuple[tuple[str, str], ...] = ()


class Roles:
    """All roles and what they imply, at one revision: small tables, read whole."""

    def __init__(self, tx: Transaction) -> None:
        self.names: dict[str, tuple[str, str | None]] = {
            id: (name, domain_id) for id, name, domain_id in tx.execute(select(Role.id, Role.name, Role.domain_id))}
        self._implied: dict[str, list[str]] = {}
        for prior, implied in tx.execute(select(ImpliedRole.prior_id, ImpliedRole.implied_id)):
            self._implied.setdefault(prior, []).append(implied)

    def closure(self, role_ids: Iterable[str]) -> list[str]:
        """With all that is implied, each once."""
        found: dict[str, None] = {}
        waiting = list(role_ids)
        while waiting:
            role = waiting.pop(0)
            if role not in found and role in self.names:
                found[role] = None
                waiting.extend(self._implied.get(role, ()))
        return list(found)

    def effective(self, role_ids: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """As a token shows them: domain roles are left out, what they imply is in."""
        return tuple((id, self.names[id][0]) for id in self.closure(role_ids) if self.names[id][1] is None)


# Made once: building a statement costs more than running it.
_domain = aliased(Project)
_USER = select(User.name, User.domain_id, User.enabled, User.password_expires_at, _domain.name, _domain.enabled,
               User.default_project_id, User.options).join(_domain, _domain.id == User.domain_id).where(
    User.id == bindparam("id"))
_PLACE = select(Project.name, Project.domain_id, Project.enabled, Project.is_domain, _domain.name, _domain.enabled).outerjoin(
    _domain, _domain.id == Project.domain_id).where(Project.id == bindparam("id"))


def find(tx: Transaction, roles: Roles, user_id: str, scope: Scope) -> Standing:
    """Raises Unauthorized, without a reason, unless user, scope and their domains are enabled and the user has a role there."""
    user = tx.execute(_USER, {"id": user_id}).first()
    if user is None or not user[2] or not user[5]:
        raise Unauthorized()
    about: dict[str, Any] = {"user_id": user_id, "user_name": user[0], "user_domain_id": user[1], "user_domain_name": user[4],
                             "password_expires_at": user[3], "default_project_id": user[6], "options": user[7], "scope": scope}
    if scope.kind == "unscoped":
        return Standing(**about)
    if scope.kind != SYSTEM:
        about |= place(tx, scope)
    granted = roles.effective(held(tx, user_id, scope))
    if not granted:
        raise Unauthorized()
    return Standing(**about, roles=granted)


def place(tx: Transaction, scope: Scope) -> dict[str, Any]:
    """What a standing says of its project or domain. Unauthorized if that is disabled, or not of the scope's kind."""
    row = tx.execute(_PLACE, {"id": scope.id}).first()
    if row is None or not row[2] or (scope.kind == "domain") != row[3]:
        raise Unauthorized()
    if row[1] is not None and not row[5]:
        raise Unauthorized()
    return {"scope_name": row[0], "scope_domain_id": row[1], "scope_domain_name": row[4] or "", "is_domain": row[3]}


def actors(user_id: Any) -> Any:
    """A condition on assignments: those of a user and of the user's groups."""
    groups = select(Membership.group_id).where(Membership.user_id == user_id)
    return or_(and_(Assignment.actor_type == "user", Assignment.actor_id == user_id),
               and_(Assignment.actor_type == "group", Assignment.actor_id.in_(groups)))


def held(tx: Transaction, user_id: str, scope: Scope) -> list[str]:
    """Ids of the roles that assignments give a user in a scope, inherited ones included, implied ones not."""
    query = _HELD_BELOW if scope.kind == "project" else _HELD
    return sorted(set(tx.execute(query, {"user": user_id, "target": SYSTEM if scope.kind == SYSTEM else scope.id}).scalars()))


def ancestors(project_id: Any) -> Any:
    """A recursive table of what is above a project: its parents up to its domain."""
    start = select(Project.parent_id.label("id")).where(Project.id == project_id, Project.parent_id.is_not(None)).cte(
        "above", recursive=True)
    return start.union_all(select(Project.parent_id).where(Project.id == start.c.id, Project.parent_id.is_not(None)))


def descendants(project_id: str) -> Any:
    """A recursive table of what is below a project or domain."""
    start = select(Project.id).where(Project.parent_id == project_id).cte("below", recursive=True)
    return start.union_all(select(Project.id).where(Project.parent_id == start.c.id))


def places(tx: Transaction, user_id: str, kind: str) -> list[str]:
    """Ids of the projects or domains ("project", "domain") that a user has a role in."""
    mine = select(Assignment.target_id).where(actors(user_id), Assignment.target_type == kind, Assignment.inherited.is_(False))
    if kind == "domain":
        return list(tx.execute(mine.distinct()).scalars())
    roots = select(Assignment.target_id.label("id")).where(actors(user_id), Assignment.inherited.is_(True)).cte(
        "reach", recursive=True)
    reach = roots.union_all(select(Project.id).where(Project.parent_id == roots.c.id))
    below = select(Project.id).where(Project.parent_id.in_(select(reach.c.id)))
    return list(set(tx.execute(union_all(mine, below)).scalars()))


_above = ancestors(bindparam("target"))
_here = and_(Assignment.target_id == bindparam("target"), Assignment.inherited.is_(False))
_HELD = select(Assignment.role_id).where(actors(bindparam("user")), _here)
_HELD_BELOW = select(Assignment.role_id).where(actors(bindparam("user")), or_(
    _here, and_(Assignment.target_id.in_(select(_above.c.id)), Assignment.inherited.is_(True))))
