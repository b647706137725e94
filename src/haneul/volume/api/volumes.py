"""/volumes: create, list, show, update, delete."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from sqlalchemy import ColumnElement, and_, false, func, or_, select

from haneul.image import images
from haneul.kernel import clock, ids
from haneul.kernel.errors import BadRequest, Forbidden, NotFound
from haneul.kernel.wire import paging
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes
from haneul.volume import backups, snapshots, volumes
from haneul.volume.api import lists, shapes, volume_views
from haneul.volume.api.shapes import Body, Description, LooseMetadata, Name
from haneul.volume.api.volume_views import VOLUMES
from haneul.volume.model import VolumeRow
from haneul.volume.problems import GroupNotFound, VolumeNotFound

routes = Routes()
FILTERS = {"name": VOLUMES.c.name, "display_name": VOLUMES.c.name, "status": VOLUMES.c.status,
           "migration_status": VOLUMES.c.migration_status, "availability_zone": VOLUMES.c.availability_zone,
           "group_id": VOLUMES.c.group_id, "description": VOLUMES.c.description, "source_volid": VOLUMES.c.source_volid,
           "user_id": VOLUMES.c.user_id}
SPECIAL = frozenset({"metadata", "bootable", "created_at", "updated_at", "glance_metadata", "host", "size", "id", "encrypted",
                     "volume_type_id"})
SORTABLE = {"id": VOLUMES.c.id, "status": VOLUMES.c.status, "size": VOLUMES.c.size,
            "availability_zone": VOLUMES.c.availability_zone, "name": VOLUMES.c.name, "display_name": VOLUMES.c.name,
            "created_at": VOLUMES.c.created_at, "updated_at": VOLUMES.c.updated_at, "bootable": VOLUMES.c.bootable,
            "host": VOLUMES.c.host, "project_id": VOLUMES.c.project_id, "volume_type_id": VOLUMES.c.type_id,
            "launched_at": VOLUMES.c.launched_at, "group_id": VOLUMES.c.group_id}
_COMPARE = {"gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__", "eq": "__eq__", "neq": "__ne__"}
Size = Annotated[int, Meta(ge=1, le=2**31 - 1)] | Annotated[str, Meta(max_length=10, pattern="^[0-9]+$")] | None
Reference = Annotated[str, Meta(max_length=36)] | None


class NewVolume(Struct, kw_only=True):
    """Cinder ignores keys that it does not know here."""

    name: Name = None
    description: Description = None
    display_name: Name = None
    display_description: Description = None
    size: Size = None
    volume_type: Annotated[str, Meta(max_length=255)] | None = None
    metadata: LooseMetadata = None
    snapshot_id: Reference = None
    source_volid: Reference = None
    consistencygroup_id: Reference = None
    availability_zone: Annotated[str, Meta(max_length=255)] | None = None
    imageRef: Annotated[str, Meta(max_length=255)] | None = None
    image_id: Annotated[str, Meta(max_length=255)] | None = None
    multiattach: bool | str | None = None


class NewVolume13(NewVolume, kw_only=True):
    group_id: Reference = None


class NewVolume47(NewVolume13, kw_only=True):
    backup_id: Reference = None


class Create(Body):
    volume: NewVolume
    hints: dict[str, Any] | None = msgspec.field(default=None, name="OS-SCH-HNT:scheduler_hints")


class Create13(Body):
    volume: NewVolume13
    hints: dict[str, Any] | None = msgspec.field(default=None, name="OS-SCH-HNT:scheduler_hints")


class Create47(Body):
    volume: NewVolume47
    hints: dict[str, Any] | None = msgspec.field(default=None, name="OS-SCH-HNT:scheduler_hints")


class Change(Body):
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    display_name: Name | UnsetType = UNSET
    display_description: Description | UnsetType = UNSET
    metadata: LooseMetadata | UnsetType = UNSET


class Update(Body):
    volume: Change


def target(call: Call) -> VolumeRow:
    return volumes.get(call.tx, call.context, call.values["volume_id"])


# ---------------------------------------------------------------- create


@routes.post("/volumes", rule="volume:create", status=202,
             body=[((3, 0), Create), ((3, 13), Create13), ((3, 47), Create47)])
def create(call: Call, body: Create) -> dict[str, Any]:
    new = body.volume
    image_id = new.imageRef if new.imageRef is not None else new.image_id
    if image_id and not call.allows("volume:create_from_image"):
        raise Forbidden("Policy doesn't allow volume:create_from_image to be performed.")
    if new.multiattach not in (None, False) and shapes.truth(new.multiattach):
        raise BadRequest("multiattach parameter has been removed. The default behavior is to use multiattach enabled volume "
                         "types. Contact your administrator to create a multiattach enabled volume type and use it to "
                         "create multiattach volumes.")
    if new.consistencygroup_id:
        raise GroupNotFound(new.consistencygroup_id)
    image_id, snapshot_id = _image(image_id), _reference(new, "snapshot_id")
    if image_id is not None and snapshot_id is None and call.version >= (3, 46):
        snapshot_id = _snapshot_behind(call, image_id)
        image_id = image_id if snapshot_id is None else None
    row = volumes.create(call.tx, call.context, volumes.Wish(
        size=_size(new), name=shapes.stripped(new.display_name if new.display_name is not None else new.name),
        description=shapes.stripped(
            new.display_description if new.display_description is not None else new.description),
        type_id=new.volume_type or None, image_id=image_id, snapshot_id=snapshot_id,
        source_volid=_reference(new, "source_volid"), backup_id=_reference(new, "backup_id"),
        group_id=_reference(new, "group_id"), availability_zone=new.availability_zone,
        metadata=shapes.texts(new.metadata), hints=body.hints or {}))
    if row.backup_id is not None:
        backups.bring(call.tx, call.context, backups.get(call.tx, call.context, row.backup_id), row)
    return {"volume": volume_views.made(call, row)}


def _size(new: NewVolume) -> int | None:
    sources = (new.snapshot_id, new.source_volid, getattr(new, "backup_id", None))
    if new.size is None and not any(sources):
        raise BadRequest("Invalid input received: Volume size must be given: 'size' is a required property")
    size = None if new.size is None else int(new.size)
    if size is not None and not 1 <= size <= 2**31 - 1:
        raise BadRequest(f"Invalid input for field/attribute size. Value: {size}. It must be an integer greater than 0.")
    return size


def _image(reference: str | None) -> str | None:
    """An id, or a URL that ends with one."""
    if not reference:
        return None
    image_id = reference.rsplit("/", 1)[-1]
    if not ids.is_uuid(image_id):
        raise BadRequest("Invalid image identifier or unable to access requested image.")
    return image_id


def _snapshot_behind(call: Call, image_id: str) -> str | None:
    """The boot volume's snapshot that an image of a volume-backed server says of: the image has no data of its own."""
    try:
        told = images.get(call.tx, call.context, image_id).properties.get("block_device_mapping")
        mappings = msgspec.json.decode(told, type=list[dict[str, Any]]) if told else []
    except (NotFound, msgspec.DecodeError):  # the first is said by whoever reads the image
        return None
    for one in mappings:
        if one.get("source_type") == "snapshot" and one.get("boot_index") == 0:
            try:
                return snapshots.get(call.tx, call.context, str(one.get("snapshot_id"))).id
            except NotFound:
                raise NotFound("Nova specific image is found, but boot volume snapshot id:"
                               f"{str(one.get('snapshot_id'))[:64]} not found.")
    return None


def _reference(new: NewVolume, name: str) -> str | None:
    value = getattr(new, name, None)
    return shapes.uuid(value, name) if value else None


# ---------------------------------------------------------------- list


@routes.get("/volumes", rule="volume:get_all")
def index(call: Call) -> dict[str, Any]:
    if call.path.endswith("/"):  # a volume whose id is empty, as Cinder sees it
        raise VolumeNotFound("")
    listing = _listing(call)
    rows = list(call.tx.core(lists.page(volume_views.BRIEF, SORTABLE, listing)))
    sight = volume_views.Sight.of(call)
    return {"volumes": [volume_views.brief(sight, row) for row in rows], **lists.links(call, rows, listing, "volumes_links"),
            **lists.count(call, VOLUMES, listing)}


@routes.get("/volumes/detail", rule="volume:get_all")
def detail(call: Call) -> dict[str, Any]:
    listing = _listing(call)
    rows = list(call.tx.core(lists.page(volume_views.DETAILS, SORTABLE, listing)))
    return {"volumes": volume_views.many(call, rows), **lists.links(call, rows, listing, "volumes_links"),
            **lists.count(call, VOLUMES, listing)}


def _listing(call: Call) -> lists.Listing:
    where = [*lists.owned(call, VOLUMES), *lists.filters(call, "volume", FILTERS, SPECIAL),
             *lists.metadata(call, VOLUMES.c["metadata"]), *_special(call)]
    return lists.of(call, VOLUMES, sortable=SORTABLE, unique="id", where=where, missing=VolumeNotFound)


def _special(call: Call) -> list[ColumnElement[bool]]:
    """Filters whose values are not simply text."""
    found: list[ColumnElement[bool]] = []
    for key, value in call.query:
        if key in ("bootable", "encrypted"):
            found.append(VOLUMES.c[key].is_(paging.flag(value, key)))
        elif key == "size":
            found.append(VOLUMES.c.size == int(value) if value.isascii() and value.isdigit() and len(value) < 10 else false())
        elif key == "id":
            found.append(VOLUMES.c.id == value)
        elif key == "volume_type_id":
            found.append(VOLUMES.c.type_id == value)
        elif key in ("created_at", "updated_at"):
            found += _moments(key, value)
        elif key == "glance_metadata" and call.version >= (3, 4):
            wanted = lists.mapping(value)
            found.append(and_(True, *(VOLUMES.c.image[name].as_string() == text for name, text in wanted.items())))
        elif key == "host" and call.context.is_admin:
            found.append(or_(VOLUMES.c.host == value, VOLUMES.c.host.startswith(value + "#", autoescape=True),
                             VOLUMES.c.host.startswith(value + "@", autoescape=True)))
    return found


def _moments(key: str, value: str) -> list[ColumnElement[bool]]:
    """`gt:2026-01-01T00:00:00,lt:…`, or one moment."""
    found: list[ColumnElement[bool]] = []
    for part in value.split(","):
        sign, _, text = part.partition(":")
        if sign not in _COMPARE:
            sign, text = "eq", part
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            raise BadRequest(f"Invalid input received: {key} has an invalid time: {text[:64]}")
        moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        found.append(getattr(VOLUMES.c[key], _COMPARE[sign])(moment))
    return found


@routes.get("/volumes/summary", rule="volume:get_all", minimum=(3, 12))
def summary(call: Call) -> dict[str, Any]:
    where = lists.owned(call, VOLUMES)
    count, size = call.tx.core(select(func.count(), func.coalesce(func.sum(VOLUMES.c.size), 0)).where(*where)).one()
    found: dict[str, Any] = {"total_count": int(count), "total_size": int(size)}
    if call.version >= (3, 36):
        values: dict[str, list[str]] = {}
        for (metadata,) in call.tx.core(select(VOLUMES.c["metadata"]).where(*where)):
            for key, value in metadata.items():
                if value not in values.setdefault(key, []):
                    values[key].append(value)
        found["metadata"] = values
    return {"volume-summary": found}


# ---------------------------------------------------------------- one


@routes.get("/volumes/{volume_id}", rule="volume:get", target=target)
def show(call: Call, row: VolumeRow) -> dict[str, Any]:
    return {"volume": volume_views.one(call, row.id, whole=True)}


@routes.put("/volumes/{volume_id}", rule="volume:update", target=target, body=Update)
def update(call: Call, row: VolumeRow, body: Update) -> dict[str, Any]:
    change = body.volume
    name = change.display_name if change.display_name is not UNSET else change.name
    description = change.display_description if change.display_description is not UNSET else change.description
    if name is not UNSET:
        row.name = shapes.stripped(name)
    if description is not UNSET:
        row.description = shapes.stripped(description)
    if change.metadata is not UNSET:
        row.meta = shapes.texts(change.metadata)
    row.updated_at = clock.now()
    return {"volume": volume_views.one(call, row.id, whole=False)}


@routes.delete("/volumes/{volume_id}", rule="volume:delete", target=target, status=202)
def delete(call: Call, row: VolumeRow) -> Reply:
    cascade = paging.flag(call.argument("cascade") or "false", "cascade")
    force = call.version >= (3, 23) and paging.flag(call.argument("force") or "false", "force")
    if force and not call.allows("volume:force_delete", row.policy_target):
        raise Forbidden("Policy doesn't allow volume:force_delete to be performed.")
    volumes.delete(call.tx, call.context, row, force=force, cascade=cascade)
    return Reply(status=202)
