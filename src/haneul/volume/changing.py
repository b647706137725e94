"""The rules of what changes a volume that there is: its size, its data, its flags, its status."""

from __future__ import annotations

from haneul.image import images
from haneul.image.model import ACTIVE
from haneul.kernel import clock
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound
from haneul.volume import attachments, quotas, rows
from haneul.volume.model import AttachmentRow, SnapshotRow, VolumeRow, VolumeTypeRow
from haneul.volume.problems import InvalidVolume
from haneul.volume.tasks import extend as extending
from haneul.volume.tasks import reimage as reimaging
from haneul.volume.volumes import check_image_fits, facts_of

STATUSES = ("creating", "available", "deleting", "error", "error_deleting", "error_managing", "managing", "attaching", "in-use",
            "detaching", "maintenance", "restoring-backup", "error_restoring", "reserved", "awaiting-transfer", "backing-up",
            "error_backing-up", "error_extending", "downloading", "uploading", "retyping", "extending")
MIGRATION_STATUSES = ("migrating", "error", "success", "completing", "none", "starting")


def extend(tx: Transaction, context: Context, row: VolumeRow, size: int, *, in_use: bool) -> None:
    """`in_use`: whether the caller may do that to a volume that a guest has open."""
    row = rows.locked(tx, row)
    fits = ("available", "in-use") if in_use else ("available",)
    if row.status not in fits:
        raise InvalidVolume(f"Volume {row.id} status must be '{' or '.join(fits)}' to extend, currently {row.status}.")
    if row.host is None or row.migration_status in ("migrating", "starting", "completing"):
        raise InvalidVolume(f"Volume {row.id} is part of a migration.")
    held = attachments.of_volume(tx, row.id)
    if len(held) > 1:
        raise InvalidVolume(f"Volume {row.id} is attached to several servers, which cannot all be told its new size.")
    if size <= row.size:
        raise BadRequest("Invalid input received: New size for extend must be greater than current size. "
                         f"(current: {row.size}, extended: {size}).")
    kind = tx.get(VolumeTypeRow, row.type_id)
    quotas.check_size(tx, row.project_id, size)
    quotas.check(tx, row.project_id, kind.name if kind is not None else None, gigabytes=size - row.size)
    row.previous_status = row.status
    rows.put(row, "extending")
    extending.extend.submit(tx, extending.ExtendArguments(volume_id=row.id, size=size), resource=rows.resource(row.id),
                            context=context)


def reset_status(tx: Transaction, row: VolumeRow, status: str | None, attach_status: str | None,
                 migration_status: str | None) -> None:
    """An administrator knows better. What a server has stays the server's: rows of its attachments are not touched."""
    if status is None and attach_status is None and migration_status is None:
        raise BadRequest("Must specify 'status', 'attach_status' or 'migration_status' for update.")
    if attach_status == "detached":
        for held in attachments.of_volume(tx, row.id):
            _forget(tx, held)
    if status is not None:
        row.status = status
    if migration_status is not None:
        row.migration_status = None if migration_status == "none" else migration_status
    row.updated_at = clock.now()


def _forget(tx: Transaction, held: AttachmentRow) -> None:
    if held.server_id is not None:
        raise InvalidVolume(f"Volume {held.volume_id} is attached to server {held.server_id}: detach it using the Compute API.")
    tx.delete(held)


def set_readonly(tx: Transaction, row: VolumeRow, readonly: bool) -> None:
    row = rows.locked(tx, row)
    if row.status != "available":
        raise InvalidVolume(f"Volume {row.id} status must be available to update readonly flag, but current status is: "
                            f"{row.status}.")
    row.readonly, row.updated_at = readonly, clock.now()


def reimage(tx: Transaction, context: Context, row: VolumeRow, image_id: str, *, reserved: bool = False) -> None:
    """The volume's data becomes an image's. `reserved`: also when a server that is being rebuilt has it reserved."""
    row = rows.locked(tx, row)
    fits = ("available", "error", "reserved") if reserved else ("available", "error")
    if row.status not in fits or row.host is None:
        raise InvalidVolume(f"Volume {row.id} status must be {' or '.join(fits)} to re-image, but current status is: "
                            f"{row.status}.")
    if any(held.status != attachments.RESERVED for held in attachments.of_volume(tx, row.id)):
        raise InvalidVolume(f"Volume {row.id} is attached.")
    if tx.query(SnapshotRow).filter_by(volume_id=row.id).first() is not None:
        raise InvalidVolume(f"Volume {row.id} has snapshots, which are of the data that would go.")
    try:
        image = images.get(tx, context, image_id)
    except NotFound:
        raise NotFound(f"Image {image_id[:64]} could not be found.")
    if image.status != ACTIVE:
        raise BadRequest(f"Invalid input received: Image {image.id} is not active.")
    check_image_fits(image, row.size)
    row.previous_status = row.status
    rows.put(row, "downloading")
    reimaging.reimage.submit(tx, reimaging.ReimageArguments(volume_id=row.id, image_id=image.id, image=facts_of(image)),
                             resource=rows.resource(row.id), context=context)
