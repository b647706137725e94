"""Who may use a flavor that is not public, and extra specs."""

from __future__ import annotations

import re
from typing import Annotated, Any

from msgspec import Meta

from haneul.compute import extra_specs, flavors
from haneul.compute.api.flavors import target
from haneul.compute.api.shapes import Body, scalar
from haneul.compute.model import FlavorRow
from haneul.kernel.errors import BadRequest, Conflict, NotFound
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()
_KEY = re.compile(r"[a-zA-Z0-9\-_:. ]{1,255}")
Value = Annotated[str, Meta(max_length=255)] | int | float


class Tenant(Body):
    tenant: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9-]*$")]


class Specs(Body):
    extra_specs: dict[str, Value]


def _flavor(call: Call) -> FlavorRow:
    return target(call)


@routes.get("/flavors/{flavor_id}/os-flavor-access", rule="os_compute_api:os-flavor-access")
def index(call: Call) -> dict[str, Any]:
    row = _flavor(call)
    if row.is_public:
        raise NotFound("Access list not available for public flavors.")
    return {"flavor_access": flavors.accesses(call.tx, row)}


@routes.action("/flavors/{flavor_id}/action", "addTenantAccess", "os_compute_api:os-flavor-access:add_tenant_access",
               body=Tenant, status=200)
def add(call: Call, body: Tenant) -> dict[str, Any]:
    row = _flavor(call)
    if call.version >= (2, 7) and row.is_public:
        raise Conflict("Can not add access to a public flavor.")
    flavors.add_access(call.tx, row, body.tenant)
    return {"flavor_access": flavors.accesses(call.tx, row)}


@routes.action("/flavors/{flavor_id}/action", "removeTenantAccess", "os_compute_api:os-flavor-access:remove_tenant_access",
               body=Tenant, status=200)
def remove(call: Call, body: Tenant) -> dict[str, Any]:
    row = _flavor(call)
    flavors.remove_access(call.tx, row, body.tenant)
    return {"flavor_access": flavors.accesses(call.tx, row)}


# ---------------------------------------------------------------- extra specs


def _checked(call: Call, specs: dict[str, Any]) -> dict[str, str]:
    for key, value in specs.items():
        if not _KEY.fullmatch(key) or len(scalar(value)) > 255:
            raise BadRequest(f"Invalid input for field/attribute extra_specs. Value: {key[:64]}")
        if call.version >= (2, 86):
            extra_specs.check(key, scalar(value))
    return {key: scalar(value) for key, value in specs.items()}


@routes.get("/flavors/{flavor_id}/os-extra_specs", rule="os_compute_api:os-flavor-extra-specs:index")
def specs_index(call: Call) -> dict[str, Any]:
    return {"extra_specs": _flavor(call).extra_specs}


@routes.post("/flavors/{flavor_id}/os-extra_specs", rule="os_compute_api:os-flavor-extra-specs:create", body=Specs)
def specs_create(call: Call, body: Specs) -> dict[str, Any]:
    specs = _checked(call, body.extra_specs)
    flavors.set_specs(call.tx, _flavor(call), specs)
    return {"extra_specs": specs}


@routes.get("/flavors/{flavor_id}/os-extra_specs/{key}", rule="os_compute_api:os-flavor-extra-specs:show")
def specs_show(call: Call) -> dict[str, Any]:
    row, key = _flavor(call), call.values["key"]
    if key not in row.extra_specs:
        raise NotFound(f"Flavor {row.id} has no extra specs with key {key[:255]}.")
    return {key: row.extra_specs[key]}


@routes.put("/flavors/{flavor_id}/os-extra_specs/{key}", rule="os_compute_api:os-flavor-extra-specs:update",
            body=dict[str, Value])
def specs_update(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    key = call.values["key"]
    if len(body) != 1 or key not in body:
        raise BadRequest("Request body and URI mismatch")
    specs = _checked(call, body)
    flavors.set_specs(call.tx, _flavor(call), specs)
    return specs


@routes.delete("/flavors/{flavor_id}/os-extra_specs/{key}", rule="os_compute_api:os-flavor-extra-specs:delete", status=200)
def specs_delete(call: Call) -> Reply:
    flavors.remove_spec(call.tx, _flavor(call), call.values["key"])
    return Reply(status=200)
