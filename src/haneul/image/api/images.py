"""Images on the wire: create, show, list, change, remove, activate, tag."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from haneul.image import images, imports, listing, locations, patching, stores
from haneul.image.model import ImageRow
from haneul.kernel import clock
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.paging import limit_of
from haneul.kernel.wire.routes import Routes

routes = Routes()


def image_of(call: Call) -> ImageRow:
    return images.get(call.tx, call.context, call.values["image_id"])


def view(call: Call, row: ImageRow, tags: list[str]) -> dict[str, Any]:
    """An image as Glance shows it: its properties beside the fixed keys."""
    shown: dict[str, Any] = dict(row.properties)
    shown.update(
        id=row.id, name=row.name, status=row.status, visibility=row.visibility, owner=row.owner, size=row.size,
        virtual_size=row.virtual_size, checksum=row.checksum, os_hash_algo=row.os_hash_algo, os_hash_value=row.os_hash_value,
        disk_format=row.disk_format, container_format=row.container_format, min_disk=row.min_disk, min_ram=row.min_ram,
        protected=row.protected, os_hidden=row.os_hidden, created_at=clock.iso(row.created_at),
        updated_at=clock.iso(row.updated_at), tags=tags, self=f"/v2/images/{row.id}", file=f"/v2/images/{row.id}/file",
        schema="/v2/schemas/image")
    if row.locations:
        shown["stores"] = ",".join(stores.names(call.cloud, row))
    if call.cloud.config.image.show_multiple_locations:
        seen = call.allows("get_image_location", row.policy_target)
        shown["locations"] = locations.shown(call.tx, row) if seen else []
    return shown


def _shown(call: Call, row: ImageRow) -> dict[str, Any]:
    return view(call, row, images.tags_of(call.tx, [row.id])[row.id])


@routes.post("/images", rule="add_image", body=dict[str, Any], status=201)
def create(call: Call, body: dict[str, Any]) -> Reply:
    row = images.create(call.tx, call.context, body)
    return Reply(_shown(call, row), headers={
        "Location": f"{call.base_url}/images/{row.id}", "OpenStack-image-import-methods": ",".join(imports.methods(call.cloud)),
        "OpenStack-image-store-ids": ",".join(stores.all_of(call.cloud))})


@routes.get("/images", rule="get_images")
def index(call: Call) -> dict[str, Any]:
    if call.path.endswith("/"):
        raise images.ImageNotFound("")  # an image whose id is empty, as Glance sees it
    limit = limit_of(call, default=listing.DEFAULT_PAGE)
    rows = listing.page(call.tx, call.context, call, limit) if limit else []
    shown = rows[:limit]
    tags = images.tags_of(call.tx, [row.id for row in shown]) if shown else {}
    kept = [(key, value) for key, value in call.query if key != "marker"]
    answer: dict[str, Any] = {"images": [view(call, row, tags[row.id]) for row in shown], "schema": "/v2/schemas/images",
                              "first": "/v2/images" + (f"?{urlencode(kept)}" if kept else "")}
    if len(rows) > limit:
        answer["next"] = "/v2/images?" + urlencode([*kept, ("marker", shown[-1].id)])
    return answer


@routes.delete("/images", rule="get_images")
def remove_nothing(call: Call) -> None:
    raise images.ImageNotFound("")


@routes.get("/images/{image_id}", rule="get_image", target=image_of)
def show(call: Call, row: ImageRow) -> dict[str, Any]:
    return _shown(call, row)


@routes.patch("/images/{image_id}", rule="modify_image", target=image_of, body=Any)
def change(call: Call, row: ImageRow, body: Any) -> dict[str, Any]:
    operations = patching.parse(call.headers.get("content-type", ""), body)
    patching.apply(call.tx, call.context, row, operations)
    return _shown(call, row)


@routes.delete("/images/{image_id}", rule="delete_image", target=image_of)
def remove(call: Call, row: ImageRow) -> None:
    images.delete_image(call.tx, row)


@routes.post("/images/{image_id}/actions/deactivate", rule="deactivate", target=image_of, status=204)
def deactivate(call: Call, row: ImageRow) -> None:
    images.deactivate(call.tx, row)


@routes.post("/images/{image_id}/actions/reactivate", rule="reactivate", target=image_of, status=204)
def reactivate(call: Call, row: ImageRow) -> None:
    images.reactivate(call.tx, row)


@routes.put("/images/{image_id}/tags/{tag}", rule="modify_image", target=image_of, status=204)
def add_tag(call: Call, row: ImageRow) -> None:
    images.add_tag(call.tx, row, call.values["tag"])


@routes.delete("/images/{image_id}/tags/{tag}", rule="modify_image", target=image_of)
def remove_tag(call: Call, row: ImageRow) -> None:
    images.remove_tag(call.tx, row, call.values["tag"])


