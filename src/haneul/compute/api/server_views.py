"""A server as each microversion shows it. What does not stand in the row is fetched for a whole page at once."""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec import Struct
from sqlalchemy import select

from haneul.compute import servers, states
from haneul.compute.api import shapes
from haneul.fleet.model import HostRow
from haneul.kernel.wire.call import Call
from haneul.network import addresses, security_groups
from haneul.volume import attachments

_SHOWS_PROGRESS = ("ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING")
_SHOWS_FAULT = ("ERROR", "DELETED")


class Extras(Struct):
    """What a page of servers needs besides its rows, and what the caller may see of them."""

    addresses: dict[str, list[addresses.Address]]
    groups: dict[str, list[str]]
    tags: dict[str, list[str]]
    volumes: dict[str, list[Any]]  # (server, volume, delete_on_termination)
    hosts: dict[str, str]  # statuses by name; empty when the caller may not see them
    extended: bool
    extra_specs: bool
    host_status: bool
    own: str  # beginnings of addresses: of this service, and without its version
    bookmark: str


def extras(call: Call, rows: list[Any], target: dict[str, Any] | None = None) -> Extras:
    """Five or six statements, however many servers."""
    found = [row.id for row in rows]
    host_status = call.version >= (2, 16) and call.allows("os_compute_api:servers:show:host_status", target)
    return Extras(
        addresses=addresses.of_devices(call.tx, found), groups=security_groups.names_of_devices(call.tx, found),
        tags=servers.tags(call.tx, found) if call.version >= (2, 26) else {},
        volumes=attachments.held_by(call.tx, found), hosts=_host_statuses(call) if host_status else {},
        extended=call.allows("os_compute_api:os-extended-server-attributes", target),
        extra_specs=call.version >= (2, 47) and call.allows("os_compute_api:servers:show:flavor-extra-specs", target),
        host_status=host_status, own=call.base_url, bookmark=call.base_url.removesuffix("/v2.1"))


def _volumes(call: Call, found: list[Any]) -> list[dict[str, Any]]:
    if call.version < (2, 3):
        return [{"id": row.volume_id} for row in found]
    return [{"id": row.volume_id, "delete_on_termination": row.delete_on_termination} for row in found]


def _host_statuses(call: Call) -> dict[str, str]:
    return {name: host_status(state, disabled, forced) for name, state, disabled, forced in call.tx.execute(
        select(HostRow.name, HostRow.state, HostRow.disabled, HostRow.forced_down))}


def host_status(state: str, disabled: bool, forced_down: bool) -> str:
    if forced_down or state == "down":
        return "DOWN"
    if state != "up":
        return "UNKNOWN"
    return "MAINTENANCE" if disabled else "UP"


def brief(call: Call, row: Any) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "links": shapes.links(call, "servers", row.id)}


def ip_view(found: list[addresses.Address], *, extended: bool = True) -> dict[str, list[dict[str, Any]]]:
    """Addresses by network name."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for address in found:
        item: dict[str, Any] = {"version": address.version, "addr": address.ip}
        if extended:
            item["OS-EXT-IPS:type"] = address.kind
            item["OS-EXT-IPS-MAC:mac_addr"] = address.mac
        shown.setdefault(address.network_name, []).append(item)
    return shown


def host_id(project_id: str, host: str | None) -> str:
    """Tells hosts apart within a project without naming them."""
    return hashlib.sha224((project_id + host).encode()).hexdigest() if host else ""


def detail(call: Call, row: Any, more: Extras) -> dict[str, Any]:
    version = call.version
    status = states.status(row.vm_state, row.task_state)
    building = row.vm_state == states.BUILDING
    found: dict[str, Any] = {
        "id": row.id, "name": row.name, "status": status, "tenant_id": row.project_id, "user_id": row.user_id,
        "metadata": row.meta, "hostId": host_id(row.project_id, row.host), "image": _image(call, more, row),
        "flavor": _flavor(call, more, row.flavor), "created": _second(row.created_at),
        "updated": _second(row.updated_at), "addresses": {} if building else ip_view(more.addresses.get(row.id, [])),
        "accessIPv4": row.access_ip_v4 or "", "accessIPv6": row.access_ip_v6 or "",
        "links": [{"rel": "self", "href": f"{more.own}/servers/{row.id}"},
                  {"rel": "bookmark", "href": f"{more.bookmark}/servers/{row.id}"}],
        "OS-DCF:diskConfig": "AUTO" if row.auto_disk_config else "MANUAL",
        "OS-EXT-AZ:availability_zone": row.availability_zone or "", "config_drive": "True" if row.config_drive else "",
        "key_name": row.key_name, "OS-SRV-USG:launched_at": _moment(row.launched_at),
        "OS-SRV-USG:terminated_at": _moment(row.terminated_at), "OS-EXT-STS:task_state": row.task_state,
        "OS-EXT-STS:vm_state": row.vm_state, "OS-EXT-STS:power_state": row.power_state,
        "os-extended-volumes:volumes_attached": _volumes(call, more.volumes.get(row.id, []))}
    if status in _SHOWS_FAULT and row.fault:
        found["fault"] = fault_view(call, row.fault)
    if status in _SHOWS_PROGRESS:
        found["progress"] = row.progress
    groups = more.groups.get(row.id)
    if groups:
        found["security_groups"] = [{"name": name} for name in groups]
    if more.extended:
        found.update(_extended(call, row))
    _add_later(call, row, more, found)
    if version >= (2, 90) and not more.extended:
        found["OS-EXT-SRV-ATTR:hostname"] = row.hostname
    return found


def _add_later(call: Call, row: Any, more: Extras, found: dict[str, Any]) -> None:
    version = call.version
    if version >= (2, 9):
        found["locked"] = row.locked_by is not None
    if more.host_status:
        found["host_status"] = more.hosts.get(row.host, "UNKNOWN") if row.host else ""
    if version >= (2, 19):
        found["description"] = row.description
    if version >= (2, 26):
        found["tags"] = more.tags.get(row.id, [])
    if version >= (2, 63):
        found["trusted_image_certificates"] = None
    if version >= (2, 73):
        found["locked_reason"] = row.locked_reason
    if version >= (2, 96):
        found["pinned_availability_zone"] = row.pinned_zone
    if version >= (2, 100):
        found["scheduler_hints"] = {
            name: hint if isinstance(hint, list) else [hint] for name, hint in row.system.get("hints", {}).items()}


def _extended(call: Call, row: Any) -> dict[str, Any]:
    found = {"OS-EXT-SRV-ATTR:host": row.host, "OS-EXT-SRV-ATTR:instance_name": instance_name(row.seq),
             "OS-EXT-SRV-ATTR:hypervisor_hostname": row.host}
    if call.version >= (2, 3):
        found.update({"OS-EXT-SRV-ATTR:hostname": row.hostname, "OS-EXT-SRV-ATTR:kernel_id": "",
                      "OS-EXT-SRV-ATTR:ramdisk_id": "", "OS-EXT-SRV-ATTR:launch_index": row.launch_index,
                      "OS-EXT-SRV-ATTR:reservation_id": row.reservation_id,
                      "OS-EXT-SRV-ATTR:root_device_name": row.root_device_name, "OS-EXT-SRV-ATTR:user_data": row.user_data})
    return found


def instance_name(seq: int) -> str:
    return f"instance-{seq:08x}"


def _moment(moment: Any) -> str | None:
    return moment.isoformat(timespec="microseconds") if moment is not None else None


def _second(moment: Any) -> str:
    return f"{moment.isoformat(timespec='seconds')}Z"


def fault_view(call: Call, fault: dict[str, Any]) -> dict[str, Any]:
    found = {"code": fault["code"], "created": fault["created"], "message": fault["message"]}
    if fault.get("details") and call.context.is_admin:
        found["details"] = fault["details"]
    return found


def _image(call: Call, more: Extras, row: Any) -> Any:
    """An empty text for a server without an image. The properties are those that it had when the server was made of it."""
    if not row.image_id:
        return ""
    found = {"id": row.image_id, "links": [{"rel": "bookmark", "href": f"{more.bookmark}/images/{row.image_id}"}]}
    if call.version >= (2, 98):
        found["properties"] = row.system["image"]["properties"]
    return found


def _flavor(call: Call, more: Extras, flavor: dict[str, Any]) -> dict[str, Any]:
    if call.version < (2, 47):
        return {"id": flavor["id"], "links": [{"rel": "bookmark", "href": f"{more.bookmark}/flavors/{flavor['id']}"}]}
    found = {"vcpus": flavor["vcpus"], "ram": flavor["ram"], "disk": flavor["disk"], "ephemeral": flavor["ephemeral"],
             "swap": flavor["swap"], "original_name": flavor["name"]}
    if more.extra_specs:
        found["extra_specs"] = flavor["extra_specs"]
    return found


def single(call: Call, row: Any) -> dict[str, Any]:
    """GET /servers/{id}: as in a detailed list, and since 2.71 its groups."""
    found = detail(call, row, extras(call, [row], {"project_id": row.project_id, "user_id": row.user_id}))
    if call.version >= (2, 71):
        found["server_groups"] = [row.group_id] if row.group_id else []
    return found
