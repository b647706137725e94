"""Roles and what they imply."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import delete

from haneul.identity.lookup import check_mutable, domain, duplicate, keep, merge_options, refuse, same_domain
from haneul.identity.model import ImpliedRole, Role, bump
from haneul.identity.standing import Roles
from haneul.kernel import ids
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound


class Fields(Struct):
    name: str | UnsetType = UNSET
    domain_id: str | None | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    options: dict[str, Any] | UnsetType = UNSET


def create(tx: Transaction, fields: Fields, extra: dict[str, Any]) -> Role:
    name = _name(fields.name)
    domain_id = domain(tx, fields.domain_id).id if fields.domain_id else None
    role = Role(id=ids.new_hex(), name=name, domain_id=domain_id, description=fields.description or None, extra=extra,
                options=merge_options({}, fields.options or None))
    keep(tx, role, word="role", details=duplicate(name, domain_id))
    return role


def change(tx: Transaction, role: Role, fields: Fields, extra: dict[str, Any]) -> Role:
    check_mutable(role, "role", fields.options)
    if fields.domain_id is not UNSET:
        same_domain(fields.domain_id or "", role.domain_id or "")
    if fields.name is not UNSET:
        role.name = _name(fields.name)
    if not isinstance(fields.description, UnsetType):
        role.description = fields.description
    if isinstance(fields.options, dict):
        role.options = merge_options(role.options, fields.options)
    if extra:
        role.extra = {**role.extra, **extra}
    keep(tx, role, word="role", details=duplicate(role.name, role.domain_id))
    return role


def remove(tx: Transaction, role: Role) -> None:
    """With the assignments and implications that name it."""
    check_mutable(role, "role")
    tx.delete(role)
    tx.flush()


def imply(tx: Transaction, prior: Role, implied: Role) -> None:
    """Refused where it would make a ring, or let a global role imply a domain's."""
    if tx.get(ImpliedRole, (prior.id, implied.id)) is not None:
        return
    if prior.domain_id is None and implied.domain_id is not None:
        raise refuse(f"{implied.id} cannot be an implied role: it belongs to a domain and {prior.id} does not.")
    if prior.id in Roles(tx).closure([implied.id]):
        raise refuse(f"{implied.id} cannot be implied by {prior.id}: it implies that one itself.")
    tx.add(ImpliedRole(prior_id=prior.id, implied_id=implied.id))
    tx.flush()


def unimply(tx: Transaction, prior: Role, implied: Role) -> None:
    if tx.execute(delete(ImpliedRole).where(ImpliedRole.prior_id == prior.id, ImpliedRole.implied_id == implied.id)
                  .returning(ImpliedRole.prior_id)).first() is None:
        raise NotFound(f"{prior.id} does not imply {implied.id}.")
    bump(tx)


def check_implied(tx: Transaction, prior: Role, implied: Role) -> None:
    if tx.get(ImpliedRole, (prior.id, implied.id)) is None:
        raise NotFound(f"{prior.id} does not imply {implied.id}.")


def _name(name: str | UnsetType) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > 255:
        raise BadRequest("Invalid input for field 'name': it must have 1 to 255 characters, not only spaces.")
    return name
