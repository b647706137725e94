"""POST /servers/{id}/action: power, locks, state, images, shelving. Rebuild, resize and rescue are in server_changes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType, field

from haneul.compute import actions
from haneul.compute.api import shapes
from haneul.compute.api.server_target import server
from haneul.compute.api.shapes import Body, Fqdn, Metadata, Name, Number
from haneul.compute.model import ServerRow
from haneul.kernel.errors import BadRequest, Forbidden, NotImplementedHere
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes

routes = Routes()
PATH = "/servers/{server_id}/action"


class Reboot(Body):
    type: Literal["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]


class Image(Body):
    name: Name
    metadata: Metadata = {}


class Backup(Body):
    name: Name
    backup_type: Annotated[str, Meta(max_length=255)]
    rotation: Number
    metadata: Metadata = {}


class Lock(Body):
    locked_reason: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET


class State(Body):
    state: Literal["active", "error"]


class Password(Body):
    admin_pass: Annotated[str, Meta(max_length=255)] = field(name="adminPass")


class Zone(Body):
    availability_zone: Name | None | UnsetType = UNSET
    host: Fqdn | UnsetType = UNSET


def _null(value: Any, action: str) -> None:
    if value is not None:
        raise BadRequest(f"Invalid input for field/attribute {action}. It takes no values.")


# ---------------------------------------------------------------- power


@routes.action(PATH, "os-start", "os_compute_api:servers:start", target=server)
def start(call: Call, row: ServerRow) -> None:
    actions.start(call.tx, call.context, row)


@routes.action(PATH, "os-stop", "os_compute_api:servers:stop", target=server)
def stop(call: Call, row: ServerRow) -> None:
    actions.stop(call.tx, call.context, row)


@routes.action(PATH, "reboot", "os_compute_api:servers:reboot", target=server, body=Reboot)
def reboot(call: Call, row: ServerRow, body: Reboot) -> None:
    actions.reboot(call.tx, call.context, row, hard=body.type.upper() == "HARD")


@routes.action(PATH, "pause", "os_compute_api:os-pause-server:pause", target=server)
def pause(call: Call, row: ServerRow) -> None:
    actions.pause(call.tx, call.context, row)


@routes.action(PATH, "unpause", "os_compute_api:os-pause-server:unpause", target=server)
def unpause(call: Call, row: ServerRow) -> None:
    actions.unpause(call.tx, call.context, row)


@routes.action(PATH, "suspend", "os_compute_api:os-suspend-server:suspend", target=server)
def suspend(call: Call, row: ServerRow) -> None:
    actions.suspend(call.tx, call.context, row)


@routes.action(PATH, "resume", "os_compute_api:os-suspend-server:resume", target=server)
def resume(call: Call, row: ServerRow) -> None:
    actions.resume(call.tx, call.context, row)


# ---------------------------------------------------------------- locks and state


@routes.action(PATH, "lock", "os_compute_api:os-lock-server:lock", target=server, body=[((2, 1), Any), ((2, 73), Lock | None)])
def lock(call: Call, row: ServerRow, body: Any) -> None:
    """Before 2.73 nobody looks at the value."""
    reason = body.locked_reason if isinstance(body, Lock) and body.locked_reason is not UNSET else None
    actions.lock(call.context, row, reason)


@routes.action(PATH, "unlock", "os_compute_api:os-lock-server:unlock", target=server)
def unlock(call: Call, row: ServerRow) -> None:
    if row.locked_by == "admin" and not call.allows("os_compute_api:os-lock-server:unlock:unlock_override",
                                                    {"project_id": row.project_id}):
        raise Forbidden("Policy doesn't allow os_compute_api:os-lock-server:unlock:unlock_override to be performed.")
    actions.unlock(call.context, row)


@routes.action(PATH, "os-resetState", "os_compute_api:os-admin-actions:reset_state", target=server, body=State)
def reset_state(call: Call, row: ServerRow, body: State) -> None:
    actions.reset_state(call.tx, call.context, row, body.state)


@routes.action(PATH, "injectNetworkInfo", "os_compute_api:os-admin-actions:inject_network_info", target=server)
def inject_network_info(call: Call, row: ServerRow) -> None:
    actions.inject_network_info(call.tx, call.context, row)


@routes.action(PATH, "changePassword", "os_compute_api:os-admin-password", target=server, body=Password)
def change_password(call: Call, row: ServerRow, body: Password) -> None:
    raise NotImplementedHere("Unable to set password on instance")


@routes.action(PATH, "trigger_crash_dump", "os_compute_api:servers:trigger_crash_dump", target=server, minimum=(2, 17))
def trigger_crash_dump(call: Call, row: ServerRow) -> None:
    actions.trigger_crash_dump(call.tx, call.context, row)


# ---------------------------------------------------------------- images


@routes.action(PATH, "createImage", "os_compute_api:servers:create_image", target=server, body=Image)
def create_image(call: Call, row: ServerRow, body: Image) -> Reply:
    rule = "os_compute_api:servers:create_image:allow_volume_backed"
    if row.system.get("on_volume") and not call.allows(rule, {"project_id": row.project_id}):
        raise Forbidden(f"Policy doesn't allow {rule} to be performed.")
    return _created(call, actions.create_image(call.tx, call.context, row, shapes.name(body.name), body.metadata))


@routes.action(PATH, "createBackup", "os_compute_api:os-create-backup", target=server, body=Backup)
def create_backup(call: Call, row: ServerRow, body: Backup) -> Reply:
    rotation = shapes.number(body.rotation, "rotation")
    image_id = actions.create_backup(call.tx, call.context, row, shapes.name(body.name), body.backup_type, rotation,
                                     body.metadata)
    return _created(call, image_id) if rotation else Reply(status=202)


def _created(call: Call, image_id: str) -> Reply:
    """The image's id in the body since 2.45, before in the Location header."""
    if call.version >= (2, 45):
        return Reply({"image_id": image_id})
    return Reply(headers={"Location": f"{call.cloud.url}/image/v2/images/{image_id}"})


# ---------------------------------------------------------------- shelving


@routes.action(PATH, "shelve", "os_compute_api:os-shelve:shelve", target=server)
def shelve(call: Call, row: ServerRow) -> None:
    actions.shelve_server(call.tx, call.context, row)


@routes.action(PATH, "shelveOffload", "os_compute_api:os-shelve:shelve_offload", target=server)
def shelve_offload(call: Call, row: ServerRow) -> None:
    actions.shelve_offload(call.tx, call.context, row)


@routes.action(PATH, "unshelve", "os_compute_api:os-shelve:unshelve", target=server, body=Zone | None)
def unshelve(call: Call, row: ServerRow, body: Zone | None) -> None:
    zone = body.availability_zone if body is not None and body.availability_zone is not UNSET else None
    host = body.host if body is not None and body.host is not UNSET else None
    if body is not None and call.version < (2, 77):
        body, zone, host = None, None, None
    if body is not None and body.host is not UNSET:
        if call.version < (2, 91):
            raise BadRequest("Invalid input for field/attribute unshelve. Additional properties are not allowed ('host' was "
                             "unexpected)")
        if not call.allows("os_compute_api:os-shelve:unshelve_to_host", {"project_id": row.project_id}):
            raise Forbidden("Policy doesn't allow os_compute_api:os-shelve:unshelve_to_host to be performed.")
    actions.unshelve(call.tx, call.context, row, zone=zone, host=host,
                     unpin=body is not None and body.availability_zone is None)
