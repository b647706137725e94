"""What contradicts itself in block storage: the tables against what the back ends hold and what guests have open."""

from __future__ import annotations

from sqlalchemy import select

from haneul.compute.model import ServerRow
from haneul.fleet.agents import Agents
from haneul.volume import stores
from haneul.volume.model import AttachmentRow, BackupRow, GroupRow, GroupSnapshotRow, PoolRow, SnapshotRow, VolumeRow
from running import RunningCloud

AT_REST = {"available", "in-use", "reserved", "awaiting-transfer", "error", "error_deleting", "error_extending",
           "error_restoring", "error_backing-up", "error_managing"}
EXISTING = "existing-"  # what begins so lies on a back end and is nobody's, to be managed
STORED = {"available", "in-use", "reserved", "awaiting-transfer", "error_extending"}


def volume_problems(cloud: RunningCloud) -> list[str]:
    """In a cloud without unfinished tasks; empty when all is well."""
    with cloud.cloud.database.read() as tx:
        volumes = list(tx.execute(select(VolumeRow)).scalars())
        snapshots = list(tx.execute(select(SnapshotRow)).scalars())
        backups = list(tx.execute(select(BackupRow)).scalars())
        attachments = list(tx.execute(select(AttachmentRow)).scalars())
        groups = [*tx.execute(select(GroupRow)).scalars(), *tx.execute(select(GroupSnapshotRow)).scalars()]
        servers = set(tx.execute(select(ServerRow.id).where(ServerRow.deleted.is_(False))).scalars())
        pools = list(tx.execute(select(PoolRow)).scalars())
    found = [f"volume {row.id} is {row.status}" for row in volumes if row.status not in AT_REST]
    found += [f"volume {row.id} has migration status {row.migration_status}" for row in volumes
              if row.migration_status not in (None, "success", "error")]
    found += [f"snapshot {row.id} is {row.status}" for row in snapshots if not row.status.startswith(("available", "error"))]
    found += [f"backup {row.id} is {row.status}" for row in backups if not row.status.startswith(("available", "error"))]
    found += [f"{type(row).__name__} {row.id} is {row.status}" for row in groups if row.status not in ("available", "error")]
    found += _stored(cloud, pools, volumes, snapshots)
    return found + _attached(cloud, volumes, attachments, servers)


def _stored(cloud: RunningCloud, pools: list[PoolRow], volumes: list[VolumeRow], snapshots: list[SnapshotRow]) -> list[str]:
    found: list[str] = []
    for pool in pools:
        there = {one.name: one for one in stores.of(cloud.cloud, pool.name).volumes()}
        ours = {row.stored_as: row for row in volumes if row.host == pool.name}
        found += [f"{name} lies on {pool.name} and is no volume" for name in set(there) - set(ours)
                  if not name.startswith(EXISTING)]
        for name, row in ours.items():
            if name not in there:
                found += [f"volume {row.id} is {row.status} and not on {pool.name}"] if row.status in STORED else []
                continue
            if there[name].size_bytes < row.size << 30 and not row.encrypted and row.status in STORED:
                found.append(f"volume {row.id} of {row.size} GiB has {there[name].size_bytes} bytes")
            taken = {one.stored_as for one in snapshots if one.volume_id == row.id}
            good = {one.stored_as for one in snapshots if one.volume_id == row.id and one.status == "available"}
            have = set(there[name].snapshots)
            found += [f"{gone} on {pool.name} is no snapshot of volume {row.id}" for gone in have - taken
                      if not gone.startswith(EXISTING)]
            found += [f"snapshot {gone} is not on {pool.name}" for gone in good - have]
    for host in {pool.host for pool in pools}:
        found += [f"transfer {state.id} on {host}" for state in cloud.cloud.get(Agents).of(host).transfers.transfers()]
    return found


def _attached(cloud: RunningCloud, volumes: list[VolumeRow], attachments: list[AttachmentRow], servers: set[str]) -> list[str]:
    by_volume = {row.id: row for row in volumes}
    found: list[str] = []
    for row in attachments:
        volume = by_volume.get(row.volume_id)
        if volume is None:
            found.append(f"attachment {row.id} of a volume that is gone")
        elif row.status == "attached" and volume.status not in ("in-use", "error"):
            found.append(f"volume {volume.id} is attached and {volume.status}")
        if row.server_id is not None and row.server_id not in servers:
            found.append(f"attachment {row.id} of a server that is gone")
        if row.status in ("attaching", "detaching"):
            found.append(f"attachment {row.id} is {row.status}")
    held = {row.volume_id for row in attachments}
    found += [f"volume {row.id} is {row.status} and nothing has it" for row in volumes
              if row.status in ("in-use", "reserved") and row.id not in held]
    guests = {state.id: set(state.disks) for state in cloud.cloud.get(Agents).of("host-1").hypervisor.servers()
              if state.power in ("running", "paused")}
    plugged = {(row.server_id, row.disk_name) for row in attachments if row.status == "attached"}
    for server_id, disks in guests.items():
        found += [f"guest {server_id} has {name} open, which no attachment says" for name in disks
                  if name.startswith("vol-") and (server_id, name) not in plugged]
    found += [f"guest {server_id} does not have {name}" for server_id, name in plugged
              if server_id in guests and name not in guests[server_id]]
    return found
