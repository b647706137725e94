"""POST /servers: the body at every microversion."""

from __future__ import annotations

import secrets
import string
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from haneul.compute import boot
from haneul.compute.api import block_devices, shapes
from haneul.compute.api.block_devices import BlockDevice, OldBlockDevice
from haneul.compute.api.shapes import Body, Boolean, Description, DiskConfig, File, Fqdn, Metadata, Name, Positive, Tag
from haneul.compute.block_devices import Device
from haneul.compute.nics import Nic, check_address
from haneul.kernel import ids
from haneul.kernel.errors import BadRequest, Forbidden
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.network import bandwidth

routes = Routes()
Version = tuple[int, int]
_ALPHABET = string.ascii_letters + string.digits


class Network(Body):
    uuid: str | UnsetType = UNSET
    port: str | None = None
    fixed_ip: str | UnsetType = UNSET
    tag: Tag | UnsetType = UNSET


class Group(Body):
    name: Name


class Server(Body):
    name: Name
    flavor_ref: Annotated[str, Meta(min_length=1)] | int = field(name="flavorRef")
    image_ref: str | None = field(name="imageRef", default=None)
    admin_pass: str | None = field(name="adminPass", default=None)
    metadata: Metadata = {}
    networks: list[Network] | Literal["auto", "none"] | UnsetType = UNSET
    disk_config: DiskConfig = field(name="OS-DCF:diskConfig", default="MANUAL")
    access_ip_v4: str | None = field(name="accessIPv4", default=None)
    access_ip_v6: str | None = field(name="accessIPv6", default=None)
    personality: list[File] | UnsetType = UNSET
    availability_zone: Name | None = None
    block_device_mapping: list[OldBlockDevice] = []
    block_device_mapping_v2: list[BlockDevice] = []
    config_drive: Boolean | None = None
    key_name: Name | None = None
    min_count: Positive = 1
    max_count: Positive | UnsetType = UNSET
    return_reservation_id: Boolean = False
    security_groups: list[Group] | UnsetType = UNSET
    user_data: Annotated[str, Meta(max_length=65535)] | None = None
    description: Description | UnsetType = UNSET
    tags: Annotated[list[Tag], Meta(max_length=50)] | UnsetType = UNSET
    trusted_image_certificates: list[str] | None | UnsetType = UNSET
    host: Fqdn | UnsetType = UNSET
    hypervisor_hostname: Fqdn | UnsetType = UNSET
    hostname: Fqdn | UnsetType = UNSET


class Create(Struct, forbid_unknown_fields=True, kw_only=True):
    server: Server
    hints: dict[str, Any] = field(name="os:scheduler_hints", default={})
    old_hints: dict[str, Any] = field(name="OS-SCH-HNT:scheduler_hints", default={})


_SINCE: dict[str, Version] = {"description": (2, 19), "tags": (2, 52), "trusted_image_certificates": (2, 63), "host": (2, 74),
                              "hypervisor_hostname": (2, 74), "hostname": (2, 90)}


@routes.post("/os-volumes_boot", rule="os_compute_api:servers:create", body=Create, status=202, maximum=(2, 102))
@routes.post("/servers", rule="os_compute_api:servers:create", body=Create, status=202)
def create(call: Call, body: Create) -> Reply:
    server = body.server
    _check_version(call, server)
    if server.trusted_image_certificates not in (UNSET, None, []):
        raise BadRequest("Trusted image certificates are not supported by this cloud: no key manager is there to check them.")
    wish = _wish(call, body)
    given = [nic.port_id for nic in wish.networks if nic.port_id] if isinstance(wish.networks, list) else []
    if given and call.version < (2, 72) and bandwidth.of_server(call.tx, None, given):
        raise BadRequest("Creating servers with existing ports having resource_request is not supported with this microversion.")
    if wish.devices and not call.allows("os_compute_api:servers:create:attach_volume", {"project_id": call.context.project_id}):
        raise Forbidden("Policy doesn't allow os_compute_api:servers:create:attach_volume to be performed.")
    rows = boot.create(call.tx, call.context, wish)
    if shapes.truth(server.return_reservation_id):
        return Reply({"reservation_id": rows[0].reservation_id})
    password = server.admin_pass or "".join(secrets.choice(_ALPHABET) for _ in range(12))
    links = shapes.links(call, "servers", rows[0].id)
    groups = [{"name": group.name} for group in server.security_groups] if server.security_groups else [{"name": "default"}]
    return Reply({"server": {"id": rows[0].id, "links": links, "OS-DCF:diskConfig": server.disk_config,
                             "security_groups": groups, "adminPass": password}},
                 headers={"Location": links[0]["href"]})


def _check_version(call: Call, server: Server) -> None:
    """Keys that the microversion does not have, and that it demands."""
    unknown = [name for name, since in _SINCE.items() if getattr(server, name) is not UNSET and call.version < since]
    if call.version >= (2, 57) and server.personality is not UNSET:
        unknown.append("personality")
    tagged = isinstance(server.networks, list) and any(nic.tag is not UNSET for nic in server.networks)
    if tagged and (call.version < (2, 32) or (2, 37) <= call.version < (2, 42)):
        unknown.append("tag")
    device = block_devices.unknown(server.block_device_mapping_v2, call.version)
    unknown += [device] if device is not None else []
    if unknown:
        raise BadRequest(f"Invalid input for field/attribute server. Additional properties are not allowed ({unknown[0]!r} was "
                         "unexpected)")
    if call.version >= (2, 37):
        if server.networks is UNSET:
            raise BadRequest("Invalid input for field/attribute server. 'networks' is a required property")
    elif isinstance(server.networks, str):
        raise BadRequest(f"Invalid input for field/attribute networks. Value: {server.networks}. It is not of type 'array'")
    if server.hostname is not UNSET and call.version < (2, 94) and not 2 <= len(server.hostname) <= 63:
        raise BadRequest("Invalid input for field/attribute hostname: it has 2 to 63 characters.")
    if server.hostname is not UNSET and call.version < (2, 94) and ("." in server.hostname or "_" in server.hostname):
        raise BadRequest(f"Invalid input for field/attribute hostname. Value: {server.hostname}. It does not match "
                         "'^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$'")


def _wish(call: Call, body: Create) -> boot.Wish:
    server = body.server
    least = shapes.number(server.min_count, "min_count", 1)
    most = least if server.max_count is UNSET else shapes.number(server.max_count, "max_count", 1)
    if least > most:
        raise BadRequest("min_count must be <= max_count")
    name = shapes.name(server.name)
    zone, host, force = _place(call, server)
    devices = _devices(server)
    description = name if call.version < (2, 19) else (None if server.description is UNSET else server.description)
    return boot.Wish(
        name=name, flavor_id=str(server.flavor_ref).rsplit("/", 1)[-1], image_id=_image(server, devices),
        devices=devices, legacy=bool(server.block_device_mapping), shared=call.version >= (2, 60),
        description=shapes.description(description), hostname=None if server.hostname is UNSET else server.hostname,
        networks=_networks(server),
        groups=None if server.security_groups is UNSET else [group.name for group in server.security_groups],
        key_name=server.key_name, user_data=shapes.base64_text(server.user_data, "user_data") if server.user_data else None,
        files=[] if server.personality is UNSET else shapes.files(server.personality),
        metadata=server.metadata, tags=[] if server.tags is UNSET else server.tags,
        config_drive=server.config_drive is not None and shapes.truth(server.config_drive), least=least, most=most,
        zone=zone, host=host, force=force, hints=body.hints or body.old_hints, auto_disk_config=server.disk_config == "AUTO",
        access_ip_v4=shapes.address(server.access_ip_v4, "accessIPv4", 4) if server.access_ip_v4 else None,
        access_ip_v6=shapes.address(server.access_ip_v6, "accessIPv6", 6) if server.access_ip_v6 else None)


def _devices(server: Server) -> list[Device]:
    return block_devices.parse(server.block_device_mapping, server.block_device_mapping_v2, server.image_ref is not None)


def _image(server: Server, devices: list[Device]) -> str | None:
    """The image to boot from; none is fine when a mapping says what to boot from."""
    image = server.image_ref or ""
    if image and not image.startswith("http"):
        shapes.uuid(image, "imageRef")
    image = image.rsplit("/", 1)[-1]
    if not image and not devices:
        raise BadRequest("Missing imageRef attribute")
    return image or None


def _networks(server: Server) -> list[Nic] | str | None:
    if server.networks is UNSET:
        return None
    if isinstance(server.networks, str):
        return server.networks
    found = []
    for nic in server.networks:
        tag = None if nic.tag is UNSET else nic.tag
        if nic.port is not None:
            ip = None if nic.fixed_ip is UNSET else check_address(nic.fixed_ip)
            found.append(Nic(port_id=shapes.uuid(nic.port, "port"), fixed_ip=ip, tag=tag))
            continue
        if nic.uuid is UNSET:
            raise BadRequest("Bad network format: missing 'uuid'")
        if not ids.is_uuid(nic.uuid):
            raise BadRequest(f"Bad networks format: network uuid is not in proper format ({nic.uuid[:64]})")
        found.append(Nic(network_id=nic.uuid, fixed_ip=None if nic.fixed_ip is UNSET else check_address(nic.fixed_ip), tag=tag))
    return found


def _place(call: Call, server: Server) -> tuple[str | None, str | None, bool]:
    """Zone, host, and whether the host is forced (zone:host) past the scheduler's filters."""
    zone, host, force = server.availability_zone, None, False
    if zone and ":" in zone:
        parts = zone.split(":")
        if len(parts) > 3:
            raise BadRequest("Unable to parse availability_zone")
        zone, host = parts[0] or None, parts[1] or (parts[2] if len(parts) == 3 else "") or None
        force = host is not None
        if host is not None and not call.allows("os_compute_api:servers:create:forced_host"):
            raise Forbidden("Policy doesn't allow os_compute_api:servers:create:forced_host to be performed.")
    asked = [name for name in (server.host, server.hypervisor_hostname) if name is not UNSET]
    if asked:
        if not call.allows("compute:servers:create:requested_destination"):
            raise Forbidden("Policy doesn't allow compute:servers:create:requested_destination to be performed.")
        if host is not None:
            raise BadRequest("Requested host/hypervisor_hostname cannot be used together with a host in availability_zone.")
        if len(set(asked)) > 1:
            raise BadRequest(f"Compute host {asked[0]} with node {asked[1]} could not be found.")
        host = str(asked[0])
    return zone, host, force
