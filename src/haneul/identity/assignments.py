"""Role assignments: granting, revoking, and what they come to once groups, inheritance and implied roles are followed."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import and_, delete, or_, select

from haneul.identity.lookup import refuse
from haneul.identity.model import (
    ApplicationCredential,
    Assignment,
    Group,
    ImpliedRole,
    Membership,
    Project,
    Role,
    User,
    bump,
)
from haneul.identity.standing import SYSTEM, descendants
from haneul.kernel.database import Transaction
from haneul.kernel.errors import NotFound


class Grant(Struct):
    """Who gets which role where. `target` None is the system."""

    actor: User | Group
    target: Project | None
    role: Role | None = None
    inherited: bool = False

    @property
    def key(self) -> dict[str, Any]:
        target_type = SYSTEM if self.target is None else "domain" if self.target.is_domain else "project"
        return {"actor_id": self.actor.id, "actor_type": "user" if isinstance(self.actor, User) else "group",
                "target_id": self.target.id if self.target else SYSTEM, "target_type": target_type, "inherited": self.inherited}

    @property
    def policy_target(self) -> dict[str, Any]:
        found = dict(self.actor.policy_target)
        if self.target is not None:
            found["target.project.domain_id" if not self.target.is_domain else "target.domain.id"] = \
                self.target.id if self.target.is_domain else self.target.domain_id
        if self.role is not None:
            found |= self.role.policy_target
        return found

    def missing(self) -> NotFound:
        assert self.role is not None
        return NotFound(f"Could not find role assignment with role: {self.role.id}, user or group: {self.actor.id}, project, "
                        f"domain, or system: {self.key['target_id']}.")


def grant(tx: Transaction, wanted: Grant) -> None:
    role = wanted.role
    assert role is not None
    if role.domain_id is not None:
        inside = None if wanted.target is None else wanted.target.id if wanted.target.is_domain else wanted.target.domain_id
        if inside != role.domain_id:
            raise refuse(f"Project or domain must be in the same domain as the role {role.id} being assigned.")
    if _row(tx, wanted) is None:
        tx.add(Assignment(role_id=role.id, **wanted.key))
        tx.flush()


def _row(tx: Transaction, wanted: Grant) -> Assignment | None:
    assert wanted.role is not None
    return tx.execute(select(Assignment).filter_by(role_id=wanted.role.id, **wanted.key)).scalar()


def check(tx: Transaction, wanted: Grant) -> None:
    if _row(tx, wanted) is None:
        raise wanted.missing()


def revoke(tx: Transaction, wanted: Grant) -> None:
    """Takes the user's application credentials for that project along, as Keystone does."""
    row = _row(tx, wanted)
    if row is None:
        raise wanted.missing()
    tx.delete(row)
    if wanted.target is not None and isinstance(wanted.actor, User):
        tx.execute(delete(ApplicationCredential).where(
            ApplicationCredential.user_id == wanted.actor.id, ApplicationCredential.project_id == wanted.target.id))
    bump(tx)
    tx.flush()


def roles_of(tx: Transaction, wanted: Grant) -> list[Role]:
    """Those granted directly."""
    mine = select(Assignment.role_id).filter_by(**wanted.key)
    return list(tx.execute(select(Role).where(Role.id.in_(mine)).order_by(Role.name)).scalars())


class Filter(Struct):
    """Of a list of assignments. `targets` None: everywhere."""

    role_id: str | None = None
    user_id: str | None = None
    group_id: str | None = None
    project_id: str | None = None
    domain_id: str | None = None
    system: bool = False
    inherited: bool | None = None
    effective: bool = False
    subtree: bool = False


class Line(Struct, frozen=True):
    """An assignment as it is shown. Effective ones remember what they come from."""

    actor_type: str
    actor_id: str
    target_type: str
    target_id: str
    role_id: str
    inherited: bool = False
    group_id: str | None = None  # through which group
    origin: tuple[str, str] | None = None  # (type, id) it is inherited from
    prior_id: str | None = None  # the role that implies this one


def listed(tx: Transaction, asked: Filter) -> list[Line]:
    rows = [Line(*row) for row in tx.execute(_selected(tx, asked))]
    if asked.effective:
        rows = _effective(tx, rows)
    return [row for row in dict.fromkeys(rows) if _wanted(tx, asked, row)]


def _selected(tx: Transaction, asked: Filter) -> Any:
    """Direct assignments that may matter: a superset when their effects are asked for."""
    query = select(Assignment.actor_type, Assignment.actor_id, Assignment.target_type, Assignment.target_id,
                   Assignment.role_id, Assignment.inherited).order_by(
        Assignment.target_id, Assignment.actor_id, Assignment.role_id)
    if asked.user_id is not None:
        direct = and_(Assignment.actor_type == "user", Assignment.actor_id == asked.user_id)
        groups = select(Membership.group_id).where(Membership.user_id == asked.user_id)
        through = and_(Assignment.actor_type == "group", Assignment.actor_id.in_(groups))
        query = query.where(or_(direct, through) if asked.effective else direct)
    if asked.group_id is not None:
        query = query.where(Assignment.actor_type == "group", Assignment.actor_id == asked.group_id)
    if not asked.effective and asked.role_id is not None:
        query = query.where(Assignment.role_id == asked.role_id)
    if asked.system:
        query = query.where(Assignment.target_type == SYSTEM)
    return query


def _wanted(tx: Transaction, asked: Filter, row: Line) -> bool:
    if asked.role_id is not None and row.role_id != asked.role_id:
        return False
    if asked.domain_id is not None and (row.target_type, row.target_id) != ("domain", asked.domain_id):
        return False
    if asked.project_id is not None:
        if row.target_type != "project":
            return False
        if row.target_id != asked.project_id and not (asked.subtree and row.target_id in _below(tx, asked.project_id)):
            return False
    if asked.inherited is not None and not asked.effective and row.inherited != asked.inherited:
        return False
    return not (asked.effective and asked.inherited and row.origin is None)


def _below(tx: Transaction, project_id: str) -> set[str]:
    known: dict[str, set[str]] = tx.info.setdefault("identity_below", {})
    if project_id not in known:
        known[project_id] = set(tx.execute(select(descendants(project_id).c.id)).scalars())
    return known[project_id]


def _effective(tx: Transaction, rows: list[Line]) -> list[Line]:
    return _implied(tx, _members(tx, _inherited(tx, rows)))


def _inherited(tx: Transaction, rows: list[Line]) -> list[Line]:
    found: list[Line] = []
    for row in rows:
        if not row.inherited:
            found.append(row)
            continue
        found += [msgspec.structs.replace(row, target_type="project", target_id=id, origin=(row.target_type, row.target_id))
                  for id in sorted(_below(tx, row.target_id))]
    return found


def _members(tx: Transaction, rows: list[Line]) -> list[Line]:
    groups = {row.actor_id for row in rows if row.actor_type == "group"}
    members: dict[str, list[str]] = {}
    if groups:
        for group, user in tx.execute(select(Membership.group_id, Membership.user_id).where(Membership.group_id.in_(groups))):
            members.setdefault(group, []).append(user)
    found: list[Line] = []
    for row in rows:
        if row.actor_type == "user":
            found.append(row)
        else:
            found += [msgspec.structs.replace(row, actor_type="user", actor_id=user, group_id=row.actor_id)
                      for user in members.get(row.actor_id, ())]
    return found


def _implied(tx: Transaction, rows: list[Line]) -> list[Line]:
    """Domain roles themselves are left out: they only count through what they imply."""
    implied: dict[str, list[str]] = {}
    for prior, role in tx.execute(select(ImpliedRole.prior_id, ImpliedRole.implied_id)):
        implied.setdefault(prior, []).append(role)
    of_domains = set(tx.execute(select(Role.id).where(Role.domain_id.is_not(None))).scalars())
    found: dict[tuple[Any, ...], Line] = {}
    waiting = list(rows)
    while waiting:
        row = waiting.pop(0)
        key = (row.actor_id, row.target_type, row.target_id, row.role_id, row.group_id, row.origin)
        if key in found:
            continue
        found[key] = row
        waiting += [msgspec.structs.replace(row, role_id=role, prior_id=row.role_id) for role in implied.get(row.role_id, ())]
    return [row for row in found.values() if row.role_id not in of_domains]
