"""Application credentials: secrets of a user for one project, with no more than the roles of the token that made them."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import select

from haneul.identity.delegation import delegated
from haneul.identity.lookup import keep
from haneul.identity.model import AccessRule, ApplicationCredential, Role
from haneul.identity.moments import parsed
from haneul.identity.revocations import revoke
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Forbidden, NotFound

METHODS = ("POST", "GET", "HEAD", "PATCH", "PUT", "DELETE")
_SERVICES = 64


class RuleRef(Struct):
    """An access rule by its id, or spelt out."""

    id: str | None = None
    service: str | None = None
    path: str | None = None
    method: str | None = None


class RoleRef(Struct):
    id: str | None = None
    name: str | None = None


class Wanted(Struct):
    name: str
    description: str | None = None
    secret: str | None = None
    expires_at: str | None = None
    roles: list[RoleRef] = []
    unrestricted: bool = False
    access_rules: list[RuleRef] | None = None


def check_caller(context: Context) -> None:
    """A token of a restricted credential, or one bound by access rules, must not make its holder anything more."""
    if context.application_credential_id is not None and (context.restricted or context.access_rules is not None):
        raise Forbidden("You are not authorized to perform the requested action: Using method 'application_credential' is not "
                        "allowed for managing additional application credentials.")
    check_reader(context)


def check_reader(context: Context) -> None:
    """What was delegated otherwise has no part in credentials: they would outlive it."""
    if context.application_credential_id is None and delegated(context):
        raise Forbidden("Cannot manage application credentials with a token issued via delegation.")


def secret_of(wanted: Wanted) -> str:
    if wanted.secret is not None and not 1 <= len(wanted.secret) <= 255:
        raise BadRequest("Invalid input for field 'secret': it must have 1 to 255 characters.")
    return wanted.secret or secrets.token_urlsafe(64)


def create(tx: Transaction, context: Context, wanted: Wanted, secret_hash: str) -> ApplicationCredential:
    if context.project_id is None or context.user_id is None:
        raise Forbidden("A project-scoped token is required to create an application credential.")
    if not wanted.name.strip() or len(wanted.name) > 255:
        raise BadRequest("Invalid input for field 'name': it must have 1 to 255 characters, not only spaces.")
    row = ApplicationCredential(
        id=ids.new_hex(), name=wanted.name, description=wanted.description, user_id=context.user_id,
        project_id=context.project_id, secret_hash=secret_hash, expires_at=_expiry(wanted.expires_at),
        unrestricted=wanted.unrestricted, role_ids=_roles(tx, context, wanted.roles),
        access_rule_ids=_rules(tx, context.user_id, wanted.access_rules or []), limited=wanted.access_rules is not None)
    keep(tx, row, word="application_credential", details=f"Duplicate entry found with name {wanted.name}")
    return row


def _expiry(text: str | None) -> datetime | None:
    moment = parsed(text)
    if moment is not None and moment <= clock.now():
        raise BadRequest("The expiry of an application credential must lie in the future.")
    return moment


def _roles(tx: Transaction, context: Context, wanted: list[RoleRef]) -> list[str]:
    """Only roles of the token, all of them unless some are named."""
    if not wanted:
        return list(context.role_ids)
    found: list[str] = []
    for reference in wanted:
        role = tx.get(Role, reference.id) if reference.id else tx.execute(
            select(Role).where(Role.name == (reference.name or ""), Role.domain_id.is_(None))).scalar()
        if role is None:
            raise NotFound(f"Could not find role: {reference.id or reference.name}.")
        if role.id not in context.role_ids:
            raise BadRequest(f"Invalid application credential: Could not find role assignment with role: {role.id}, user or "
                             f"group: {context.user_id}, project, domain, or system: {context.project_id}.")
        found.append(role.id)
    return list(dict.fromkeys(found))


def _rules(tx: Transaction, user_id: str, wanted: list[RuleRef]) -> list[str]:
    """Equal rules of a user are one."""
    found: list[str] = []
    for reference in wanted:
        if reference.id is not None:
            rule = tx.get(AccessRule, reference.id)
            if rule is None or rule.user_id != user_id:
                raise NotFound(f"Could not find Access Rule: {reference.id}.")
            found.append(rule.id)
            continue
        key = _rule_key(reference)
        rule = tx.execute(select(AccessRule).filter_by(user_id=user_id, **key)).scalar()
        if rule is None:
            rule = AccessRule(id=ids.new_hex(), user_id=user_id, **key)
            tx.add(rule)
            tx.flush()
        found.append(rule.id)
    return list(dict.fromkeys(found))


def _rule_key(rule: RuleRef) -> dict[str, Any]:
    if not rule.service or not rule.path or rule.method not in METHODS:
        raise BadRequest("Invalid input for field 'access_rules': each rule has a service, a path and a method.")
    if len(rule.service) > _SERVICES or len(rule.path) > 128 or not rule.path.startswith("/"):
        raise BadRequest("Invalid input for field 'access_rules': a path begins with / and has at most 128 characters.")
    return {"service": rule.service, "path": rule.path, "method": rule.method}


def remove(tx: Transaction, row: ApplicationCredential) -> None:
    revoke(tx, row.id)
    tx.delete(row)
    tx.flush()


def rules_of(tx: Transaction, rows: list[ApplicationCredential]) -> dict[str, AccessRule]:
    wanted = {id for row in rows for id in row.access_rule_ids}
    if not wanted:
        return {}
    return {rule.id: rule for rule in tx.execute(select(AccessRule).where(AccessRule.id.in_(wanted))).scalars()}


def remove_rule(tx: Transaction, rule: AccessRule) -> None:
    rows = tx.execute(select(ApplicationCredential).where(ApplicationCredential.user_id == rule.user_id)).scalars()
    if any(rule.id in row.access_rule_ids for row in rows):
        raise Forbidden(f"You are not authorized to perform the requested action: Access rule {rule.id} is in use by an "
                        "application credential.")
    tx.delete(rule)
    tx.flush()
