"""/servers/{id}: show, update, delete. Lists are in servers_list, creation in servers_create, actions in server_actions."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType, field

from haneul.compute import actions, servers, states
from haneul.compute.api import server_views, shapes
from haneul.compute.api.server_target import server
from haneul.compute.api.shapes import Body, Description, DiskConfig, Fqdn, Name
from haneul.compute.model import ServerRow
from haneul.kernel import clock
from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.network import ports

routes = Routes()


class Changes(Body):
    name: Name | UnsetType = UNSET
    disk_config: DiskConfig | UnsetType = field(name="OS-DCF:diskConfig", default=UNSET)
    access_ip_v4: str | UnsetType = field(name="accessIPv4", default=UNSET)
    access_ip_v6: str | UnsetType = field(name="accessIPv6", default=UNSET)
    description: Description | UnsetType = UNSET
    hostname: Fqdn | UnsetType = UNSET
    pinned_zone: Name | None | UnsetType = field(name="pinned_availability_zone", default=UNSET)


class Update(Body):
    server: Changes


@routes.get("/servers/{server_id}", rule="os_compute_api:servers:show", target=server)
def show(call: Call, row: ServerRow) -> dict[str, Any]:
    return {"server": server_views.single(call, row)}


@routes.put("/servers/{server_id}", rule="os_compute_api:servers:update", target=server, body=Update)
def update(call: Call, row: ServerRow, body: Update) -> dict[str, Any]:
    new = body.server
    if (new.description is not UNSET and call.version < (2, 19)) or (new.hostname is not UNSET and call.version < (2, 90)) \
            or (new.pinned_zone is not UNSET and call.version < (2, 104)):
        raise BadRequest("Invalid input for field/attribute server. Additional properties are not allowed")
    if new.name is not UNSET:
        row.name = shapes.name(new.name)
    if new.disk_config is not UNSET:
        row.auto_disk_config = new.disk_config == "AUTO"
    if new.access_ip_v4 is not UNSET:
        row.access_ip_v4 = shapes.address(new.access_ip_v4, "accessIPv4", 4) if new.access_ip_v4 else None
    if new.access_ip_v6 is not UNSET:
        row.access_ip_v6 = shapes.address(new.access_ip_v6, "accessIPv6", 6) if new.access_ip_v6 else None
    if new.description is not UNSET:
        row.description = shapes.description(new.description)
    if new.hostname is not UNSET:
        row.hostname = new.hostname
        ports.rename(call.tx, row.id, new.hostname)
    if new.pinned_zone is not UNSET:
        servers.pin(row, new.pinned_zone)
    row.updated_at = clock.now()
    call.tx.flush()
    if call.version >= (2, 75):
        return {"server": server_views.single(call, row)}
    return {"server": brief_detail(call, row)}


def brief_detail(call: Call, row: ServerRow) -> dict[str, Any]:
    """What update and rebuild answer before 2.75: no extended attributes, no volumes, no host status."""
    more = server_views.extras(call, [row], {"project_id": row.project_id, "user_id": row.user_id})
    more.extended, more.host_status = False, False
    found = server_views.detail(call, row, more)
    if found["addresses"]:
        found["addresses"] = server_views.ip_view(more.addresses[row.id], extended=False)
    for key in [key for key in found if key.startswith(("OS-EXT-STS:", "OS-SRV-USG:", "OS-EXT-AZ:", "os-extended-volumes:"))]:
        del found[key]
    for key in ("config_drive", "key_name", "security_groups", "OS-EXT-SRV-ATTR:hostname"):
        found.pop(key, None)
    if call.version >= (2, 71):
        found["server_groups"] = [row.group_id] if row.group_id else []
    return found


@routes.delete("/servers/{server_id}", rule="os_compute_api:servers:delete", target=server)
def delete(call: Call, row: ServerRow) -> None:
    actions.delete(call.tx, call.context, row)


@routes.action("/servers/{server_id}/action", "forceDelete", "os_compute_api:os-deferred-delete:force", target=server)
def force_delete(call: Call, row: ServerRow) -> None:
    actions.delete(call.tx, call.context, row)


@routes.action("/servers/{server_id}/action", "restore", "os_compute_api:os-deferred-delete:restore", target=server)
def restore(call: Call, row: ServerRow) -> None:
    states.require(call.context, row, "restore", ("soft-delete",), launched=False)
