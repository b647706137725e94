"""The rules of images: what may be created, seen, changed and removed, and by whom."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select

from haneul.image import limits, store, stores
from haneul.image.model import ACTIVE, DEACTIVATED, QUEUED, CachedImage, ImageMember, ImageRow, ImageTag
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Conflict, Forbidden, NotFound

DISK_FORMATS = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop")
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
VISIBILITIES = ("community", "public", "private", "shared")
READONLY = frozenset({"created_at", "updated_at", "status", "checksum", "os_hash_algo", "os_hash_value", "size",
                      "virtual_size", "direct_url", "self", "file", "schema", "first", "next", "stores"})
RESERVED = frozenset({"deleted", "deleted_at", "locations", "location"})
CHANGEABLE = ("name", "visibility", "owner", "disk_format", "container_format", "min_disk", "min_ram", "protected",
              "os_hidden")
MOST_PROPERTIES = 128
MOST_TAGS = 128


class ImageNotFound(NotFound):
    def __init__(self, image_id: str) -> None:
        super().__init__(f"No image found with ID {image_id[:64]}")


class ImageConflict(Conflict):
    pass


# ---------------------------------------------------------------- seeing


def visible(context: Context) -> ColumnElement[bool]:
    """Images that the caller may know of by id."""
    if context.is_admin:
        return ImageRow.id.is_not(None)
    return or_(
        ImageRow.visibility.in_(("public", "community")),
        and_(ImageRow.owner.is_not(None), ImageRow.owner == context.project_id),
        and_(ImageRow.visibility == "shared", exists().where(
            ImageMember.image_id == ImageRow.id, ImageMember.member == context.project_id)))


def get(tx: Transaction, context: Context, image_id: str) -> ImageRow:
    """An image that the caller may see. ImageNotFound."""
    row = tx.execute(select(ImageRow).where(ImageRow.id == image_id.lower(), visible(context))).scalar_one_or_none()
    if row is None:
        raise ImageNotFound(image_id)
    return row


def exclusive(tx: Transaction, image_id: str) -> ImageRow | None:
    """The row, held until the transaction ends."""
    return tx.execute(select(ImageRow).where(ImageRow.id == image_id).with_for_update()).scalar_one_or_none()


def tags_of(tx: Transaction, image_ids: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {image_id: [] for image_id in image_ids}
    for image_id, value in tx.execute(select(ImageTag.image_id, ImageTag.value).where(ImageTag.image_id.in_(image_ids))
                                      .order_by(ImageTag.value)):
        found[image_id].append(value)
    return found


# ---------------------------------------------------------------- values


def _integer(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 2147483647:
        raise BadRequest(f"Invalid value for '{key}': it is an integer from 0 to 2147483647.")


def _text(key: str, value: Any, *, null: bool = False, most: int = 255) -> None:
    if value is None and null:
        return
    if not isinstance(value, str) or len(value) > most:
        raise BadRequest(f"Provided object does not match schema 'image': '{key}' is text of at most {most} characters.")


def _choice(key: str, value: Any, choices: tuple[str, ...], *, null: bool = False) -> None:
    if (value is None and null) or value in choices:
        return
    raise BadRequest(f"Provided object does not match schema 'image': {str(value)[:64]!r} is not one of "
                     f"{', '.join(choices)} for '{key}'.")


def check_value(key: str, value: Any) -> None:
    """BadRequest for a value that the image schema does not know."""
    if key in ("min_disk", "min_ram"):
        _integer(key, value)
    elif key in ("protected", "os_hidden"):
        if not isinstance(value, bool):
            raise BadRequest(f"Provided object does not match schema 'image': '{key}' is true or false.")
    elif key == "visibility":
        _choice(key, value, VISIBILITIES)
    elif key == "disk_format":
        _choice(key, value, DISK_FORMATS, null=True)
    elif key == "container_format":
        _choice(key, value, CONTAINER_FORMATS, null=True)
    elif key in ("name", "owner"):
        _text(key, value, null=True)
    else:
        _text("property", key)
        _text(key, value, most=65535)


def check_key(key: str) -> None:
    """Forbidden for what is not the caller's to set."""
    if key in READONLY or key == "id":
        raise Forbidden(f"Attribute '{key}' is read-only.")
    if key in RESERVED or key.startswith("os_glance"):
        raise Forbidden(f"Attribute '{key}' is reserved.")


def check_tags(tags: Any) -> list[str]:
    if not isinstance(tags, list) or not all(isinstance(tag, str) and 0 < len(tag) <= 255 for tag in tags):
        raise BadRequest("Provided object does not match schema 'image': 'tags' is a list of texts of at most 255 characters.")
    if len(set(tags)) > MOST_TAGS:
        raise BadRequest(f"An image has at most {MOST_TAGS} tags.")
    return sorted(set(tags))


def check_visibility(tx: Transaction, context: Context, visibility: str, owner: str | None) -> None:
    rule = {"public": "publicize_image", "community": "communitize_image"}.get(visibility)
    if rule and not tx.cloud.policy.allows(rule, context, {"project_id": owner, "owner": owner}):
        raise Forbidden(f"You are not authorized to complete {rule} action.")


# ---------------------------------------------------------------- creating and removing


def create(tx: Transaction, context: Context, values: dict[str, Any]) -> ImageRow:
    """A queued image of a body's keys; those that are no attributes are its properties."""
    values = dict(values)
    tags = check_tags(values.pop("tags", []))
    image_id = values.pop("id", None)
    if image_id is not None and not (isinstance(image_id, str) and len(image_id) == 36 and ids.is_uuid(image_id)):
        raise BadRequest("Provided object does not match schema 'image': 'id' is a UUID.")
    for key, value in values.items():
        check_key(key)
        check_value(key, value)
    image_id = image_id.lower() if image_id else ids.new()
    owner = values.pop("owner", None) or context.project_id
    if owner != context.project_id and not context.is_admin:
        raise Forbidden(f"You are not permitted to create images owned by '{owner}'.")
    attributes = {key: values.pop(key) for key in CHANGEABLE if key in values}
    if len(values) > MOST_PROPERTIES:
        raise BadRequest(f"An image has at most {MOST_PROPERTIES} properties.")
    check_visibility(tx, context, attributes.get("visibility", "shared"), owner)
    if tx.execute(select(ImageRow.id).where(ImageRow.id == image_id)).first():
        raise Conflict(f"Image ID {image_id} already exists!")
    limits.check(tx, owner, image_count_total=1)
    now = clock.now()
    row = ImageRow(id=image_id, owner=owner, status=QUEUED, properties=values, created_at=now, updated_at=now,
                   **{"visibility": "shared", "min_disk": 0, "min_ram": 0, "protected": False, "os_hidden": False,
                      **attributes})
    tx.add(row)
    tx.flush()
    tx.add_all(ImageTag(image_id=image_id, value=tag) for tag in tags)
    tx.flush()
    return row


def begin(tx: Transaction, context: Context, *, name: str, disk_format: str, container_format: str = "bare",
          visibility: str = "private", min_disk: int = 0, min_ram: int = 0, owner: str | None = None,
          properties: dict[str, str] | None = None, image_id: str | None = None) -> ImageRow:
    """A queued image for data that the cloud itself will bring (`store.write`): snapshots."""
    values: dict[str, Any] = {**(properties or {}), "name": name, "disk_format": disk_format,
                              "container_format": container_format, "visibility": visibility, "min_disk": min_disk,
                              "min_ram": min_ram}
    if image_id is not None:
        values["id"] = image_id
    row = create(tx, context, values)
    if owner is not None:
        row.owner = owner
    return row


def delete_image(tx: Transaction, row: ImageRow) -> None:
    if row.protected:
        raise Forbidden(f"Image {row.id} is protected and cannot be deleted.")
    discard(tx, row.id)


def discard(tx: Transaction, image_id: str) -> None:
    """Row and data gone, protected or not; what is gone already is fine. Data that a crash leaves is swept."""
    cloud = tx.cloud
    tx.execute(delete(ImageTag).where(ImageTag.image_id == image_id))
    tx.execute(delete(ImageMember).where(ImageMember.image_id == image_id))
    tx.execute(delete(ImageRow).where(ImageRow.id == image_id))

    tx.execute(delete(CachedImage).where(CachedImage.image_id == image_id))

    def remove() -> None:
        for name in stores.files(cloud):
            store.path_of(cloud, image_id, name).unlink(missing_ok=True)
        store.staged_path(cloud, image_id).unlink(missing_ok=True)
        (cloud.paths.image_cache / image_id).unlink(missing_ok=True)

    tx.after_commit(remove)


def deactivate(tx: Transaction, row: ImageRow) -> None:
    _turn(row, ACTIVE, DEACTIVATED, "deactivate")


def reactivate(tx: Transaction, row: ImageRow) -> None:
    _turn(row, DEACTIVATED, ACTIVE, "reactivate")


def _turn(row: ImageRow, before: str, after: str, word: str) -> None:
    if row.status not in (before, after):
        raise Forbidden(f"Not allowed to {word} image in status '{row.status}'")
    if row.status == before:
        row.status, row.updated_at = after, clock.now()


def add_tag(tx: Transaction, row: ImageRow, tag: str) -> None:
    check_tags([tag])
    have = tags_of(tx, [row.id])[row.id]
    if tag in have:
        return
    check_tags([*have, tag])
    tx.add(ImageTag(image_id=row.id, value=tag))
    row.updated_at = clock.now()


def remove_tag(tx: Transaction, row: ImageRow, tag: str) -> None:
    gone = tx.execute(delete(ImageTag).where(ImageTag.image_id == row.id, ImageTag.value == tag).returning(ImageTag.value))
    if gone.first() is None:
        raise NotFound(f"No tag {tag[:64]} was found for image {row.id}.")
    row.updated_at = clock.now()


def set_tags(tx: Transaction, row: ImageRow, tags: list[str]) -> None:
    tx.execute(delete(ImageTag).where(ImageTag.image_id == row.id))
    tx.add_all(ImageTag(image_id=row.id, value=tag) for tag in tags)
