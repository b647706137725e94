"""Why an asynchronous request failed, in Cinder's fixed words: nothing that a back end said ever reaches a user."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select

from haneul.kernel import clock, ids
from haneul.kernel.cloud import Cloud
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import NotFound
from haneul.kernel.reconcilers import reconciler
from haneul.volume.model import MessageRow

VOLUME, SNAPSHOT, BACKUP = "VOLUME", "VOLUME_SNAPSHOT", "VOLUME_BACKUP"  # resource types
ACTIONS: dict[str, tuple[str, str]] = {
    "SCHEDULE_ALLOCATE_VOLUME": ("001", "schedule allocate volume"),
    "ATTACH_VOLUME": ("002", "attach volume"),
    "COPY_VOLUME_TO_IMAGE": ("003", "copy volume to image"),
    "UPDATE_ATTACHMENT": ("004", "update attachment"),
    "COPY_IMAGE_TO_VOLUME": ("005", "copy image to volume"),
    "UNMANAGE_VOLUME": ("006", "unmanage volume"),
    "EXTEND_VOLUME": ("007", "extend volume"),
    "CREATE_VOLUME_FROM_BACKEND": ("008", "create volume from backend storage"),
    "SNAPSHOT_CREATE": ("009", "create snapshot"),
    "SNAPSHOT_DELETE": ("010", "delete snapshot"),
    "SNAPSHOT_UPDATE": ("011", "update snapshot"),
    "SNAPSHOT_METADATA_UPDATE": ("012", "update snapshot metadata"),
    "BACKUP_CREATE": ("013", "create backup"),
    "BACKUP_DELETE": ("014", "delete backup"),
    "BACKUP_RESTORE": ("015", "restore backup"),
    "REIMAGE_VOLUME": ("016", "reimage volume"),
}
DETAILS: dict[str, tuple[str, str]] = {
    "UNKNOWN_ERROR": ("001", "An unknown error occurred."),
    "DRIVER_NOT_INITIALIZED": ("002", "Driver is not initialized at present."),
    "NO_BACKEND_AVAILABLE": ("003", "Could not find any available weighted backend."),
    "FAILED_TO_UPLOAD_VOLUME": ("004", "Failed to upload volume to image at backend."),
    "VOLUME_ATTACH_MODE_INVALID": ("005", "Volume's attach mode is invalid."),
    "QUOTA_EXCEED": ("006", "Not enough quota resource for operation."),
    "NOT_ENOUGH_SPACE_FOR_IMAGE": ("007", "Image used for creating volume exceeds available space."),
    "UNMANAGE_ENC_NOT_SUPPORTED": ("008", "Unmanaging encrypted volumes is not supported."),
    "NOTIFY_COMPUTE_SERVICE_FAILED": ("009", "Compute service failed to extend volume."),
    "DRIVER_FAILED_EXTEND": ("010", "Volume Driver failed to extend volume."),
    "SIGNATURE_VERIFICATION_FAILED": ("011", "Image signature verification failed."),
    "DRIVER_FAILED_CREATE": ("012", "Driver failed to create the volume."),
    "SNAPSHOT_CREATE_ERROR": ("013", "Snapshot failed to create."),
    "SNAPSHOT_UPDATE_METADATA_FAILED": ("014", "Volume snapshot update metadata failed."),
    "SNAPSHOT_IS_BUSY": ("015", "Snapshot is busy."),
    "SNAPSHOT_DELETE_ERROR": ("016", "Snapshot failed to delete."),
    "BACKUP_INVALID_STATE": ("017", "Backup status is invalid."),
    "BACKUP_SERVICE_DOWN": ("018", "Backup service is down."),
    "BACKUP_CREATE_DEVICE_ERROR": ("019", "Failed to get backup device from the volume service."),
    "BACKUP_CREATE_DRIVER_ERROR": ("020", "Backup driver failed to create backup."),
    "ATTACH_ERROR": ("021", "Failed to attach volume."),
    "DETACH_ERROR": ("022", "Failed to detach volume."),
    "BACKUP_CREATE_CLEANUP_ERROR": ("023", "Cleanup of temporary volume/snapshot failed."),
    "BACKUP_SCHEDULE_ERROR": ("024", "Backup failed to schedule. Service not found for creating backup."),
    "BACKUP_DELETE_DRIVER_ERROR": ("025", "Backup driver failed to delete backup."),
    "BACKUP_RESTORE_ERROR": ("026", "Backup driver failed to restore backup."),
    "VOLUME_INVALID_STATE": ("027", "Volume status is invalid."),
    "REIMAGE_VOLUME_FAILED": ("028", "Compute service failed to reimage volume."),
}
_ACTION_TEXTS = dict(ACTIONS.values())
_DETAIL_TEXTS = dict(DETAILS.values())
_M: Any = MessageRow.__table__


class MessageNotFound(NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Message {id[:64]} could not be found.")


def record(tx: Transaction, *, project_id: str, request_id: str, action: str, detail: str, resource_type: str,
           resource_id: str) -> None:
    """`action` and `detail` are names of `ACTIONS` and `DETAILS`; another one is a programming error (KeyError)."""
    now = clock.now()
    tx.add(MessageRow(
        id=ids.new(), project_id=project_id, request_id=request_id, resource_type=resource_type, resource_uuid=resource_id,
        action_id=ACTIONS[action][0], detail_id=DETAILS[detail][0], message_level="ERROR", created_at=now,
        expires_at=now + timedelta(days=tx.cloud.config.volume.message_days)))


def get(tx: Transaction, context: Context, message_id: str) -> MessageRow:
    row = tx.execute(select(MessageRow).where(MessageRow.id == message_id)).scalar_one_or_none()
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise MessageNotFound(message_id)
    return row


def text(action_id: str, detail_id: str) -> str:
    """What the user reads."""
    return f"{_ACTION_TEXTS.get(action_id, 'unknown action')}:{_DETAIL_TEXTS.get(detail_id, DETAILS['UNKNOWN_ERROR'][1])}"


@reconciler("volume.messages", every=300.0)
def forget(cloud: Cloud) -> int:
    """Those that have expired."""
    now = clock.now()
    with cloud.database.read() as tx:
        if tx.core(select(_M.c.seq).where(_M.c.expires_at < now).limit(1)).first() is None:
            return 0
    with cloud.database.write() as tx:
        return tx.core(delete(_M).where(_M.c.expires_at < now)).rowcount
