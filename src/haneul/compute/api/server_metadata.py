"""/servers/{id}/metadata and /servers/{id}/ips."""

from __future__ import annotations

from typing import Any

from haneul.compute import servers, states
from haneul.compute.api import server_views
from haneul.compute.api.server_target import server
from haneul.compute.api.shapes import Body, Metadata
from haneul.compute.model import ServerRow
from haneul.kernel import clock
from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import addresses

routes = Routes()
PATH = "/servers/{server_id}/metadata"
_RULE = "os_compute_api:server-metadata:"


class Items(Body):
    metadata: Metadata


class Item(Body):
    meta: Metadata


@routes.get(PATH, rule=_RULE + "index", target=server)
def index(call: Call, row: ServerRow) -> dict[str, Any]:
    return {"metadata": row.meta}


@routes.post(PATH, rule=_RULE + "create", target=server, body=Items)
def create(call: Call, row: ServerRow, body: Items) -> dict[str, Any]:
    servers.set_metadata(call.tx, call.context, row, body.metadata, replace=False)
    return {"metadata": row.meta}


@routes.put(PATH, rule=_RULE + "update_all", target=server, body=Items)
def update_all(call: Call, row: ServerRow, body: Items) -> dict[str, Any]:
    servers.set_metadata(call.tx, call.context, row, body.metadata, replace=True)
    return {"metadata": row.meta}


@routes.get(PATH + "/{key}", rule=_RULE + "show", target=server)
def show(call: Call, row: ServerRow) -> dict[str, Any]:
    key = call.values["key"]
    if key not in row.meta:
        raise NotFound("Metadata item was not found")
    return {"meta": {key: row.meta[key]}}


@routes.put(PATH + "/{key}", rule=_RULE + "update", target=server, body=Item)
def update(call: Call, row: ServerRow, body: Item) -> dict[str, Any]:
    if list(body.meta) != [call.values["key"]]:
        raise BadRequest("Request body and URI mismatch")
    servers.set_metadata(call.tx, call.context, row, body.meta, replace=False)
    return {"meta": body.meta}


@routes.delete(PATH + "/{key}", rule=_RULE + "delete", target=server)
def delete(call: Call, row: ServerRow) -> None:
    key = call.values["key"]
    if key not in row.meta:
        raise NotFound("Metadata item was not found")
    states.require(call.context, row, "delete metadata", (states.ACTIVE, states.PAUSED, states.SUSPENDED, states.STOPPED))
    row.meta = {name: value for name, value in row.meta.items() if name != key}
    row.updated_at = clock.now()


# ---------------------------------------------------------------- ips


@routes.get("/servers/{server_id}/ips", rule="os_compute_api:ips:index", target=server)
def ips(call: Call, row: ServerRow) -> dict[str, Any]:
    return {"addresses": server_views.ip_view(addresses.of_devices(call.tx, [row.id])[row.id], extended=False)}


@routes.get("/servers/{server_id}/ips/{network}", rule="os_compute_api:ips:show", target=server)
def ips_of_network(call: Call, row: ServerRow) -> dict[str, Any]:
    found = server_views.ip_view(addresses.of_devices(call.tx, [row.id])[row.id], extended=False)
    name = call.values["network"]
    if name not in found:
        raise NotFound("Instance is not a member of specified network")
    return {name: found[name]}
