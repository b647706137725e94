"""Interoperable import: what may be imported how, and copied where. The work itself is a durable task."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import select

from haneul.image import fetch, images, limits, stores, uploads
from haneul.image.images import ImageConflict
from haneul.image.model import ACTIVE, IMPORTING, QUEUED, UPLOADING, ImageRow
from haneul.image.tasks.importing import COPY, FAILED, PENDING, ImportArguments, import_image
from haneul.image.tasks.locating import locate_image
from haneul.kernel import clock, ids
from haneul.kernel.cloud import Cloud
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Forbidden, NotFound, TooLarge
from haneul.kernel.tasks import TaskRow

_METHODS = ["glance-direct", "web-download", "glance-download"]
KINDS = {import_image.kind: "api_image_import", locate_image.kind: "location_import"}  # of tasks, as users see them


def methods(cloud: Cloud) -> list[str]:
    """Copying takes a second store."""
    return [*_METHODS, COPY] if len(stores.files(cloud)) > 1 else _METHODS


class Method(Struct, omit_defaults=True):
    name: str
    uri: str | None = None
    glance_region: str | None = None
    glance_image_id: str | None = None
    glance_service_interface: str = "public"


class Import(Struct):
    """The body of an import."""

    method: Method
    stores: list[str] = []
    all_stores: bool = False
    all_stores_must_succeed: bool = True


def start(tx: Transaction, context: Context, row: ImageRow, asked: Import) -> None:
    method = asked.method
    if method.name not in methods(tx.cloud):
        raise BadRequest(f"Unknown import method name '{method.name[:32]}'.")
    if asked.all_stores and asked.stores:
        raise BadRequest("'stores' and 'all_stores' cannot be used together.")
    if method.name == COPY:
        if not tx.cloud.policy.allows("copy_image", context, row.policy_target):
            raise Forbidden("You are not authorized to complete copy_image action.")
    elif not tx.cloud.policy.allows("modify_image", context, row.policy_target):
        raise Forbidden("You are not authorized to complete modify_image action.")
    wanted = stores.asked(tx.cloud, asked.stores, asked.all_stores)
    if row.status == IMPORTING or row.properties.get(PENDING):
        raise ImageConflict(f"New operation on image '{row.id}' is not permitted as prior operation is still in progress")
    _may(tx, row, method)
    if method.name == COPY:
        if not asked.all_stores and (there := [name for name in wanted if name in stores.names(tx.cloud, row)]):
            raise BadRequest(f"Image is already present at store '{there[0]}'")
        wanted = [name for name in wanted if name not in stores.names(tx.cloud, row)]
        if not wanted:
            return
        limits.check(tx, row.owner, image_size_total=len(wanted) * (row.size or 0) // limits.MIB)
        if (row.size or 0) > uploads.room_for(tx, row, len(wanted)):
            raise TooLarge(f"{len(wanted)} copies of image {row.id} exceed what its owner's quota leaves.")
    elif method.name != "glance-direct":
        limits.check(tx, row.owner, image_count_uploading=1, image_stage_total=0)
    _submit(tx, context, row, ImportArguments(
        image_id=row.id, method=method.name, uri=method.uri, stores=wanted, must_all=asked.all_stores_must_succeed,
        source=method.glance_image_id, refusal=_other(tx, context, row, method) if method.name == "glance-download" else "",
        asked={"image_id": row.id, "import_req": msgspec.to_builtins(asked), "backend": wanted}))


def _may(tx: Transaction, row: ImageRow, method: Method) -> None:
    """Whether the image is in the state that this method starts from."""
    if method.name == COPY:
        if row.status != ACTIVE:
            raise ImageConflict("Only images with status active can be targeted for copying")
        return
    if row.status == ACTIVE:
        raise ImageConflict("Image with status active cannot be target for import")
    for key in ("container_format", "disk_format"):
        if getattr(row, key) is None:
            raise ImageConflict(f"'{key}' needs to be set before import")
    if method.name == "glance-direct" and (row.status != UPLOADING or row.writing is not None):
        raise ImageConflict("Image needs to be staged before 'glance-direct' method can be used")
    if method.name in ("web-download", "glance-download") and row.status != QUEUED:
        raise ImageConflict(f"Image needs to be in 'queued' state to use '{method.name}' method")
    if method.name == "glance-download":
        for key in ("glance_region", "glance_image_id"):
            if not getattr(method, key):
                raise BadRequest(f"'{key}' needs to be set for glance-download import method")
        if not ids.is_uuid(method.glance_image_id or ""):
            raise BadRequest(f"Remote image id does not look like a UUID: {str(method.glance_image_id)[:64]}")
    if method.name == "web-download":
        if not method.uri:
            raise BadRequest("'uri' is required for 'web-download' import method.")
        fetch.check(method.uri, tx.cloud.config.image)


def _other(tx: Transaction, context: Context, row: ImageRow, method: Method) -> str:
    """The image is of the formats of the one whose data it gets; or why that cannot be had, in the task's words: asked now,
    while it is known who asks. The image service of this region is the only one that users' tokens are for."""
    if method.glance_region != tx.cloud.config.api.region or method.glance_service_interface not in (
            "public", "internal", "admin"):
        return f"No image service is known for region {str(method.glance_region)[:64]} and that interface."
    try:
        source = images.get(tx, context, method.glance_image_id or "")
    except NotFound as error:
        return error.message
    if not tx.cloud.policy.allows("download_image", context, source.policy_target):
        return "You are not authorized to complete download_image action."
    if source.status != ACTIVE:
        return f"Image {source.id} has no data to be imported."
    row.disk_format, row.container_format = source.disk_format, source.container_format
    return ""


def _submit(tx: Transaction, context: Context, row: ImageRow, arguments: ImportArguments) -> str:
    if arguments.method != COPY:
        row.status, row.locations = IMPORTING, []
    row.updated_at = clock.now()
    row.properties = {**row.properties, PENDING: ",".join(arguments.stores), FAILED: ""}
    return import_image.submit(tx, arguments, resource=f"image:{row.id}", context=context)


class TaskInput(Struct):
    import_from: str
    image_properties: dict[str, Any]
    import_from_format: str | None = None


class NewTask(Struct):
    """The older way, an administrator's: a task that makes an image and fetches its data."""

    type: Literal["import"]
    input: TaskInput


def start_task(tx: Transaction, context: Context, asked: NewTask) -> TaskRow:
    fetch.check(asked.input.import_from, tx.cloud.config.image)
    row = images.create(tx, context, asked.input.image_properties)
    for key in ("container_format", "disk_format"):
        if getattr(row, key) is None:
            raise BadRequest(f"'{key}' needs to be set before import")
    return task(tx, context, _submit(tx, context, row, ImportArguments(
        image_id=row.id, method="web-download", uri=asked.input.import_from, stores=stores.asked(tx.cloud, [], False),
        asked=msgspec.to_builtins(asked.input), type="import")))


def tasks(tx: Transaction, context: Context, image_id: str | None = None) -> list[TaskRow]:
    """Import tasks, newest first: the caller's project's, or all for an administrator."""
    query = select(TaskRow).where(TaskRow.kind.in_(KINDS)).order_by(TaskRow.seq.desc()).limit(1000)
    if image_id is not None:
        query = query.where(TaskRow.resource == f"image:{image_id}")
    if not context.is_admin:
        query = query.where(TaskRow.project_id == context.project_id)
    return list(tx.execute(query).scalars())


def task(tx: Transaction, context: Context, task_id: str) -> TaskRow:
    row = tx.execute(select(TaskRow).where(TaskRow.id == task_id, TaskRow.kind.in_(KINDS))).scalar_one_or_none()
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise NotFound(f"No task found with ID {task_id[:64]}")
    return row


def state(row: TaskRow) -> tuple[str, Any]:
    """A durable task in Glance's words: its status and message."""
    if row.state == "done":
        return "success", ""
    if row.state == "failed":
        return "failure", (row.fault or {}).get("message", "")
    return ("processing" if row.step_started or row.lease_owner else "pending"), row.waiting_for or ""
