"""Import on the wire: methods, stores, the import itself and its tasks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from haneul.image import imports, limits, listing, locations, stores
from haneul.image.api.images import image_of
from haneul.image.imports import Import, NewTask
from haneul.image.locations import NewLocation
from haneul.image.model import ImageRow
from haneul.kernel.clock import iso
from haneul.kernel.cloud import Cloud
from haneul.kernel.config import ImageStore
from haneul.kernel.tasks import TaskRow
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.paging import limit_of
from haneul.kernel.wire.routes import Routes

routes = Routes()
_KEPT = 48 * 3600.0  # seconds that Glance keeps an ended task


@routes.get("/info/import", rule="image:schemas")
def methods(call: Call) -> dict[str, Any]:
    return {"import-methods": {"description": "Import methods available.", "type": "array", "value": imports.methods(call.cloud)}}


@routes.get("/info/stores", rule="image:schemas")
def index_stores(call: Call) -> dict[str, Any]:
    return {"stores": [_store(call.cloud, name, store) for name, store in stores.all_of(call.cloud).items()]}


@routes.get("/info/stores/detail", rule="stores_info_detail")
def store_details(call: Call) -> dict[str, Any]:
    def properties(name: str, store: ImageStore) -> dict[str, Any]:
        if store.driver != "file":
            return {}
        return {"data_dir": str(stores.folder(call.cloud, name)), "chunk_size": 65536, "thin_provisioning": False}

    return {"stores": [{**_store(call.cloud, name, store), "type": store.driver, "weight": store.weight,
                        "properties": properties(name, store)} for name, store in stores.all_of(call.cloud).items()]}


def _store(cloud: Cloud, name: str, store: ImageStore) -> dict[str, Any]:
    shown = {"id": name, "description": store.description} if store.description else {"id": name}
    if name == stores.default(cloud):
        shown["default"] = "true"
    if store.driver != "file":
        shown["read-only"] = "true"
    return shown


@routes.get("/info/usage", rule="image:schemas")
def usage(call: Call) -> dict[str, Any]:
    return {"usage": limits.usage(call.tx, call.context.project_id) if call.context.project_id else {}}


@routes.post("/images/{image_id}/import", rule="upload_image", target=image_of, body=Import, status=202)
def start(call: Call, row: ImageRow, body: Import) -> None:
    imports.start(call.tx, call.context, row, body)


@routes.delete("/stores/{store}/{image_id}", rule="delete_image_location", target=image_of)
def remove_from_store(call: Call, row: ImageRow) -> None:
    locations.remove_from_store(call.tx, call.context, row, call.values["store"])


@routes.get("/images/{image_id}/locations", rule="fetch_image_location", target=image_of)
def show_locations(call: Call, row: ImageRow) -> list[dict[str, Any]]:
    return locations.shown(call.tx, row)


@routes.post("/images/{image_id}/locations", rule="add_image_location", target=image_of, body=NewLocation, status=202)
def add_location(call: Call, row: ImageRow, body: NewLocation) -> None:
    locations.add(call.tx, call.context, row, body)


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else iso(datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None))


def _plain(row: TaskRow) -> dict[str, Any]:
    status, _ = imports.state(row)
    return {"id": row.id, "type": row.arguments.get("type", imports.KINDS[row.kind]), "status": status, "owner": row.project_id,
            "created_at": _moment(row.created), "updated_at": _moment(row.finished or row.step_started or row.created)}


def _whole(row: TaskRow) -> dict[str, Any]:
    status, message = imports.state(row)
    image_id = row.arguments["image_id"]
    return {**_plain(row), "input": row.arguments.get("asked", {}), "message": message, "image_id": image_id,
            "result": {"image_id": image_id} if status == "success" else None, "user_id": row.user_id,
            "request_id": row.request_id}


def view(row: TaskRow, *, whole: bool = False) -> dict[str, Any]:
    expires = {"expires_at": _moment(row.finished + _KEPT)} if row.finished else {}
    return {**(_whole(row) if whole else _plain(row)), **expires, "self": f"/v2/tasks/{row.id}", "schema": "/v2/schemas/task"}


@routes.get("/images/{image_id}/tasks", rule="get_image", target=image_of)
def tasks_of(call: Call, row: ImageRow) -> dict[str, Any]:
    """As Glance keeps them, without links."""
    return {"tasks": [{**_whole(found), "expires_at": _moment(found.finished + _KEPT) if found.finished else None,
                       "deleted": False, "deleted_at": None} for found in imports.tasks(call.tx, call.context, row.id)]}


@routes.get("/tasks", rule="get_tasks")
def index(call: Call) -> dict[str, Any]:
    wanted = {key: call.argument(key) for key in ("status", "type")}
    found = [task for task in (view(row) for row in imports.tasks(call.tx, call.context))
             if all(not value or task[key] == value for key, value in wanted.items())]
    if (marker := call.argument("marker")) is not None:
        imports.task(call.tx, call.context, marker)
        places = [place for place, task in enumerate(found) if task["id"] == marker]
        found = found[places[0] + 1:] if places else []
    limit = limit_of(call, default=listing.DEFAULT_PAGE)
    kept = [(key, value) for key, value in call.query if key != "marker"]
    answer: dict[str, Any] = {"tasks": found[:limit], "first": "/v2/tasks" + (f"?{urlencode(kept)}" if kept else ""),
                              "schema": "/v2/schemas/tasks"}
    if len(found) > limit > 0:
        answer["next"] = "/v2/tasks?" + urlencode([*kept, ("marker", found[limit - 1]["id"])])
    return answer


@routes.post("/tasks", rule="tasks_api_access", body=NewTask, status=201)
def create(call: Call, body: NewTask) -> Reply:
    row = imports.start_task(call.tx, call.context, body)
    return Reply(view(row, whole=True), headers={"Location": f"/v2/tasks/{row.id}"})


@routes.get("/tasks/{task_id}", rule="get_task", target=lambda call: imports.task(call.tx, call.context, call.values["task_id"]))
def show(call: Call, row: TaskRow) -> dict[str, Any]:
    return view(row, whole=True)
