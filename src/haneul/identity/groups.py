"""Groups of users."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import delete

from haneul.identity.lookup import duplicate, keep, same_domain
from haneul.identity.model import Assignment, Group, Membership, Project, User
from haneul.kernel import ids
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound


class Fields(Struct):
    name: str | UnsetType = UNSET
    domain_id: str | None | UnsetType = UNSET
    description: str | None | UnsetType = UNSET


def create(tx: Transaction, fields: Fields, domain: Project, extra: dict[str, Any]) -> Group:
    name = _name(fields.name)
    group = Group(id=ids.new_hex(), name=name, domain_id=domain.id, description=fields.description or "", extra=extra)
    keep(tx, group, word="group", details=duplicate(name, domain.id))
    return group


def change(tx: Transaction, group: Group, fields: Fields, extra: dict[str, Any]) -> Group:
    same_domain(fields.domain_id or None, group.domain_id)
    if fields.name is not UNSET:
        group.name = _name(fields.name)
    if not isinstance(fields.description, UnsetType):
        group.description = fields.description or ""
    if extra:
        group.extra = {**group.extra, **extra}
    keep(tx, group, word="group", details=duplicate(group.name, group.domain_id))
    return group


def remove(tx: Transaction, group: Group) -> None:
    tx.execute(delete(Assignment).where(Assignment.actor_id == group.id, Assignment.actor_type == "group"))
    tx.delete(group)
    tx.flush()


def add(tx: Transaction, group: Group, user: User) -> None:
    if tx.get(Membership, (user.id, group.id)) is None:
        tx.add(Membership(user_id=user.id, group_id=group.id))
        tx.flush()


def check(tx: Transaction, group: Group, user: User) -> Membership:
    membership = tx.get(Membership, (user.id, group.id))
    if membership is None:
        raise NotFound(f"Could not find user {user.id} in group {group.id}.")
    return membership


def _name(name: str | UnsetType) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > 64:
        raise BadRequest("Invalid input for field 'name': it must have 1 to 64 characters, not only spaces.")
    return name
