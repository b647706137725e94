"""`volume.leaks`: what tasks left behind on back ends and hosts, and volumes that wait for a task that there is not.

A back end also holds what is nobody's any more on purpose (`os-unmanage`). So that none of that is ever removed, data is a
leak only when a task of ours is known to have left it: a copy that failed, or that its volume has moved away from.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import msgspec
import structlog
from sqlalchemy import func, select

from haneul.fleet.agents import Agents, Unreachable
from haneul.host.contract import HostError, NotThere
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.leaks import note
from haneul.kernel.reconcilers import reconciler
from haneul.kernel.tasks import Again, Fault, TaskRow
from haneul.kernel.tasks.model import ACTIVE, FAILED
from haneul.volume import attachments, pools, rows, stores
from haneul.volume.model import BackupRow, PoolRow, SnapshotRow, VolumeRow
from haneul.volume.tasks import images

log = structlog.get_logger("leaks")
STUCK_SECONDS = 60.0
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STORED = re.compile(rf"volume-({_UUID.pattern})\Z")
_SILENT = (Unreachable, Again, HostError, Fault)
# What becomes of a status that no task works on; None: what the attachments say.
_ENDS: dict[str, str | None] = {
    "creating": "error", "deleting": "error_deleting", "extending": "error_extending", "managing": "error_managing",
    "restoring-backup": "error_restoring", "reverting": "error", "downloading": "error", "uploading": None, "retyping": None,
    "backing-up": None}
_SNAPSHOT_ENDS = {"creating": "error", "deleting": "error_deleting", "restoring": "available",
                  "backing-up": "available"}
_BACKUP_ENDS = {"creating": "error", "deleting": "error_deleting", "restoring": "available"}


@reconciler("volume.leaks", every=60.0)
def find(cloud: Cloud) -> int:
    now = clock.seconds()
    with cloud.database.read() as tx:
        known = [row for row in tx.execute(select(PoolRow)).scalars() if pools.is_alive(row, now)]
    mended = sum(_of_pool(cloud, pool) for pool in known)
    mended += sum(_of_transfers(cloud, host) for host in sorted({pool.host for pool in known}))
    return mended + _of_volumes(cloud) + _of_snapshots(cloud) + _of_backups(cloud)


# ---------------------------------------------------------------- back ends


def _of_pool(cloud: Cloud, pool: PoolRow) -> int:
    try:
        there = _held(cloud, pool.name)
        with cloud.database.read() as tx:
            strange = {name for name, id in there.items() if _left(tx, name, id)}
        strange &= set(_held(cloud, pool.name)) if strange else set()
    except _SILENT as error:
        log.info("back end not looked at", pool=pool.name, error=str(error))
        return 0
    return sum(_remove(cloud, pool, name) for name in sorted(strange))


def _held(cloud: Cloud, pool: str) -> dict[str, str]:
    """Names of volumes that we may have made, and the id in each."""
    found = {}
    for stored in stores.of(cloud, pool).volumes():
        match = _STORED.match(stored.name)
        if match:
            found[stored.name] = match.group(1)
    return found


def _left(tx: Transaction, name: str, id: str) -> bool:
    """Whether a task of ours left it here and no task is at it. `id` is the volume's, or the task's that copied it here."""
    if tx.execute(select(VolumeRow.id).where(VolumeRow.stored_as == name)).first() is not None:
        return False  # on whichever back end: two may be windows on the same store
    task = tx.execute(select(TaskRow.resource, TaskRow.state).where(TaskRow.id == id)).first()
    volume_id = (task.resource or "").removeprefix("volume:") if task is not None else id
    resource = rows.resource(volume_id)
    if tx.execute(select(TaskRow.seq).where(TaskRow.resource == resource, TaskRow.state.in_(ACTIVE)).limit(1)).first():
        return False
    if rows.by_id(tx, volume_id) is not None:
        return True  # the volume lies elsewhere
    if task is not None:
        return task.state == FAILED
    return tx.execute(select(TaskRow.seq).where(TaskRow.resource == resource, TaskRow.kind == "volume.create",
                                                TaskRow.state == FAILED).limit(1)).first() is not None


def _remove(cloud: Cloud, pool: PoolRow, name: str) -> int:
    what, mended = f"data on {pool.name} that a task left behind", False
    try:
        stores.of(cloud, pool.name).delete(name)
        mended = True
    except NotThere:
        return 0
    except _SILENT as error:
        what += f"; it could not be removed: {error}"
    note(cloud, "volume", pool.host, name, what, mended=mended)
    return int(mended)


def _of_transfers(cloud: Cloud, host: str) -> int:
    """One that no unfinished task names the image, backup or itself of. A task that still wanted one would send it again."""
    try:
        transfers = cloud.get(Agents).of(host).transfers
        there = {state.id for state in transfers.transfers()}
        needed = images.wanted()
        with cloud.database.read() as tx:
            named = _named(tx)
        strange = {id for id in there - needed if (found := set(_UUID.findall(id))) and not found & named}
        strange &= {state.id for state in transfers.transfers()} if strange else set()
        for id in sorted(strange):
            transfers.drop(id)
            note(cloud, "transfer", host, id, "a file on its way to or from a volume, and no task that would take it there")
    except _SILENT as error:
        log.info("transfers not looked at", host=host, error=str(error))
        return 0
    return len(strange)


def _named(tx: Transaction) -> set[str]:
    """Every id in the tasks of volumes that are not finished."""
    found: set[str] = set()
    for id, resource, arguments in tx.execute(select(TaskRow.id, TaskRow.resource, TaskRow.arguments).where(
            TaskRow.state.in_(ACTIVE))):
        found.add(id)
        found.update(_UUID.findall(f"{resource} {msgspec.json.encode(arguments).decode()}"))
    return found


# ---------------------------------------------------------------- tables


def _stuck(tx: Transaction, kind: Any, volume_id: Any, ends: Any) -> list[Any]:
    """Rows that say that they are busy while no task of theirs is unfinished."""
    limit = clock.now() - timedelta(seconds=STUCK_SECONDS)
    active: Any = select(TaskRow.resource).where(TaskRow.state.in_(ACTIVE), TaskRow.resource.is_not(None))
    return list(tx.execute(select(kind).where(
        kind.status.in_(list(ends)), func.coalesce(kind.updated_at, kind.created_at) < limit,
        ("volume:" + volume_id).not_in(active))).scalars())


def _of_volumes(cloud: Cloud) -> int:
    told = []
    with cloud.database.write() as tx:
        for row in _stuck(tx, VolumeRow, VolumeRow.id, _ENDS):
            told.append((row.id, row.status))
            rows.put(row, _ENDS[row.status] or attachments.status_of(tx, row.id))
            row.previous_status = None
        for row in _stuck(tx, VolumeRow, VolumeRow.id, ("maintenance",)):
            if row.migration_status == "migrating":  # else an administrator says so
                told.append((row.id, row.status))
                rows.put(row, attachments.status_of(tx, row.id))
        for id, _ in told:
            found = rows.by_id(tx, id)
            if found is not None and found.migration_status == "migrating":
                found.migration_status = "error"
    for id, status in told:
        note(cloud, "volume_status", None, id, f"a volume that was {status} without a task")
    return len(told)


def _of_snapshots(cloud: Cloud) -> int:
    told = []
    with cloud.database.write() as tx:
        for row in _stuck(tx, SnapshotRow, SnapshotRow.volume_id, _SNAPSHOT_ENDS):
            told.append((row.id, row.status))
            row.status, row.updated_at = _SNAPSHOT_ENDS[row.status], clock.now()
    for id, status in told:
        note(cloud, "volume_status", None, id, f"a snapshot that was {status} without a task")
    return len(told)


def _of_backups(cloud: Cloud) -> int:
    """A backup is worked on by a task of its volume, of the volume that it is restored to, or of itself."""
    told = []
    limit = clock.now() - timedelta(seconds=STUCK_SECONDS)
    active: Any = select(TaskRow.resource).where(TaskRow.state.in_(ACTIVE), TaskRow.resource.is_not(None))
    with cloud.database.write() as tx:
        for row in tx.execute(select(BackupRow).where(
                BackupRow.status.in_(list(_BACKUP_ENDS)), func.coalesce(BackupRow.updated_at, BackupRow.created_at) < limit,
                ("volume:" + BackupRow.volume_id).not_in(active), ("backup:" + BackupRow.id).not_in(active),
                ("volume:" + func.coalesce(BackupRow.restore_volume_id, "")).not_in(active))).scalars():
            told.append((row.id, row.status))
            row.status, row.updated_at = _BACKUP_ENDS[row.status], clock.now()
    for id, status in told:
        note(cloud, "volume_status", None, id, f"a backup that was {status} without a task")
    return len(told)
