"""The rules of retype and migration: what a volume may become, and where it may go."""

from __future__ import annotations

from sqlalchemy import select

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest
from haneul.volume import attachments, qos, quotas, rows, scheduler, types
from haneul.volume.model import PoolRow, SnapshotRow, VolumeRow, VolumeTypeRow
from haneul.volume.problems import InvalidVolume
from haneul.volume.tasks import move as moving
from haneul.volume.volumes import MIGRATABLE, format_of


def retype(tx: Transaction, context: Context, row: VolumeRow, type_ref: str, policy: str) -> None:
    """A volume that may stay where it is, as it is stored, is of the new type at once; else it is copied, if `policy` lets."""
    row = rows.locked(tx, row)
    _check(row, "retype")
    if row.group_id is not None:
        raise InvalidVolume(f"Retype of volume {row.id} is not allowed: it belongs to a group.")
    new, old = types.named(tx, context, type_ref), tx.get(VolumeTypeRow, row.type_id)
    if new.id == row.type_id:
        raise BadRequest(f"Invalid input received: New volume_type same as original: {new.name}.")
    multiattach = new.extra_specs.get("multiattach") == "<is> True"
    encrypted = new.encryption is not None
    held = attachments.of_volume(tx, row.id)
    if held and multiattach != row.multiattach:
        raise BadRequest("Invalid input received: Invalid volume_type passed: the multiattach capability of a volume that is "
                         "in use cannot change.")
    if held and not _same_limits(tx, old, new):
        raise InvalidVolume("Retype cannot change front-end qos specs for in-use volume: " + row.id + ".")
    quotas.check_retype(tx, row.project_id, new.name, row.size)
    ask = scheduler.Ask(size=row.size, specs=new.extra_specs, format=format_of(new, encrypted))
    if encrypted == row.encrypted and ask.format == row.format and row.host and scheduler.fits(tx, row.host, ask):
        row.type_id, row.multiattach = new.id, multiattach
        rows.put(row, row.status)
        return
    if policy != "on-demand":
        raise InvalidVolume(f"Retype of volume {row.id} requires migration but it is not allowed.")
    chosen = scheduler.choose(tx, ask)
    _check_copy(tx, row, chosen.pool, encrypted)
    _submit(tx, context, row, "retyping", moving.MoveArguments(
        volume_id=row.id, pool=chosen.pool, zone=chosen.zone, format=ask.format, type_id=new.id, encrypted=encrypted,
        multiattach=multiattach))


def migrate(tx: Transaction, context: Context, row: VolumeRow, host: str) -> None:
    """To another pool: host@backend#pool, or host@backend."""
    row = rows.locked(tx, row)
    _check(row, "migrate")
    pool = tx.execute(select(PoolRow).where((PoolRow.name == host) | PoolRow.name.startswith(host + "#", autoescape=True))
                      .order_by(PoolRow.name)).scalars().first()
    if pool is None:
        raise BadRequest(f"Invalid host: No available service named {host[:255]}")
    if pool.name == row.host:
        raise BadRequest("Invalid host: Destination host must be different than the current host.")
    kind = tx.get(VolumeTypeRow, row.type_id)
    chosen = scheduler.choose(tx, scheduler.Ask(size=row.size, specs=kind.extra_specs if kind is not None else {},
                                                format=row.format, only=pool.name))
    _check_copy(tx, row, pool.name, row.encrypted)
    _submit(tx, context, row, "maintenance", moving.MoveArguments(
        volume_id=row.id, pool=chosen.pool, zone=chosen.zone, format=row.format, type_id=row.type_id, encrypted=row.encrypted,
        multiattach=row.multiattach))


def _check(row: VolumeRow, word: str) -> None:
    if row.status not in ("available", "in-use") or row.host is None:
        raise InvalidVolume(f"Volume {row.id} status must be available or in-use to {word}, but current status is: "
                            f"{row.status}.")
    if row.migration_status not in MIGRATABLE:
        raise InvalidVolume(f"Volume {row.id} is already part of an active migration.")


def _check_copy(tx: Transaction, row: VolumeRow, pool: str, encrypted: bool) -> None:
    if tx.execute(select(SnapshotRow.id).where(SnapshotRow.volume_id == row.id)).first() is not None:
        raise InvalidVolume(f"Volume {row.id} must not have snapshots to be copied elsewhere.")
    if rows.copying(tx, source_volid=row.id):
        raise InvalidVolume(f"Volume {row.id} is where a volume that is being created gets its data from.")
    held = attachments.of_volume(tx, row.id)
    if len(held) > 1 or any(one.server_id is None or one.status != attachments.ATTACHED for one in held):
        raise InvalidVolume(f"Volume {row.id} can be copied while it is in use only when one server has it.")
    if row.encrypted and not encrypted and not held:
        raise InvalidVolume(f"Volume {row.id} is encrypted: it can be copied in the clear only while a running server has it.")
    there = VolumeRow(id=row.id, host=pool)  # as it would be
    if held and not attachments.reachable(tx, there, held[0].host or ""):
        raise InvalidVolume(f"The server that has volume {row.id} cannot reach {pool}.")


def _same_limits(tx: Transaction, old: VolumeTypeRow | None, new: VolumeTypeRow) -> bool:
    return (qos.limits_of(tx, old.id, 0) if old is not None else None) == qos.limits_of(tx, new.id, 0)


def _submit(tx: Transaction, context: Context, row: VolumeRow, status: str, arguments: moving.MoveArguments) -> None:
    row.previous_status, row.migration_status = row.status, "migrating"
    rows.put(row, status)
    moving.move.submit(tx, arguments, resource=rows.resource(row.id), context=context)
