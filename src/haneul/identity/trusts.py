"""Trusts: a user (the trustor) lets another (the trustee) act in a project with some of the trustor's roles."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct
from sqlalchemy import or_, select, update

from haneul.identity.lookup import keep, refuse, require
from haneul.identity.model import Project, Role, Trust, User
from haneul.identity.moments import parsed
from haneul.identity.standing import Roles, Scope, held
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Forbidden, NotFound

DEPTH = 3  # of redelegation: Keystone's max_redelegation_count


class RoleRef(Struct):
    id: str | None = None
    name: str | None = None


class Wanted(Struct):
    trustor_user_id: str
    trustee_user_id: str
    impersonation: bool
    project_id: str | None = None
    roles: list[RoleRef] = []
    expires_at: str | None = None
    remaining_uses: Annotated[int, Meta(ge=1, le=(1 << 31) - 1)] | None = None
    allow_redelegation: bool | None = None
    redelegation_count: Annotated[int, Meta(ge=0, le=1000)] | None = None


# -------------------------------------------------------------------- which there are

def alive(tx: Transaction, trust_id: str) -> Trust | None:
    """None for one that is over. A trust whose uses are used up still carries the tokens it gave."""
    trust = tx.get(Trust, trust_id)
    if trust is None or (trust.expires_at is not None and trust.expires_at <= clock.now()):
        return None
    return trust


def get(tx: Transaction, trust_id: str) -> Trust:
    """One that may be used or shown. NotFound also once it has expired or has no uses left, as in Keystone."""
    trust = alive(tx, trust_id)
    if trust is None or (trust.remaining_uses is not None and trust.remaining_uses <= 0):
        raise NotFound(f"Could not find trust: {trust_id[:64]}.")
    return trust


def listed(*conditions: Any) -> Any:
    """The statement that finds those that may still be used."""
    return select(Trust).where(or_(Trust.expires_at.is_(None), Trust.expires_at > clock.now()),
                               or_(Trust.remaining_uses.is_(None), Trust.remaining_uses > 0), *conditions).order_by(Trust.id)


def chain(tx: Transaction, trust: Trust) -> list[Trust]:
    """The trust and those it was redelegated from, the original one last."""
    found = [trust]
    while found[-1].redelegated_trust_id is not None:
        above = tx.get(Trust, found[-1].redelegated_trust_id)
        if above is None:
            break
        found.append(above)
    return found


# -------------------------------------------------------------------- what one gives

def check_agents(tx: Transaction, trust: Trust) -> bool:
    """Whether all who handed a redelegated trust on may still act."""
    above = chain(tx, trust)[1:]
    wanted = {user for each in above for user in (each.trustee_user_id, each.trustor_user_id)}
    enabled = set(tx.execute(select(User.id).where(User.id.in_(wanted), User.enabled.is_(True))).scalars())
    return wanted <= enabled and all(alive(tx, each.id) is not None for each in above)


def roles_of(tx: Transaction, roles: Roles, trust: Trust) -> tuple[tuple[str, str], ...]:
    """What the trustee gets: all of the trust's roles, or none once the first trustor of the chain has lost any of them."""
    if trust.project_id is None:
        return ()
    origin = chain(tx, trust)[-1]
    present = set(roles.closure(held(tx, origin.trustor_user_id, Scope("project", trust.project_id))))
    if not set(trust.role_ids) <= present:
        return ()
    return roles.effective(trust.role_ids)


def consume(tx: Transaction, trust_id: str) -> None:
    """Takes one of a limited number of uses. A statement: counting down must not empty what is cached of tokens."""
    taken = tx.execute(update(Trust).where(Trust.id == trust_id, Trust.remaining_uses > 0)
                       .values(remaining_uses=Trust.remaining_uses - 1)
                       .returning(Trust.id).execution_options(synchronize_session=False)).first()
    if taken is None:
        raise Forbidden(f"There are no more uses left in trust {trust_id}.")


# -------------------------------------------------------------------- making and ending

def create(tx: Transaction, context: Context, wanted: Wanted, extra: dict[str, Any]) -> Trust:
    if wanted.project_id and not wanted.roles:
        raise refuse("At least one role should be specified")
    if context.user_id != wanted.trustor_user_id:
        raise refuse("The authenticated user should match the trustor")
    require(tx, User, wanted.trustee_user_id)
    parent = None if context.trust_id is None else get(tx, context.trust_id)
    role_ids = _roles(tx, wanted.roles)
    trust = Trust(
        id=ids.new_hex(), trustor_user_id=wanted.trustor_user_id, trustee_user_id=wanted.trustee_user_id,
        project_id=wanted.project_id or None, impersonation=wanted.impersonation, expires_at=_expiry(wanted.expires_at),
        remaining_uses=wanted.remaining_uses, redelegated_trust_id=None if parent is None else parent.id, role_ids=role_ids,
        redelegation_count=_depth(wanted, parent), extra=extra)
    if trust.project_id is not None:
        _check_roles(tx, trust, parent)
    if parent is not None:
        for each in chain(tx, parent):
            _check_redelegation(each, trust)
    keep(tx, trust, word="trust", details="Duplicate entry")
    return trust


def _expiry(text: str | None) -> datetime | None:
    moment = parsed(text)
    if moment is not None and moment <= clock.now():
        raise BadRequest("The expiration date of a trust must lie in the future.")
    return moment


def _roles(tx: Transaction, wanted: Iterable[RoleRef]) -> list[str]:
    found: list[str] = []
    for reference in wanted:
        if bool(reference.id) == bool(reference.name):
            raise BadRequest("Invalid input for field 'roles': each role is named by its id or by its name.")
        if reference.id:
            found.append(require(tx, Role, reference.id).id)
            continue
        named = tx.execute(select(Role.id).where(Role.name == reference.name, Role.domain_id.is_(None))).scalar()
        if named is None:
            raise NotFound(f"Could not find role: {reference.name}.")
        found.append(named)
    return list(dict.fromkeys(found))


def _depth(wanted: Wanted, parent: Trust | None) -> int:
    """How often the new trust may be handed on."""
    asked = wanted.redelegation_count
    if not wanted.allow_redelegation or asked == 0:
        return 0
    if asked is not None and asked > DEPTH:
        raise Forbidden(f"Requested redelegation depth of {asked} is greater than allowed {DEPTH}")
    if wanted.remaining_uses is not None:
        raise BadRequest("remaining_uses must not be set if redelegation is allowed")
    if parent is None:
        return DEPTH if asked is None else asked
    if asked is not None and asked != parent.redelegation_count - 1:
        raise Forbidden('Modifying "redelegation_count" upon redelegation is forbidden. Omitting this parameter is advised.')
    return parent.redelegation_count - 1


def _check_roles(tx: Transaction, trust: Trust, parent: Trust | None) -> None:
    """Only what the trustor, of a redelegated one the first of its chain, has there by now."""
    assert trust.project_id is not None
    require(tx, Project, trust.project_id)
    origin = trust if parent is None else chain(tx, parent)[-1]
    place = trust.project_id if parent is None else origin.project_id or ""
    present = set(Roles(tx).closure(held(tx, origin.trustor_user_id, Scope("project", place))))
    for role_id in trust.role_ids:
        if role_id not in present:
            raise NotFound(f"Could not find role: {role_id}.")


def _check_redelegation(parent: Trust, trust: Trust) -> None:
    if not 0 < parent.redelegation_count <= DEPTH:
        raise Forbidden(f"Remaining redelegation depth of {parent.redelegation_count} out of allowed range of [0..{DEPTH}]")
    if trust.remaining_uses is not None:
        raise Forbidden(f'Field "remaining_uses" is set to {trust.remaining_uses} while it must not be set in order to '
                        "redelegate a trust")
    if trust.project_id != parent.project_id:
        raise Forbidden("A trust is redelegated for its own project only")
    if trust.expires_at is None:
        trust.expires_at = parent.expires_at
    elif parent.expires_at is not None and parent.expires_at < trust.expires_at:
        raise Forbidden("Requested expiration time is more than redelegated trust can provide")
    if not set(trust.role_ids) <= set(parent.role_ids):
        raise Forbidden("Some of requested roles are not in redelegated trust")
    if trust.impersonation and not parent.impersonation:
        raise Forbidden("Impersonation is not allowed because redelegated trust does not specify impersonation. Redelegated "
                        f"trust id: {parent.id}")


def remove(tx: Transaction, trust: Trust) -> None:
    """With those redelegated from it. Their tokens are void: the trust they name is gone."""
    tx.delete(trust)
    tx.flush()
