"""POST /volumes/{volume_id}/action: what changes a volume."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from haneul.kernel.errors import BadRequest, Forbidden
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.volume import changing, moving, uploads, volumes
from haneul.volume.api import shapes
from haneul.volume.api.shapes import Body, Boolean, moment
from haneul.volume.api.volumes import Size, target
from haneul.volume.model import VolumeRow, VolumeTypeRow
from haneul.volume.problems import InvalidVolume

routes = Routes()
_ACTION = "/volumes/{volume_id}/action"
_ADMIN = "volume_extension:volume_admin_actions:"
_UPLOAD = "volume_extension:volume_actions:upload_image"
Text = Annotated[str, Meta(min_length=1, max_length=255)]
Uuid = Annotated[str, Meta(min_length=32, max_length=36)]


class Extend(Body):
    new_size: Size


class Reset(Body):
    status: Text | None = None
    attach_status: Text | None = None
    migration_status: Text | None = None


class Bootable(Body):
    bootable: Boolean


class Readonly(Body):
    readonly: Boolean


class Retype(Body):
    new_type: Text
    migration_policy: Literal["never", "on-demand"] | None = None


class Migrate(Body):
    host: Text
    force_host_copy: Boolean = False
    lock_volume: Boolean = False


class Migrate316(Body):
    """A cluster is one host's back ends in haneul: none of that name exists."""

    host: Text | None = None
    cluster: Text | None = None
    force_host_copy: Boolean = False
    lock_volume: Boolean = False


class Completion(Body):
    new_volume: Uuid
    error: Boolean = False


class Reimage(Body):
    image_id: Uuid
    reimage_reserved: Boolean = False


class Upload(Body):
    image_name: Text
    force: Boolean = False
    disk_format: Annotated[str, Meta(max_length=20)] = "raw"
    container_format: Annotated[str, Meta(max_length=20)] = "bare"


class Upload31(Upload, kw_only=True):
    visibility: Literal["community", "public", "private", "shared"] = "private"
    protected: Boolean = False


# ---------------------------------------------------------------- size, flags, status


@routes.action(_ACTION, "os-extend", rule="volume:extend", target=target, body=Extend)
def extend(call: Call, row: VolumeRow, body: Extend) -> Reply:
    size = 0 if body.new_size is None else int(body.new_size)
    in_use = call.version >= (3, 42)
    if row.status == "in-use" and in_use and not call.allows("volume:extend_attached_volume", row.policy_target):
        raise Forbidden("Policy doesn't allow volume:extend_attached_volume to be performed.")
    changing.extend(call.tx, call.context, row, size, in_use=in_use)
    return Reply(status=202)


@routes.action(_ACTION, "os-reset_status", rule=_ADMIN + "reset_status", target=target, body=Reset)
def reset_status(call: Call, row: VolumeRow, body: Reset) -> Reply:
    status, attach, migration = (value.lower() if value else None
                                 for value in (body.status, body.attach_status, body.migration_status))
    for name, value, allowed in (("status", status, changing.STATUSES), ("attach_status", attach, ("attached", "detached")),
                                 ("migration_status", migration, changing.MIGRATION_STATUSES)):
        if value is not None and value not in allowed:
            raise BadRequest(f"Invalid input for field/attribute {name}. Value: {value[:64]}. '{value[:64]}' is not one of "
                             f"{list(allowed)}")
    changing.reset_status(call.tx, row, status, attach, migration)
    return Reply(status=202)


@routes.action(_ACTION, "os-force_delete", rule=_ADMIN + "force_delete", target=target)
def force_delete(call: Call, row: VolumeRow) -> Reply:
    volumes.delete(call.tx, call.context, row, force=True)
    return Reply(status=202)


@routes.action(_ACTION, "os-set_bootable", rule="volume:update", target=target, body=Bootable, status=200)
def set_bootable(call: Call, row: VolumeRow, body: Bootable) -> Reply:
    row.bootable = shapes.truth(body.bootable)
    volumes.put(row, row.status)
    return Reply(status=200)


@routes.action(_ACTION, "os-update_readonly_flag", rule="volume:update_readonly_flag", target=target, body=Readonly)
def update_readonly(call: Call, row: VolumeRow, body: Readonly) -> Reply:
    changing.set_readonly(call.tx, row, shapes.truth(body.readonly))
    return Reply(status=202)


# ---------------------------------------------------------------- elsewhere


@routes.action(_ACTION, "os-retype", rule="volume:retype", target=target, body=Retype)
def retype(call: Call, row: VolumeRow, body: Retype) -> Reply:
    moving.retype(call.tx, call.context, row, body.new_type, body.migration_policy or "never")
    return Reply(status=202)


@routes.action(_ACTION, "os-migrate_volume", rule=_ADMIN + "migrate_volume", target=target,
               body=[((3, 0), Migrate), ((3, 16), Migrate316)])
def migrate(call: Call, row: VolumeRow, body: Migrate316) -> Reply:
    cluster = getattr(body, "cluster", None)
    if (body.host is None) == (cluster is None):
        raise BadRequest("Must provide either a host or a cluster.")
    if cluster is not None:
        raise BadRequest(f"Invalid host: No available service named {cluster}")
    moving.migrate(call.tx, call.context, row, body.host or "")
    return Reply(status=202)


@routes.action(_ACTION, "os-migrate_volume_completion", rule=_ADMIN + "migrate_volume_completion", target=target, body=Completion)
def migrate_completion(call: Call, row: VolumeRow, body: Completion) -> Reply:
    """What a compute service says that copied a volume into another one. Here a volume is copied under its own id: there is
    never anything to complete."""
    other = volumes.get(call.tx, call.context, body.new_volume)
    raise InvalidVolume(f"Volume {row.id} is not being migrated to volume {other.id}.")


# ---------------------------------------------------------------- images


@routes.action(_ACTION, "os-reimage", rule="volume:reimage", target=target, body=Reimage, minimum=(3, 68))
def reimage(call: Call, row: VolumeRow, body: Reimage) -> Reply:
    changing.reimage(call.tx, call.context, row, shapes.uuid(body.image_id, "image_id"),
                     reserved=shapes.truth(body.reimage_reserved))
    return Reply(status=202)


@routes.action(_ACTION, "os-volume_upload_image", rule=_UPLOAD, target=target, body=[((3, 0), Upload), ((3, 1), Upload31)])
def upload(call: Call, row: VolumeRow, body: Upload) -> dict[str, Any]:
    visibility = getattr(body, "visibility", "shared")
    if visibility == "public" and not call.allows("volume_extension:volume_actions:upload_public", row.policy_target):
        raise Forbidden("Policy doesn't allow volume_extension:volume_actions:upload_public to be performed.")
    wanted = uploads.Wanted(name=body.image_name, disk_format=body.disk_format, container_format=body.container_format,
                            force=shapes.truth(body.force), visibility=visibility,
                            protected=shapes.truth(getattr(body, "protected", False)))
    image = uploads.upload(call.tx, call.context, row, wanted)
    found = {"id": row.id, "updated_at": moment(row.updated_at), "status": row.status, "display_description": row.description,
             "size": row.size, "volume_type": _type(call, row), "image_id": image.id, "image_name": image.name,
             "container_format": image.container_format, "disk_format": image.disk_format}
    if call.version >= (3, 1):
        found |= {"visibility": image.visibility, "protected": image.protected}
    return {"os-volume_upload_image": found}


def _type(call: Call, row: VolumeRow) -> dict[str, Any] | None:
    kind = call.tx.get(VolumeTypeRow, row.type_id)
    if kind is None:
        return None
    return {"id": kind.id, "name": kind.name, "description": kind.description, "is_public": kind.is_public,
            "extra_specs": dict(kind.extra_specs) if call.context.is_admin else {}, "qos_specs_id": kind.qos_specs_id,
            "created_at": moment(kind.created_at), "updated_at": moment(kind.updated_at), "deleted": False, "deleted_at": None}
