"""A volume on the wire, as each microversion knows it. Made of columns, so that a list costs a few statements in all."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, select

from haneul.kernel.wire.call import Call
from haneul.volume import stores
from haneul.volume.api.shapes import moment
from haneul.volume.model import AttachmentRow, VolumeRow, VolumeTypeRow

VOLUMES: Any = VolumeRow.__table__
_types: Any = VolumeTypeRow.__table__
_attachments: Any = AttachmentRow.__table__
_COLUMNS = [column for column in VOLUMES.c if column.name not in ("key", "metadata", "admin_metadata")]
DETAILS = select(*_COLUMNS, VOLUMES.c["metadata"].label("meta"), VOLUMES.c.admin_metadata.label("admin_meta"),
                 _types.c.name.label("type_name")).select_from(VOLUMES.outerjoin(_types, _types.c.id == VOLUMES.c.type_id))
BRIEF = select(VOLUMES.c.id, VOLUMES.c.name)
_ONE = DETAILS.where(VOLUMES.c.id == bindparam("b_id"))
_TYPE_NAME = select(_types.c.name).where(_types.c.id == bindparam("id"))
_HELD = ("attached", "detaching", "error_detaching")
_BY_VOLUME = select(
    _attachments.c.id, _attachments.c.volume_id, _attachments.c.server_id, _attachments.c.instance, _attachments.c.host,
    _attachments.c.mountpoint, _attachments.c.attached_at).where(
        _attachments.c.volume_id.in_(bindparam("ids", expanding=True)), _attachments.c.status.in_(_HELD)).order_by(
            _attachments.c.created_at)


class Sight(Struct, frozen=True):
    """What the caller may see, asked of the policy once a request."""

    admin: bool
    host: bool
    migration: bool
    tenant: bool
    prefix: str
    bookmark: str

    @classmethod
    def of(cls, call: Call) -> Sight:
        project = f"/{call.found.project_id}" if call.found.project_id else ""
        return cls(admin=call.context.is_admin, host=call.allows("volume_extension:volume_host_attribute"),
                   migration=call.allows("volume_extension:volume_mig_status_attribute"),
                   tenant=call.allows("volume_extension:volume_tenant_attribute"), prefix=f"{call.base_url}{project}/volumes/",
                   bookmark=f"{call.base_url.removesuffix('/v3')}{project}/volumes/")


def brief(sight: Sight, row: Any) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "links": _links(sight, row.id)}


def one(call: Call, volume_id: str, *, whole: bool) -> dict[str, Any]:
    """A volume by its id, as the transaction has left it. `whole` with what only GET shows."""
    call.tx.flush()
    row = call.tx.core(_ONE, b_id=volume_id).one()
    return many(call, [row], whole=whole)[0]


def made(call: Call, row: VolumeRow) -> dict[str, Any]:
    """A volume that this request has made: nothing has it yet, and of its type only the name is to be looked up."""
    return _detail(call, Sight.of(call), row, call.tx.core(_TYPE_NAME, id=row.type_id).scalar(), [], whole=False)


def many(call: Call, rows: list[Any], *, whole: bool = True) -> list[dict[str, Any]]:
    sight, held = Sight.of(call), _attached(call, [row.id for row in rows])
    return [_detail(call, sight, row, row.type_name, held.get(row.id, []), whole) for row in rows]


def _attached(call: Call, ids: list[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in call.tx.core(_BY_VOLUME, ids=ids) if ids else ():
        found.setdefault(row.volume_id, []).append(row)
    return found


def _links(sight: Sight, volume_id: str) -> list[dict[str, str]]:
    return [{"rel": "self", "href": sight.prefix + volume_id}, {"rel": "bookmark", "href": sight.bookmark + volume_id}]


def _detail(call: Call, sight: Sight, row: Any, type_name: str | None, held: list[Any], whole: bool) -> dict[str, Any]:
    shown = dict(row.meta)
    if row.readonly is not None:
        shown["readonly"] = str(row.readonly)
    if row.admin_meta and "attached_mode" in row.admin_meta:
        shown["attached_mode"] = row.admin_meta["attached_mode"]
    found: dict[str, Any] = {
        "id": row.id, "name": row.name, "description": row.description, "size": row.size, "status": row.status,
        "availability_zone": row.availability_zone, "created_at": moment(row.created_at), "updated_at": moment(row.updated_at),
        "volume_type": type_name, "snapshot_id": row.snapshot_id, "source_volid": row.source_volid, "metadata": shown,
        "links": _links(sight, row.id), "user_id": row.user_id, "bootable": "true" if row.bootable else "false",
        "encrypted": row.encrypted, "replication_status": None, "consistencygroup_id": None, "multiattach": row.multiattach,
        "attachments": [_attachment(sight, one) for one in held]}
    if sight.admin:
        found["migration_status"] = row.migration_status
    _since(call, sight, row, found)
    if whole:
        if sight.host:
            found["os-vol-host-attr:host"] = row.host
        if sight.migration:
            found["os-vol-mig-status-attr:migstat"] = row.migration_status
            stored = row.stored_as.removeprefix("volume-")  # under another id since it was moved
            found["os-vol-mig-status-attr:name_id"] = None if stored == row.id else stored
        if sight.tenant:
            found["os-vol-tenant-attr:tenant_id"] = row.project_id
        if row.image:
            found["volume_image_metadata"] = row.image
    return found


def _since(call: Call, sight: Sight, row: Any, found: dict[str, Any]) -> None:
    """What later microversions add."""
    version = call.version
    if version >= (3, 13):
        found["group_id"] = row.group_id
    if version >= (3, 21) and sight.admin:
        found["provider_id"] = None
    if version >= (3, 48):
        found["shared_targets"], found["service_uuid"] = False, stores.service_uuid(row.host)
    if version >= (3, 61) and sight.admin:
        found["cluster_name"] = None
    if version >= (3, 63):
        found["volume_type_id"] = row.type_id
    if version >= (3, 64) and row.key_id:
        found["encryption_key_id"] = row.key_id
    if version >= (3, 65):
        found["consumes_quota"] = True


def _attachment(sight: Sight, row: Any) -> dict[str, Any]:
    return {"id": row.volume_id, "attachment_id": row.id, "volume_id": row.volume_id, "server_id": row.server_id or row.instance,
            "host_name": row.host if sight.admin else None, "device": row.mountpoint, "attached_at": moment(row.attached_at)}
