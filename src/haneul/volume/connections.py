"""Attachments of callers that are not our compute: what they reserve, say that they opened, and give back.

None of it opens data: only hosts of this cloud reach a back end, and what compute attached is compute's to end (CVE-2023-2088).
"""

from __future__ import annotations

from typing import Any

from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest
from haneul.volume import attachments
from haneul.volume.attachments import ATTACHED, ATTACHING, DETACHING, OnlyByCompute
from haneul.volume.model import AttachmentRow, VolumeRow
from haneul.volume.problems import AttachmentNotFound, InvalidVolume

DRIVER = "haneul"
_KEPT = ("host", "mountpoint", "mode", "ip", "initiator", "platform", "os_type")  # of a connector; they are only words here


def info(volume: VolumeRow, row: AttachmentRow | None = None) -> dict[str, Any]:
    """What a connector gets: which volume, and how it may be used. No host, no path, no key."""
    mode = row.mode if row is not None else "ro" if volume.readonly else "rw"
    found = {"driver_volume_type": DRIVER, "volume_id": volume.id, "access_mode": mode, "encrypted": volume.encrypted,
             "cacheable": False}
    return found | {"attachment_id": row.id} if row is not None else found


def _own(row: AttachmentRow) -> AttachmentRow:
    if row.server_id is not None:
        raise OnlyByCompute(row.server_id)
    return row


# ---------------------------------------------------------------- since 3.27


def create(tx: Transaction, context: Context, volume: VolumeRow, *, instance: str | None, connector: dict[str, Any] | None,
           mode: str | None) -> AttachmentRow:
    row = attachments.reserve(tx, volume, context=context, instance=instance, mode=mode)
    if connector:
        update(tx, volume, row, connector)
    return row


def update(tx: Transaction, volume: VolumeRow, row: AttachmentRow, connector: dict[str, Any]) -> None:
    """A host is named that will use it."""
    _own(row)
    kept = {key: str(connector[key])[:255] for key in _KEPT if connector.get(key) is not None}
    mode = kept.get("mode", row.mode)
    if mode not in ("rw", "ro") or (mode == "rw" and volume.readonly):
        raise InvalidVolume(f"Invalid attaching mode '{mode[:16]}' for volume {volume.id}.")
    row.connector, row.mode = kept, mode
    if row.status == ATTACHED:
        row.host, row.mountpoint = kept.get("host"), kept.get("mountpoint")
    else:
        attachments.attaching(tx, row, kept.get("host"), kept.get("mountpoint"))


def complete(tx: Transaction, row: AttachmentRow) -> None:
    attachments.complete(tx, _own(row))


def delete(tx: Transaction, volume: VolumeRow | None, row: AttachmentRow) -> list[AttachmentRow]:
    """What the volume is left with."""
    attachments.release(tx, _own(row))
    if volume is not None:
        _settle(tx, volume)
    return attachments.of_volume(tx, row.volume_id)


def _settle(tx: Transaction, volume: VolumeRow) -> None:
    """Also a volume that was in error because of its attachments is what they say again."""
    if volume.status.startswith("error") and volume.status != "error_deleting":
        volume.status = attachments.status_of(tx, volume.id)
    mode = volume.admin_meta.get("attached_mode")
    if mode is not None and not attachments.of_volume(tx, volume.id):
        volume.admin_meta = {key: value for key, value in volume.admin_meta.items() if key != "attached_mode"}


# ---------------------------------------------------------------- the older actions


def _anonymous(tx: Transaction, volume: VolumeRow) -> AttachmentRow | None:
    """What os-reserve left."""
    return next((row for row in attachments.of_volume(tx, volume.id)
                 if row.server_id is None and row.instance is None and row.host is None and row.status == ATTACHING), None)


def reserve(tx: Transaction, context: Context, volume: VolumeRow) -> None:
    attachments.attaching(tx, attachments.reserve(tx, volume, context=context), None, None)


def unreserve(tx: Transaction, volume: VolumeRow) -> None:
    """One that is not reserved is fine."""
    row = _anonymous(tx, volume)
    if row is not None:
        attachments.release(tx, row)


def attach(tx: Transaction, context: Context, volume: VolumeRow, *, instance: str | None, host: str | None,
           mountpoint: str | None, mode: str) -> None:
    """The caller says that it has attached it."""
    if volume.readonly and mode == "rw":
        raise InvalidVolume(f"Invalid attaching mode '{mode}' for volume {volume.id}.")
    row = _anonymous(tx, volume) or attachments.reserve(tx, volume, context=context, mode=mode)
    row.instance, row.mode = instance, mode
    attachments.attaching(tx, row, host, mountpoint)
    attachments.complete(tx, row)
    volume.admin_meta = {**volume.admin_meta, "attached_mode": mode}


def detach(tx: Transaction, volume: VolumeRow, attachment_id: str | None) -> None:
    """The caller says that it has let go. A volume without attachments is detached already."""
    rows = attachments.of_volume(tx, volume.id)
    if attachment_id is not None:
        rows = [row for row in rows if row.id == attachment_id]
        if not rows:
            other = attachments.by_id(tx, attachment_id)
            if other is not None and other.project_id == volume.project_id:
                raise InvalidVolume(f"Attachment {other.id} is not one of volume {volume.id}.")
            raise AttachmentNotFound(attachment_id)
    for row in rows:
        _own(row)
    if len(rows) > 1:
        raise InvalidVolume(f"Volume {volume.id} has more than one attachment: attachment_id is required.")
    if rows:
        attachments.release(tx, rows[0])
    _settle(tx, volume)


def _only(tx: Transaction, volume: VolumeRow, status: str, wanted: str) -> AttachmentRow:
    rows = attachments.of_volume(tx, volume.id)
    mine = [row for row in rows if row.server_id is None and row.status == status]
    if not mine:
        for row in rows:
            _own(row)
        raise InvalidVolume(wanted)
    return mine[0]


def begin_detaching(tx: Transaction, volume: VolumeRow) -> None:
    text = "Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach."
    if volume.status != "in-use":
        raise InvalidVolume(text)
    attachments.begin_detach(tx, _only(tx, volume, ATTACHED, text))


def roll_detaching(tx: Transaction, volume: VolumeRow) -> None:
    attachments.roll_back(tx, _only(tx, volume, DETACHING, f"Volume {volume.id} is not being detached."))


def terminate(tx: Transaction, volume: VolumeRow) -> None:
    """Nothing is exported to end; but nobody shall believe that a guest's disk was taken away."""
    for row in attachments.of_volume(tx, volume.id):
        _own(row)


def check_target(instance: str | None, host: str | None) -> None:
    if instance and host:
        raise BadRequest(f"Invalid request to attach volume to an instance {instance} and a host {host} simultaneously")
    if not instance and not host:
        raise BadRequest("Invalid request to attach volume to an invalid target")
