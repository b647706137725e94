"""POST /volumes/{id}/action: the actions that are older than /attachments."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import connections, volumes
from haneul.volume.api import shapes
from haneul.volume.api.shapes import Body
from haneul.volume.model import VolumeRow

routes = Routes()
PATH = "/volumes/{volume_id}/action"
_RULE = "volume_extension:volume_actions:"
Text = Annotated[str, Meta(max_length=255)] | None


class Attach(Body):
    instance_uuid: str | None = None
    mountpoint: Text = None
    host_name: Text = None
    mode: str = "rw"


class Detach(Body):
    attachment_id: str | None = None


class ForceDetach(Body):
    attachment_id: str | None = None
    connector: dict[str, Any] | None = None


class Connection(Body):
    connector: dict[str, Any]


def _volume(call: Call) -> VolumeRow:
    return volumes.get(call.tx, call.context, call.values["volume_id"])


@routes.action(PATH, "os-attach", _RULE + "attach", target=_volume, body=Attach, status=202)
def attach(call: Call, row: VolumeRow, body: Attach) -> None:
    connections.check_target(body.instance_uuid, body.host_name)
    if body.mode not in ("rw", "ro"):
        raise BadRequest("Invalid request to attach volume with an invalid mode. Attaching mode should be 'rw' or 'ro'")
    instance = shapes.uuid(body.instance_uuid, "instance_uuid") if body.instance_uuid else None
    connections.attach(call.tx, call.context, row, instance=instance, host=body.host_name, mountpoint=body.mountpoint,
                       mode=body.mode)


@routes.action(PATH, "os-detach", _RULE + "detach", target=_volume, body=Detach, status=202)
def detach(call: Call, row: VolumeRow, body: Detach) -> None:
    connections.detach(call.tx, row, body.attachment_id)


@routes.action(PATH, "os-force_detach", "volume_extension:volume_admin_actions:force_detach", target=_volume, body=ForceDetach,
               status=202)
def force_detach(call: Call, row: VolumeRow, body: ForceDetach) -> None:
    """Forced is only the volume's state, never a guest's disk."""
    connections.detach(call.tx, row, body.attachment_id)


@routes.action(PATH, "os-reserve", _RULE + "reserve", target=_volume, status=202)
def reserve(call: Call, row: VolumeRow) -> None:
    connections.reserve(call.tx, call.context, row)


@routes.action(PATH, "os-unreserve", _RULE + "unreserve", target=_volume, status=202)
def unreserve(call: Call, row: VolumeRow) -> None:
    connections.unreserve(call.tx, row)


@routes.action(PATH, "os-begin_detaching", _RULE + "begin_detaching", target=_volume, status=202)
def begin_detaching(call: Call, row: VolumeRow) -> None:
    connections.begin_detaching(call.tx, row)


@routes.action(PATH, "os-roll_detaching", _RULE + "roll_detaching", target=_volume, status=202)
def roll_detaching(call: Call, row: VolumeRow) -> None:
    connections.roll_detaching(call.tx, row)


@routes.action(PATH, "os-initialize_connection", _RULE + "initialize_connection", target=_volume, body=Connection,
               status=200)
def initialize_connection(call: Call, row: VolumeRow, body: Connection) -> dict[str, Any]:
    return {"connection_info": connections.info(row)}


@routes.action(PATH, "os-terminate_connection", _RULE + "terminate_connection", target=_volume, body=Connection, status=202)
def terminate_connection(call: Call, row: VolumeRow, body: Connection) -> None:
    connections.terminate(call.tx, row)
