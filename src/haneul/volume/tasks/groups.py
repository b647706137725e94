"""What a group waits for: its members' own tasks, each of which is its volume's. Nothing of a group itself is on a back end."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, delete, select

from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Again, Cancelled, Fault, Task, Work
from haneul.volume.model import GroupRow, GroupSnapshotRow, SnapshotRow, VolumeRow
from haneul.volume.tasks.steps import plain


class OnGroup(Struct, kw_only=True):
    """Arguments of a task that needs a group, or a group snapshot."""

    id: str


AGAIN_SECONDS = 0.1
create_group = Task("volume.group.create", OnGroup, deadline=7200.0)
delete_group = Task("volume.group.delete", OnGroup, deadline=7200.0)
create_group_snapshot = Task("volume.group_snapshot.create", OnGroup, deadline=7200.0)
delete_group_snapshot = Task("volume.group_snapshot.delete", OnGroup, deadline=7200.0)
_V: Any = VolumeRow.__table__
_S: Any = SnapshotRow.__table__
_VOLUMES = select(_V.c.status).where(_V.c.group_id == bindparam("id"))
_SNAPSHOTS = select(_S.c.status).where(_S.c.group_snapshot_id == bindparam("id"))


def put(row: GroupRow | GroupSnapshotRow, status: str) -> None:
    row.status, row.updated_at = status, clock.now()


def statuses(work: Work[OnGroup], statement: Any) -> set[str]:
    with work.cloud.database.read() as tx:
        return set(tx.core(statement, id=work.arguments.id).scalars())


def made(work: Work[OnGroup], statement: Any, what: str) -> None:
    """Returns when every member has been made."""
    found = statuses(work, statement)
    if "creating" in found:
        raise Again(f"the group's {what} to be made", AGAIN_SECONDS)
    if found & {"error", "deleting", "error_deleting"}:
        raise Fault(f"One of the group's {what} could not be made.")


def gone(work: Work[OnGroup], statement: Any, what: str) -> None:
    """Returns when no member is left."""
    found = statuses(work, statement)
    if "deleting" in found:
        raise Again(f"the group's {what} to be deleted", AGAIN_SECONDS)
    if found:
        raise Fault(f"One of the group's {what} could not be deleted.")


# ---------------------------------------------------------------- groups


@create_group.step(deadline=7200)
@plain
def members(work: Work[OnGroup]) -> None:
    made(work, _VOLUMES, "volumes")
    with work.commit() as tx:
        row = tx.get(GroupRow, work.arguments.id)
        if row is not None and row.status == "creating":
            put(row, "available")


@delete_group.step(deadline=7200)
@plain
def emptied(work: Work[OnGroup]) -> None:
    gone(work, _VOLUMES, "volumes")
    with work.commit() as tx:
        tx.execute(delete(GroupRow).where(GroupRow.id == work.arguments.id))


@create_group.failed
@delete_group.failed
def group_failed(work: Work[OnGroup], tx: Transaction, fault: Fault) -> None:
    row = tx.get(GroupRow, work.arguments.id)
    if row is not None and not isinstance(fault, Cancelled):
        put(row, "error")


# ---------------------------------------------------------------- group snapshots


@create_group_snapshot.step(deadline=7200)
@plain
def taken(work: Work[OnGroup]) -> None:
    made(work, _SNAPSHOTS, "snapshots")
    with work.commit() as tx:
        row = tx.get(GroupSnapshotRow, work.arguments.id)
        if row is not None and row.status == "creating":
            put(row, "available")


@delete_group_snapshot.step(deadline=7200)
@plain
def dropped(work: Work[OnGroup]) -> None:
    gone(work, _SNAPSHOTS, "snapshots")
    with work.commit() as tx:
        tx.execute(delete(GroupSnapshotRow).where(GroupSnapshotRow.id == work.arguments.id))


@create_group_snapshot.failed
@delete_group_snapshot.failed
def group_snapshot_failed(work: Work[OnGroup], tx: Transaction, fault: Fault) -> None:
    row = tx.get(GroupSnapshotRow, work.arguments.id)
    if row is not None and not isinstance(fault, Cancelled):
        put(row, "error")
