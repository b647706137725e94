"""Groups of volumes on one back end. No back end here can snapshot several volumes at one point in time, so that a group
type which asks for that finds none."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, select

from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest
from haneul.volume import attachments, group_types, pools, quotas, rows, scheduler, snapshots, types, volumes
from haneul.volume.model import GroupRow, GroupSnapshotRow, GroupTypeRow, PoolRow, SnapshotRow, VolumeRow, VolumeTypeRow
from haneul.volume.problems import GroupNotFound, InvalidVolume
from haneul.volume.scheduler import Ask, NoBackend
from haneul.volume.tasks import delete as deleting
from haneul.volume.tasks.groups import OnGroup, create_group, delete_group, put

STATUSES = ("error", "available", "creating", "deleting", "deleted", "updating", "error_deleting")
_REMOVABLE = ("available", "in-use", "error", "error_deleting")
_ADDABLE = ("available", "in-use")
_V: Any = VolumeRow.__table__
_IDS = select(_V.c.id).where(_V.c.group_id == bindparam("id")).order_by(_V.c.seq)


class InvalidGroup(BadRequest):
    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid Group: {reason}")


def resource(group_id: str) -> str:
    return f"group:{group_id}"


def get(tx: Transaction, context: Context, group_id: str) -> GroupRow:
    """Another project's is not there."""
    row = tx.get(GroupRow, group_id)
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise GroupNotFound(group_id)
    return row


def usable(tx: Transaction, context: Context, group_id: str) -> GroupRow:
    row = get(tx, context, group_id)
    check_type(tx, row.group_type_id)
    return row


def check_type(tx: Transaction, group_type_id: str) -> GroupTypeRow | None:
    row = tx.get(GroupTypeRow, group_type_id)
    if row is not None and row.name == group_types.RESERVED:
        raise BadRequest(f"Group_type {row.id} is reserved for migrating CGs to groups. Migrated group can only be operated by "
                         "CG APIs.")
    return row


def members(tx: Transaction, group_id: str) -> list[VolumeRow]:
    return list(tx.execute(select(VolumeRow).where(VolumeRow.group_id == group_id).order_by(VolumeRow.seq)).scalars())


def member_ids(tx: Transaction, group_id: str) -> list[str]:
    return list(tx.core(_IDS, id=group_id).scalars())


# ---------------------------------------------------------------- creating


def create(tx: Transaction, context: Context, *, name: str | None, description: str | None, group_type: str,
           volume_types: list[str], zone: str | None) -> GroupRow:
    """On a back end that every type of volume fits; in `error` when there is none."""
    kind = group_types.named(tx, context, group_type)
    check_type(tx, kind.id)
    of_volumes = [types.named(tx, context, one) for one in volume_types]
    if zone and zone not in pools.zones(tx.cloud):
        raise BadRequest(f"Invalid input received: Availability zone '{zone[:64]}' is invalid.")
    row = _add(tx, context, name, description, kind.id, [one.id for one in of_volumes])
    try:
        chosen = _place(tx, kind, of_volumes, zone)
    except NoBackend:
        row.status = "error"
    else:
        row.host, row.availability_zone, row.status = chosen.pool, chosen.zone, "available"
    return row


def _add(tx: Transaction, context: Context, name: str | None, description: str | None, group_type_id: str,
         volume_types: list[str], **values: Any) -> GroupRow:
    project_id = context.project_id or ""
    quotas.check(tx, project_id, None, groups=1)
    row = GroupRow(id=ids.new(), project_id=project_id, user_id=context.user_id or "", name=name, description=description,
                   status="creating", group_type_id=group_type_id, volume_types=list(dict.fromkeys(volume_types)),
                   created_at=clock.now(), **{"availability_zone": pools.DEFAULT_ZONE, **values})
    tx.add(row)
    tx.flush()
    return row


def _place(tx: Transaction, kind: GroupTypeRow, of_volumes: list[VolumeTypeRow], zone: str | None) -> Any:
    if kind.group_specs.get(group_types.CONSISTENT, "").replace(" ", "").lower() == "<is>true":
        raise NoBackend({})
    asks = [Ask(size=0, specs=one.extra_specs, format=_format(one), zone=zone or None) for one in of_volumes]
    pools_of = [pool for pool in tx.execute(select(PoolRow.name)).scalars()
                if all(scheduler.fits(tx, pool, ask) for ask in asks)]
    if not pools_of:
        raise NoBackend({})
    return scheduler.choose(tx, Ask(size=0, specs=asks[0].specs, format=asks[0].format, zone=zone or None,
                                    same_as=frozenset(pools_of)))


def _format(kind: VolumeTypeRow) -> str:
    return "qcow2" if kind.extra_specs.get("volume:format") == "qcow2" and kind.encryption is None else "raw"


def create_from(tx: Transaction, context: Context, *, name: str | None, description: str | None,
                group_snapshot: GroupSnapshotRow | None = None, source: GroupRow | None = None) -> GroupRow:
    """A group with a copy of every volume of another one, as they are or as they were."""
    origin = source if source is not None else tx.get(GroupRow, group_snapshot.group_id if group_snapshot else "")
    if origin is None:
        raise GroupNotFound(group_snapshot.group_id if group_snapshot else "")
    check_type(tx, origin.group_type_id)
    if origin.host is None:
        raise InvalidGroup(f"No host to create group {name}.")
    if group_snapshot is not None and group_snapshot.status != "available":
        raise InvalidGroup("Group snapshot status must be available.")
    row = _add(tx, context, name, description, origin.group_type_id, list(origin.volume_types), host=origin.host,
               availability_zone=origin.availability_zone, source_group_id=source.id if source is not None else None,
               group_snapshot_id=group_snapshot.id if group_snapshot is not None else None)
    wishes = _copies(tx, row, group_snapshot, source)
    if not wishes:
        word = "Group snapshot" if source is None else "Source Group"
        raise InvalidGroup(f"{word} is empty. No group will be created.")
    row.volume_types = list(dict.fromkeys([*row.volume_types, *(wish.type_id for wish in wishes)]))
    tx.flush()
    for wish in wishes:
        volumes.create(tx, context, wish)
    create_group.submit(tx, OnGroup(id=row.id), resource=resource(row.id), context=context)
    return row


def _copies(tx: Transaction, row: GroupRow, group_snapshot: GroupSnapshotRow | None, source: GroupRow | None
            ) -> list[volumes.Wish]:
    if group_snapshot is not None:
        return [volumes.Wish(size=one.volume_size, snapshot_id=one.id, type_id=one.volume_type_id, group_id=row.id)
                for one in tx.execute(select(SnapshotRow).where(
                    SnapshotRow.group_snapshot_id == group_snapshot.id).order_by(SnapshotRow.seq)).scalars()]
    assert source is not None
    return [volumes.Wish(size=one.size, source_volid=one.id, type_id=one.type_id, group_id=row.id)
            for one in members(tx, source.id)]


# ---------------------------------------------------------------- changing


def update(tx: Transaction, context: Context, row: GroupRow, *, name: str | None, description: str | None,
           add: list[str], remove: list[str]) -> None:
    """Members come and go in the tables alone: on the back end nothing is different."""
    tx.lock("group", row.id)
    if row.status != "available":
        raise InvalidGroup(f"Group status must be available, but current status is: {row.status}.")
    twice = [one for one in add if one in remove]
    if twice:
        raise InvalidVolume(f"UUIDs {twice} are in both add and remove volume list.")
    there = {one.id: one for one in members(tx, row.id)}
    coming = [_addable(tx, context, row, one) for one in dict.fromkeys(add) if one not in there]
    going = [_removable(row, there.get(one), one) for one in dict.fromkeys(remove)]
    name = None if name == row.name else name
    description = None if description == row.description else description
    if name is None and description is None and not coming and not going:
        raise InvalidGroup(f"Cannot update group {row.id} because no valid name, description, add_volumes, or remove_volumes "
                           "were provided.")
    row.name = row.name if name is None else name
    row.description = row.description if description is None else description
    row.updated_at = clock.now()
    for volume in coming:
        volume.group_id, volume.updated_at = row.id, clock.now()
    for volume in going:
        volume.group_id, volume.updated_at = None, clock.now()


def _addable(tx: Transaction, context: Context, row: GroupRow, volume_id: str) -> VolumeRow:
    start = f"Cannot add volume {volume_id[:64]} to group {row.id} "
    volume = rows.by_id(tx, volume_id)
    if volume is None or not (context.is_admin or volume.project_id == context.project_id):
        raise InvalidVolume(start + "because volume cannot be found.")
    volume = rows.locked(tx, volume)
    if volume.group_id:
        raise InvalidVolume(f"{start}because it is already in group {volume.group_id}.")
    if volume.project_id != row.project_id:
        raise InvalidVolume(start + "as they belong to different projects.")
    if volume.type_id not in row.volume_types:
        raise InvalidVolume(f"{start}because volume type {volume.type_id} is not supported by the group.")
    if volume.status not in _ADDABLE:
        raise InvalidVolume(f"{start}because volume is in an invalid state: {volume.status}. Valid states are: {_ADDABLE}.")
    if volume.host != row.host:
        raise InvalidVolume("Volume is not local to this node.")
    return volume


def _removable(row: GroupRow, volume: VolumeRow | None, volume_id: str) -> VolumeRow:
    start = f"Cannot remove volume {volume_id[:64]} from group {row.id} because "
    if volume is None:
        raise InvalidVolume(start + "it is not in the group.")
    if volume.status not in _REMOVABLE:
        raise InvalidVolume(f"{start}volume is in an invalid state: {volume.status}. Valid states are: {_REMOVABLE}.")
    return volume


# ---------------------------------------------------------------- deleting


def delete(tx: Transaction, context: Context, row: GroupRow, *, with_volumes: bool) -> None:
    """All its volumes with it, or none: a group that has some is then kept."""
    tx.lock("group", row.id)
    if row.host is None:
        tx.delete(row)
        return
    if not with_volumes and row.status not in ("available", "error"):
        raise InvalidGroup(f"Group status must be available or error, but current status is: {row.status}")
    if tx.execute(select(GroupSnapshotRow.id).where(GroupSnapshotRow.group_id == row.id).limit(1)).first() is not None:
        raise InvalidGroup("Group has existing snapshots.")
    there = members(tx, row.id)
    if there and not with_volumes:
        raise InvalidGroup(f"Group {row.id} still contains volumes. The delete-volumes flag is required to delete it.")
    for volume in there:
        rows.locked(tx, volume)
    held = attachments.of_volumes(tx, [volume.id for volume in there])
    for volume in there:
        if held.get(volume.id):
            raise InvalidGroup(f"Volume in group {row.id} is attached. Need to detach first.")
        if volume.migration_status not in volumes.MIGRATABLE:
            raise InvalidGroup(f"Volume in group {row.id} is migrating.")
        if snapshots.of_volume(tx, volume.id):
            raise InvalidGroup("Volume in group still has dependent snapshots.")
    for volume in there:
        volume.previous_status = volume.status
        rows.put(volume, "deleting")
        deleting.delete.submit(tx, deleting.OnVolume(volume_id=volume.id), resource=rows.resource(volume.id), context=context,
                               cancel_others=True)
    put(row, "deleting")
    delete_group.submit(tx, OnGroup(id=row.id), resource=resource(row.id), context=context, cancel_others=True)


def reset(row: GroupRow | GroupSnapshotRow, status: str, what: str) -> None:
    wanted = status.lower()
    if wanted not in STATUSES:
        raise BadRequest(f"{what} status: {status[:64]} is invalid, valid status are: {STATUSES}.")
    put(row, wanted)


def no_replication(row: GroupRow) -> None:
    """Raises: no group here is replicated."""
    raise BadRequest(f"Invalid group type: Group {row.id} is not a replication group type.")
