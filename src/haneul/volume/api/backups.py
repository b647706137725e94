"""/backups."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import select

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import backups
from haneul.volume.api import lists, shapes
from haneul.volume.api.shapes import Body, Boolean, Description, LooseMetadata, Metadata, Name
from haneul.volume.model import BackupRow
from haneul.volume.problems import BackupNotFound

routes = Routes()
_B: Any = BackupRow.__table__
_ACTION = "/backups/{backup_id}/action"
_SORTABLE = {"id": _B.c.id, "seq": _B.c.seq, "created_at": _B.c.created_at, "updated_at": _B.c.updated_at,
             "name": _B.c.name, "status": _B.c.status, "volume_id": _B.c.volume_id, "size": _B.c.size,
             "data_timestamp": _B.c.data_timestamp, "snapshot_id": _B.c.snapshot_id, "container": _B.c.container}
_FILTERS = {"name": _B.c.name, "status": _B.c.status, "volume_id": _B.c.volume_id, "user_id": _B.c.user_id,
            "snapshot_id": _B.c.snapshot_id, "host": _B.c.host, "id": _B.c.id}


class New30(Body):
    volume_id: str
    container: Name = None
    description: Description = None
    incremental: Boolean | None = None
    force: Boolean | None = None
    name: Name = None
    snapshot_id: str | None = None


class New343(New30):
    metadata: LooseMetadata = None


class New351(New343):
    availability_zone: Name = None


class Create30(Body):
    backup: New30


class Create343(Body):
    backup: New343


class Create351(Body):
    backup: New351


class Changes39(Body):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET


class Changes343(Changes39):
    metadata: Metadata | UnsetType = UNSET


class Update39(Body):
    backup: Changes39 | None


class Update343(Body):
    backup: Changes343 | None


class Into(Body):
    name: Name = None
    volume_id: str | None = None


class Restore(Body):
    restore: Into


class Given(Body):
    backup_service: str
    backup_url: str


class Import(Struct, forbid_unknown_fields=True, rename={"record": "backup-record"}):
    record: Given


class Status(Struct, forbid_unknown_fields=True):
    status: str


def _backup(call: Call) -> BackupRow:
    return backups.get(call.tx, call.context, call.values["backup_id"])


def _links(call: Call, id: str) -> list[dict[str, str]]:
    project = call.context.project_id
    return [{"rel": "self", "href": f"{call.base_url}/{project}/backups/{id}"},
            {"rel": "bookmark", "href": f"{call.cloud.url}/volume/{project}/backups/{id}"}]


def _summary(call: Call, row: Any) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "links": _links(call, row.id)}


def _detail(call: Call, row: Any, stood_on: set[str]) -> dict[str, Any]:
    found = {
        **_summary(call, row), "status": row.status, "size": row.size, "object_count": row.object_count,
        "availability_zone": row.availability_zone, "container": row.container, "created_at": shapes.moment(row.created_at),
        "updated_at": shapes.moment(row.updated_at), "description": row.description, "fail_reason": row.fail_reason,
        "volume_id": row.volume_id, "is_incremental": row.parent_id is not None, "has_dependent_backups": row.id in stood_on,
        "snapshot_id": row.snapshot_id, "data_timestamp": shapes.moment(row.data_timestamp or row.created_at)}
    if call.version >= (3, 18) and call.allows("backup:backup_project_attribute"):
        found["os-backup-project-attr:project_id"] = row.project_id
    if call.version >= (3, 43):
        found["metadata"] = row.meta
    if call.version >= (3, 56):
        found["user_id"] = row.user_id
    if call.version >= (3, 64) and row.key_id:
        found["encryption_key_id"] = row.key_id
    return found


# ---------------------------------------------------------------- reading


@routes.get("/backups", rule="backup:get_all")
def index(call: Call) -> dict[str, Any]:
    return _list(call, detail=False)


@routes.get("/backups/detail", rule="backup:get_all")
def detail(call: Call) -> dict[str, Any]:
    return _list(call, detail=True)


def _list(call: Call, *, detail: bool) -> dict[str, Any]:
    where = [*lists.owned(call, _B), *lists.filters(call, "backup", _FILTERS, frozenset({"metadata"}))]
    if call.version >= (3, 43):
        where += lists.metadata(call, _B.c.metadata)
    listing = lists.of(call, _B, sortable=_SORTABLE, unique="seq", where=where, missing=BackupNotFound)
    columns = [column.label("meta") if column.name == "metadata" else column for column in _B.c]
    found = call.tx.core(lists.page(select(*columns), _SORTABLE, listing)).all()
    stood_on = backups.dependents(call.tx, [row.id for row in found]) if detail else set()
    return {"backups": [_detail(call, row, stood_on) if detail else _summary(call, row) for row in found],
            **lists.links(call, list(found), listing, "backups_links"), **lists.count(call, _B, listing)}


@routes.get("/backups/{backup_id}", rule="backup:get", target=_backup)
def show(call: Call, row: BackupRow) -> dict[str, Any]:
    return {"backup": _detail(call, row, backups.dependents(call.tx, [row.id]))}


# ---------------------------------------------------------------- changing


@routes.post("/backups", rule="backup:create", status=202,
             body=[((3, 0), Create30), ((3, 43), Create343), ((3, 51), Create351)])
def create(call: Call, body: Create30 | Create343 | Create351) -> dict[str, Any]:
    new = body.backup
    snapshot_id = shapes.uuid(new.snapshot_id, "snapshot_id") if new.snapshot_id is not None else None
    row = backups.create(call.tx, call.context, backups.Wish(
        volume_id=shapes.uuid(new.volume_id, "volume_id"), snapshot_id=snapshot_id, name=shapes.stripped(new.name),
        description=new.description, container=new.container, incremental=_truth(new.incremental), force=_truth(new.force),
        metadata=shapes.texts(getattr(new, "metadata", None)), availability_zone=getattr(new, "availability_zone", None)))
    return {"backup": _summary(call, row)}


def _truth(value: bool | str | None) -> bool:
    return value is not None and shapes.truth(value)


@routes.put("/backups/{backup_id}", rule="backup:update", target=_backup, minimum=(3, 9),
            body=[((3, 9), Update39), ((3, 43), Update343)])
def update(call: Call, row: BackupRow, body: Update39 | Update343) -> dict[str, Any]:
    asked = body.backup
    metadata = getattr(asked, "metadata", UNSET)
    if asked is None or (asked.name is UNSET and asked.description is UNSET and metadata is UNSET):
        raise BadRequest("Missing required element 'backup' in request body.")
    if asked.name is not UNSET:
        row.name = shapes.stripped(asked.name)
    if asked.description is not UNSET:
        row.description = asked.description
    if metadata is not UNSET:
        row.meta = dict(metadata)
    backups.put(row, row.status, row.fail_reason)
    return {"backup": _summary(call, row)}


@routes.delete("/backups/{backup_id}", rule="backup:delete", target=_backup, status=202)
def delete(call: Call, row: BackupRow) -> None:
    backups.delete(call.tx, call.context, row)


@routes.post("/backups/{backup_id}/restore", rule="backup:restore", target=_backup, body=Restore, status=202)
def restore(call: Call, row: BackupRow, body: Restore) -> dict[str, Any]:
    into = body.restore
    volume_id = shapes.uuid(into.volume_id, "volume_id") if into.volume_id is not None else None
    volume = backups.restore(call.tx, call.context, row, volume_id, shapes.stripped(into.name))
    return {"restore": {"backup_id": row.id, "volume_id": volume.id, "volume_name": volume.name or ""}}


@routes.get("/backups/{backup_id}/export_record", rule="backup:export-import", target=_backup)
def export_record(call: Call, row: BackupRow) -> dict[str, Any]:
    return {"backup-record": backups.export_record(row)}


@routes.post("/backups/import_record", rule="backup:backup-import", body=Import, status=201)
def import_record(call: Call, body: Import) -> dict[str, Any]:
    row = backups.import_record(call.tx, call.context, body.record.backup_service, body.record.backup_url)
    return {"backup": _summary(call, row)}


# ---------------------------------------------------------------- actions


@routes.action(_ACTION, "os-reset_status", rule="volume_extension:backup_admin_actions:reset_status", target=_backup, body=Status)
def reset_status(call: Call, row: BackupRow, body: Status) -> None:
    if body.status not in backups.RESET:
        raise BadRequest(f"Invalid input for field/attribute status. Value: {body.status[:64]}. Must specify a valid status.")
    backups.reset(row, body.status)


@routes.action(_ACTION, "os-force_delete", rule="volume_extension:backup_admin_actions:force_delete", target=_backup)
def force_delete(call: Call, row: BackupRow) -> None:
    backups.delete(call.tx, call.context, row, force=True)
