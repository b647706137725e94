"""Unified limits: what a service registers as usual, and what single projects and domains have instead. The model is flat: no
limit has to fit into another. Of haneul's own services images keep to them (image/limits.py); the others have quotas."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import and_, bindparam, or_, select

from haneul.identity.model import CatalogService, Limit, Project, Region, RegisteredLimit
from haneul.kernel import ids
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, Forbidden

Text = Annotated[str, Meta(min_length=1, max_length=255)]
Number = Annotated[int, Meta(ge=-1, le=0x7FFFFFFF)]
T = TypeVar("T")
MODEL = {"name": "flat", "description": "Limit enforcement and validation does not take project hierarchy into consideration."}


class NewRegistered(Struct, forbid_unknown_fields=True):
    service_id: Text
    resource_name: Text
    default_limit: Number
    region_id: Text | None = None
    description: str | None = None


class RegisteredFields(Struct, forbid_unknown_fields=True):
    service_id: Text | UnsetType = UNSET
    resource_name: Text | UnsetType = UNSET
    default_limit: Number | UnsetType = UNSET
    region_id: Text | None | UnsetType = UNSET
    description: str | None | UnsetType = UNSET


class NewLimit(Struct, forbid_unknown_fields=True):
    service_id: Text
    resource_name: Text
    resource_limit: Number
    region_id: Text | None = None
    project_id: Text | None = None
    domain_id: Text | None = None
    description: str | None = None


class LimitFields(Struct, forbid_unknown_fields=True):
    resource_limit: Number | UnsetType = UNSET
    description: str | None | UnsetType = UNSET


def _same(service_id: str, region_id: str | None, resource_name: str) -> Any:
    return select(RegisteredLimit).where(RegisteredLimit.service_id == service_id, RegisteredLimit.region_id == region_id
                                         if region_id is not None else RegisteredLimit.region_id.is_(None),
                                         RegisteredLimit.resource_name == resource_name)


def _check_place(tx: Transaction, service_id: str, region_id: str | None) -> None:
    if tx.get(CatalogService, service_id) is None:
        raise BadRequest("Expecting to find valid service_id: there is no such service.")
    if region_id is not None and tx.get(Region, region_id) is None:
        raise BadRequest("Expecting to find valid region_id: there is no such region.")


def register(tx: Transaction, wanted: list[NewRegistered]) -> list[RegisteredLimit]:
    """All or none."""
    tx.lock("identity", "limits")
    made = []
    for each in wanted:
        _check_place(tx, each.service_id, each.region_id)
        if tx.execute(_same(each.service_id, each.region_id, each.resource_name)).first() is not None:
            raise Conflict("Conflict occurred attempting to store registered_limit - Duplicate entry.")
        row = RegisteredLimit(id=ids.new_hex(), service_id=each.service_id, region_id=each.region_id,
                              resource_name=each.resource_name, default_limit=each.default_limit, description=each.description)
        tx.add(row)
        tx.flush()
        made.append(row)
    return made


def _check_free(tx: Transaction, row: RegisteredLimit) -> None:
    if tx.execute(select(Limit.id).where(Limit.registered_id == row.id).limit(1)).first() is not None:
        raise Forbidden(f"Unable to update or delete registered limit {row.id} because there are project limits associated with "
                        "it.")


def change_registered(tx: Transaction, row: RegisteredLimit, fields: RegisteredFields) -> RegisteredLimit:
    tx.lock("identity", "limits")
    _check_free(tx, row)
    key = (_or(fields.service_id, row.service_id), _or(fields.region_id, row.region_id),
           _or(fields.resource_name, row.resource_name))
    _check_place(tx, key[0], key[1])
    if key != (row.service_id, row.region_id, row.resource_name) and tx.execute(_same(*key)).first() is not None:
        raise Conflict("Conflict occurred attempting to store registered_limit - Duplicate entry.")
    row.service_id, row.region_id, row.resource_name = key
    row.default_limit = _or(fields.default_limit, row.default_limit)
    row.description = _or(fields.description, row.description)
    tx.flush()
    return row


def _or(given: T | UnsetType, present: T) -> T:
    return present if isinstance(given, UnsetType) else given


def remove_registered(tx: Transaction, row: RegisteredLimit) -> None:
    _check_free(tx, row)
    tx.delete(row)
    tx.flush()


def create(tx: Transaction, wanted: list[NewLimit]) -> list[Limit]:
    """All or none. A limit is of one project or one domain, for what is registered."""
    tx.lock("identity", "limits")
    made = []
    for each in wanted:
        project_id, domain_id = _owner(tx, each)
        registered = tx.execute(_same(each.service_id, each.region_id, each.resource_name)).scalar()
        if registered is None:
            _check_place(tx, each.service_id, each.region_id)
            raise Forbidden("Unable to create a limit that has no corresponding registered limit.")
        owner = Limit.project_id == project_id if project_id is not None else Limit.domain_id == domain_id
        if tx.execute(select(Limit.id).where(Limit.registered_id == registered.id, owner)).first() is not None:
            raise Conflict("Conflict occurred attempting to store limit - Duplicate entry.")
        row = Limit(id=ids.new_hex(), registered_id=registered.id, project_id=project_id, domain_id=domain_id,
                    resource_limit=each.resource_limit, description=each.description)
        tx.add(row)
        tx.flush()
        made.append(row)
    return made


def _owner(tx: Transaction, wanted: NewLimit) -> tuple[str | None, str | None]:
    """The project or the domain; a domain's id given as a project's is the domain's."""
    if (wanted.project_id is None) == (wanted.domain_id is None):
        raise BadRequest("Invalid input: a limit has either a project_id or a domain_id.")
    row = tx.get(Project, wanted.project_id or wanted.domain_id)
    if row is None or (wanted.domain_id is not None and not row.is_domain):
        name = "project_id" if wanted.project_id is not None else "domain_id"
        raise BadRequest(f"Expecting to find valid {name}: there is none with that id.")
    return (None, row.id) if row.is_domain else (row.id, None)


def change(tx: Transaction, row: Limit, fields: LimitFields) -> Limit:
    row.resource_limit = _or(fields.resource_limit, row.resource_limit)
    row.description = _or(fields.description, row.description)
    tx.flush()
    return row




# ---------------------------------------------------------------- for services that keep to them

_REGISTERED: Any = RegisteredLimit.__table__
_LIMITS: Any = Limit.__table__
_SERVICES: Any = CatalogService.__table__
_OF_PROJECT = (
    select(_REGISTERED.c.resource_name, _REGISTERED.c.default_limit, _LIMITS.c.resource_limit)
    .join(_SERVICES, _SERVICES.c.id == _REGISTERED.c.service_id)
    .outerjoin(_LIMITS, and_(_LIMITS.c.registered_id == _REGISTERED.c.id, _LIMITS.c.project_id == bindparam("project")))
    .where(_SERVICES.c.type == bindparam("service"),
           or_(_REGISTERED.c.region_id.is_(None), _REGISTERED.c.region_id == bindparam("region")))
    .order_by(_REGISTERED.c.region_id.is_not(None)))  # what is registered for the region goes before what is for all


def of_project(tx: Transaction, service_type: str, project_id: str) -> dict[str, int]:
    """How much a project may have of each resource that is registered for the service; -1: no limit."""
    found = tx.core(_OF_PROJECT, project=project_id, service=service_type, region=tx.cloud.config.api.region)
    return {name: int(default if own is None else own) for name, default, own in found}
