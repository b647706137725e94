"""POST /servers/{id}/action: rebuild, resize and its decision, rescue."""

from __future__ import annotations

import secrets
import string
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType, field

from haneul.compute import actions, keypairs
from haneul.compute.api import server_views, shapes
from haneul.compute.api.server_target import server
from haneul.compute.api.servers import brief_detail
from haneul.compute.api.shapes import Body, Boolean, Description, DiskConfig, File, Fqdn, Metadata, Name
from haneul.compute.model import ServerRow
from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.network import ports

routes = Routes()
PATH = "/servers/{server_id}/action"
_SINCE = {"description": (2, 19), "key_name": (2, 54), "user_data": (2, 57), "trusted_image_certificates": (2, 63),
          "hostname": (2, 90)}


class Rebuild(Body):
    image_ref: str = field(name="imageRef")
    name: Name | UnsetType = UNSET
    admin_pass: str | UnsetType = field(name="adminPass", default=UNSET)
    metadata: Metadata | UnsetType = UNSET
    preserve_ephemeral: Boolean | UnsetType = UNSET
    disk_config: DiskConfig | UnsetType = field(name="OS-DCF:diskConfig", default=UNSET)
    access_ip_v4: str | UnsetType = field(name="accessIPv4", default=UNSET)
    access_ip_v6: str | UnsetType = field(name="accessIPv6", default=UNSET)
    personality: list[File] | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    key_name: Annotated[str, Meta(min_length=1, max_length=255)] | None | UnsetType = UNSET
    user_data: Annotated[str, Meta(max_length=65535)] | None | UnsetType = UNSET
    trusted_image_certificates: list[str] | None | UnsetType = UNSET
    hostname: Fqdn | UnsetType = UNSET


class Resize(Body):
    flavor_ref: Annotated[str, Meta(min_length=1)] | int = field(name="flavorRef")
    disk_config: DiskConfig | UnsetType = field(name="OS-DCF:diskConfig", default=UNSET)


class Rescue(Body):
    admin_pass: str | None = field(name="adminPass", default=None)
    image: str | None = field(name="rescue_image_ref", default=None)


def _password(given: str | UnsetType | None) -> str:
    return given or "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12))


@routes.action(PATH, "rebuild", "os_compute_api:servers:rebuild", target=server, body=Rebuild)
def rebuild(call: Call, row: ServerRow, body: Rebuild) -> Reply:
    for name, since in _SINCE.items():
        if getattr(body, name) is not UNSET and call.version < since:
            raise BadRequest(f"Invalid input for field/attribute rebuild. Additional properties are not allowed ('{name}' was "
                             "unexpected)")
    if body.personality is not UNSET and call.version >= (2, 57):
        raise BadRequest("Invalid input for field/attribute rebuild. Additional properties are not allowed ('personality' was "
                         "unexpected)")
    if body.trusted_image_certificates not in (UNSET, None, []):
        raise BadRequest("Trusted image certificates are not supported by this cloud: no key manager is there to check them.")
    image_id = shapes.uuid(body.image_ref.rsplit("/", 1)[-1], "imageRef")
    actions.rebuild_server(call.tx, call.context, row, image_id, key=_key(call, row, body), changes=_changes(body),
                           files=[] if body.personality is UNSET else shapes.files(body.personality),
                           metadata=None if body.metadata is UNSET else body.metadata, reimage=call.version >= (2, 93))
    if body.hostname is not UNSET:
        ports.rename(call.tx, row.id, body.hostname)
    call.tx.flush()
    shown = server_views.single(call, row) if call.version >= (2, 75) else brief_detail(call, row)
    if call.version >= (2, 54):
        shown["key_name"] = row.key_name
    if call.version >= (2, 57):
        shown["user_data"] = row.user_data
        shown.pop("OS-EXT-SRV-ATTR:user_data", None)
    shown["adminPass"] = _password(body.admin_pass)
    return Reply({"server": shown}, headers={"Location": shown["links"][0]["href"]})


def _key(call: Call, row: ServerRow, body: Rebuild) -> tuple[str | None, str | None] | None:
    if body.key_name is UNSET:
        return None
    if body.key_name is None:
        return None, None
    try:
        found = keypairs.get(call.tx, call.context.user_id or "", body.key_name)
    except NotFound:
        raise BadRequest("Invalid key_name provided.")
    return found.name, found.public_key


def _changes(body: Rebuild) -> dict[str, Any]:
    """Columns that the request changes besides the image."""
    found: dict[str, Any] = {}
    if body.name is not UNSET:
        found["name"] = shapes.name(body.name)
    if body.description is not UNSET:
        found["description"] = shapes.description(body.description)
    if body.disk_config is not UNSET:
        found["auto_disk_config"] = body.disk_config == "AUTO"
    if body.access_ip_v4 is not UNSET:
        found["access_ip_v4"] = shapes.address(body.access_ip_v4, "accessIPv4", 4) if body.access_ip_v4 else None
    if body.access_ip_v6 is not UNSET:
        found["access_ip_v6"] = shapes.address(body.access_ip_v6, "accessIPv6", 6) if body.access_ip_v6 else None
    if body.user_data is not UNSET:
        found["user_data"] = shapes.base64_text(body.user_data, "user_data") if body.user_data else None
    if body.hostname is not UNSET:
        found["hostname"] = body.hostname
    return found


@routes.action(PATH, "resize", "os_compute_api:servers:resize", target=server, body=Resize)
def resize(call: Call, row: ServerRow, body: Resize) -> None:
    actions.resize_server(call.tx, call.context, row, str(body.flavor_ref).rsplit("/", 1)[-1],
                          None if body.disk_config is UNSET else body.disk_config == "AUTO")


@routes.action(PATH, "confirmResize", "os_compute_api:servers:confirm_resize", target=server, status=204)
def confirm_resize(call: Call, row: ServerRow) -> None:
    actions.confirm_resize(call.tx, call.context, row)


@routes.action(PATH, "revertResize", "os_compute_api:servers:revert_resize", target=server)
def revert_resize(call: Call, row: ServerRow) -> None:
    actions.revert_resize(call.tx, call.context, row)


@routes.action(PATH, "rescue", "os_compute_api:os-rescue", target=server, body=Rescue | None, status=200)
def rescue(call: Call, row: ServerRow, body: Rescue | None) -> dict[str, Any]:
    image = shapes.uuid(body.image.rsplit("/", 1)[-1], "rescue_image_ref") if body is not None and body.image else None
    actions.rescue(call.tx, call.context, row, image, on_volume=call.version >= (2, 87))
    return {"adminPass": _password(body.admin_pass if body is not None else None)}


@routes.action(PATH, "unrescue", "os_compute_api:os-unrescue", target=server)
def unrescue(call: Call, row: ServerRow) -> None:
    actions.unrescue(call.tx, call.context, row)
