"""How QEMU opens the disks of a server: a node a disk, with the name that its device asks for."""

from __future__ import annotations

import base64
import os
from typing import Any, Protocol

from msgspec import Struct, structs

from haneul.host.contract import DiskSpec, Refused, ServerSpec
from haneul.host.disks.file import DiskFile
from haneul.host.hypervisor.qemu.record import Record
from haneul.host.storage import VolumeSource

Options = dict[str, Any]

NODE_NAME_LENGTH = 31


class Stores(Protocol):
    def node(self, source: VolumeSource) -> Options:
        """QEMU's options of the volume's bytes as they lie in the store: every layer names its driver, none has a name. Takes no
        locks that are held while a hypervisor is asked something."""
        ...

    def secrets(self, source: VolumeSource) -> dict[str, str]:
        """What the node names by `key-secret` to get at its store: base64, by id."""
        ...

    def networked(self, source: VolumeSource | None = None) -> bool:
        """The volume, or any that a server here may be given, is reached over the network."""
        ...


class Drive(Struct, kw_only=True):
    """`key` is the passphrase of the secret `secret_id`, `of_store` are the secrets of the node's store. QEMU needs them while it
    opens the node and not afterwards."""

    node: Options
    key: str | None = None
    of_store: dict[str, str] = {}
    networked: bool = False

    @property
    def name(self) -> str:
        return str(self.node["node-name"])

    @property
    def secret_id(self) -> str:
        return secret_id(self.name)

    def secrets(self) -> dict[str, str]:
        """All of them, base64, by id."""
        if self.key is None:
            return self.of_store
        return self.of_store | {self.secret_id: base64.b64encode(self.key.encode()).decode()}


def key_file(secret: str) -> int:
    """A descriptor of a file in memory, for a QEMU that is yet to be started."""
    file = os.memfd_create("key", os.MFD_CLOEXEC)
    os.write(file, secret.encode())
    return file


def secret_id(node: str) -> str:
    return f"key-{node}"


def below(node: str) -> str:
    """The node of an encrypted volume's bytes as they lie in the store."""
    return "data-" + node.removeprefix("node-")


def read_only(disk: DiskSpec) -> bool:
    return disk.read_only or disk.device == "cdrom" or disk.name == "config"


def of_file(disk: DiskSpec, file: DiskFile, name: str) -> Drive:
    """Nothing is probed, nothing read from the overlay's header."""
    node: Options = {"driver": file.format, "node-name": name, "read-only": read_only(disk), "discard": "unmap",
                     "file": {"driver": "file", "filename": str(file.path)}}
    if file.format == "qcow2":
        node["backing"] = None
    if file.image is not None:
        below: Options = {"driver": file.image_format, "read-only": True,
                          "file": {"driver": "file", "filename": str(file.image)}}
        if file.image_format == "qcow2":
            below["backing"] = None
        node["backing"] = below
    return Drive(node=node)


def of_volume(disk: DiskSpec, stores: Stores, name: str) -> Drive:
    source = disk.source
    assert source is not None
    if len(name) > NODE_NAME_LENGTH:
        raise Refused(f"the name of disk {disk.name} is too long")
    node = stores.node(source)
    if source.key:
        node = {"driver": "luks", "key-secret": secret_id(name), "file": {**node, "node-name": below(name)}}
    return Drive(node={**node, "node-name": name, "read-only": read_only(disk), "discard": "unmap"}, key=source.key,
                 of_store=stores.secrets(source), networked=stores.networked(source))


def without_key(disk: DiskSpec) -> DiskSpec:
    if disk.source is None or disk.source.key is None:
        return disk
    return structs.replace(disk, source=structs.replace(disk.source, key=None))


def to_resume(record: Record, spec: ServerSpec) -> list[DiskSpec]:
    """The record's disks, which the saved memory knows, on the volumes that `spec` gives for them: one may have been moved
    meanwhile. Refused without the key of an encrypted one: it would be shown, and written, as it lies."""
    given = {disk.name: disk.source for disk in spec.disks if disk.source is not None}
    found: list[DiskSpec] = []
    for disk in record.spec.disks:
        if disk.source is not None:
            source = given.get(disk.name, disk.source)
            if disk.name in record.encrypted and source.key is None and source.volume == disk.source.volume:
                raise Refused(f"volume {source.volume} is encrypted and its key was not given")
            disk = structs.replace(disk, source=source, format=source.format)
        found.append(disk)
    return found
