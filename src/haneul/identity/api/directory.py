"""/regions, /services and /endpoints."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from haneul.identity import directory as rules
from haneul.identity.api import targets
from haneul.identity.api.bodies import entity
from haneul.identity.api.lists import filtered, page
from haneul.identity.api.views import link
from haneul.identity.model import CatalogService, Endpoint, Region
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()


def _region_view(call: Call, region: Region) -> dict[str, Any]:
    return {**region.extra, "id": region.id, "description": region.description, "parent_region_id": region.parent_region_id,
            "links": link(call, "regions", region.id)}


def _region(call: Call) -> Region:
    return targets.found(call, Region, call.values["region_id"])


@routes.get("/regions", "identity:list_regions")
def regions(call: Call) -> dict[str, Any]:
    query = filtered(call, select(Region), {"parent_region_id": Region.parent_region_id})
    return page(call, "regions", query, Region.id, lambda rows: [_region_view(call, row) for row in rows])


@routes.post("/regions", "identity:create_region", status=201)
def create_region(call: Call) -> dict[str, Any]:
    fields, extra = entity(call, "region", rules.RegionFields)
    return {"region": _region_view(call, rules.create_region(call.tx, fields, extra))}


@routes.put("/regions/{region_id}", "identity:create_region", status=201)
def put_region(call: Call) -> dict[str, Any]:
    fields, extra = entity(call, "region", rules.RegionFields)
    if fields.id not in (None, call.values["region_id"]) and isinstance(fields.id, str):
        raise BadRequest("The region ID of the body must be that of the path.")
    fields.id = call.values["region_id"]
    return {"region": _region_view(call, rules.create_region(call.tx, fields, extra))}


@routes.get("/regions/{region_id}", "identity:get_region", target=_region)
def show_region(call: Call, region: Region) -> dict[str, Any]:
    return {"region": _region_view(call, region)}


@routes.patch("/regions/{region_id}", "identity:update_region", target=_region)
def update_region(call: Call, region: Region) -> dict[str, Any]:
    fields, extra = entity(call, "region", rules.RegionFields)
    return {"region": _region_view(call, rules.change_region(call.tx, region, fields, extra))}


@routes.delete("/regions/{region_id}", "identity:delete_region", target=_region)
def delete_region(call: Call, region: Region) -> None:
    rules.remove_region(call.tx, region)


# -------------------------------------------------------------------- services

def _service_view(call: Call, service: CatalogService) -> dict[str, Any]:
    shown = {**service.extra, "id": service.id, "type": service.type, "enabled": service.enabled,
             "links": link(call, "services", service.id)}
    for name in ("name", "description"):
        if getattr(service, name) is not None:
            shown[name] = getattr(service, name)
    return shown


def _service(call: Call) -> CatalogService:
    return targets.found(call, CatalogService, call.values["service_id"])


@routes.get("/services", "identity:list_services")
def services(call: Call) -> dict[str, Any]:
    query = filtered(call, select(CatalogService), {"type": CatalogService.type, "name": CatalogService.name})
    return page(call, "services", query, CatalogService.id, lambda rows: [_service_view(call, row) for row in rows])


@routes.post("/services", "identity:create_service", status=201)
def create_service(call: Call) -> dict[str, Any]:
    fields, extra = entity(call, "service", rules.ServiceFields)
    return {"service": _service_view(call, rules.create_service(call.tx, fields, extra))}


@routes.get("/services/{service_id}", "identity:get_service", target=_service)
def show_service(call: Call, service: CatalogService) -> dict[str, Any]:
    return {"service": _service_view(call, service)}


@routes.patch("/services/{service_id}", "identity:update_service", target=_service)
def update_service(call: Call, service: CatalogService) -> dict[str, Any]:
    fields, extra = entity(call, "service", rules.ServiceFields)
    return {"service": _service_view(call, rules.change_service(call.tx, service, fields, extra))}


@routes.delete("/services/{service_id}", "identity:delete_service", target=_service)
def delete_service(call: Call, service: CatalogService) -> None:
    """Its endpoints go with it."""
    call.tx.delete(service)


# -------------------------------------------------------------------- endpoints

def endpoint_view(call: Call, endpoint: Endpoint) -> dict[str, Any]:
    return {**endpoint.extra, "id": endpoint.id, "interface": endpoint.interface, "service_id": endpoint.service_id,
            "region": endpoint.region_id, "region_id": endpoint.region_id, "url": endpoint.url, "enabled": endpoint.enabled,
            "links": link(call, "endpoints", endpoint.id)}


def _endpoint(call: Call) -> Endpoint:
    return targets.found(call, Endpoint, call.values["endpoint_id"])


@routes.get("/endpoints", "identity:list_endpoints")
def endpoints(call: Call) -> dict[str, Any]:
    query = filtered(call, select(Endpoint), {"interface": Endpoint.interface, "service_id": Endpoint.service_id,
                                              "region_id": Endpoint.region_id, "region": Endpoint.region_id,
                                              "enabled": Endpoint.enabled})
    return page(call, "endpoints", query, Endpoint.id, lambda rows: [endpoint_view(call, row) for row in rows])


@routes.post("/endpoints", "identity:create_endpoint", status=201)
def create_endpoint(call: Call) -> dict[str, Any]:
    fields, extra = entity(call, "endpoint", rules.EndpointFields)
    return {"endpoint": endpoint_view(call, rules.create_endpoint(call.tx, fields, extra))}


@routes.get("/endpoints/{endpoint_id}", "identity:get_endpoint", target=_endpoint)
def show_endpoint(call: Call, endpoint: Endpoint) -> dict[str, Any]:
    return {"endpoint": endpoint_view(call, endpoint)}


@routes.patch("/endpoints/{endpoint_id}", "identity:update_endpoint", target=_endpoint)
def update_endpoint(call: Call, endpoint: Endpoint) -> dict[str, Any]:
    fields, extra = entity(call, "endpoint", rules.EndpointFields)
    return {"endpoint": endpoint_view(call, rules.change_endpoint(call.tx, endpoint, fields, extra))}


@routes.delete("/endpoints/{endpoint_id}", "identity:delete_endpoint", target=_endpoint)
def delete_endpoint(call: Call, endpoint: Endpoint) -> None:
    call.tx.delete(endpoint)
