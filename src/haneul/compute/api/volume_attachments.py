"""/servers/{id}/os-volume_attachments."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType, field

from haneul.compute import volumes
from haneul.compute.api import shapes
from haneul.compute.api.server_target import server
from haneul.compute.api.shapes import Body, Boolean, Tag
from haneul.compute.model import ServerRow
from haneul.compute.problems import InvalidState
from haneul.compute.states import SHELVED, SHELVED_OFFLOADED
from haneul.kernel.errors import BadRequest, Forbidden
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.volume.model import AttachmentRow

routes = Routes()
PATH = "/servers/{server_id}/os-volume_attachments"
_RULE = "os_compute_api:os-volumes-attachments:"
Device = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^(/dev/x{0,1}[a-z]{0,1}d{0,1})([a-z]+)[0-9]*$")] | None


class Wanted(Body):
    volume_id: str = field(name="volumeId")
    device: Device = None


class Wanted49(Wanted):
    tag: Tag | UnsetType = UNSET


class Wanted79(Wanted49):
    delete_on_termination: Boolean = False


class Attach(Body):
    wanted: Wanted = field(name="volumeAttachment")


class Attach49(Body):
    wanted: Wanted49 = field(name="volumeAttachment")


class Attach79(Body):
    wanted: Wanted79 = field(name="volumeAttachment")


class Other(Body):
    volume_id: str = field(name="volumeId")


class Swap(Body):
    other: Other = field(name="volumeAttachment")


class Changed(Body):
    volume_id: str = field(name="volumeId")
    device: str | None | UnsetType = UNSET
    tag: str | None | UnsetType = UNSET
    delete_on_termination: Boolean | UnsetType = UNSET
    server_id: str | UnsetType = field(name="serverId", default=UNSET)
    id: str | UnsetType = UNSET


class Change(Body):
    changed: Changed = field(name="volumeAttachment")


def _view(call: Call, row: AttachmentRow) -> dict[str, Any]:
    """The volume's id is the attachment's, until 2.89 has names for both."""
    found: dict[str, Any] = {"serverId": row.server_id, "volumeId": row.volume_id}
    if call.version < (2, 89):
        found["id"] = row.volume_id
    if row.mountpoint:
        found["device"] = row.mountpoint
    if call.version >= (2, 70):
        found["tag"] = row.tag
    if call.version >= (2, 79):
        found["delete_on_termination"] = row.delete_on_termination
    if call.version >= (2, 89):
        found["attachment_id"] = found["bdm_uuid"] = row.id
    return found


@routes.get(PATH, rule=_RULE + "index", target=server)
def index(call: Call, row: ServerRow) -> dict[str, Any]:
    shapes.only(call, {"limit", "offset"})
    found = volumes.of(call.tx, row)
    offset = call.argument("offset") or "0"
    if not offset.isdigit() or len(offset) > 9:
        raise BadRequest("offset param must be an integer")
    first = int(offset)
    return {"volumeAttachments": [_view(call, one) for one in found[first:first + paging.limit_of(call)]]}


@routes.get(PATH + "/{volume_id}", rule=_RULE + "show", target=server)
def show(call: Call, row: ServerRow) -> dict[str, Any]:
    return {"volumeAttachment": _view(call, volumes.one(call.tx, row, call.values["volume_id"]))}


def _not_shelved(call: Call, row: ServerRow, action: str) -> None:
    """Shelved servers have their volumes changed since 2.20."""
    if row.vm_state in (SHELVED, SHELVED_OFFLOADED) and call.version < (2, 20):
        raise InvalidState(action, row.id, "vm_state", row.vm_state)


@routes.post(PATH, rule=_RULE + "create", target=server, body=[((2, 1), Attach), ((2, 49), Attach49), ((2, 79), Attach79)])
def create(call: Call, row: ServerRow, body: Attach) -> Reply:
    """Since 2.101 it says only that it will be done."""
    _not_shelved(call, row, "attach_volume")
    wanted = body.wanted
    tag = getattr(wanted, "tag", UNSET)
    found = volumes.attach(
        call.tx, call.context, row, shapes.uuid(wanted.volume_id, "volumeId"), wanted=wanted.device,
        tag=None if tag is UNSET else tag, multiattach=call.version >= (2, 60),
        delete_on_termination=shapes.truth(getattr(wanted, "delete_on_termination", False)))
    if call.version >= (2, 101):
        return Reply(status=202)
    shown = _view(call, found)
    if call.version >= (2, 89):  # the new names are those of lists and of GET alone, in Nova
        del shown["attachment_id"], shown["bdm_uuid"]
    return Reply({"volumeAttachment": {**shown, "id": found.volume_id}})


@routes.put(PATH + "/{volume_id}", rule=_RULE + "swap", body=Swap, status=202, maximum=(2, 84))
def swap(call: Call, body: Swap) -> Reply:
    """For block storage's own moves, and administrators."""
    volumes.swap(call.tx, call.context, server(call), call.values["volume_id"], shapes.uuid(body.other.volume_id, "volumeId"))
    return Reply(status=202)


@routes.put(PATH + "/{volume_id}", rule=_RULE + "update", target=server, body=Change, status=202, minimum=(2, 85))
def change(call: Call, row: ServerRow, body: Change) -> Reply:
    """Another volume, as `swap`; else only whether the volume ends with its server."""
    old, new = call.values["volume_id"], shapes.uuid(body.changed.volume_id, "volumeId")
    if new != old:
        if not call.allows(_RULE + "swap", {}):
            raise Forbidden(f"Policy doesn't allow {_RULE}swap to be performed.")
        volumes.swap(call.tx, call.context, row, old, new)
        return Reply(status=202)
    found = volumes.one(call.tx, row, old)
    same = {"device": found.mountpoint, "tag": found.tag, "server_id": row.id, "id": old}
    for key, value in same.items():
        sent = getattr(body.changed, key)
        if sent is not UNSET and sent != value:
            name = "serverId" if key == "server_id" else key
            raise BadRequest(f"The {name} of a volume attachment cannot be changed.")
    if body.changed.delete_on_termination is not UNSET:
        found.delete_on_termination = shapes.truth(body.changed.delete_on_termination)
    return Reply(status=202)


@routes.delete(PATH + "/{volume_id}", rule=_RULE + "delete", target=server, status=202)
def delete(call: Call, row: ServerRow) -> Reply:
    _not_shelved(call, row, "detach_volume")
    volumes.detach(call.tx, call.context, row, call.values["volume_id"])
    return Reply(status=202)
