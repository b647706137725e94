"""/volumes/{volume_id}/metadata and the actions on image metadata."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from haneul.kernel import clock
from haneul.kernel.errors import BadRequest, NotFound
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.volume.api.shapes import Body, Metadata
from haneul.volume.api.volumes import target
from haneul.volume.model import VolumeRow

routes = Routes()
_ALL, _ONE, _ACTION = "/volumes/{volume_id}/metadata", "/volumes/{volume_id}/metadata/{key}", "/volumes/{volume_id}/action"
_IMAGE = "volume_extension:volume_image_metadata:"
Key = Annotated[str, Meta(min_length=1, max_length=255)]
ImageMetadata = dict[Key, Annotated[str, Meta(max_length=255)]]


class Whole(Body):
    metadata: Metadata


class Item(Body):
    meta: Metadata


class SetImage(Body):
    metadata: ImageMetadata


class UnsetImage(Body):
    key: Key


def _missing(row: VolumeRow, key: str) -> NotFound:
    return NotFound(f"Volume {row.id} has no metadata with key {key[:255]}.")


def _put(row: VolumeRow, metadata: dict[str, str]) -> dict[str, str]:
    row.meta, row.updated_at = metadata, clock.now()
    return metadata


@routes.get(_ALL, rule="volume:get_volume_metadata", target=target)
def index(call: Call, row: VolumeRow) -> dict[str, Any]:
    return {"metadata": row.meta}


@routes.post(_ALL, rule="volume:create_volume_metadata", target=target, body=Whole)
def create(call: Call, row: VolumeRow, body: Whole) -> dict[str, Any]:
    """Adds to what there is, and answers what was added."""
    _put(row, {**row.meta, **body.metadata})
    return {"metadata": body.metadata}


@routes.put(_ALL, rule="volume:update_volume_metadata", target=target, body=Whole)
def replace(call: Call, row: VolumeRow, body: Whole) -> dict[str, Any]:
    return {"metadata": _put(row, body.metadata)}


@routes.get(_ONE, rule="volume:get_volume_metadata", target=target)
def show(call: Call, row: VolumeRow) -> dict[str, Any]:
    key = call.values["key"]
    if key not in row.meta:
        raise _missing(row, key)
    return {"meta": {key: row.meta[key]}}


@routes.put(_ONE, rule="volume:update_volume_metadata", target=target, body=Item)
def update(call: Call, row: VolumeRow, body: Item) -> dict[str, Any]:
    key = call.values["key"]
    if key not in body.meta:
        raise BadRequest("Request body and URI mismatch")
    if len(body.meta) > 1:
        raise BadRequest("Request body contains too many items")
    _put(row, {**row.meta, **body.meta})
    return {"meta": body.meta}


@routes.delete(_ONE, rule="volume:delete_volume_metadata", target=target, status=200)
def delete(call: Call, row: VolumeRow) -> Reply:
    key = call.values["key"]
    if key not in row.meta:
        raise _missing(row, key)
    _put(row, {name: value for name, value in row.meta.items() if name != key})
    return Reply(status=200)


# ---------------------------------------------------------------- volume_image_metadata


@routes.action(_ACTION, "os-show_image_metadata", rule=_IMAGE + "show", target=target, status=200)
def show_image(call: Call, row: VolumeRow) -> dict[str, Any]:
    return {"metadata": row.image}


@routes.action(_ACTION, "os-set_image_metadata", rule=_IMAGE + "set", target=target, body=SetImage, status=200)
def set_image(call: Call, row: VolumeRow, body: SetImage) -> dict[str, Any]:
    row.image, row.updated_at = {**row.image, **body.metadata}, clock.now()
    return {"metadata": row.image}


@routes.action(_ACTION, "os-unset_image_metadata", rule=_IMAGE + "remove", target=target, body=UnsetImage, status=200)
def unset_image(call: Call, row: VolumeRow, body: UnsetImage) -> Reply:
    if body.key not in row.image:
        raise NotFound("Metadata item was not found")
    row.image, row.updated_at = {key: value for key, value in row.image.items() if key != body.key}, clock.now()
    return Reply(status=200)
