"""The schemas that clients ask for: what an image, a member and a task look like."""

from __future__ import annotations

from typing import Any

from haneul.image.images import CONTAINER_FORMATS, DISK_FORMATS, VISIBILITIES
from haneul.kernel.errors import NotFound
from haneul.kernel.wire.call import Call
from haneul.kernel.wire.routes import Routes

routes = Routes()
_ID = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"


def _key(kind: Any, description: str, *, readonly: bool = False, **more: Any) -> dict[str, Any]:
    return {"type": kind, "description": description, **({"readOnly": True} if readonly else {}), **more}


_TEXT, _NUMBER = ["null", "string"], ["null", "integer"]
_IMAGE: dict[str, Any] = {
    "id": _key("string", "An identifier for the image", pattern=_ID),
    "name": _key(_TEXT, "Descriptive name for the image", maxLength=255),
    "status": _key("string", "Status of the image", readonly=True, enum=[
        "queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated"]),
    "visibility": _key("string", "Scope of image accessibility", enum=list(VISIBILITIES)),
    "protected": _key("boolean", "If true, image will not be deletable."),
    "os_hidden": _key("boolean", "If true, image will not appear in default image list response."),
    "checksum": _key(_TEXT, "md5 hash of image contents.", readonly=True, maxLength=32),
    "os_hash_algo": _key(_TEXT, "Algorithm to calculate the os_hash_value", readonly=True, maxLength=64),
    "os_hash_value": _key(_TEXT, "Hexdigest of the image contents", readonly=True, maxLength=128),
    "owner": _key(_TEXT, "Owner of the image", maxLength=255),
    "size": _key(_NUMBER, "Size of image file in bytes", readonly=True),
    "virtual_size": _key(_NUMBER, "Virtual size of image in bytes", readonly=True),
    "container_format": _key(_TEXT, "Format of the container", enum=[None, *CONTAINER_FORMATS]),
    "disk_format": _key(_TEXT, "Format of the disk", enum=[None, *DISK_FORMATS]),
    "created_at": _key("string", "Date and time of image registration", readonly=True),
    "updated_at": _key("string", "Date and time of the last image modification", readonly=True),
    "tags": _key("array", "List of strings related to the image", items={"type": "string", "maxLength": 255}),
    "min_ram": _key("integer", "Amount of ram (in MB) required to boot image."),
    "min_disk": _key("integer", "Amount of disk space (in GB) required to boot image."),
    "self": _key("string", "An image self url", readonly=True),
    "file": _key("string", "An image file url", readonly=True),
    "schema": _key("string", "An image schema url", readonly=True),
    "stores": _key("string", "Store in which image data resides.", readonly=True),
}
_MEMBER: dict[str, Any] = {
    "member_id": _key("string", "An identifier for the image member (tenantId)"),
    "image_id": _key("string", "An identifier for the image", pattern=_ID),
    "created_at": _key("string", "Date and time of image member creation"),
    "updated_at": _key("string", "Date and time of last modification of image member"),
    "status": _key("string", "The status of this image member", enum=["pending", "accepted", "rejected"]),
    "schema": {"type": "string", "description": "The schema of this image member"},
}
_TASK: dict[str, Any] = {
    "id": _key("string", "An identifier for the task", pattern=_ID),
    "type": _key("string", "The type of task represented by this content", enum=[
        "import", "api_image_import", "location_import"]),
    "status": _key("string", "The current status of this task", enum=["pending", "processing", "success", "failure"]),
    "input": _key(["null", "object"], "The parameters required by task, JSON blob"),
    "result": _key(["null", "object"], "The result of current task, JSON blob"),
    "owner": _key("string", "An identifier for the owner of this task"),
    "message": _key("string", "Human-readable informative message only included when appropriate"),
    "expires_at": _key(_TEXT, "Datetime when this resource would be subject to removal"),
    "created_at": _key("string", "Datetime when this resource was created"),
    "updated_at": _key("string", "Datetime when this resource was updated"),
    "image_id": _key("string", "Image associated with the task"),
    "request_id": _key("string", "Human-readable informative request-id"),
    "user_id": _key("string", "User associated with the task"),
    "self": {"readOnly": True, "type": "string"}, "schema": {"readOnly": True, "type": "string"},
}


def _collection(name: str, of: dict[str, Any], *, paged: bool) -> dict[str, Any]:
    links: dict[str, Any] = {"first": {"type": "string"}, "next": {"type": "string"}} if paged else {}
    pages = [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}] if paged else []
    return {"name": name, "properties": {name: {"type": "array", "items": of}, "schema": {"type": "string"}, **links},
            "links": [*pages, {"rel": "describedby", "href": "{schema}"}]}


_LINKS = [{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"}, {"rel": "describedby", "href": "{schema}"}]
_ONE: dict[str, dict[str, Any]] = {
    "image": {"name": "image", "properties": _IMAGE, "additionalProperties": {"type": "string"}, "links": _LINKS},
    "member": {"name": "member", "properties": _MEMBER}, "task": {"name": "task", "properties": _TASK}}
SCHEMAS = {**_ONE, "images": _collection("images", _ONE["image"], paged=True),
           "members": _collection("members", _ONE["member"], paged=False),
           "tasks": _collection("tasks", _ONE["task"], paged=True)}


@routes.get("/schemas/{name}", rule="image:schemas")
def show(call: Call) -> dict[str, Any]:
    if call.values["name"] not in SCHEMAS:
        raise NotFound()
    return SCHEMAS[call.values["name"]]
