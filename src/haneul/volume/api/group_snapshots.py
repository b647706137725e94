"""/group_snapshots (3.14)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import select

from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import group_snapshots, group_types, groups
from haneul.volume.api import lists, shapes
from haneul.volume.api.shapes import Body, Description, Name
from haneul.volume.group_snapshots import GroupSnapshotNotFound
from haneul.volume.model import GroupSnapshotRow, GroupTypeRow

routes = Routes()
_S: Any = GroupSnapshotRow.__table__
_T: Any = GroupTypeRow.__table__
_SORTABLE = {"id": _S.c.id, "name": _S.c.name, "created_at": _S.c.created_at, "updated_at": _S.c.updated_at,
             "status": _S.c.status, "group_id": _S.c.group_id, "group_type_id": _S.c.group_type_id}
_FILTERS = {"name": _S.c.name, "status": _S.c.status, "group_id": _S.c.group_id}
_ADMIN_FILTERS = {**_FILTERS, "id": _S.c.id, "group_type_id": _S.c.group_type_id, "user_id": _S.c.user_id}
SINCE, RESET, PAGED, PROJECT = (3, 14), (3, 19), (3, 29), (3, 58)


class New(Body):
    group_id: str
    name: Name = None
    description: Description = None


class Create(Body):
    group_snapshot: New


class Status(Struct, forbid_unknown_fields=True):
    status: str


def _taken(call: Call) -> GroupSnapshotRow:
    return group_snapshots.get(call.tx, call.context, call.values["group_snapshot_id"])


def _usable(call: Call) -> GroupSnapshotRow:
    row = _taken(call)
    groups.check_type(call.tx, row.group_type_id)
    return row


def _summary(row: Any) -> dict[str, Any]:
    return {"id": row.id, "name": row.name}


def _detail(call: Call, row: Any) -> dict[str, Any]:
    found = {**_summary(row), "group_id": row.group_id, "group_type_id": row.group_type_id, "status": row.status,
             "created_at": shapes.moment(row.created_at), "description": row.description}
    if call.version >= PROJECT and call.allows("group:group_snapshot_project_attribute"):
        found["project_id"] = row.project_id
    return found


@routes.get("/group_snapshots", rule="group:get_all_group_snapshots", minimum=SINCE)
def index(call: Call) -> dict[str, Any]:
    found, links = _list(call)
    return {"group_snapshots": [_summary(row) for row in found], **links}


@routes.get("/group_snapshots/detail", rule="group:get_all_group_snapshots", minimum=SINCE)
def detail(call: Call) -> dict[str, Any]:
    found, links = _list(call)
    return {"group_snapshots": [_detail(call, row) for row in found], **links}


def _list(call: Call) -> tuple[list[Any], dict[str, Any]]:
    reserved = select(_T.c.id).where(_T.c.name == group_types.RESERVED).scalar_subquery()
    where = [*lists.owned(call, _S), _S.c.group_type_id != reserved]
    if call.version < PAGED:
        return list(call.tx.core(select(_S).where(*where).order_by(_S.c.created_at.desc(), _S.c.id.desc()))), {}
    where += lists.filters(call, "group_snapshot", _ADMIN_FILTERS if call.context.is_admin else _FILTERS)
    listing = lists.of(call, _S, sortable=_SORTABLE, unique="id", where=where, missing=GroupSnapshotNotFound)
    found = list(call.tx.core(lists.page(select(_S), _SORTABLE, listing)))
    return found, lists.links(call, found, listing, "group_snapshot_links")


@routes.get("/group_snapshots/{group_snapshot_id}", rule="group:get_group_snapshot", target=_usable, minimum=SINCE)
def show(call: Call, row: GroupSnapshotRow) -> dict[str, Any]:
    return {"group_snapshot": _detail(call, row)}


@routes.post("/group_snapshots", rule="group:create_group_snapshot", body=Create, status=202, minimum=SINCE)
def create(call: Call, body: Create) -> dict[str, Any]:
    new = body.group_snapshot
    group = groups.usable(call.tx, call.context, shapes.uuid(new.group_id, "group_id"))
    row = group_snapshots.create(call.tx, call.context, group, name=shapes.stripped(new.name),
                                 description=shapes.stripped(new.description))
    return {"group_snapshot": {**_summary(row), "group_type_id": row.group_type_id}}


@routes.delete("/group_snapshots/{group_snapshot_id}", rule="group:delete_group_snapshot", target=_usable, status=202,
               minimum=SINCE)
def delete(call: Call, row: GroupSnapshotRow) -> None:
    group_snapshots.delete(call.tx, call.context, row)


@routes.action("/group_snapshots/{group_snapshot_id}/action", "reset_status", rule="group:reset_group_snapshot_status",
               target=_taken, body=Status, minimum=RESET)
def reset_status(call: Call, row: GroupSnapshotRow, body: Status) -> None:
    groups.reset(row, body.status, "Group snapshot")
