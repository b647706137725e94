"""What block storage answers when it cannot: Cinder's statuses and words."""

from __future__ import annotations

from haneul.kernel.errors import BadRequest, Conflict, NotFound, TooLarge


class VolumeNotFound(NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Volume {id[:64]} could not be found.")


class SnapshotNotFound(NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Snapshot {id[:64]} could not be found.")


class VolumeTypeNotFound(NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Volume type {id[:64]} could not be found.")


class AttachmentNotFound(NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Volume attachment could not be found with filter: attachment_id = {id[:64]}.")


class BackupNotFound(NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Backup {id[:64]} could not be found.")


class GroupNotFound(NotFound):
    def __init__(self, id: str) -> None:
        super().__init__(f"Group {id[:64]} could not be found.")


class InvalidVolume(BadRequest):
    """The volume's state forbids it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid volume: {reason}")


class InvalidSnapshot(BadRequest):
    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid snapshot: {reason}")


class InUse(Conflict):
    """Of types, QoS specs and whatever else others stand on."""


class OverVolumeQuota(TooLarge):
    """Cinder's 413 of a quota."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryAfter="0")

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": "0"}


class NoValidBackend(BadRequest):
    def __init__(self, reason: str) -> None:
        super().__init__(f"No valid backend was found. {reason}".strip())
