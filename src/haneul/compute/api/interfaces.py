"""/servers/{id}/os-interface, and a server's addresses and security groups."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType, field

from haneul.compute import interfaces
from haneul.compute.api import shapes
from haneul.compute.api.security_groups import view as group_view
from haneul.compute.api.server_target import server
from haneul.compute.api.shapes import Body, Name, Tag
from haneul.compute.model import ServerRow
from haneul.compute.nics import Nic, check_address
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.network import security_groups
from haneul.network.model import PortRow

routes = Routes()
PATH = "/servers/{server_id}/os-interface"
_RULE = "os_compute_api:os-attach-interfaces:"


class Ip(Body):
    ip_address: str


class Wanted(Body):
    net_id: str | UnsetType = UNSET
    port_id: str | UnsetType = UNSET
    fixed_ips: list[Ip] = []
    tag: Tag | UnsetType = UNSET


class Attach(Body):
    wanted: Wanted = field(name="interfaceAttachment")


class AddAddress(Body):
    network_id: Name | int = field(name="networkId")


class RemoveAddress(Body):
    address: str


class Group(Body):
    name: Name


def _view(call: Call, port: PortRow, tag: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "port_id": port.id, "net_id": port.network_id, "mac_addr": port.mac_address, "port_state": port.status,
        "fixed_ips": [{"subnet_id": ip["subnet_id"], "ip_address": ip["ip_address"]} for ip in port.fixed_ips]}
    if call.version >= (2, 70):
        found["tag"] = tag
    return found


@routes.get(PATH, rule=_RULE + "list", target=server)
def index(call: Call, row: ServerRow) -> dict[str, Any]:
    return {"interfaceAttachments": [_view(call, port, tag) for port, tag in interfaces.of(call.tx, row)]}


@routes.get(PATH + "/{port_id}", rule=_RULE + "show", target=server)
def show(call: Call, row: ServerRow) -> dict[str, Any]:
    return {"interfaceAttachment": _view(call, *interfaces.one(call.tx, row, call.values["port_id"]))}


@routes.post(PATH, rule=_RULE + "create", target=server)
def create(call: Call, row: ServerRow) -> dict[str, Any]:
    """The body may be missing altogether: then the project's one network is meant."""
    wanted = call.decode(Attach).wanted if call.content else Wanted()
    if wanted.tag is not UNSET and call.version < (2, 49):
        raise BadRequest("Invalid input for field/attribute interfaceAttachment. Additional properties are not allowed ('tag' "
                         "was unexpected)")
    if wanted.net_id is not UNSET and wanted.port_id is not UNSET:
        raise BadRequest("Must not input both network_id and port_id")
    if wanted.fixed_ips and wanted.net_id is UNSET:
        raise BadRequest("Must input network_id when request IP address")
    nic = Nic(network_id=None if wanted.net_id is UNSET else shapes.uuid(wanted.net_id, "net_id"),
              port_id=None if wanted.port_id is UNSET else shapes.uuid(wanted.port_id, "port_id"),
              fixed_ip=check_address(wanted.fixed_ips[0].ip_address) if wanted.fixed_ips else None,
              tag=None if wanted.tag is UNSET else wanted.tag)
    port_id = interfaces.attach(call.tx, call.context, row, nic)
    call.tx.flush()
    return {"interfaceAttachment": _view(call, *interfaces.one(call.tx, row, port_id))}


@routes.delete(PATH + "/{port_id}", rule=_RULE + "delete", target=server, status=202)
def delete(call: Call, row: ServerRow) -> Reply:
    interfaces.detach(call.tx, call.context, row, call.values["port_id"])
    return Reply(status=202)


# ---------------------------------------------------------------- addresses of a card, as until 2.43


@routes.action("/servers/{server_id}/action", "addFixedIp", "os_compute_api:os-multinic:add", target=server, body=AddAddress,
               maximum=(2, 43))
def add_address(call: Call, row: ServerRow, body: AddAddress) -> None:
    interfaces.add_address(call.tx, call.context, row, str(body.network_id))


@routes.action("/servers/{server_id}/action", "removeFixedIp", "os_compute_api:os-multinic:remove", target=server,
               body=RemoveAddress, maximum=(2, 43))
def remove_address(call: Call, row: ServerRow, body: RemoveAddress) -> None:
    shapes.address(body.address, "address")
    interfaces.remove_address(call.tx, call.context, row, body.address)


# ---------------------------------------------------------------- security groups


@routes.get("/servers/{server_id}/os-security-groups", rule="os_compute_api:os-security-groups:list", target=server)
def groups(call: Call, row: ServerRow) -> dict[str, Any]:
    rows = [security_groups.get(call.tx, call.context, id) for id in interfaces.groups_of(call.tx, row)]
    return {"security_groups": group_view(call, rows)}


@routes.action("/servers/{server_id}/action", "addSecurityGroup", "os_compute_api:os-security-groups:add", target=server,
               body=Group)
def add_group(call: Call, row: ServerRow, body: Group) -> None:
    interfaces.add_group(call.tx, call.context, row, body.name)


@routes.action("/servers/{server_id}/action", "removeSecurityGroup", "os_compute_api:os-security-groups:remove",
               target=server, body=Group)
def remove_group(call: Call, row: ServerRow, body: Group) -> None:
    interfaces.remove_group(call.tx, call.context, row, body.name)
