"""Users and their passwords. Hashing is the callers' (`passwords.hashed`), outside of a write transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import delete, select

from haneul.identity import password_rules
from haneul.identity.lookup import duplicate, keep, merge_options, refuse, require, same_domain
from haneul.identity.model import Assignment, Failure, Password, Project, User, bump
from haneul.identity.revocations import revoke
from haneul.kernel import clock, ids
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest

OPTIONS = ("ignore_change_password_upon_first_use", "ignore_password_expiry", "ignore_lockout_failure_attempts",
           "ignore_user_inactivity", "lock_password", "multi_factor_auth_enabled", "multi_factor_auth_rules")


class Fields(Struct):
    """What a request may say of a user; UNSET where it says nothing."""

    name: str | UnsetType = UNSET
    domain_id: str | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    default_project_id: str | None | UnsetType = UNSET
    password: str | None | UnsetType = UNSET
    options: dict[str, Any] | UnsetType = UNSET


def create(tx: Transaction, fields: Fields, domain: Project, extra: dict[str, Any], password_hash: str | None) -> User:
    if not domain.enabled:
        raise refuse(f"Cannot create user in domain {domain.id}, which is disabled.")
    name = _name(fields.name)
    user = User(id=ids.new_hex(), name=name, domain_id=domain.id, enabled=fields.enabled is not False, extra=extra,
                default_project_id=_default_project(tx, fields.default_project_id), created_at=clock.now(),
                options=_options({}, fields.options))
    keep(tx, user, word="user", details=duplicate(name, domain.id))
    if password_hash is not None:
        user.password_expires_at = password_rules.expiry(tx.cloud.config.identity, user, own=False)
        tx.add(Password(user_id=user.id, hash=password_hash, created_at=clock.now()))
    return user


def change(tx: Transaction, user_id: str, fields: Fields, extra: dict[str, Any], password_hash: str | None) -> User:
    """Disabling a user or setting a password voids the tokens there are."""
    user = require(tx, User, user_id)
    same_domain(fields.domain_id or None, user.domain_id)
    if fields.name is not UNSET:
        user.name = _name(fields.name)
    if isinstance(fields.enabled, bool) and fields.enabled != user.enabled:
        user.enabled = fields.enabled
        if not user.enabled:
            revoke(tx, user.id, "user_id")
        else:
            user.last_active_at = clock.now()
            tx.execute(delete(Failure).where(Failure.user_id == user.id))
    if fields.default_project_id is not UNSET:
        user.default_project_id = _default_project(tx, fields.default_project_id)
    if isinstance(fields.options, dict):
        user.options = _options(user.options, fields.options)
    if extra:
        user.extra = {**user.extra, **extra}
    keep(tx, user, word="user", details=duplicate(user.name, user.domain_id))
    if password_hash is not None:
        set_password(tx, user, password_hash)
    return user


def set_password(tx: Transaction, user: User, password_hash: str, *, own: bool = False) -> None:
    """`own`: chosen by the user, not by an administrator."""
    settings = tx.cloud.config.identity
    most = settings.unique_last_passwords
    tx.add(Password(user_id=user.id, hash=password_hash, created_at=clock.now(), self_service=own))
    user.password_expires_at = password_rules.expiry(settings, user, own=own)
    tx.flush()
    newest = select(Password.id).where(Password.user_id == user.id).order_by(Password.id.desc()).limit(max(1, most))
    tx.execute(delete(Password).where(Password.user_id == user.id, Password.id.not_in(list(tx.execute(newest).scalars()))))
    tx.execute(delete(Failure).where(Failure.user_id == user.id))
    revoke(tx, user.id, "user_id")


def history(tx: Transaction, user_id: str) -> list[str]:
    """Hashes of the passwords that may not be chosen again."""
    most = tx.cloud.config.identity.unique_last_passwords
    return list(tx.execute(select(Password.hash).where(Password.user_id == user_id)
                           .order_by(Password.id.desc()).limit(most)).scalars())


def remove(tx: Transaction, user: User) -> None:
    """With passwords, memberships, credentials and assignments. Ids are never used again, so its tokens are void."""
    tx.execute(delete(Assignment).where(Assignment.actor_id == user.id, Assignment.actor_type == "user"))
    tx.delete(user)
    tx.flush()


def name_of(tx: Transaction, user_ids: Iterable[str]) -> dict[str, str]:
    """Names by id, of those that exist."""
    return {id: name for id, name in tx.execute(select(User.id, User.name).where(User.id.in_(set(user_ids))))}


def revoke_tokens(tx: Transaction, user: User) -> None:
    revoke(tx, user.id, "user_id")
    bump(tx)


def newest_password(tx: Transaction, user_id: str) -> Password | None:
    return tx.execute(select(Password).where(Password.user_id == user_id).order_by(Password.id.desc()).limit(1)).scalar()


def _name(name: str | UnsetType) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > 255:
        raise BadRequest("Invalid input for field 'name': it must have 1 to 255 characters, not only spaces.")
    return name


def _default_project(tx: Transaction, project_id: str | None | UnsetType) -> str | None:
    """A project that does not exist is accepted as Keystone does; a domain is not."""
    if not isinstance(project_id, str) or not project_id:
        return None
    if len(project_id) > 64:
        raise BadRequest("Invalid input for field 'default_project_id': it is too long.")
    project = tx.get(Project, project_id)
    if project is not None and project.is_domain:
        raise BadRequest(f"User's default project ID cannot be a domain ID: {project_id}")
    return project_id


def _options(old: dict[str, Any], new: dict[str, Any] | UnsetType) -> dict[str, Any]:
    if isinstance(new, UnsetType):
        return old
    for name, value in new.items():
        if name not in OPTIONS:
            raise BadRequest(f"Invalid input for field 'options': {name[:64]} is no option of a user.")
        if value is None:
            continue
        if name == "multi_factor_auth_rules":
            right = isinstance(value, list) and all(
                isinstance(rule, list) and rule and all(isinstance(method, str) for method in rule)
                and len(set(rule)) == len(rule) and value.count(rule) == 1 for rule in value)
        else:
            right = isinstance(value, bool)
        if not right:
            raise BadRequest(f"Invalid input for field 'options/{name}'.")
    return merge_options(old, new)
