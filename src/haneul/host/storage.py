"""What one host can be asked about volumes: the second half of `haneul.host.contract`, with the same manners.

A back end is a store of volumes and snapshots by name, opened by an agent from `[volume.backends.NAME]`. Names are the
control plane's business: any segment (`host/segments.py`). Every verb is idempotent; one that copies data may take minutes,
and when it is asked again meanwhile it waits for the first. Every verb of `Volumes` travels with the name of the back end
that it is for: `POST /v1/volumes/<verb>` {"backend": …, arguments}.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from msgspec import Struct

VolumeFormat = Literal["raw", "qcow2"]


class VolumeSource(Struct, frozen=True, kw_only=True):
    """How a guest's disk is opened when it is a volume. `key` is the LUKS passphrase of an encrypted one (never written to
    disk by the agent, never logged); such a volume is raw."""

    backend: str
    volume: str
    format: VolumeFormat = "raw"
    key: str | None = None


class DiskLimits(Struct, frozen=True, kw_only=True):
    """Front-end QoS, as QEMU's throttling has it; 0 is no limit. Bytes or operations a second; `_max` are bursts."""

    total_bytes_sec: int = 0
    read_bytes_sec: int = 0
    write_bytes_sec: int = 0
    total_iops_sec: int = 0
    read_iops_sec: int = 0
    write_iops_sec: int = 0
    total_bytes_sec_max: int = 0
    read_bytes_sec_max: int = 0
    write_bytes_sec_max: int = 0
    total_iops_sec_max: int = 0
    read_iops_sec_max: int = 0
    write_iops_sec_max: int = 0
    size_iops_sec: int = 0


class StoreState(Struct, frozen=True, kw_only=True):
    """A back end as Cinder's pools show it. Without `networked`, only guests on the same machine reach its volumes."""

    driver: str
    storage_protocol: str
    total_bytes: int
    free_bytes: int
    networked: bool = False
    formats: tuple[VolumeFormat, ...] = ("raw",)
    multiattach: bool = True
    thin: bool = True
    problem: str = ""  # why it cannot be used at present; empty when it can


class StoredVolume(Struct, frozen=True, kw_only=True):
    name: str
    format: VolumeFormat
    size_bytes: int  # as a guest sees it; of an encrypted volume without its header, where that is known
    allocated_bytes: int = 0
    snapshots: list[str] = []


class Volumes(ABC):
    """One back end: volumes and their snapshots. `key` is the LUKS passphrase of an encrypted volume; copies of such a volume
    are opened with the same one. A verb that makes a volume leaves one that exists as it is, and nothing of one that failed.

    Raises NotThere (no such volume or snapshot), Conflict (in use, or something depends on it), NoRoom, Refused.
    """

    @abstractmethod
    def state(self) -> StoreState: ...

    @abstractmethod
    def volumes(self) -> list[StoredVolume]:
        """Everything in the store, whoever made it: the leak reconciler and `manage` ask."""

    @abstractmethod
    def volume(self, name: str) -> StoredVolume: ...

    @abstractmethod
    def create(self, name: str, format: VolumeFormat, size_bytes: int, key: str | None = None) -> StoredVolume:
        """Empty: reads as zeros, whatever lay there before."""

    @abstractmethod
    def create_from_transfer(self, name: str, format: VolumeFormat, size_bytes: int, transfer: str,
                             key: str | None = None) -> StoredVolume:
        """With the data of a transfer (an image, a backup). Refused when that is larger."""

    @abstractmethod
    def clone(self, name: str, format: VolumeFormat, size_bytes: int, source: str, snapshot: str | None = None,
              key: str | None = None) -> StoredVolume:
        """Of a volume as it is now, in use or not, or of its snapshot; grown to `size_bytes`. An encrypted one keeps its key."""

    @abstractmethod
    def extend(self, name: str, size_bytes: int, key: str | None = None) -> StoredVolume:
        """Conflict while a guest has it open (`Hypervisor.resize_disk` does both). Refused when it would shrink."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Gone and not to be read again; one that never was is fine. Conflict while a guest has it open or snapshots exist."""

    @abstractmethod
    def snapshot(self, name: str, snapshot: str) -> None:
        """Point in time, of a volume in use through its guest's process."""

    @abstractmethod
    def delete_snapshot(self, name: str, snapshot: str) -> None: ...

    @abstractmethod
    def revert(self, name: str, snapshot: str) -> None:
        """The volume's data (not its size) is what the snapshot has. Conflict while a guest has it open."""

    @abstractmethod
    def rename(self, name: str, to: str) -> None:
        """Conflict while a guest has it open or when `to` exists. Done already is fine."""

    @abstractmethod
    def rename_snapshot(self, name: str, snapshot: str, to: str) -> None: ...

    @abstractmethod
    def export(self, name: str, transfer: str, snapshot: str | None = None,
               format: Literal["raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx"] = "raw") -> TransferState:
        """A point-in-time, flat copy of the volume's bytes (an encrypted one's as they lie: LUKS header and all) as a finished
        transfer."""


class TransferState(Struct, frozen=True, kw_only=True):
    """A file on its way between the control plane and a volume; `bytes` is its length."""

    id: str
    format: str
    bytes: int


class Extent(Struct, frozen=True):
    """A range of a raw transfer that may hold other than zeros."""

    offset: int
    length: int


class Transfers(ABC):
    """Files between the control plane and volumes of any back end of this host.

    Besides the verbs, the agent streams: `PUT /v1/transfers/<id>?format=&sha512=` takes an image's bytes (Refused when digest or
    inspected format disagree, nothing kept of a broken one); `PUT /v1/transfers/<id>?offset=` writes a range of one that was
    begun; `GET /v1/transfers/<id>?offset=&length=` reads (all of it, when neither is given).
    """

    @abstractmethod
    def begin(self, id: str, size_bytes: int) -> TransferState:
        """A raw transfer that reads as zeros, to be written range by range. One that exists is left as it is."""

    @abstractmethod
    def transfer(self, id: str) -> TransferState:
        """NotThere for one that is not there whole."""

    @abstractmethod
    def extents(self, id: str) -> list[Extent]:
        """Of a raw transfer, in order, adjacent ones joined."""

    @abstractmethod
    def transfers(self) -> list[TransferState]: ...

    @abstractmethod
    def drop(self, id: str) -> None: ...
