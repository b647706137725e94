"""/os-floating-ips and /os-floating-ip-pools below 2.36, and a server's addFloatingIp below 2.44.

The network room's floating IPs as Nova shows them; who may is that room's to say, by its own rules.
"""

from __future__ import annotations

from typing import Any

from haneul.compute.api import shapes
from haneul.compute.api.server_target import server
from haneul.compute.api.shapes import Body
from haneul.compute.model import ServerRow
from haneul.compute.problems import TooMany
from haneul.kernel.errors import BadRequest, Conflict, NotFound, Problem
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.network import addresses, errors, floating_ips, networks
from haneul.network.model import FloatingIpRow

routes = Routes()
PATH = "/os-floating-ips"
LAST = (2, 35)
LAST_ACTION = (2, 43)


class Pool(Body):
    pool: str | None = None


class Add(Body):
    address: str
    fixed_address: str | None = None


class Remove(Body):
    address: str


def _view(call: Call, rows: list[FloatingIpRow]) -> list[dict[str, Any]]:
    pools = {row.id: row.name for row in networks.visible(call.tx, call.context, external=True)}
    devices = floating_ips.devices(call.tx, rows)
    return [{"id": row.id, "ip": row.floating_ip_address, "fixed_ip": row.fixed_ip_address,
             "pool": pools.get(row.floating_network_id) or row.floating_network_id,
             "instance_id": devices.get(row.id) or None} for row in rows]


def _one(call: Call) -> FloatingIpRow:
    try:
        return floating_ips.get(call.tx, call.context, call.values["floating_ip_id"])
    except NotFound:
        raise NotFound(f"Floating IP not found for ID {call.values['floating_ip_id'][:64]}") from None


@routes.get(PATH, rule="get_floatingip", maximum=LAST)
def index(call: Call) -> dict[str, Any]:
    return {"floating_ips": _view(call, floating_ips.of_project(call.tx, call.context))}


@routes.get(PATH + "/{floating_ip_id}", rule="get_floatingip", maximum=LAST, target=_one)
def show(call: Call, row: FloatingIpRow) -> dict[str, Any]:
    return {"floating_ip": _view(call, [row])[0]}


@routes.post(PATH, rule="create_floatingip", maximum=LAST)
def create(call: Call) -> dict[str, Any]:
    """The body may be missing altogether: then the first pool there is."""
    wanted = call.decode(Pool | None).pool if call.content.strip() else None  # type: ignore[arg-type,union-attr]
    network = _pool(call, wanted)
    try:
        row = floating_ips.create(call.tx, call.context, project_id=call.context.project_id or "",
                                  floating_network_id=network)
    except errors.OverQuota as error:
        raise TooMany("Maximum number of floating IPs exceeded") from error
    except errors.ExternalIpAddressExhausted as error:
        raise NotFound("No more floating IPs available.") from error
    return {"floating_ip": _view(call, [row])[0]}


def _pool(call: Call, wanted: str | None) -> str:
    for row in networks.visible(call.tx, call.context, external=True):
        if wanted is None or wanted in (row.id, row.name):
            return row.id
    raise NotFound("Floating IP pool not found.")


@routes.delete(PATH + "/{floating_ip_id}", rule="delete_floatingip", maximum=LAST, target=_one, status=202)
def delete(call: Call, row: FloatingIpRow) -> Reply:
    floating_ips.delete(call.tx, row)
    return Reply(status=202)


@routes.get("/os-floating-ip-pools", rule="get_network", maximum=LAST)
def pools(call: Call) -> dict[str, Any]:
    return {"floating_ip_pools": [{"name": row.name or row.id}
                                  for row in networks.visible(call.tx, call.context, external=True)]}


# ---------------------------------------------------------------- on servers


@routes.action("/servers/{server_id}/action", "addFloatingIp", "os_compute_api:os-floating-ips:add", target=server, body=Add,
               maximum=LAST_ACTION)
def add(call: Call, row: ServerRow, body: Add) -> None:
    shapes.address(body.address, "address")
    fixed = [address for address in addresses.of_devices(call.tx, [row.id])[row.id]
             if address.kind == "fixed" and address.version == 4]
    if not fixed:
        raise BadRequest("No fixed IPs associated to instance")
    if body.fixed_address is not None:
        fixed = [address for address in fixed if address.ip == body.fixed_address]
        if not fixed:
            raise BadRequest("Specified fixed address not assigned to instance")
    floating = _at(call, body.address)
    try:
        floating_ips.update(call.tx, call.context, floating, port_id=fixed[0].port_id, fixed_ip_address=fixed[0].ip)
    except Problem as error:
        raise BadRequest(f"Unable to associate floating IP {body.address} to fixed IP {fixed[0].ip} for instance {row.id}. "
                         f"Error: {error.message}") from error


@routes.action("/servers/{server_id}/action", "removeFloatingIp", "os_compute_api:os-floating-ips:remove", target=server,
               body=Remove, maximum=LAST_ACTION)
def remove(call: Call, row: ServerRow, body: Remove) -> None:
    shapes.address(body.address, "address")
    floating = _at(call, body.address)
    if floating_ips.devices(call.tx, [floating]).get(floating.id) != row.id:
        raise Conflict(f"Floating IP {body.address} is not associated with instance {row.id}.")
    floating_ips.update(call.tx, call.context, floating, port_id=None)


def _at(call: Call, address: str) -> FloatingIpRow:
    found = floating_ips.of_project(call.tx, call.context, address=address)
    if not found or not call.allows("update_floatingip", {"project_id": found[0].project_id}):
        raise NotFound("floating IP not found")
    return found[0]
