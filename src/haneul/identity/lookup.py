"""Finding rows by id and keeping new ones, with Keystone's words for what goes wrong."""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from haneul.identity.model import (
    AccessRule,
    ApplicationCredential,
    CatalogService,
    Consumer,
    Credential,
    Endpoint,
    EndpointGroup,
    Group,
    Limit,
    OAuthToken,
    Project,
    Region,
    RegisteredLimit,
    Role,
    StoredPolicy,
    Trust,
    User,
)
from haneul.kernel.database import Base, Transaction
from haneul.kernel.errors import BadRequest, Conflict, Forbidden, NotFound

T = TypeVar("T", bound=Base)
WORDS: dict[type[Base], str] = {
    Project: "project", User: "user", Group: "group", Role: "role", Region: "region", CatalogService: "service",
    Endpoint: "endpoint", Credential: "credential", StoredPolicy: "policy",
    ApplicationCredential: "Application Credential", AccessRule: "Access Rule",
    Trust: "trust", RegisteredLimit: "registered limit", Limit: "limit", EndpointGroup: "endpoint group",
    Consumer: "consumer", OAuthToken: "access token"}


def require(tx: Transaction, kind: type[T], id: str) -> T:
    row = tx.get(kind, id)
    if row is None:
        raise NotFound(f"Could not find {WORDS[kind]}: {id}.")
    return row


def domain(tx: Transaction, id: str) -> Project:
    row = tx.get(Project, id)
    if row is None or not row.is_domain:
        raise NotFound(f"Could not find domain: {id}.")
    return row


def keep(tx: Transaction, row: Base, *, word: str, details: str) -> None:
    """Writes a new or changed row now. Conflict if another has its name; the transaction is lost then."""
    tx.add(row)
    try:
        tx.flush()
    except IntegrityError as error:
        raise Conflict(f"Conflict occurred attempting to store {word} - {details}.") from error


def duplicate(name: str, domain_id: str | None) -> str:
    return f"Duplicate entry found with name {name}" + (f" at domain ID {domain_id}" if domain_id else "")


def refuse(action: str) -> Forbidden:
    return Forbidden(f"You are not authorized to perform the requested action: {action}")


def check_mutable(row: Project | Role, word: str, options: object = None) -> None:
    """A row with the option `immutable` may only be changed by a request that takes that option off."""
    lifting = isinstance(options, dict) and options.get("immutable") in (False, None) and "immutable" in options
    if row.options.get("immutable") and not lifting:
        raise refuse(f"Cannot modify the {word} {row.id}: it is immutable.")


def merge_options(old: dict[str, object], new: dict[str, object] | None) -> dict[str, object]:
    """None takes an option off."""
    merged = {**old, **(new or {})}
    return {key: value for key, value in merged.items() if value is not None}


def same_domain(given: object, present: str | None) -> None:
    if given is not None and given != present:
        raise BadRequest("Cannot change Domain ID.")


def id_named(tx: Transaction, kind: type[Project] | type[User], name: str, domain_id: str) -> str | None:
    return tx.execute(select(kind.id).where(kind.name == name, kind.domain_id == domain_id)).scalar()
