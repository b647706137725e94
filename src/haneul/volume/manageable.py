"""What lies on a back end and is nobody's, made a volume or a snapshot; and the way back."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import delete, select

from haneul.fleet.agents import Unreachable
from haneul.host.contract import HostError
from haneul.host.storage import StoredVolume
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound, Unavailable
from haneul.kernel.tasks import Again, Fault
from haneul.volume import pools, quotas, rows, scheduler, snapshots, stores, types, volumes
from haneul.volume.model import AttachmentRow, PoolRow, SnapshotRow, TransferRow, VolumeRow
from haneul.volume.problems import InvalidVolume
from haneul.volume.scheduler import Ask, NoBackend
from haneul.volume.tasks import manage
from haneul.volume.tasks.manage import ManageSnapshot, ManageVolume


class Existing(Struct, kw_only=True):
    """A volume to be managed, as it was asked for."""

    host: str
    ref: dict[str, Any]
    name: str | None = None
    description: str | None = None
    volume_type: str | None = None
    availability_zone: str | None = None
    metadata: dict[str, str] = {}
    bootable: bool = False


class Manageable(Struct, kw_only=True):
    """Something on a back end. `source` is the volume that a snapshot is of, `owner` the id that it has here already."""

    name: str
    size: int
    owner: str | None = None
    reason: str | None = None
    source: str | None = None


def reference(ref: dict[str, Any], prefix: str) -> str:
    """The name on the back end: {"source-name": name}, or {"source-id": id} of one that was ours once."""
    name, id = ref.get("source-name"), ref.get("source-id")
    if isinstance(name, str) and name:
        return name
    if isinstance(id, str) and ids.is_uuid(id):
        return prefix + id
    raise BadRequest("Invalid input received: Failed to manage existing resource: Reference must contain source-name or "
                     "source-id element.")


def pool(tx: Transaction, host: str) -> PoolRow:
    """By host@backend#pool, or by host@backend alone."""
    row = tx.get(PoolRow, host)
    if row is None and "#" not in host:
        row = tx.execute(select(PoolRow).where(PoolRow.name.startswith(host + "#", autoescape=True))).scalars().first()
    if row is None:
        raise NotFound(f"Service cinder-volume could not be found on host {host[:255]}.")
    return row


# ---------------------------------------------------------------- volumes


def manage_volume(tx: Transaction, context: Context, wish: Existing) -> VolumeRow:
    """Its size is what the back end says, and known, as is whether there is such a thing, once the task has asked."""
    name, at = reference(wish.ref, "volume-"), pool(tx, wish.host)
    if not pools.is_alive(at, clock.seconds()):
        raise Unavailable("Service is unavailable at this time.")
    kind = types.named(tx, context, wish.volume_type) if wish.volume_type else types.default(tx, context)
    if kind.encryption is not None:
        raise BadRequest("Invalid volume type: the keys of encrypted volumes are not known here, so that none can be managed.")
    formats = at.facts.get("formats") or ["raw"]
    if not scheduler.fits(tx, at.name, Ask(size=0, specs=kind.extra_specs, format=formats[0])):
        raise NoBackend({at.name: "it does not fit the type"})
    project_id, volume_id = context.project_id or "", ids.new()
    quotas.check(tx, project_id, kind.name, volumes=1)
    row = VolumeRow(
        id=volume_id, project_id=project_id, user_id=context.user_id or "", name=wish.name, description=wish.description, size=0,
        status="managing", type_id=kind.id, host=at.name, stored_as=f"volume-{volume_id}", format=formats[0],
        availability_zone=wish.availability_zone or at.facts.get("availability_zone") or pools.DEFAULT_ZONE,
        bootable=wish.bootable, multiattach=kind.extra_specs.get("multiattach") == "<is> True", meta=dict(wish.metadata),
        admin_meta={}, image={}, created_at=clock.now(), scheduled_at=clock.now())
    tx.add(row)
    tx.flush()
    manage.manage_volume.submit(tx, ManageVolume(volume_id=row.id, name=name), resource=rows.resource(row.id), context=context)
    return row


def unmanage_volume(tx: Transaction, row: VolumeRow) -> None:
    """Forgotten; what lies on the back end stays as it is, under its name."""
    row = rows.locked(tx, row)
    if row.encrypted:
        raise InvalidVolume("Unmanaging encrypted volumes is not supported.")
    held = tx.execute(select(AttachmentRow.id).where(AttachmentRow.volume_id == row.id)).first() is not None
    if (row.status not in volumes.DELETABLE or held or row.group_id is not None or row.migration_status not in volumes.MIGRATABLE
            or snapshots.of_volume(tx, row.id) or rows.copying(tx, source_volid=row.id)):
        raise InvalidVolume(f"Volume status must be {' or '.join(volumes.DELETABLE)} and must not be migrating, attached, belong "
                            "to a group, have snapshots, awaiting a transfer, or be disassociated from snapshots after volume "
                            "transfer.")
    tx.execute(delete(TransferRow).where(TransferRow.volume_id == row.id))
    tx.delete(row)


# ---------------------------------------------------------------- snapshots


def manage_snapshot(tx: Transaction, context: Context, volume: VolumeRow, ref: dict[str, Any], *, name: str | None,
                    description: str | None, metadata: dict[str, str]) -> SnapshotRow:
    """Of a volume at rest or in use; whether there is such a snapshot the task finds out."""
    stored = reference(ref, "_snapshot-")
    volume = rows.locked(tx, volume)
    snapshots.check(volume, force=True)
    row = snapshots.add(tx, context, volume, name=name, description=description, metadata=metadata)
    manage.manage_snapshot.submit(tx, ManageSnapshot(volume_id=volume.id, snapshot_id=row.id, name=stored),
                                  resource=rows.resource(volume.id), context=context)
    return row


# ---------------------------------------------------------------- what there is


def _stored(tx: Transaction, at: PoolRow) -> list[StoredVolume]:
    try:
        return stores.of(tx.cloud, at.name).volumes()
    except (Unreachable, Again, HostError, Fault) as error:
        raise Unavailable("The back end cannot be asked at present.") from error


def volumes_there(tx: Transaction, host: str) -> list[Manageable]:
    at = pool(tx, host)
    ours, copies = manage.managed(tx, at.backend), manage.unfinished(tx)
    return [Manageable(name=one.name, size=manage.gib(one.size_bytes), owner=ours.get(one.name),
                       reason="already managed" if one.name in ours else "being made" if one.name in copies else None)
            for one in _stored(tx, at)]


def snapshots_there(tx: Transaction, host: str) -> list[Manageable]:
    at = pool(tx, host)
    ours = manage.managed(tx, at.backend)
    known = {(row.volume_id, row.stored_as): row.id for row in tx.execute(
        select(SnapshotRow.volume_id, SnapshotRow.stored_as, SnapshotRow.id))}
    found = []
    for one in _stored(tx, at):
        for name in one.snapshots:
            owner = known.get((ours.get(one.name, ""), name))
            reason = "already managed" if owner else "its volume is not managed" if one.name not in ours else None
            found.append(Manageable(name=name, size=manage.gib(one.size_bytes), owner=owner, reason=reason, source=one.name))
    return found
