"""/attachments, since 3.27."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, UnsetType
from sqlalchemy import select

from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import attachments, connections, volumes
from haneul.volume.api import lists, shapes
from haneul.volume.api.shapes import Body, moment
from haneul.volume.model import AttachmentRow, VolumeRow
from haneul.volume.problems import AttachmentNotFound

routes = Routes()
SINCE = (3, 27)
ROWS: Any = AttachmentRow.__table__
_VOLUMES: Any = VolumeRow.__table__
SORTABLE = {"id": ROWS.c.id, "status": ROWS.c.status, "volume_id": ROWS.c.volume_id, "instance_id": ROWS.c.instance,
            "attach_status": ROWS.c.status, "created_at": ROWS.c.created_at}
FILTERS = {"volume_id": ROWS.c.volume_id, "status": ROWS.c.status, "attach_status": ROWS.c.status}
_PAGE = select(ROWS.c.id, ROWS.c.status, ROWS.c.volume_id, ROWS.c.server_id, ROWS.c.instance, ROWS.c.mode, ROWS.c.connector,
               ROWS.c.attached_at, ROWS.c.detached_at)
Mode = Literal["rw", "ro"]


class New(Body):
    volume_uuid: str
    instance_uuid: str | None = None
    connector: dict[str, Any] | None = None


class New54(New):
    mode: Mode | UnsetType = UNSET


class Create(Body):
    attachment: New


class Create54(Body):
    attachment: New54


class Connector(Body):
    connector: dict[str, Any]


class Update(Body):
    attachment: Connector


def _target(call: Call) -> AttachmentRow:
    return attachments.get(call.tx, call.context, call.values["attachment_id"])


def _volume(call: Call) -> VolumeRow:
    """Of a new attachment: the body names it, and the rule is about it."""
    new = call.decode(Create54).attachment if call.version >= (3, 54) else call.decode(Create).attachment
    return volumes.get(call.tx, call.context, shapes.uuid(new.volume_uuid, "volume_uuid"))


def summary(row: Any) -> dict[str, Any]:
    return {"id": row.id, "status": row.status, "instance": row.server_id or row.instance, "volume_id": row.volume_id}


def _view(call: Call, row: AttachmentRow) -> dict[str, Any]:
    volume = volumes.by_id(call.tx, row.volume_id)
    info = connections.info(volume, row) if volume is not None and _connected(row) else {}
    return _detail(row, info)


def _connected(row: Any) -> bool:
    """Compute's connections are compute's alone."""
    return row.server_id is None and row.connector is not None


def _detail(row: Any, info: dict[str, Any]) -> dict[str, Any]:
    return {**summary(row), "attached_at": moment(row.attached_at) or "", "detached_at": moment(row.detached_at) or "",
            "attach_mode": row.mode, "connection_info": info}


@routes.post("/attachments", rule="volume:attachment_create", target=_volume, minimum=SINCE,
             body=[((3, 27), Create), ((3, 54), Create54)])
def create(call: Call, volume: VolumeRow, body: Create) -> dict[str, Any]:
    new = body.attachment
    instance = shapes.uuid(new.instance_uuid, "instance_uuid") if new.instance_uuid else None
    mode = getattr(new, "mode", UNSET)
    row = connections.create(call.tx, call.context, volume, instance=instance, connector=new.connector,
                             mode=None if mode is UNSET else mode)
    return {"attachment": _view(call, row)}


# ---------------------------------------------------------------- lists


def _page(call: Call) -> list[Any]:
    where = [*lists.owned(call, ROWS), *lists.filters(call, "attachment", FILTERS, frozenset({"instance_id"}))]
    instance = call.argument("instance_id")
    if instance:
        where.append((ROWS.c.server_id == instance) | (ROWS.c.instance == instance))
    listing = lists.of(call, ROWS, sortable=SORTABLE, unique="id", where=where, missing=AttachmentNotFound)
    return list(call.tx.core(lists.page(_PAGE, SORTABLE, listing)))


@routes.get("/attachments", rule="volume:get_all", minimum=SINCE)
def index(call: Call) -> dict[str, Any]:
    return {"attachments": [summary(row) for row in _page(call)]}


@routes.get("/attachments/summary", rule="volume:get_all", minimum=SINCE)
def brief(call: Call) -> dict[str, Any]:
    return {"attachments": [summary(row) for row in _page(call)]}


@routes.get("/attachments/detail", rule="volume:get_all", minimum=SINCE)
def detail(call: Call) -> dict[str, Any]:
    rows = _page(call)
    known = attachments.volumes_of(call.tx, [row for row in rows if _connected(row)])
    return {"attachments": [
        _detail(row, connections.info(known[row.volume_id], row) if _connected(row) and row.volume_id in known else {})
        for row in rows]}


# ---------------------------------------------------------------- one


@routes.get("/attachments/{attachment_id}", rule="volume:get", target=_target, minimum=SINCE)
def show(call: Call, row: AttachmentRow) -> dict[str, Any]:
    return {"attachment": _view(call, row)}


@routes.put("/attachments/{attachment_id}", rule="volume:attachment_update", target=_target, body=Update, minimum=SINCE)
def update(call: Call, row: AttachmentRow, body: Update) -> dict[str, Any]:
    connections.update(call.tx, volumes.get(call.tx, call.context, row.volume_id), row, body.attachment.connector)
    return {"attachment": _view(call, row)}


@routes.action("/attachments/{attachment_id}/action", "os-complete", "volume:attachment_complete", target=_target,
               minimum=(3, 44), status=204)
def complete(call: Call, row: AttachmentRow) -> None:
    connections.complete(call.tx, row)


@routes.delete("/attachments/{attachment_id}", rule="volume:attachment_delete", target=_target, minimum=SINCE, status=200)
def delete(call: Call, row: AttachmentRow) -> dict[str, Any]:
    left = connections.delete(call.tx, volumes.by_id(call.tx, row.volume_id), row)
    return {"attachments": [summary(one) for one in left]}
