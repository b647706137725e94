"""Interoperable import: what may be imported how. The work itself is a durable task."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import select

from haneul.image import fetch, images
from haneul.image.images import ImageConflict
from haneul.image.model import IMPORTING, QUEUED, UPLOADING, ImageRow
from haneul.image.tasks.importing import ImportArguments, import_image
from haneul.kernel import clock
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.tasks import TaskRow

METHODS = ("glance-direct", "web-download")
STORES = ("file",)


class Method(Struct):
    name: str
    uri: str | None = None


class Import(Struct):
    """The body of an import; the store is `file`, whichever way it is asked for."""

    method: Method
    stores: list[str] = []
    all_stores: bool = False
    all_stores_must_succeed: bool = True


def start(tx: Transaction, context: Context, row: ImageRow, asked: Import) -> None:
    method = asked.method
    if method.name not in METHODS:
        raise BadRequest(f"Unknown import method name '{method.name[:32]}'.")
    if asked.all_stores and asked.stores:
        raise BadRequest("'stores' and 'all_stores' cannot be used together.")
    if unknown := [store for store in asked.stores if store not in STORES]:
        raise ImageConflict(f"Store for image_id {row.id} not found: {unknown[0][:64]}")
    if row.status == IMPORTING:
        raise ImageConflict("Import operation is in progress for the image.")
    for key in ("container_format", "disk_format"):
        if getattr(row, key) is None:
            raise ImageConflict(f"'{key}' needs to be set before import")
    if method.name == "glance-direct" and (row.status != UPLOADING or row.writing is not None):
        raise ImageConflict("Image needs to be staged before 'glance-direct' method can be used")
    if method.name == "web-download":
        if row.status != QUEUED:
            raise ImageConflict("Image needs to be in 'queued' state to use 'web-download' method")
        if not method.uri:
            raise BadRequest("'uri' is required for 'web-download' import method.")
        fetch.check(method.uri, tx.cloud.config.image)
    _submit(tx, context, row, method)


def _submit(tx: Transaction, context: Context, row: ImageRow, method: Method) -> str:
    row.status, row.updated_at = IMPORTING, clock.now()
    row.properties = {**row.properties, "os_glance_importing_to_stores": "file", "os_glance_failed_import": ""}
    return import_image.submit(tx, ImportArguments(image_id=row.id, method=method.name, uri=method.uri),
                               resource=f"image:{row.id}", context=context)


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
    return task(tx, context, _submit(tx, context, row, Method("web-download", asked.input.import_from)))


def tasks(tx: Transaction, context: Context, image_id: str | None = None) -> list[TaskRow]:
    """Import tasks, newest first: the caller's project's, or all for an administrator."""
    query = select(TaskRow).where(TaskRow.kind == import_image.kind).order_by(TaskRow.seq.desc()).limit(1000)
    if image_id is not None:
        query = query.where(TaskRow.resource == f"image:{image_id}")
    if not context.is_admin:
        query = query.where(TaskRow.project_id == context.project_id)
    return list(tx.execute(query).scalars())


def task(tx: Transaction, context: Context, task_id: str) -> TaskRow:
    row = tx.execute(select(TaskRow).where(TaskRow.id == task_id, TaskRow.kind == import_image.kind)).scalar_one_or_none()
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
