"""/snapshots and their metadata and actions, and a volume's way back to one."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import select

from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import rows, snapshots
from haneul.volume.api import lists, shapes
from haneul.volume.api.shapes import Body, Boolean, Description, LooseMetadata, Metadata, Name
from haneul.volume.model import SnapshotRow, VolumeRow
from haneul.volume.problems import SnapshotNotFound, VolumeNotFound

routes = Routes()
_S: Any = SnapshotRow.__table__
_ACTION = "/snapshots/{snapshot_id}/action"
_METADATA = "/snapshots/{snapshot_id}/metadata"
_COLUMNS = (_S.c.seq, _S.c.id, _S.c.name, _S.c.description, _S.c.created_at, _S.c.updated_at, _S.c.volume_id, _S.c.volume_size,
            _S.c.status, _S.c.metadata.label("meta"), _S.c.progress, _S.c.project_id, _S.c.user_id, _S.c.group_snapshot_id)
_SORTABLE = {"id": _S.c.id, "seq": _S.c.seq, "created_at": _S.c.created_at, "updated_at": _S.c.updated_at,
             "name": _S.c.name, "display_name": _S.c.name, "status": _S.c.status, "volume_id": _S.c.volume_id,
             "volume_size": _S.c.volume_size}
_FILTERS = {"name": _S.c.name, "display_name": _S.c.name, "status": _S.c.status, "volume_id": _S.c.volume_id}
_ADMIN_FILTERS = {**_FILTERS, "id": _S.c.id, "user_id": _S.c.user_id, "group_snapshot_id": _S.c.group_snapshot_id,
                  "progress": _S.c.progress}
IN_USE = (3, 66)  # since then a volume in use needs no force


class New(Body):
    volume_id: str | None
    name: Name = None
    display_name: Name = None
    description: Description = None
    force: Boolean | None | UnsetType = UNSET
    metadata: LooseMetadata = None


class Create(Body):
    snapshot: New


class Changes(Body):
    name: Name | UnsetType = UNSET
    display_name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    display_description: Description | UnsetType = UNSET


class Update(Body):
    snapshot: Changes


class WholeMetadata(Body):
    metadata: Metadata


class OneMeta(Body):
    meta: Metadata


class Status(Struct, forbid_unknown_fields=True):
    status: str


class Report(Struct, forbid_unknown_fields=True):
    status: str
    progress: Annotated[str, Meta(pattern=r"^(100|[0-9]{1,2})%$")] | None = None


class Revert(Struct, forbid_unknown_fields=True):
    snapshot_id: str


def _snapshot(call: Call) -> SnapshotRow:
    return snapshots.get(call.tx, call.context, call.values["snapshot_id"])


def _volume(call: Call) -> VolumeRow:
    return rows.get(call.tx, call.context, call.values["volume_id"])


def summary(row: Any) -> dict[str, Any]:
    """Of a row as the ORM or Core gives it."""
    return {"id": row.id, "name": row.name, "description": row.description, "created_at": shapes.moment(row.created_at),
            "updated_at": shapes.moment(row.updated_at), "volume_id": row.volume_id, "size": row.volume_size,
            "status": row.status, "metadata": row.meta}


def _detail(call: Call, row: Any, extended: bool) -> dict[str, Any]:
    found = summary(row)
    if extended:
        found["os-extended-snapshot-attributes:progress"] = row.progress
        found["os-extended-snapshot-attributes:project_id"] = row.project_id
    if call.version >= (3, 14):
        found["group_snapshot_id"] = row.group_snapshot_id
    if call.version >= (3, 41):
        found["user_id"] = row.user_id
    if call.version >= (3, 65):
        found["consumes_quota"] = True
    return found


# ---------------------------------------------------------------- snapshots


@routes.get("/snapshots", rule="volume:get_all_snapshots")
def index(call: Call) -> dict[str, Any]:
    return _list(call, detail=False)


@routes.get("/snapshots/detail", rule="volume:get_all_snapshots")
def detail(call: Call) -> dict[str, Any]:
    return _list(call, detail=True)


def _list(call: Call, *, detail: bool) -> dict[str, Any]:
    special = frozenset({"metadata", "availability_zone", "consumes_quota"})
    where = [*lists.owned(call, _S), *lists.filters(
        call, "snapshot", _ADMIN_FILTERS if call.context.is_admin else _FILTERS, special)]
    if call.version >= (3, 22):
        where += lists.metadata(call, _S.c.metadata)
    zone, quota = call.argument("availability_zone"), call.argument("consumes_quota")
    if zone is not None:
        volumes: Any = VolumeRow.__table__
        where.append(_S.c.volume_id.in_(select(volumes.c.id).where(volumes.c.availability_zone == zone)))
    if quota is not None and call.version >= (3, 65) and not paging.flag(quota, "consumes_quota"):
        where.append(_S.c.id.is_(None))  # every snapshot does
    listing = lists.of(call, _S, sortable=_SORTABLE, unique="seq", where=where, missing=SnapshotNotFound)
    found = call.tx.core(lists.page(select(*_COLUMNS), _SORTABLE, listing)).all()
    extended = detail and call.allows("volume_extension:extended_snapshot_attributes")
    return {"snapshots": [_detail(call, row, extended) if detail else summary(row) for row in found],
            **lists.links(call, list(found), listing, "snapshots_links"), **lists.count(call, _S, listing)}


@routes.get("/snapshots/{snapshot_id}", rule="volume:get_snapshot", target=_snapshot)
def show(call: Call, row: SnapshotRow) -> dict[str, Any]:
    return {"snapshot": _detail(call, row, call.allows("volume_extension:extended_snapshot_attributes", row.policy_target))}


@routes.post("/snapshots", rule="volume:create_snapshot", body=Create, status=202)
def create(call: Call, body: Create) -> dict[str, Any]:
    new = body.snapshot
    force = new.force not in (UNSET, None) and shapes.truth(new.force)  # type: ignore[arg-type]
    if call.version >= IN_USE:
        if new.force is not UNSET and not force:
            raise BadRequest("Invalid input received: Since microversion 3.66 the 'force' option is invalid for this request. "
                             "For backward compatibility, however, when the 'force' flag is passed with a value evaluating "
                             "to True, it is silently ignored.")
        force = True
    if new.volume_id is None:
        raise VolumeNotFound("None")
    volume = rows.get(call.tx, call.context, shapes.uuid(new.volume_id, "volume_id"))
    name = new.name if new.name is not None else new.display_name
    row = snapshots.create(call.tx, call.context, volume, name=shapes.stripped(name),
                           description=shapes.stripped(new.description), metadata=shapes.texts(new.metadata), force=force)
    return {"snapshot": _detail(call, row, False)}


@routes.put("/snapshots/{snapshot_id}", rule="volume:update_snapshot", target=_snapshot, body=Update)
def update(call: Call, row: SnapshotRow, body: Update) -> dict[str, Any]:
    asked = body.snapshot
    name = asked.name if asked.name is not UNSET else asked.display_name
    description = asked.description if asked.description is not UNSET else asked.display_description
    if name is UNSET and description is UNSET:
        raise BadRequest("Invalid input for field/attribute snapshot: name or description is required.")
    if name is not UNSET:
        row.name = shapes.stripped(name)
    if description is not UNSET:
        row.description = shapes.stripped(description)
    snapshots.put(row, row.status)
    return {"snapshot": _detail(call, row, False)}


@routes.delete("/snapshots/{snapshot_id}", rule="volume:delete_snapshot", target=_snapshot, status=202)
def delete(call: Call, row: SnapshotRow) -> None:
    snapshots.delete(call.tx, call.context, row)


# ---------------------------------------------------------------- metadata


@routes.get(_METADATA, rule="volume:get_snapshot_metadata", target=_snapshot)
def metadata(call: Call, row: SnapshotRow) -> dict[str, Any]:
    return {"metadata": row.meta}


@routes.post(_METADATA, rule="volume:update_snapshot_metadata", target=_snapshot, body=WholeMetadata)
def add_metadata(call: Call, row: SnapshotRow, body: WholeMetadata) -> dict[str, Any]:
    return {"metadata": snapshots.change_metadata(row, body.metadata, whole=False)}


@routes.put(_METADATA, rule="volume:update_snapshot_metadata", target=_snapshot, body=WholeMetadata)
def replace_metadata(call: Call, row: SnapshotRow, body: WholeMetadata) -> dict[str, Any]:
    return {"metadata": snapshots.change_metadata(row, body.metadata, whole=True)}


def _key(call: Call, row: SnapshotRow) -> str:
    key = call.values["key"]
    if key not in row.meta:
        raise NotFound(f"Snapshot {row.id} has no metadata with key {key[:255]}.")
    return key


@routes.get(_METADATA + "/{key}", rule="volume:get_snapshot_metadata", target=_snapshot)
def one_meta(call: Call, row: SnapshotRow) -> dict[str, Any]:
    key = _key(call, row)
    return {"meta": {key: row.meta[key]}}


@routes.put(_METADATA + "/{key}", rule="volume:update_snapshot_metadata", target=_snapshot, body=OneMeta)
def set_meta(call: Call, row: SnapshotRow, body: OneMeta) -> dict[str, Any]:
    if call.values["key"] not in body.meta:
        raise BadRequest("Request body and URI mismatch")
    if len(body.meta) > 1:
        raise BadRequest("Request body contains too many items")
    snapshots.change_metadata(row, body.meta, whole=False)
    return {"meta": body.meta}


@routes.delete(_METADATA + "/{key}", rule="volume:delete_snapshot_metadata", target=_snapshot, status=200)
def delete_meta(call: Call, row: SnapshotRow) -> None:
    key = _key(call, row)
    snapshots.change_metadata(row, {name: value for name, value in row.meta.items() if name != key}, whole=True)


# ---------------------------------------------------------------- actions


@routes.action(_ACTION, "os-reset_status", rule="volume_extension:snapshot_admin_actions:reset_status", target=_snapshot,
               body=Status)
def reset_status(call: Call, row: SnapshotRow, body: Status) -> None:
    if body.status.lower() not in snapshots.RESET:
        raise BadRequest(f"Invalid input for field/attribute status. Value: {body.status[:64]}. Must specify a valid status.")
    snapshots.put(row, body.status.lower())


@routes.action(_ACTION, "os-force_delete", rule="volume_extension:snapshot_admin_actions:force_delete", target=_snapshot)
def force_delete(call: Call, row: SnapshotRow) -> None:
    snapshots.delete(call.tx, call.context, row, force=True)


@routes.action(_ACTION, "os-update_snapshot_status", rule="snapshot_extension:snapshot_actions:update_snapshot_status",
               target=_snapshot, body=Report)
def update_status(call: Call, row: SnapshotRow, body: Report) -> None:
    snapshots.report(row, body.status, body.progress)


@routes.action("/volumes/{volume_id}/action", "revert", rule="volume:revert_to_snapshot", target=_volume, body=Revert,
               minimum=(3, 40))
def revert(call: Call, volume: VolumeRow, body: Revert) -> None:
    snapshots.revert(call.tx, call.context, volume, shapes.uuid(body.snapshot_id, "snapshot_id"))
