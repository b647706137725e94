"""The rules of a volume that becomes an image."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from haneul.image import images
from haneul.image.model import ImageRow
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest
from haneul.volume import rows
from haneul.volume.model import VolumeRow
from haneul.volume.problems import InvalidVolume
from haneul.volume.tasks import upload as uploading

FORMATS = ("raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx")
_NOT_PROPERTIES = frozenset({"image_id", "image_name", "checksum", "container_format", "disk_format", "min_disk", "min_ram",
                             "size", *images.READONLY, *images.RESERVED, *images.CHANGEABLE})


class Wanted(Struct, frozen=True, kw_only=True):
    name: str
    disk_format: str = "raw"
    container_format: str = "bare"
    visibility: str = "private"
    protected: bool = False
    force: bool = False


def upload(tx: Transaction, context: Context, row: VolumeRow, wanted: Wanted) -> ImageRow:
    """The image, queued; the volume is `uploading` until its data has come there. With `force` also while a guest has it."""
    row = rows.locked(tx, row)
    fits = ("available", "in-use") if wanted.force else ("available",)
    if row.status not in fits or row.host is None:
        raise InvalidVolume(f"Volume {row.id} status must be {' or '.join(fits)}, but current status is: {row.status}.")
    if row.encrypted:
        raise InvalidVolume(f"Volume {row.id} is encrypted: what lies in it would be an image that nobody can read.")
    if wanted.disk_format not in FORMATS or wanted.container_format != "bare":
        raise BadRequest(f"Invalid input received: a volume cannot be uploaded as {wanted.disk_format} in "
                         f"{wanted.container_format}; formats are {', '.join(FORMATS)} in bare.")
    properties: dict[str, Any] = {key: value for key, value in row.image.items()
                                  if key not in _NOT_PROPERTIES and not key.startswith("os_glance")}
    image = images.begin(tx, context, name=wanted.name, disk_format=wanted.disk_format, properties=properties,
                         container_format=wanted.container_format, visibility=wanted.visibility, min_disk=row.size)
    image.protected = wanted.protected
    row.previous_status = row.status
    rows.put(row, "uploading")
    uploading.upload.submit(tx, uploading.UploadArguments(volume_id=row.id, image_id=image.id, disk_format=wanted.disk_format),
                            resource=rows.resource(row.id), context=context)
    return image
