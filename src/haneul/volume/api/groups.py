"""/groups and their actions (3.13)."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field
from sqlalchemy import select

from haneul.kernel.errors import BadRequest
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes
from haneul.volume import group_snapshots, group_types, groups
from haneul.volume.api import lists, shapes
from haneul.volume.api.shapes import Body, Boolean, Description, Name
from haneul.volume.model import GroupRow, GroupTypeRow, VolumeRow
from haneul.volume.problems import GroupNotFound

routes = Routes()
_G: Any = GroupRow.__table__
_V: Any = VolumeRow.__table__
_T: Any = GroupTypeRow.__table__
_SORTABLE = {"id": _G.c.id, "name": _G.c.name, "created_at": _G.c.created_at, "updated_at": _G.c.updated_at,
             "status": _G.c.status, "description": _G.c.description, "availability_zone": _G.c.availability_zone}
_FILTERS = {"name": _G.c.name}
_ADMIN_FILTERS = {**_FILTERS, "status": _G.c.status, "id": _G.c.id, "group_type_id": _G.c.group_type_id, "host": _G.c.host,
                  "user_id": _G.c.user_id, "availability_zone": _G.c.availability_zone, "source_group_id": _G.c.source_group_id,
                  "group_snapshot_id": _G.c.group_snapshot_id}
_ACTION = "/groups/{group_id}/action"
SINCE, FROM_SOURCE, RESET, VOLUMES, REPLICATION, PROJECT = (3, 13), (3, 14), (3, 20), (3, 25), (3, 38), (3, 58)


class New(Body):
    group_type: Annotated[str, Meta(min_length=1, max_length=255)]
    volume_types: Annotated[list[Annotated[str, Meta(max_length=255)]], Meta(min_length=1, max_length=100)]
    name: Name = None
    description: Description = None
    availability_zone: Annotated[str, Meta(max_length=255)] | None = None


class Create(Body):
    group: New


class FromSource(Body):
    name: Name = None
    description: Description = None
    group_snapshot_id: str | UnsetType = UNSET
    source_group_id: str | UnsetType = UNSET


class Changes(Body):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    add_volumes: Annotated[str, Meta(max_length=4000)] | None | UnsetType = UNSET
    remove_volumes: Annotated[str, Meta(max_length=4000)] | None | UnsetType = UNSET


class Update(Body):
    group: Changes


class Delete(Struct, forbid_unknown_fields=True):
    volumes: Boolean = field(name="delete-volumes", default=False)


class Status(Struct, forbid_unknown_fields=True):
    status: str


def _group(call: Call) -> GroupRow:
    return groups.get(call.tx, call.context, call.values["group_id"])


def _usable(call: Call) -> GroupRow:
    return groups.usable(call.tx, call.context, call.values["group_id"])


def _summary(row: Any) -> dict[str, Any]:
    return {"id": row.id, "name": row.name}


def _detail(call: Call, row: Any, volumes: list[str] | None) -> dict[str, Any]:
    found = {**_summary(row), "status": row.status, "availability_zone": row.availability_zone,
             "created_at": shapes.moment(row.created_at), "description": row.description, "group_type": row.group_type_id,
             "volume_types": row.volume_types}
    if call.version >= FROM_SOURCE:
        found |= {"group_snapshot_id": row.group_snapshot_id, "source_group_id": row.source_group_id}
    if volumes is not None:
        found["volumes"] = volumes
    if call.version >= REPLICATION:
        found["replication_status"] = "disabled"
    if call.version >= PROJECT and call.allows("group:group_project_attribute"):
        found["project_id"] = row.project_id
    return found


def _volumes_asked(call: Call) -> bool:
    asked = call.argument("list_volume")
    return call.version >= VOLUMES and asked is not None and paging.flag(asked, "list_volume")


# ---------------------------------------------------------------- groups


@routes.get("/groups", rule="group:get_all", minimum=SINCE)
def index(call: Call) -> dict[str, Any]:
    return _list(call, detail=False)


@routes.get("/groups/detail", rule="group:get_all", minimum=SINCE)
def detail(call: Call) -> dict[str, Any]:
    return _list(call, detail=True)


def _list(call: Call, *, detail: bool) -> dict[str, Any]:
    reserved = select(_T.c.id).where(_T.c.name == group_types.RESERVED).scalar_subquery()
    where = [*lists.owned(call, _G), _G.c.group_type_id != reserved, *lists.filters(
        call, "group", _ADMIN_FILTERS if call.context.is_admin else _FILTERS, frozenset({"list_volume"}))]
    listing = lists.of(call, _G, sortable=_SORTABLE, unique="id", where=where, missing=GroupNotFound)
    found = call.tx.core(lists.page(select(_G), _SORTABLE, listing)).all()
    links = lists.links(call, list(found), listing, "group_links")
    if not detail:
        return {"groups": [_summary(row) for row in found], **links}
    members: dict[str, list[str]] = {row.id: [] for row in found}
    if _volumes_asked(call):
        for group_id, volume_id in call.tx.core(select(_V.c.group_id, _V.c.id).where(
                _V.c.group_id.in_(list(members))).order_by(_V.c.seq)):
            members[group_id].append(volume_id)
    return {"groups": [_detail(call, row, members[row.id] if _volumes_asked(call) else None) for row in found], **links}


@routes.get("/groups/{group_id}", rule="group:get", target=_usable, minimum=SINCE)
def show(call: Call, row: GroupRow) -> dict[str, Any]:
    return {"group": _detail(call, row, groups.member_ids(call.tx, row.id) if _volumes_asked(call) else None)}


@routes.post("/groups", rule="group:create", body=Create, status=202, minimum=SINCE)
def create(call: Call, body: Create) -> dict[str, Any]:
    new = body.group
    if len(set(new.volume_types)) != len(new.volume_types):
        raise BadRequest("Invalid input for field/attribute volume_types: its items are not unique.")
    row = groups.create(call.tx, call.context, name=shapes.stripped(new.name), description=shapes.stripped(new.description),
                        group_type=new.group_type, volume_types=new.volume_types, zone=new.availability_zone)
    return {"group": _summary(row)}


@routes.action("/groups/action", "create-from-src", rule="group:create", body=FromSource, minimum=FROM_SOURCE)
def create_from_source(call: Call, body: FromSource) -> dict[str, Any]:
    if (body.group_snapshot_id is UNSET) == (body.source_group_id is UNSET):
        raise BadRequest("Invalid input for field/attribute create-from-src: exactly one of group_snapshot_id and "
                         "source_group_id is required.")
    name, description = shapes.stripped(body.name), shapes.stripped(body.description)
    if isinstance(body.group_snapshot_id, str):
        taken = group_snapshots.get(call.tx, call.context, shapes.uuid(body.group_snapshot_id, "group_snapshot_id"))
        row = groups.create_from(call.tx, call.context, name=name, description=description, group_snapshot=taken)
    else:
        source = groups.get(call.tx, call.context, shapes.uuid(str(body.source_group_id), "source_group_id"))
        row = groups.create_from(call.tx, call.context, name=name, description=description, source=source)
    return {"group": _summary(row)}


@routes.put("/groups/{group_id}", rule="group:update", target=_usable, body=Update, status=202, minimum=SINCE)
def update(call: Call, row: GroupRow, body: Update) -> None:
    asked = body.group
    given = [asked.name, asked.description, asked.add_volumes, asked.remove_volumes]
    if all(one is UNSET for one in given):
        raise BadRequest("Invalid input for field/attribute group: name, description, add_volumes or remove_volumes is required.")
    name, description, add, remove = (one if isinstance(one, str) else None for one in given)
    groups.update(call.tx, call.context, row, name=shapes.stripped(name), description=shapes.stripped(description),
                  add=_ids(add), remove=_ids(remove))


def _ids(text: str | None) -> list[str]:
    return [one.strip() for one in (text or "").split(",") if one.strip()]


# ---------------------------------------------------------------- actions


@routes.action(_ACTION, "delete", rule="group:delete", target=_usable, body=Delete, minimum=SINCE)
def delete(call: Call, row: GroupRow, body: Delete) -> None:
    groups.delete(call.tx, call.context, row, with_volumes=shapes.truth(body.volumes))


@routes.action(_ACTION, "reset_status", rule="group:reset_status", target=_group, body=Status, minimum=RESET)
def reset_status(call: Call, row: GroupRow, body: Status) -> None:
    groups.reset(row, body.status, "Group")


@routes.action(_ACTION, "enable_replication", rule="group:enable_replication", target=_group, minimum=REPLICATION)
def enable_replication(call: Call, row: GroupRow) -> None:
    groups.no_replication(row)


@routes.action(_ACTION, "disable_replication", rule="group:disable_replication", target=_group, minimum=REPLICATION)
def disable_replication(call: Call, row: GroupRow) -> None:
    groups.no_replication(row)


@routes.action(_ACTION, "failover_replication", rule="group:failover_replication", target=_group, minimum=REPLICATION)
def failover_replication(call: Call, row: GroupRow) -> None:
    groups.no_replication(row)


@routes.action(_ACTION, "list_replication_targets", rule="group:list_replication_targets", target=_group, minimum=REPLICATION)
def list_replication_targets(call: Call, row: GroupRow) -> None:
    groups.no_replication(row)
