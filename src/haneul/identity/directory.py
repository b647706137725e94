"""What the catalog is made of: regions, services and endpoints."""

from __future__ import annotations

import re
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import select

from haneul.identity.lookup import keep, refuse, require
from haneul.identity.model import CatalogService, Endpoint, Region
from haneul.kernel import ids
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict

INTERFACES = ("public", "internal", "admin")


class RegionFields(Struct):
    id: str | None | UnsetType = UNSET
    parent_region_id: str | None | UnsetType = UNSET
    description: str | None | UnsetType = UNSET


class ServiceFields(Struct):
    type: str | UnsetType = UNSET
    name: str | None | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class EndpointFields(Struct):
    service_id: str | UnsetType = UNSET
    interface: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    region_id: str | None | UnsetType = UNSET
    region: str | None | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


def create_region(tx: Transaction, fields: RegionFields, extra: dict[str, Any]) -> Region:
    id = fields.id or ids.new_hex()
    if not isinstance(id, str) or len(id) > 255:
        raise BadRequest("Invalid input for field 'id': it is too long.")
    if tx.get(Region, id) is not None:
        raise Conflict(f"Conflict occurred attempting to store region - Duplicate ID, {id}.")
    region = Region(id=id, parent_region_id=_parent(tx, fields.parent_region_id), description=fields.description or "",
                    extra=extra)
    keep(tx, region, word="region", details=f"Duplicate ID, {id}")
    return region


def change_region(tx: Transaction, region: Region, fields: RegionFields, extra: dict[str, Any]) -> Region:
    if not isinstance(fields.parent_region_id, UnsetType):
        parent = at = _parent(tx, fields.parent_region_id)
        while at is not None:
            if at == region.id:
                raise BadRequest(f"The parent of region {region.id} would be below it.")
            at = tx.execute(select(Region.parent_region_id).where(Region.id == at)).scalar()
        region.parent_region_id = parent
    if not isinstance(fields.description, UnsetType):
        region.description = fields.description or ""
    region.extra = {**region.extra, **extra}
    tx.flush()
    return region


def _parent(tx: Transaction, id: str | None | UnsetType) -> str | None:
    if not isinstance(id, str):
        return None
    return require(tx, Region, id).id


def remove_region(tx: Transaction, region: Region) -> None:
    """With the regions below it, unless any of them has endpoints."""
    doomed, level = [region.id], [region.id]
    while level:
        level = list(tx.execute(select(Region.id).where(Region.parent_region_id.in_(level))).scalars())
        doomed += level
    if tx.execute(select(Endpoint.id).where(Endpoint.region_id.in_(doomed)).limit(1)).first() is not None:
        raise refuse(f"Unable to delete region {region.id} because it or its child regions have associated endpoints.")
    for id in reversed(doomed):
        tx.delete(tx.get(Region, id))
        tx.flush()


def create_service(tx: Transaction, fields: ServiceFields, extra: dict[str, Any]) -> CatalogService:
    if not isinstance(fields.type, str):
        raise BadRequest("Invalid input: 'type' is a required property.")
    service = CatalogService(id=ids.new_hex(), type=_text(fields.type, "type"), name=fields.name or None, extra=extra,
                             description=fields.description or None, enabled=fields.enabled is not False)
    tx.add(service)
    tx.flush()
    return service


def change_service(tx: Transaction, service: CatalogService, fields: ServiceFields, extra: dict[str, Any]) -> CatalogService:
    if isinstance(fields.type, str):
        service.type = _text(fields.type, "type")
    if not isinstance(fields.name, UnsetType):
        service.name = fields.name
    if not isinstance(fields.description, UnsetType):
        service.description = fields.description
    if isinstance(fields.enabled, bool):
        service.enabled = fields.enabled
    service.extra = {**service.extra, **extra}
    tx.flush()
    return service


def create_endpoint(tx: Transaction, fields: EndpointFields, extra: dict[str, Any]) -> Endpoint:
    for name in ("service_id", "interface", "url"):
        if getattr(fields, name) is UNSET:
            raise BadRequest(f"Invalid input: '{name}' is a required property.")
    endpoint = Endpoint(id=ids.new_hex(), service_id="", interface="", url="", enabled=True, extra={})
    _fill(tx, endpoint, fields, extra)
    tx.add(endpoint)
    tx.flush()
    return endpoint


def change_endpoint(tx: Transaction, endpoint: Endpoint, fields: EndpointFields, extra: dict[str, Any]) -> Endpoint:
    _fill(tx, endpoint, fields, extra)
    tx.flush()
    return endpoint


def _fill(tx: Transaction, endpoint: Endpoint, fields: EndpointFields, extra: dict[str, Any]) -> None:
    if isinstance(fields.service_id, str):
        if tx.get(CatalogService, fields.service_id) is None:
            raise BadRequest(f"Endpoint references a service that does not exist: {fields.service_id[:64]}")
        endpoint.service_id = fields.service_id
    if isinstance(fields.interface, str):
        if fields.interface not in INTERFACES:
            raise BadRequest("Invalid input for field 'interface': it is one of public, internal, admin.")
        endpoint.interface = fields.interface
    if isinstance(fields.url, str):
        endpoint.url = _url(fields.url)
    if isinstance(fields.region_id, str):
        if tx.get(Region, fields.region_id) is None:
            raise BadRequest(f"Region ID not found: {fields.region_id[:255]}")
        endpoint.region_id = fields.region_id
    elif isinstance(fields.region, str):  # the older key makes the region it names
        if tx.get(Region, fields.region) is None:
            tx.add(Region(id=_text(fields.region, "region")))
            tx.flush()
        endpoint.region_id = fields.region
    elif fields.region_id is None:
        endpoint.region_id = None
    if isinstance(fields.enabled, bool):
        endpoint.enabled = fields.enabled
    endpoint.extra = {**endpoint.extra, **extra}


def _url(url: str) -> str:
    """Only the substitutions that the catalog makes."""
    if not url or len(url) > 2048 or any(ord(character) < 32 for character in url):
        raise BadRequest("Invalid input for field 'url'.")
    bare = re.sub(r"[$%]\((?:project_id|tenant_id|user_id)\)s", "", url)
    if "$(" in bare or "%(" in bare:
        raise Conflict(f"Endpoint URL {url[:255]} has a substitution that is not allowed.")
    return url


def _text(text: str, name: str) -> str:
    if not 1 <= len(text) <= 255:
        raise BadRequest(f"Invalid input for field '{name}': it must have 1 to 255 characters.")
    return text
