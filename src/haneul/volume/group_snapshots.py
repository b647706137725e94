"""Group snapshots: one snapshot of each volume of a group, taken one beside the other, and kept and dropped together."""

from __future__ import annotations

from sqlalchemy import select

from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound
from haneul.volume import groups, snapshots
from haneul.volume.model import GroupRow, GroupSnapshotRow, SnapshotRow
from haneul.volume.tasks.groups import OnGroup, create_group_snapshot, delete_group_snapshot, put


class GroupSnapshotNotFound(NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"GroupSnapshot {id[:64]} could not be found.")


class InvalidGroupSnapshot(BadRequest):
    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid GroupSnapshot: {reason}")


def get(tx: Transaction, context: Context, id: str) -> GroupSnapshotRow:
    """Another project's is not there."""
    row = tx.get(GroupSnapshotRow, id)
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise GroupSnapshotNotFound(id)
    return row


def resource(id: str) -> str:
    return f"group_snapshot:{id}"


def members(tx: Transaction, id: str) -> list[SnapshotRow]:
    return list(tx.execute(select(SnapshotRow).where(SnapshotRow.group_snapshot_id == id).order_by(SnapshotRow.seq)).scalars())


def create(tx: Transaction, context: Context, group: GroupRow, *, name: str | None, description: str | None) -> GroupSnapshotRow:
    """All of the snapshots, or, when one may not be, none."""
    tx.lock("group", group.id)
    row = GroupSnapshotRow(id=ids.new(), group_id=group.id, group_type_id=group.group_type_id,
                           project_id=context.project_id or "", user_id=context.user_id or "", name=name,
                           description=description, status="creating", created_at=clock.now())
    tx.add(row)
    tx.flush()
    for volume in groups.members(tx, group.id):
        snapshots.create(tx, context, volume, name=name, description=description, force=True, group_snapshot_id=row.id)
    create_group_snapshot.submit(tx, OnGroup(id=row.id), resource=resource(row.id), context=context)
    return row


def delete(tx: Transaction, context: Context, row: GroupSnapshotRow) -> None:
    tx.lock("group", row.group_id)
    making = tx.execute(select(GroupRow.id).where(GroupRow.group_snapshot_id == row.id, GroupRow.status == "creating")).first()
    if row.status not in ("available", "error") or making is not None:
        raise InvalidGroupSnapshot("GroupSnapshot status must be available or error, and no Group can be currently using it as "
                                   "source for its creation.")
    for snapshot in members(tx, row.id):
        snapshots.delete(tx, context, snapshot, force=True, with_group=True)
    put(row, "deleting")
    delete_group_snapshot.submit(tx, OnGroup(id=row.id), resource=resource(row.id), context=context)
