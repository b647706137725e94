"""/images below 2.36 and their metadata below 2.39: the image room's images as Nova shows them.

Who may is the image room's to say, by its own rules.
"""

from __future__ import annotations

from typing import Any

from haneul.compute.api import shapes
from haneul.compute.api.shapes import Body, Metadata
from haneul.compute.problems import TooMany
from haneul.image import images, listing, patching
from haneul.image.model import ImageRow
from haneul.image.patching import Operation
from haneul.kernel import clock
from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
LAST = (2, 35)
LAST_METADATA = (2, 38)
_FILTERS = {"name": "name", "status": "status", "changes-since": "updated_at", "server": "instance_uuid",
            "type": "image_type", "minRam": "min_ram", "minDisk": "min_disk"}
_STATUS = {"active": "ACTIVE", "queued": "SAVING", "saving": "SAVING", "uploading": "SAVING", "importing": "SAVING"}
_PROGRESS = {"active": 100, "queued": 25, "saving": 50}


class Items(Body):
    metadata: Metadata


class Item(Body):
    meta: Metadata


def _image(call: Call) -> ImageRow:
    try:
        return images.get(call.tx, call.context, call.values["image_id"])
    except NotFound:
        raise NotFound("Image not found.") from None


def _brief(call: Call, row: ImageRow) -> dict[str, Any]:
    alternate = {"rel": "alternate", "type": "application/vnd.openstack.image",
                 "href": f"{call.cloud.url}/image/v2/images/{row.id}"}
    return {"id": row.id, "name": row.name, "links": [*shapes.links(call, "images", row.id), alternate]}


def _detail(call: Call, row: ImageRow) -> dict[str, Any]:
    found = {**_brief(call, row), "status": _STATUS.get(row.status, "UNKNOWN"), "progress": _PROGRESS.get(row.status, 0),
             "created": clock.iso(row.created_at), "updated": clock.iso(row.updated_at), "minDisk": row.min_disk,
             "minRam": row.min_ram, "metadata": row.properties, "OS-EXT-IMG-SIZE:size": row.size}
    server = row.properties.get("instance_uuid")
    if server is not None:
        found["server"] = {"id": server, "links": shapes.links(call, "servers", server)}
    auto = row.properties.get("auto_disk_config")
    if auto is not None:
        found["OS-DCF:diskConfig"] = "AUTO" if auto.strip().lower() in ("1", "t", "true", "on", "y", "yes") else "MANUAL"
    return found


# ---------------------------------------------------------------- images


def _list(call: Call, *, detailed: bool) -> dict[str, Any]:
    limit = paging.limit_of(call)
    rows = listing.found(call.tx, call.context, _asked(call), limit) if limit else []
    found: dict[str, Any] = {"images": [_detail(call, row) if detailed else _brief(call, row) for row in rows]}
    more = shapes.next_links(call, len(rows), limit, rows[-1].id if rows else "") if call.argument("limit") else []
    if more:
        found["images_links"] = more
    return found


def _asked(call: Call) -> list[tuple[str, str]]:
    """Nova's filters as Glance's; a server may be given by any of its links."""
    asked = []
    for key, value in call.query:
        if key == "marker":
            asked.append((key, value))
        elif key in _FILTERS or key.startswith("property-"):
            value = {"status": value.lower(), "changes-since": f"gte:{value}", "server": value.rpartition("/")[2]}.get(key, value)
            asked.append((_FILTERS.get(key) or key.removeprefix("property-"), value))
    return asked


@routes.get("/images", rule="get_images", maximum=LAST)
def index(call: Call) -> dict[str, Any]:
    return _list(call, detailed=False)


@routes.get("/images/detail", rule="get_images", maximum=LAST)
def detail(call: Call) -> dict[str, Any]:
    return _list(call, detailed=True)


@routes.get("/images/{image_id}", rule="get_image", maximum=LAST, target=_image)
def show(call: Call, row: ImageRow) -> dict[str, Any]:
    return {"image": _detail(call, row)}


@routes.delete("/images/{image_id}", rule="delete_image", maximum=LAST, target=_image)
def delete(call: Call, row: ImageRow) -> None:
    images.delete_image(call.tx, row)


# ---------------------------------------------------------------- metadata


def _set(call: Call, row: ImageRow, wanted: dict[str, str]) -> dict[str, str]:
    """Makes the image's properties be `wanted`."""
    if len(wanted) > images.MOST_PROPERTIES:
        raise TooMany("Image metadata limit exceeded")
    gone = [Operation("remove", key) for key in row.properties if key not in wanted]
    changed = [Operation("add", key, value) for key, value in wanted.items() if row.properties.get(key) != value]
    patching.apply(call.tx, call.context, row, [*gone, *changed])
    return row.properties


def _has(call: Call, row: ImageRow) -> str:
    key = call.values["key"]
    if key not in row.properties:
        raise NotFound("Metadata item was not found")
    return key


@routes.get("/images/{image_id}/metadata", rule="get_image", maximum=LAST_METADATA, target=_image)
def metadata(call: Call, row: ImageRow) -> dict[str, Any]:
    return {"metadata": row.properties}


@routes.post("/images/{image_id}/metadata", rule="modify_image", maximum=LAST_METADATA, target=_image, body=Items)
def merge_metadata(call: Call, row: ImageRow, body: Items) -> dict[str, Any]:
    return {"metadata": _set(call, row, {**row.properties, **body.metadata})}


@routes.put("/images/{image_id}/metadata", rule="modify_image", maximum=LAST_METADATA, target=_image, body=Items)
def replace_metadata(call: Call, row: ImageRow, body: Items) -> dict[str, Any]:
    return {"metadata": _set(call, row, body.metadata)}


@routes.get("/images/{image_id}/metadata/{key}", rule="get_image", maximum=LAST_METADATA, target=_image)
def item(call: Call, row: ImageRow) -> dict[str, Any]:
    key = _has(call, row)
    return {"meta": {key: row.properties[key]}}


@routes.put("/images/{image_id}/metadata/{key}", rule="modify_image", maximum=LAST_METADATA, target=_image, body=Item)
def set_item(call: Call, row: ImageRow, body: Item) -> dict[str, Any]:
    if list(body.meta) != [call.values["key"]]:
        raise BadRequest("Request body and URI mismatch")
    _set(call, row, {**row.properties, **body.meta})
    return {"meta": body.meta}


@routes.delete("/images/{image_id}/metadata/{key}", rule="modify_image", maximum=LAST_METADATA, target=_image)
def delete_item(call: Call, row: ImageRow) -> None:
    key = _has(call, row)
    _set(call, row, {name: value for name, value in row.properties.items() if name != key})
