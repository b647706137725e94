"""The rules of volumes: what may be made of what, and when one may end. Whatever can be refused is refused here, before
anything has changed."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy import bindparam, case, or_, select, update

from haneul.image import images
from haneul.image.model import ACTIVE, ImageRow
from haneul.kernel import clock, ids
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, Forbidden, NotFound
from haneul.volume import pools, quotas, scheduler, secrets, types
from haneul.volume.model import (
    AttachmentRow,
    BackupRow,
    DefaultTypeRow,
    GroupRow,
    SnapshotRow,
    VolumeRow,
    VolumeTypeRow,
)
from haneul.volume.problems import BackupNotFound, GroupNotFound, InvalidSnapshot, InvalidVolume, SnapshotNotFound
from haneul.volume.rows import by_id, get, locked, put, resource
from haneul.volume.scheduler import NoBackend
from haneul.volume.tasks import create as creating
from haneul.volume.tasks import delete as deleting

__all__ = ["Wish", "by_id", "check_image_fits", "create", "delete", "facts_of", "format_of", "get", "put", "resource"]
GIB = 1 << 30
MIGRATABLE = (None, "deleting", "error", "success")
DELETABLE = ("available", "error", "error_restoring", "error_extending", "error_managing")
_SOURCES = ("available", "in-use")
_DISKS = frozenset({"qcow2", "raw", "iso", "vmdk", "vdi", "vhd", "vhdx", "ami", "ari", "aki"})
_snapshots: Any = SnapshotRow.__table__
_attachments: Any = AttachmentRow.__table__
_types: Any = VolumeTypeRow.__table__
_defaults: Any = DefaultTypeRow.__table__
_OWN = select(_defaults.c.type_id).where(_defaults.c.project_id == bindparam("project")).scalar_subquery()
_DEFAULT = select(_types.c.id, _types.c.name, _types.c.extra_specs, _types.c.encryption).where(
    or_(_types.c.id == _OWN, _types.c.name == bindparam("name"))).order_by(case((_types.c.id == _OWN, 0), else_=1)).limit(1)
_SNAPSHOTS = select(_snapshots.c.status, _snapshots.c.group_snapshot_id, _snapshots.c.project_id).where(
    _snapshots.c.volume_id == bindparam("id"))
_HELD = select(_attachments.c.id).where(_attachments.c.volume_id == bindparam("id"), or_(
    _attachments.c.status != "reserved", _attachments.c.server_id.is_not(None))).limit(1)


class Wish(Struct, frozen=True, kw_only=True):
    """A volume as it was asked for; `type_id` is a type's id or name, hints are scheduler hints. With `backup_id` its data is
    somebody else's business: the volume is made empty."""

    size: int | None = None
    name: str | None = None
    description: str | None = None
    type_id: str | None = None
    image_id: str | None = None
    snapshot_id: str | None = None
    source_volid: str | None = None
    backup_id: str | None = None
    availability_zone: str | None = None
    metadata: dict[str, str] = {}
    multiattach: bool = False
    group_id: str | None = None
    hints: dict[str, Any] = {}


class _Source(Struct, kw_only=True):
    """What a new volume has from where its data comes."""

    size: int = 0
    type_id: str | None = None
    host: str | None = None
    zone: str | None = None
    encrypted: bool = False
    key: str | None = None
    bootable: bool = False
    image: dict[str, str] = {}
    image_row: Any = None
    word: str = ""


# ---------------------------------------------------------------- creating


def create(tx: Transaction, context: Context, wish: Wish) -> VolumeRow:
    """The row, `creating`, and its task; it has its back end already when one fits."""
    source = _source(tx, context, wish)
    type_row = _type(tx, context, wish, source)
    size = _size(wish, source)
    if source.image_row is not None:
        check_image_fits(source.image_row, size)
    encrypted = type_row.encryption is not None
    if source.host is not None and encrypted != source.encrypted:
        raise BadRequest(f"Invalid input received: Invalid volume_type provided: {type_row.id} (requested type is not "
                         f"compatible; either match source {source.word}, or omit type argument).")
    multiattach = type_row.extra_specs.get("multiattach") == "<is> True"
    if multiattach and not tx.cloud.policy.allows("volume:multiattach", context, {"project_id": context.project_id}):
        raise Forbidden("Policy doesn't allow volume:multiattach to be performed.")
    zone = _zone(tx, wish)
    group = _group(tx, context, wish, type_row)
    project_id = context.project_id or ""
    quotas.check_size(tx, project_id, size)
    quotas.check(tx, project_id, type_row.name, volumes=1, gigabytes=size)
    now, volume_id = clock.now(), ids.new()
    row = VolumeRow(
        id=volume_id, project_id=project_id, user_id=context.user_id or "", name=wish.name, description=wish.description,
        size=size, status="creating", type_id=type_row.id, stored_as=f"volume-{volume_id}",
        format=format_of(type_row, encrypted), availability_zone=zone or source.zone or pools.DEFAULT_ZONE,
        bootable=source.bootable, multiattach=multiattach, encrypted=encrypted, key=source.key, meta=dict(wish.metadata),
        admin_meta={}, image=source.image, source_volid=wish.source_volid, snapshot_id=wish.snapshot_id,
        backup_id=wish.backup_id, group_id=wish.group_id, created_at=now)
    if encrypted:
        row.key, row.key_id = source.key or secrets.new(tx.cloud), ids.new()
    hosts = _hinted(tx, context, wish.hints)
    try:
        chosen = scheduler.choose(tx, scheduler.Ask(
            size=size, specs=type_row.extra_specs, format=row.format, zone=zone,
            only=source.host or (group.host if group is not None else None), same_as=hosts[0], other_than=hosts[1]))
        row.host, row.availability_zone, row.scheduled_at = chosen.pool, chosen.zone, now
    except NoBackend:
        if source.host is not None:
            raise
    tx.add(row)
    tx.flush()
    creating.create.submit(tx, creating.CreateArguments(
        volume_id=volume_id, image_id=wish.image_id, zone=zone, same_as=sorted(hosts[0]), other_than=sorted(hosts[1])),
        resource=resource(volume_id), context=context)
    return row


def _source(tx: Transaction, context: Context, wish: Wish) -> _Source:
    given = [one for one in (wish.image_id, wish.snapshot_id, wish.source_volid, wish.backup_id) if one is not None]
    if len(given) > 1:
        raise BadRequest("Invalid input received: May specify only one of snapshot_id, source_volid, image_id or backup_id!")
    if wish.snapshot_id is not None:
        return _from_snapshot(tx, context, wish.snapshot_id)
    if wish.source_volid is not None:
        return _from_volume(tx, context, wish.source_volid)
    if wish.image_id is not None:
        return _from_image(tx, context, wish.image_id)
    if wish.backup_id is not None:
        backup = tx.execute(select(BackupRow).where(BackupRow.id == wish.backup_id)).scalar_one_or_none()
        if backup is None or not (context.is_admin or backup.project_id == context.project_id):
            raise BackupNotFound(wish.backup_id)
        return _Source(size=backup.size, word="backup")
    return _Source()


def _from_snapshot(tx: Transaction, context: Context, snapshot_id: str) -> _Source:
    row = tx.execute(select(SnapshotRow).where(SnapshotRow.id == snapshot_id)).scalar_one_or_none()
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise SnapshotNotFound(snapshot_id)
    if row.status != "available":
        raise InvalidSnapshot("Originating snapshot status must be one of 'available' values")
    volume = by_id(tx, row.volume_id)
    if volume is None:
        raise SnapshotNotFound(snapshot_id)
    return _Source(size=row.volume_size, type_id=row.volume_type_id, host=volume.host, zone=volume.availability_zone,
                   encrypted=volume.encrypted, key=volume.key, bootable=volume.bootable, image=dict(volume.image),
                   word="snapshot")


def _from_volume(tx: Transaction, context: Context, volume_id: str) -> _Source:
    row = get(tx, context, volume_id)
    if row.status not in _SOURCES or row.host is None:
        raise InvalidVolume("Originating volume status must be one of 'available, in-use' values")
    return _Source(size=row.size, type_id=row.type_id, host=row.host, zone=row.availability_zone, encrypted=row.encrypted,
                   key=row.key, bootable=row.bootable, image=dict(row.image), word="volume")


def _from_image(tx: Transaction, context: Context, image_id: str) -> _Source:
    try:
        image = images.get(tx, context, image_id)
    except NotFound:
        raise NotFound(f"Image {image_id[:64]} could not be found.")
    if image.status != ACTIVE:
        raise BadRequest(f"Invalid input received: Image {image.id} is not active.")
    if image.container_format not in ("bare", None) and image.disk_format not in ("ami", "ari", "aki"):
        raise BadRequest(f"Image {image.id} is unacceptable: Image container format {image.container_format} is not bare.")
    if image.disk_format not in _DISKS:
        raise BadRequest(f"Image {image.id} is unacceptable: no volume can be made of disk format {image.disk_format}.")
    return _Source(size=0, type_id=(image.properties or {}).get("cinder_img_volume_type"), bootable=True, image=facts_of(image),
                   image_row=image, word="image")


def facts_of(image: ImageRow) -> dict[str, str]:
    """What a volume with an image's data remembers of it: volume_image_metadata."""
    facts = {"image_id": image.id, "image_name": image.name or "", "checksum": image.checksum or "",
             "container_format": image.container_format or "", "disk_format": image.disk_format or "",
             "min_disk": str(image.min_disk), "min_ram": str(image.min_ram), "size": str(image.size or 0)}
    return {**{key: str(value) for key, value in (image.properties or {}).items()}, **facts}


def _size(wish: Wish, source: _Source) -> int:
    size = wish.size if wish.size is not None else source.size
    if size < 1:
        raise BadRequest(f"Invalid input received: Volume size '{size}' must be an integer and greater than 0")
    if size < source.size:
        raise BadRequest(f"Invalid input received: Volume size '{size}'GB cannot be smaller than the {source.word} size "
                         f"{source.size}GB. They must be >= original {source.word} size.")
    return size


def check_image_fits(image: ImageRow, size: int) -> None:
    """Of an image that is to be a volume's data."""
    need = max(image.size or 0, image.virtual_size or 0)
    if need > size * GIB:
        raise BadRequest(f"Invalid input received: Size of specified image {-(-need // GIB)}GB is larger than volume size "
                         f"{size}GB.")
    if image.min_disk > size:
        raise BadRequest(f"Invalid input received: Volume size {size}GB cannot be smaller than the image minDisk size "
                         f"{image.min_disk}GB.")


def _type(tx: Transaction, context: Context, wish: Wish, source: _Source) -> Any:
    """A type's row, or its columns: most volumes name none, and the default is found with one statement."""
    named = wish.type_id if wish.type_id is not None else source.type_id
    if named is not None:
        return types.named(tx, context, named)
    return tx.core(_DEFAULT, project=context.project_id or "",
                   name=tx.cloud.config.volume.default_type).first() or types.default(tx, context)


def format_of(type_row: Any, encrypted: bool) -> str:
    """Encrypted volumes are LUKS in a raw one."""
    return "qcow2" if type_row.extra_specs.get("volume:format") == "qcow2" and not encrypted else "raw"


def _zone(tx: Transaction, wish: Wish) -> str | None:
    if wish.availability_zone and wish.availability_zone not in pools.zones(tx.cloud):
        raise BadRequest(f"Invalid input received: Availability zone '{wish.availability_zone[:64]}' is invalid.")
    return wish.availability_zone or None


def _group(tx: Transaction, context: Context, wish: Wish, type_row: Any) -> GroupRow | None:
    if wish.group_id is None:
        return None
    row = tx.get(GroupRow, wish.group_id)
    if row is None or not (context.is_admin or row.project_id == context.project_id):
        raise GroupNotFound(wish.group_id)
    if wish.type_id is None and wish.source_volid is None and wish.snapshot_id is None:
        raise BadRequest("Invalid input received: volume_type must be provided when creating a volume in a group.")
    if type_row.id not in row.volume_types:
        raise BadRequest(f"Invalid input received: Invalid volume_type provided: {type_row.name} (requested type must be "
                         "supported by this group).")
    return row


def _hinted(tx: Transaction, context: Context, hints: dict[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    """Pools that `same_host` and `different_host` (ids of volumes) mean."""
    def hosts(name: str) -> frozenset[str]:
        given = hints.get(name) or []
        wanted = [str(one) for one in (given if isinstance(given, list) else [given])]
        if not wanted:
            return frozenset()
        found = select(VolumeRow.host).where(VolumeRow.id.in_(wanted), VolumeRow.host.is_not(None))
        if not context.is_admin:
            found = found.where(VolumeRow.project_id == context.project_id)
        return frozenset(host for host in tx.execute(found).scalars() if host is not None)

    return (hosts("same_host"), hosts("different_host")) if hints else (frozenset(), frozenset())


# ---------------------------------------------------------------- deleting


def delete(tx: Transaction, context: Context, row: VolumeRow, *, force: bool = False, cascade: bool = False) -> None:
    """InvalidVolume unless nothing holds the volume. `force` lets it end from any status, but never while something has it."""
    row = locked(tx, row)
    held = tx.core(_HELD, id=row.id).first() is not None
    snapshots = list(tx.core(_SNAPSHOTS, id=row.id))
    if cascade:
        free = all(one.group_snapshot_id is None and (force or one.status in ("available", "error")) for one in snapshots)
        free = free and all(one.project_id == row.project_id for one in snapshots)
    else:
        free = not snapshots
    if (held or not free or row.group_id is not None or row.migration_status not in MIGRATABLE
            or (row.status not in DELETABLE and not force)):
        word = "" if force else f"Volume status must be {' or '.join(DELETABLE)} and must not be "
        raise InvalidVolume(f"{word or 'Volume must not be '}migrating, attached, belong to a group, have snapshots, awaiting a "
                            "transfer, or be disassociated from snapshots after volume transfer.")
    if row.host is None:  # no back end has anything of it
        deleting.forget(tx, row.id)
        return
    row.previous_status = row.status
    put(row, "deleting")
    if cascade:
        tx.execute(update(SnapshotRow).where(SnapshotRow.volume_id == row.id).values(status="deleting"))
    deleting.delete.submit(tx, deleting.OnVolume(volume_id=row.id), resource=resource(row.id), context=context,
                           cancel_others=force)
