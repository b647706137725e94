"""Who has a volume: the one state machine of Cinder's attachments and of compute's block devices.

    reserved -> attaching -> attached -> detaching -> (no row)

A volume's status follows from its attachments, in the transaction that changes them: attached before attaching before detaching
before reserved. A volume that something else works on (creating, extending, retyping…) keeps its status meanwhile; whoever
worked on it ends with `status_of`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from sqlalchemy import bindparam, select

from haneul.fleet.model import HostRow
from haneul.host.contract import DiskSpec
from haneul.host.storage import DiskLimits, VolumeFormat, VolumeSource
from haneul.kernel import clock, ids
from haneul.kernel.cloud import Cloud
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Conflict
from haneul.kernel.tasks import Fault
from haneul.volume import secrets, stores, types
from haneul.volume.model import AttachmentRow, PoolRow, VolumeRow
from haneul.volume.problems import AttachmentNotFound, InvalidVolume, VolumeNotFound

RESERVED, ATTACHING, ATTACHED, DETACHING = "reserved", "attaching", "attached", "detaching"
# The first that is there. Detaching before in-use: who lets go of a shared volume sees by in-use that it is done
_STATUSES = {DETACHING: "detaching", ATTACHED: "in-use", ATTACHING: "attaching", RESERVED: "reserved"}
FOLLOWS = frozenset({"available", *_STATUSES.values()})  # statuses that say nothing but what has the volume
_MADE = ("snapshot", "image", "blank")  # sources of volumes that are still being created while their server reserves them
_BUSES: dict[str | None, Literal["virtio", "scsi", "ide", "usb"]] = {"scsi": "scsi", "ide": "ide", "usb": "usb"}
_rows: Any = AttachmentRow.__table__
_STATUSES_OF = select(_rows.c.status).where(_rows.c.volume_id == bindparam("id"))
_HELD_BY = select(_rows.c.server_id, _rows.c.volume_id, _rows.c.delete_on_termination).where(
    _rows.c.server_id.in_(bindparam("servers", expanding=True))).order_by(_rows.c.created_at, _rows.c.id)


class OnlyByCompute(Conflict):
    """What compute attached, compute detaches, when the host has shown that the guest let go (CVE-2023-2088)."""

    def __init__(self, server_id: str) -> None:
        super().__init__(f"Detach volume from instance {server_id} using the Compute API")


# ---------------------------------------------------------------- finding


def by_id(tx: Transaction, attachment_id: str) -> AttachmentRow | None:
    return tx.get(AttachmentRow, attachment_id)


def get(tx: Transaction, context: Context, attachment_id: str) -> AttachmentRow:
    """Another project's is not there."""
    row = tx.get(AttachmentRow, attachment_id)
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise AttachmentNotFound(attachment_id)
    return row


def of_volume(tx: Transaction, volume_id: str) -> list[AttachmentRow]:
    return of_volumes(tx, [volume_id]).get(volume_id, [])


def of_volumes(tx: Transaction, volume_ids: Iterable[str]) -> dict[str, list[AttachmentRow]]:
    """Oldest first."""
    found: dict[str, list[AttachmentRow]] = {}
    for row in tx.execute(select(AttachmentRow).where(AttachmentRow.volume_id.in_(list(volume_ids)))
                          .order_by(AttachmentRow.created_at, AttachmentRow.id)).scalars():
        found.setdefault(row.volume_id, []).append(row)
    return found


def of_servers(tx: Transaction, server_ids: Iterable[str]) -> dict[str, list[AttachmentRow]]:
    """By server, in the order in which its guest shall see them: by boot index, then as they came."""
    found: dict[str, list[AttachmentRow]] = {}
    for row in tx.execute(select(AttachmentRow).where(AttachmentRow.server_id.in_(list(server_ids)))
                          .order_by(AttachmentRow.created_at, AttachmentRow.id)).scalars():
        found.setdefault(row.server_id or "", []).append(row)
    for rows in found.values():
        rows.sort(key=lambda row: row.boot_index if row.boot_index is not None and row.boot_index >= 0 else 1 << 16)
    return found


def held_by(tx: Transaction, server_ids: list[str]) -> dict[str, list[Any]]:
    """(server_id, volume_id, delete_on_termination) by server: for views of many servers."""
    found: dict[str, list[Any]] = {}
    for row in tx.core(_HELD_BY, servers=server_ids) if server_ids else ():
        found.setdefault(row.server_id, []).append(row)
    return found


def volumes_of(tx: Transaction, rows: Iterable[AttachmentRow]) -> dict[str, VolumeRow]:
    """Their volumes by id, in one statement."""
    wanted = {row.volume_id for row in rows}
    return {row.id: row for row in tx.execute(select(VolumeRow).where(VolumeRow.id.in_(wanted))).scalars()} if wanted else {}


# ---------------------------------------------------------------- the states


def status_of(tx: Transaction, volume_id: str) -> str:
    """What a volume's status is by its attachments alone: available when there is none. Whoever asks will write it, so that
    nobody else's attachments may change meanwhile."""
    tx.flush()
    tx.lock("volume", volume_id)
    there = {status for (status,) in tx.core(_STATUSES_OF, id=volume_id)}
    return next((status for state, status in _STATUSES.items() if state in there), "in-use" if there else "available")


def reserve(tx: Transaction, volume: VolumeRow, *, context: Context, server_id: str | None = None, instance: str | None = None,
            mode: str | None = None, boot_index: int | None = None, delete_on_termination: bool = False, tag: str | None = None,
            disk_bus: str | None = None, device_type: str | None = None, guest_format: str | None = None,
            source_type: str = "volume", mountpoint: str | None = None) -> AttachmentRow:
    """From now on nobody else gets the volume, unless both say that it may be shared. With `server_id` it is compute's."""
    tx.lock("volume", volume.id)
    tx.flush()
    tx.refresh(volume)
    _check_free(tx, volume, made_now=server_id is not None and source_type in _MADE)
    if volume.readonly and mode == "rw":
        raise InvalidVolume(f"Invalid attaching mode 'rw' for volume {volume.id}.")
    row = AttachmentRow(
        id=ids.new(), volume_id=volume.id, project_id=volume.project_id, user_id=context.user_id or volume.user_id,
        server_id=server_id, instance=instance, status=RESERVED, mode=mode or ("ro" if volume.readonly else "rw"),
        mountpoint=mountpoint, created_at=clock.now(), boot_index=boot_index, delete_on_termination=delete_on_termination,
        tag=tag, disk_bus=disk_bus, device_type=device_type, guest_format=guest_format, source_type=source_type)
    tx.add(row)
    _follow(tx, volume.id)
    return row


def _check_free(tx: Transaction, volume: VolumeRow, *, made_now: bool) -> None:
    """By status and by rows: a status that an administrator reset does not give away what a guest has."""
    fits = ("available", "in-use", "reserved", "attaching", "detaching") if volume.multiattach else ("available",)
    others = of_volume(tx, volume.id)
    if made_now and volume.status in ("creating", "downloading") and not others:
        return
    if volume.migration_status not in (None, "", "error", "success"):
        raise InvalidVolume(f"Volume {volume.id} is part of a migration.")
    if volume.status not in fits:
        wanted = " or ".join(fits[:2])
        raise InvalidVolume(
            f"Volume {volume.id} status must be {wanted} to reserve, but the current status is {volume.status}.")
    if others and not volume.multiattach:
        raise InvalidVolume(f"Volume {volume.id} is attached already; its status of {volume.status} was set by hand.")


def attaching(tx: Transaction, row: AttachmentRow, host: str | None, mountpoint: str | None) -> None:
    """A host is about to open it."""
    row.host, row.mountpoint = host, mountpoint
    _become(tx, row, ATTACHING)


def complete(tx: Transaction, row: AttachmentRow) -> None:
    """A guest has it."""
    row.attached_at = row.attached_at or clock.now()
    _become(tx, row, ATTACHED)


def begin_detach(tx: Transaction, row: AttachmentRow) -> None:
    _become(tx, row, DETACHING)


def roll_back(tx: Transaction, row: AttachmentRow) -> None:
    """The guest kept it after all, or never got it."""
    _become(tx, row, ATTACHED if row.attached_at is not None else RESERVED)


def release(tx: Transaction, row: AttachmentRow) -> None:
    """Nothing has it any more through this row. To be called only when that is known of the host."""
    tx.delete(row)
    _follow(tx, row.volume_id)


def swap(tx: Transaction, row: AttachmentRow, other: AttachmentRow) -> None:
    """A server's attachment takes over the volume that `other` reserved for it, and the old volume is free."""
    row.volume_id, other.volume_id = other.volume_id, row.volume_id
    complete(tx, row)
    release(tx, other)


def _become(tx: Transaction, row: AttachmentRow, status: str) -> None:
    row.status = status
    _follow(tx, row.volume_id)


def _follow(tx: Transaction, volume_id: str) -> None:
    """The volume's status, or what it goes back to when the work on it is done."""
    status = status_of(tx, volume_id)
    volume = tx.execute(select(VolumeRow).where(VolumeRow.id == volume_id).execution_options(
        populate_existing=True)).scalar_one_or_none()
    if volume is None:
        return
    if volume.status in FOLLOWS:
        if volume.status != status:
            volume.status, volume.updated_at = status, clock.now()
    elif volume.previous_status in FOLLOWS:
        volume.previous_status = status


# ---------------------------------------------------------------- towards the host


def reachable(tx: Transaction, volume: VolumeRow, host: str) -> bool:
    """Whether a guest of that host can open the volume: its back end is networked, or the same agent's."""
    pool = tx.get(PoolRow, volume.host or "")
    if pool is None:
        return False
    if pool.host == host or pool.facts.get("networked"):
        return True
    endpoints = dict(tx.execute(select(HostRow.name, HostRow.endpoint).where(HostRow.name.in_((host, pool.host)))).tuples().all())
    return len(endpoints) == 2 and len(set(endpoints.values())) == 1


def source(cloud: Cloud, tx: Transaction, row: AttachmentRow) -> tuple[VolumeSource, DiskLimits | None]:
    """How a host opens it. The key is in it: not to be written down."""
    volume = volumes_of(tx, [row]).get(row.volume_id)
    if volume is None:
        raise VolumeNotFound(row.volume_id)
    return _source(cloud, tx, volume)


def _source(cloud: Cloud, tx: Transaction, volume: VolumeRow) -> tuple[VolumeSource, DiskLimits | None]:
    if volume.host is None:
        raise Fault(f"Volume {volume.id} is on no back end.")
    key = secrets.opened(cloud, volume.key) if volume.key else None
    found = VolumeSource(backend=stores.backend_of(volume.host), volume=volume.stored_as, format=_format(volume), key=key)
    return found, types.limits_of(tx, volume.type_id, volume.size)


def _format(volume: VolumeRow) -> VolumeFormat:
    """The one that it was made with; nobody looks into a volume to tell."""
    return "qcow2" if volume.format == "qcow2" else "raw"


def disk(cloud: Cloud, tx: Transaction, row: AttachmentRow, volume: VolumeRow) -> DiskSpec:
    """The disk that a guest has of it."""
    opened, limits = _source(cloud, tx, volume)
    return DiskSpec(name=row.disk_name, format=opened.format, source=opened, limits=limits, read_only=row.mode == "ro",
                    shared=volume.multiattach, bus=_BUSES.get(row.disk_bus, "virtio"),
                    device="cdrom" if row.device_type == "cdrom" else "disk", serial=volume.id[:20],
                    boot_index=row.boot_index if row.boot_index is not None and row.boot_index >= 0 else None)
