"""Block device mappings: which disks a new server has besides what its flavor and its image say, and who keeps them.

All that can be refused is refused in the request's transaction; there, too, volumes are reserved for the server, and those
that it needs made are written with their tasks. The server's own task waits for them (`tasks/create.py`).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import select

from haneul.compute.guests import Local
from haneul.compute.model import FlavorRow, ServerRow
from haneul.compute.problems import InvalidMapping, TooMany
from haneul.fleet.model import HostRow
from haneul.image import images
from haneul.image.model import ImageRow
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.errors import BadRequest, NotFound
from haneul.placement.scheduler import Within
from haneul.volume import attachments, snapshots, types, volumes
from haneul.volume.model import PoolRow, VolumeRow
from haneul.volume.problems import OverVolumeQuota, VolumeTypeNotFound

BUSES = ("virtio", "scsi", "ide", "usb")
_TYPES = ("disk", "cdrom", "floppy", "lun")
_LETTERS = {"virtio": "vd", "scsi": "sd", "usb": "sd", "ide": "hd"}
MAPPING = ("block_device_mapping", "bdm_v2", "root_device_name")  # properties of an image that says of volumes' snapshots
_MOST_LOCAL = 3  # Nova's max_local_block_devices
_MANY = "Cannot attach one or more volumes to multiple instances"
_FACTS = ("image_id", "image_name", "checksum", "container_format", "disk_format", "min_disk", "min_ram", "size")


class Device(Struct, kw_only=True):
    """A mapping as it was asked for; `source` is image, volume, snapshot or blank, `id` that of the source."""

    source: str
    destination: str  # local or volume
    id: str | None = None
    boot_index: int | None = None
    size: int | None = None  # GiB; of a swap disk MiB
    delete_on_termination: bool = False
    name: str | None = None
    bus: str | None = None
    type: str | None = None
    guest_format: str | None = None
    tag: str | None = None
    volume_type: str | None = None

    @property
    def is_swap(self) -> bool:
        return self.source == "blank" and self.destination == "local" and self.guest_format == "swap"

    @property
    def is_ephemeral(self) -> bool:
        return self.source == "blank" and self.destination == "local" and self.guest_format != "swap"


class Plan(Struct, kw_only=True):
    """What mappings mean for a server. `image` is what its `system["image"]` will be; `image_id` None when the root disk is a
    volume; the volumes are in the guest's order, named."""

    image: dict[str, Any]
    image_id: str | None
    root_name: str = "/dev/vda"
    on_volume: bool = False
    volumes: list[Device] = []
    local: Local | None = None


# ---------------------------------------------------------------- what is asked for


def image_facts(image: ImageRow) -> dict[str, Any]:
    """What a server must remember of its image, which may be deleted while the server lives: not the disks that a snapshot
    of another server was made of."""
    properties = {key: value for key, value in image.properties.items() if key not in MAPPING}
    return {"id": image.id, "name": image.name, "format": image.disk_format, "sha512": image.os_hash_value,
            "min_disk": image.min_disk, "min_ram": image.min_ram, "properties": properties}


def plan(tx: Transaction, context: Context, flavor: FlavorRow, image: ImageRow | None, devices: list[Device], *,
         legacy: bool, many: bool, shared: bool) -> Plan:
    """BadRequest for what Nova refuses. `legacy` are mappings of the first version, `many` servers at once, `shared` whether
    the caller's microversion knows volumes that several servers have."""
    own = of_image(image) if image is not None else []
    if not devices and not own and image is not None:
        return Plan(image=image_facts(image), image_id=image.id)
    root_name = _plain(image.properties.get("root_device_name") if image is not None else None) or "vda"
    if image is not None and any(device.destination == "volume" and _plain(device.name) == root_name for device in devices):
        raise BadRequest(f"The volume cannot be assigned the same device name as the root device {root_name}")
    merged = _merge(own, devices, legacy=legacy, image=image, root_name=root_name)
    if many and any(device.source == "volume" for device in merged):
        raise BadRequest(_MANY)
    _check_sequence(merged)
    root = next(device for device in merged if device.boot_index == 0)
    sized = [_checked(tx, context, device, shared=shared) for device in merged]
    local = _local(flavor, sized)
    if root.destination == "local":
        found = image if image is not None else _image(tx, context, root.id or "")
        return _named(Plan(image=image_facts(found), image_id=found.id, local=local, root_name=f"/dev/{root_name}"),
                      flavor, sized)
    facts = image_facts(image) if image is not None else _facts(tx, context, root)
    _check_root(flavor, facts, next(device for device in sized if device.boot_index == 0))
    return _named(Plan(image=facts, image_id=None, local=local, root_name=f"/dev/{root_name}", on_volume=True), flavor,
                  sized)


def _plain(name: str | None) -> str:
    return (name or "").removeprefix("/dev/")


def of_image(image: ImageRow) -> list[Device]:
    """What a snapshot of a volume-backed server says of its disks. Anybody may have written it: whatever it names is looked
    up as the caller."""
    text = image.properties.get("block_device_mapping")
    if not text:
        return []
    try:
        found = msgspec.json.decode(text, type=list[dict[str, Any]])
    except msgspec.DecodeError:
        raise InvalidMapping("the image's block_device_mapping is not a list of mappings.")
    second = str(image.properties.get("bdm_v2", "")).lower() in ("true", "1", "yes", "on")
    return [device for raw in found if (device := _of_property(raw, second)) is not None]


def _of_property(raw: dict[str, Any], second: bool) -> Device | None:
    if raw.get("no_device"):
        return None
    source = str(raw.get("source_type") or "") if second else "snapshot" if raw.get("snapshot_id") else "volume"
    if source not in ("image", "volume", "snapshot", "blank"):
        raise InvalidMapping("Some required fields are missing")
    id = None if source == "blank" else str(raw.get(f"{source}_id") or raw.get("uuid") or "")
    index, size = raw.get("boot_index"), raw.get("volume_size")
    if not second:
        index = 0 if _plain(raw.get("device_name")) in ("", "vda") else -1
    try:
        index, size = int(index) if index is not None else None, int(size) if size else None
    except (TypeError, ValueError):
        raise InvalidMapping("Boot index is invalid.")
    return Device(source=source, destination=str(raw.get("destination_type") or "volume"), id=id, boot_index=index, size=size,
                  delete_on_termination=raw.get("delete_on_termination") is True, name=_text(raw, "device_name"),
                  bus=_text(raw, "disk_bus"), type=_text(raw, "device_type"), guest_format=_text(raw, "guest_format"),
                  tag=_text(raw, "tag"), volume_type=_text(raw, "volume_type"))


def _text(raw: dict[str, Any], key: str) -> str | None:
    return str(raw[key])[:255] if raw.get(key) else None


def _merge(own: list[Device], devices: list[Device], *, legacy: bool, image: ImageRow | None, root_name: str) -> list[Device]:
    """The caller's before the image's, which it overrides by device name; every mapping says whether it boots."""
    has_root = any(device.boot_index == 0 for device in own)
    if legacy:
        rooted = [replace(device, boot_index=0 if not has_root and device.source != "blank" and _plain(device.name) == root_name
                          else -1) for device in devices]
        if not has_root and image is not None and all(device.boot_index != 0 for device in rooted):
            rooted.insert(0, Device(source="image", destination="local", id=image.id, boot_index=0))
        devices = rooted
    elif has_root:  # clients add a mapping of the image that they name; the image's own root is meant
        devices = [device for device in devices if not (device.boot_index == 0 and device.source == "image")]
    names = {_plain(device.name) for device in devices if device.name}
    return [*devices, *(device for device in own if _plain(device.name) not in names)]


def _check_sequence(devices: list[Device]) -> None:
    indexes = sorted(device.boot_index for device in devices if device.boot_index is not None and device.boot_index >= 0)
    local = [device for device in devices if device.boot_index == 0 and device.destination == "local"]
    if not indexes or indexes != list(range(len(indexes))) or any(device.source != "image" for device in local):
        raise InvalidMapping("Boot sequence for the instance and image/block device mapping combination is not valid.")


# ---------------------------------------------------------------- each of them


def _checked(tx: Transaction, context: Context, device: Device, *, shared: bool) -> Device:
    """With its size."""
    if device.bus is not None and device.bus not in BUSES:
        raise InvalidMapping(f"The provided disk bus {device.bus[:64]} is not valid.")
    device = replace(device, type=device.type if device.type in _TYPES else None,
                     guest_format=(device.guest_format or "")[:16] or None,
                     boot_index=None if device.boot_index is None else max(device.boot_index, -1))
    if device.destination != "volume":
        return device
    if device.volume_type is not None:
        try:
            types.named(tx, context, device.volume_type)
        except NotFound:
            raise BadRequest(VolumeTypeNotFound(device.volume_type).message)
    match device.source:
        case "image":
            _image(tx, context, device.id or "")
            if not device.size:
                raise BadRequest("Block Device Mapping is Invalid: Images with destination_type 'volume' need to have a non-zero "
                                 "size specified")
        case "volume":
            volume = _volume(tx, context, device.id or "")
            if volume.multiattach and not shared:
                raise BadRequest("Multiattach volumes are only supported starting with compute API version 2.60.")
            return replace(device, size=volume.size)
        case "snapshot":
            try:
                snapshot = snapshots.get(tx, context, device.id or "")
            except NotFound:
                raise InvalidMapping(f"failed to get snapshot {device.id}.")
            return replace(device, size=device.size or snapshot.volume_size)
        case _:
            if not device.size:
                raise BadRequest("Block Device Mapping is Invalid: Blank volumes (source: 'blank', dest: 'volume') need to have "
                                 "non-zero size")
    return device


def _image(tx: Transaction, context: Context, image_id: str) -> ImageRow:
    try:
        image = images.get(tx, context, image_id)
    except NotFound:
        raise InvalidMapping(f"failed to get image {image_id[:64]}.")
    if image.status != "active":
        raise BadRequest(f"Image {image_id} is not active.")
    return image


def _volume(tx: Transaction, context: Context, volume_id: str) -> VolumeRow:
    try:
        return volumes.get(tx, context, volume_id)
    except NotFound:
        raise InvalidMapping(f"failed to get volume {volume_id[:64]}.")


def _facts(tx: Transaction, context: Context, root: Device) -> dict[str, Any]:
    """What a server that boots from a volume remembers in place of an image: what the volume was made of."""
    if root.source == "image":
        return image_facts(_image(tx, context, root.id or ""))
    if root.source == "blank":
        return {"id": None, "name": None, "format": "raw", "sha512": None, "min_disk": 0, "min_ram": 0, "properties": {}}
    if root.source == "volume":
        volume = _volume(tx, context, root.id or "")
        if not volume.bootable:
            raise BadRequest(f"Block Device {volume.id} is not bootable.")
    else:
        found = volumes.by_id(tx, snapshots.get(tx, context, root.id or "").volume_id)
        if found is None:
            raise InvalidMapping(f"failed to get snapshot {root.id}.")
        volume = found
    return facts_of(volume)


def facts_of(volume: VolumeRow) -> dict[str, Any]:
    """Of a root volume."""
    told = dict(volume.image or {})
    ram = str(told.get("min_ram", "0"))
    return {"id": told.get("image_id"), "name": told.get("image_name"), "format": "raw", "sha512": None, "min_disk": 0,
            "min_ram": int(ram) if ram.isdigit() else 0,
            "properties": {key: value for key, value in told.items() if key not in _FACTS}}


def _check_root(flavor: FlavorRow, facts: dict[str, Any], root: Device) -> None:
    if flavor.ram < (facts["min_ram"] or 0):
        raise BadRequest("Flavor's memory is too small for requested image.")
    if root.source != "volume" and root.size is not None and root.size < (facts["min_disk"] or 0):
        raise BadRequest("Volume is smaller than the minimum size specified in image metadata. Volume size is "
                         f"{root.size << 30} bytes, minimum size is {facts['min_disk'] << 30} bytes.")


def _local(flavor: FlavorRow, devices: list[Device]) -> Local | None:
    """None: what the flavor says."""
    ephemeral = [device for device in devices if device.is_ephemeral]
    swap = [device for device in devices if device.is_swap]
    if sum(device.size or flavor.ephemeral for device in ephemeral) > flavor.ephemeral:
        raise BadRequest("Ephemeral disks requested are larger than the instance type allows. If no size is given in one block "
                         "device mapping, flavor ephemeral size will be used.")
    if len(swap) > 1:
        raise InvalidMapping("More than one swap drive requested.")
    if swap and (swap[0].size or 0) > flavor.swap:
        raise BadRequest("Swap drive requested is larger than instance type allows.")
    rooted = sum(device.destination == "local" and device.boot_index == 0 for device in devices)
    if rooted + (len(ephemeral) or bool(flavor.ephemeral)) + (len(swap) or bool(flavor.swap)) > _MOST_LOCAL:
        raise InvalidMapping("You specified more local devices than the limit allows")
    if not ephemeral and not swap:
        return None
    sizes = [device.size or flavor.ephemeral for device in ephemeral] or ([flavor.ephemeral] if flavor.ephemeral else [])
    buses = {f"ephemeral{number}": device.bus for number, device in enumerate(ephemeral) if device.bus}
    return Local(ephemeral=sizes, swap=(swap[0].size or flavor.swap) if swap else flavor.swap,
                 buses={**buses, **({"swap": swap[0].bus} if swap and swap[0].bus else {})})


def _named(found: Plan, flavor: FlavorRow, devices: list[Device]) -> Plan:
    """The volumes in the guest's order, each on the bus that the image wants unless the mapping says another, and with the name
    that it will have there: what a caller wishes for is not what a guest does."""
    bus = found.image["properties"].get("hw_disk_bus")
    bus = bus if bus in BUSES else None
    wanted = [replace(device, bus=device.bus or ("ide" if device.type == "cdrom" else bus)) for device in sorted(
        (device for device in devices if device.destination == "volume"), key=lambda device: (
            device.boot_index if device.boot_index is not None and device.boot_index >= 0 else 1 << 16))]
    if found.on_volume:
        found.root_name = f"/dev/{next_name(set(), wanted[0].bus)}"
        found.volumes, wanted = [replace(wanted[0], name=found.root_name)], wanted[1:]
    local = found.local
    beside = bool(flavor.ephemeral) + bool(flavor.swap) if local is None else len(local.ephemeral) + bool(local.swap)
    used = {_plain(found.root_name), *(f"{_plain(found.root_name)[:-1]}{letter}" for letter in "bcd"[:beside])}
    for device in wanted:
        name = next_name(used, device.bus)
        used.add(name)
        found.volumes.append(replace(device, name=f"/dev/{name}"))
    return found


def next_name(used: set[str], bus: str | None) -> str:
    """The first that is free on a bus; none is given twice."""
    prefix = _LETTERS.get(bus or "", "vd")
    return next(name for name in (f"{prefix}{first}{second}" for first in ("", *"abcdefghijklmnopqrstuvwxyz")
                                  for second in "abcdefghijklmnopqrstuvwxyz") if name not in used)


# ---------------------------------------------------------------- for a server


def take(tx: Transaction, context: Context, row: ServerRow, wanted: Plan) -> None:
    """The server's volumes are reserved for it; those that are not there yet are created."""
    for device in wanted.volumes:
        try:
            _take(tx, context, row, device)
        except OverVolumeQuota as error:
            raise TooMany(error.message)
        except NotFound as error:
            raise BadRequest(error.message)


def _take(tx: Transaction, context: Context, row: ServerRow, device: Device) -> None:
    if device.source == "volume":
        volume = _volume(tx, context, device.id or "")
    else:
        volume = volumes.create(tx, context, volumes.Wish(
            size=device.size, name="", description="", type_id=device.volume_type,
            image_id=device.id if device.source == "image" else None,
            snapshot_id=device.id if device.source == "snapshot" else None))
    attachments.reserve(
        tx, volume, context=context, server_id=row.id, boot_index=device.boot_index,
        delete_on_termination=device.delete_on_termination, tag=device.tag, disk_bus=device.bus, device_type=device.type,
        guest_format=device.guest_format, source_type=device.source, mountpoint=device.name)


def snapshot(tx: Transaction, context: Context, row: ServerRow, name: str) -> tuple[list[str], dict[str, str]]:
    """Snapshots of all the server's volumes, begun; and the properties of an image that servers can be made of them with."""
    rows = attachments.of_servers(tx, [row.id]).get(row.id, [])
    known = attachments.volumes_of(tx, rows)
    found, mappings = [], []
    for held in rows:
        volume = known[held.volume_id]
        try:
            taken = snapshots.create(tx, context, volume, name=f"snapshot for {name}"[:255], description=volume.description,
                                     metadata={}, force=True)
        except OverVolumeQuota as error:
            raise TooMany(error.message)
        found.append(taken.id)
        mappings.append({
            "source_type": "snapshot", "destination_type": "volume", "snapshot_id": taken.id, "volume_size": volume.size,
            "boot_index": held.boot_index, "delete_on_termination": held.delete_on_termination, "device_name": held.mountpoint,
            "disk_bus": held.disk_bus, "device_type": held.device_type, "guest_format": held.guest_format, "tag": held.tag,
            "volume_id": None, "image_id": None, "no_device": None, "volume_type": None})
    return found, {"block_device_mapping": msgspec.json.encode(mappings).decode(), "bdm_v2": "True",
                   "root_device_name": row.root_device_name or "/dev/vda"}


def hosts_within(tx: Transaction, server_id: str) -> list[Within]:
    """Where the scheduler may put a server, so that its volumes are in reach."""
    rows = attachments.of_servers(tx, [server_id]).get(server_id, [])
    pools = {volume.host for volume in attachments.volumes_of(tx, rows).values() if volume.host}
    found: list[Within] = []
    for pool in tx.execute(select(PoolRow).where(PoolRow.name.in_(pools))).scalars() if pools else ():
        if pool.facts.get("networked"):
            continue
        endpoint = select(HostRow.endpoint).where(HostRow.name == pool.host).scalar_subquery()
        near = tx.execute(select(HostRow.name).where(HostRow.endpoint == endpoint)).scalars()
        found.append(Within(frozenset({pool.host, *near}), "it cannot reach the back end of the server's volumes"))
    return found
