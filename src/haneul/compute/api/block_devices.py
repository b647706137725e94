"""`block_device_mapping` and `block_device_mapping_v2` of a new server: both versions' keys, as one kind of device."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from haneul.compute.api import shapes
from haneul.compute.api.shapes import Body, Boolean, Tag
from haneul.compute.block_devices import Device
from haneul.compute.problems import InvalidMapping
from haneul.kernel.errors import BadRequest

Identifier = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9._-]*$")]
DeviceName = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9._\-r/]*$")]
Text = Annotated[str, Meta(max_length=255)]
Size = Annotated[int, Meta(ge=1, le=2**31 - 1)] | Annotated[str, Meta(min_length=1, max_length=10, pattern=r"^[0-9]+$")]


class BlockDevice(Body):
    """Of block_device_mapping_v2."""

    source_type: Literal["volume", "image", "snapshot", "blank"] | UnsetType = UNSET
    destination_type: Literal["local", "volume"] | UnsetType = UNSET
    uuid: Identifier | UnsetType = UNSET
    image_id: Identifier | UnsetType = UNSET
    volume_id: Identifier | UnsetType = UNSET
    snapshot_id: Identifier | UnsetType = UNSET
    boot_index: int | Annotated[str, Meta(max_length=10, pattern=r"^-?[0-9]+$")] | None = None
    volume_size: Size | None = None
    delete_on_termination: Boolean | None = None
    guest_format: Text | None = None
    device_type: Text | None = None
    disk_bus: Text | None = None
    device_name: DeviceName | None = None
    virtual_name: Text | None = None
    no_device: Any = None
    connection_info: str | None = None
    tag: Tag | UnsetType = UNSET
    volume_type: Annotated[str, Meta(max_length=255)] | None | UnsetType = UNSET


class OldBlockDevice(Body):
    """Of block_device_mapping. It boots by its device's name."""

    virtual_name: Text | None = None
    volume_id: Identifier | None = None
    snapshot_id: Identifier | None = None
    volume_size: Size | None = None
    delete_on_termination: Boolean | None = None
    device_name: DeviceName | None = None
    no_device: Any = None
    connection_info: str | None = None


def unknown(devices: list[BlockDevice], version: tuple[int, int]) -> str | None:
    """The key that the microversion does not have: tags were lost between 2.33 and 2.41."""
    for device in devices:
        if device.tag is not UNSET and (version < (2, 32) or (2, 33) <= version < (2, 42)):
            return "tag"
        if device.volume_type is not UNSET and version < (2, 67):
            return "volume_type"
    return None


def parse(old: list[OldBlockDevice], new: list[BlockDevice], image_given: bool) -> list[Device]:
    if old and new:
        raise BadRequest("Using different block_device_mapping syntaxes is not allowed in the same request.")
    return [_old(device) for device in old if not device.no_device] + [
        _new(device, image_given) for device in new if not device.no_device]


def _size(value: int | str | None) -> int | None:
    return shapes.number(value, "volume_size", 0) or None if value is not None else None


def _truth(value: bool | str | None) -> bool:
    return value is not None and shapes.truth(value)


def _old(device: OldBlockDevice) -> Device:
    shape: dict[str, Any] = {"size": _size(device.volume_size), "name": device.device_name,
                             "delete_on_termination": _truth(device.delete_on_termination)}
    if device.virtual_name == "swap" or (device.virtual_name or "").startswith("ephemeral"):
        return Device(source="blank", destination="local", guest_format="swap" if device.virtual_name == "swap" else None,
                      **{**shape, "delete_on_termination": True})
    if device.snapshot_id:
        return Device(source="snapshot", destination="volume", id=device.snapshot_id, **shape)
    if device.volume_id:
        return Device(source="volume", destination="volume", id=device.volume_id, **shape)
    raise InvalidMapping("Unrecognized legacy format.")


def _new(device: BlockDevice, image_given: bool) -> Device:
    if device.source_type is UNSET:
        raise InvalidMapping("Some required fields are missing")
    source = device.source_type
    index = int(device.boot_index) if device.boot_index is not None else None
    uuid = device.uuid if device.uuid is not UNSET else getattr(device, f"{source}_id", UNSET)
    if source == "blank" and device.uuid is not UNSET:
        raise InvalidMapping("Invalid device UUID.")
    if source != "blank" and uuid is UNSET:
        raise InvalidMapping("Missing device UUID.")
    destination = device.destination_type
    if destination is UNSET:
        destination = "local" if source in ("blank", "image") else "volume"
    if source == "image" and destination == "local" and not (image_given and index == 0):
        raise InvalidMapping("Mapping image to local is not supported.")
    if source in ("volume", "snapshot") and destination == "local":
        raise InvalidMapping(f"Mapping {source} to local is not supported.")
    kind = None if device.volume_type is UNSET else device.volume_type
    if kind and destination == "local":
        raise InvalidMapping("Specifying a volume_type with destination_type=local is not supported.")
    if kind and source == "volume":
        raise InvalidMapping("Specifying volume type to existing volume is not supported.")
    return Device(source=source, destination=destination, id=None if uuid is UNSET else str(uuid), boot_index=index,
                  size=_size(device.volume_size), delete_on_termination=_truth(device.delete_on_termination),
                  name=device.device_name, bus=device.disk_bus or None, type=device.device_type or None,
                  guest_format=device.guest_format or None, tag=None if device.tag is UNSET else device.tag, volume_type=kind)
