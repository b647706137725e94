"""/os-volumes and /os-snapshots below 2.36: block storage's volumes and snapshots as Nova shows them."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy import select

from haneul.compute.api import shapes
from haneul.compute.api.shapes import Body, Boolean, Positive
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Forbidden
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.volume import attachments, snapshots, volumes
from haneul.volume.model import AttachmentRow, SnapshotRow, VolumeRow, VolumeTypeRow
from haneul.volume.problems import OverVolumeQuota, VolumeNotFound

routes = Routes()
LAST = (2, 35)
Text = Annotated[str, Meta(max_length=255)] | None


class New(Body):
    size: Positive
    display_name: Text = None
    display_description: Text = None
    volume_type: Text = None
    snapshot_id: str | None = None
    availability_zone: Text = None
    metadata: dict[str, str] | None = None


class Create(Body):
    volume: New


class NewSnapshot(Body):
    volume_id: str
    force: Boolean = False
    display_name: Text = None
    display_description: Text = None


class Take(Body):
    snapshot: NewSnapshot


def _limited(call: Call, query: Any) -> Any:
    offset = call.argument("offset") or "0"
    if not offset.isdigit() or len(offset) > 9:
        raise BadRequest("offset param must be an integer")
    return query.limit(paging.limit_of(call)).offset(int(offset))


def _moment(value: Any) -> Any:
    return value.isoformat(timespec="microseconds")


# ---------------------------------------------------------------- volumes


def _shown(tx: Transaction, rows: list[VolumeRow]) -> list[dict[str, Any]]:
    held = attachments.of_volumes(tx, [row.id for row in rows])
    wanted = {row.type_id for row in rows}
    types = {id: name for id, name in tx.execute(
        select(VolumeTypeRow.id, VolumeTypeRow.name).where(VolumeTypeRow.id.in_(wanted)))}
    return [{"id": row.id, "status": row.status, "size": row.size, "availabilityZone": row.availability_zone,
             "createdAt": _moment(row.created_at), "attachments": [_attachment(held.get(row.id, []))], "displayName": row.name,
             "displayDescription": row.description, "volumeType": types.get(row.type_id), "snapshotId": row.snapshot_id,
             "metadata": row.meta} for row in rows]


def _attachment(held: list[AttachmentRow]) -> dict[str, Any]:
    """The first only, and {} where there is none: as Nova's proxy had it."""
    row = next((one for one in held if one.status == attachments.ATTACHED), None)
    if row is None:
        return {}
    found = {"id": row.volume_id, "volumeId": row.volume_id, "serverId": row.server_id or row.instance or ""}
    return found | {"device": row.mountpoint} if row.mountpoint else found


def _volume(call: Call) -> VolumeRow:
    return volumes.get(call.tx, call.context, call.values["volume_id"])


@routes.get("/os-volumes", rule="volume:get_all", maximum=LAST)
def index(call: Call) -> dict[str, Any]:
    if call.path.endswith("/"):  # a volume without an id
        raise VolumeNotFound("")
    query = select(VolumeRow).where(VolumeRow.project_id == call.context.project_id).order_by(
        VolumeRow.created_at.desc(), VolumeRow.id.desc())
    return {"volumes": _shown(call.tx, list(call.tx.execute(_limited(call, query)).scalars()))}


@routes.get("/os-volumes/detail", rule="volume:get_all", maximum=LAST)
def detail(call: Call) -> dict[str, Any]:
    return index(call)


@routes.get("/os-volumes/{volume_id}", rule="volume:get", target=_volume, maximum=LAST)
def show(call: Call, row: VolumeRow) -> dict[str, Any]:
    return {"volume": _shown(call.tx, [row])[0]}


@routes.post("/os-volumes", rule="volume:create", body=Create, maximum=LAST)
def create(call: Call, body: Create) -> dict[str, Any]:
    new = body.volume
    try:
        row = volumes.create(call.tx, call.context, volumes.Wish(
            size=shapes.number(new.size, "size", 1), name=new.display_name, description=new.display_description,
            type_id=new.volume_type, snapshot_id=shapes.uuid(new.snapshot_id, "snapshot_id") if new.snapshot_id else None,
            availability_zone=new.availability_zone, metadata=new.metadata or {}))
    except OverVolumeQuota as problem:
        raise Forbidden(problem.message)
    call.tx.flush()
    return {"volume": _shown(call.tx, [row])[0]}


@routes.delete("/os-volumes/{volume_id}", rule="volume:delete", target=_volume, maximum=LAST, status=202)
def delete(call: Call, row: VolumeRow) -> Reply:
    volumes.delete(call.tx, call.context, row)
    return Reply(status=202)


# ---------------------------------------------------------------- snapshots


def _snapshot_view(row: SnapshotRow) -> dict[str, Any]:
    return {"id": row.id, "volumeId": row.volume_id, "status": row.status, "size": row.volume_size,
            "createdAt": _moment(row.created_at), "displayName": row.name, "displayDescription": row.description}


def _snapshot(call: Call) -> SnapshotRow:
    return snapshots.get(call.tx, call.context, call.values["snapshot_id"])


@routes.get("/os-snapshots", rule="volume:get_all_snapshots", maximum=LAST)
def list_snapshots(call: Call) -> dict[str, Any]:
    query = select(SnapshotRow).where(SnapshotRow.project_id == call.context.project_id).order_by(
        SnapshotRow.created_at.desc(), SnapshotRow.id.desc())
    return {"snapshots": [_snapshot_view(row) for row in call.tx.execute(_limited(call, query)).scalars()]}


@routes.get("/os-snapshots/detail", rule="volume:get_all_snapshots", maximum=LAST)
def detailed_snapshots(call: Call) -> dict[str, Any]:
    return list_snapshots(call)


@routes.get("/os-snapshots/{snapshot_id}", rule="volume:get_snapshot", target=_snapshot, maximum=LAST)
def show_snapshot(call: Call, row: SnapshotRow) -> dict[str, Any]:
    return {"snapshot": _snapshot_view(row)}


@routes.post("/os-snapshots", rule="volume:create_snapshot", body=Take, maximum=LAST)
def take(call: Call, body: Take) -> dict[str, Any]:
    new = body.snapshot
    volume = volumes.get(call.tx, call.context, shapes.uuid(new.volume_id, "volume_id"))
    try:
        row = snapshots.create(call.tx, call.context, volume, name=new.display_name, description=new.display_description,
                               metadata={}, force=shapes.truth(new.force))
    except OverVolumeQuota as problem:
        raise Forbidden(problem.message)
    call.tx.flush()
    return {"snapshot": _snapshot_view(row)}


@routes.delete("/os-snapshots/{snapshot_id}", rule="volume:delete_snapshot", target=_snapshot, maximum=LAST, status=202)
def drop(call: Call, row: SnapshotRow) -> Reply:
    snapshots.delete(call.tx, call.context, row)
    return Reply(status=202)
