"""The verbs of `Volumes` on RBD. Images and snapshots have the control plane's names; names that begin with a dot are ours:

    .making-<name>    an image on its way; swept when it is made again, or by the next agent
    .deleted-<hex>    deleted, and clones still share its data; removed when the last of them is gone or no longer needs it
    @.copy-<hex>      the moment of a copy that is being made

Clones are copy-on-write and of format 2: a snapshot that has some can be deleted, and Ceph keeps what they share for as long as
they need it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, Literal

from msgspec import Struct

from haneul.host.contract import Conflict, HostError, NoRoom, NotThere, Refused
from haneul.host.segments import segment
from haneul.host.storage import StoredVolume, StoreState, TransferState, VolumeFormat, VolumeSource
from haneul.host.volumes.ceph.cluster import EBUSY, EEXIST, ENOENT, ENOTEMPTY, LONG_SECONDS, Cluster, Failed, Options
from haneul.host.volumes.ceph.copies import Copies
from haneul.host.volumes.file import luks
from haneul.host.volumes.store import Setting, Store

MAKING, DELETED, COPY = ".making-", ".deleted-", ".copy-"
HEADER = "haneul.luks_header"  # image-meta: by how many bytes the image is larger than its guest's disk
SIZE = "haneul.size"  # image-meta, while a revert runs: the size to go back to
WATCHER_SECONDS = 40.0  # a client that was killed counts as one that has the image open for 30
LISTINGS = 10  # tries
MIB = 1 << 20
LARGEST = 1 << 56

log = logging.getLogger(__name__)


class Ceph(Store):
    Options: ClassVar[type[Struct]] = Options
    networked: ClassVar[bool] = True

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__(setting, options)
        self._pool = segment(options.pool)
        self._cluster = Cluster(options, setting.folder)
        self._copies = Copies(self._cluster)
        self._sweeping = threading.Lock()
        self._unswept = self._fresh = True  # there may be some of an agent before

    # ------------------------------------------------------------ what there is

    def state(self) -> StoreState:
        total = free = 0
        problem = ""
        try:
            total, free = self._cluster.capacity()
        except HostError as error:
            problem = f"the Ceph cluster of {self._cluster.options.conf} cannot be used: {error}"
        if not problem:
            self._sweep_later()
        return StoreState(driver="ceph", storage_protocol="ceph", total_bytes=total, free_bytes=free, networked=True,
                          problem=problem)

    def volumes(self) -> list[StoredVolume]:
        found: dict[str, StoredVolume] = {}
        for entry in self._listing():
            name = entry["image"]
            if name.startswith("."):
                continue
            if "snapshot" not in entry:
                size = entry["size"] - self._header(name, entry["size"])
                found[name] = StoredVolume(name=name, format="raw", size_bytes=size, snapshots=[])
            elif not entry["snapshot"].startswith("."):
                found[name].snapshots.append(entry["snapshot"])
        return list(found.values())

    def _listing(self) -> list[dict[str, Any]]:
        """Images and their snapshots. `rbd` gives up when one is deleted while it looks, and is silent about one that it
        cannot open: nobody may take that for gone."""
        for _ in range(LISTINGS):
            with suppress(NotThere):
                found: list[dict[str, Any]] = self._cluster.ask("ls", "--long", self._pool) or []
                if set(self._cluster.ask("ls", self._pool) or []) <= {entry["image"] for entry in found}:
                    return found
        raise HostError(f"pool {self._pool} could not be listed whole: images came and went meanwhile, or do not open")

    def volume(self, name: str) -> StoredVolume:
        return self._stored(name, self._info(segment(name)))

    def _stored(self, name: str, info: dict[str, Any]) -> StoredVolume:
        snapshots = self._snapshots(name) if info["snapshot_count"] else []
        size = info["size"]
        return StoredVolume(name=name, format="raw", size_bytes=size - self._header(name, size), snapshots=snapshots)

    def node(self, source: VolumeSource) -> dict[str, Any]:
        """Asked of a cluster that answers: QEMU stands still while it opens an image."""
        if source.format != "raw":
            raise Refused(f"volume {source.volume} is raw, not {source.format}")
        encrypted = HEADER in self._meta(segment(source.volume))
        if encrypted != (source.key is not None):
            raise Refused(f"volume {source.volume} is {'' if encrypted else 'not '}encrypted")
        options = self._cluster.options
        return {"driver": "rbd", "pool": self._pool, "image": source.volume, "conf": str(self._cluster.conf_for_guests()),
                "user": options.user, "key-secret": self._secret_id(), "discard": "unmap"}

    def secrets(self) -> dict[str, str]:
        return {self._secret_id(): self._cluster.key()}

    def _secret_id(self) -> str:
        return f"key-store-{self.setting.name}"

    # ------------------------------------------------------------ volumes that begin

    def create(self, name: str, format: VolumeFormat, size_bytes: int, key: str | None = None) -> StoredVolume:
        self._must_be_raw(format)
        size_bytes = _rounded(size_bytes)
        with self.locked(name):
            if key is not None:
                return self._make_encrypted(name, size_bytes, key)
            ended = self._cluster.rbd("create", "--size", f"{size_bytes}B", self._spec(name), fine=(EEXIST,))
            if isinstance(ended, Failed):
                return self.volume(name)
            return StoredVolume(name=name, format="raw", size_bytes=size_bytes)

    def _make_encrypted(self, name: str, size_bytes: int, key: str) -> StoredVolume:
        if not self._exists(name):
            self._begin(name, size_bytes, key)
            self._finish(name)
        return self.volume(name)

    def create_from_transfer(self, name: str, format: VolumeFormat, size_bytes: int, transfer: str,
                             key: str | None = None) -> StoredVolume:
        self._must_be_raw(format)
        size_bytes = _rounded(size_bytes)
        with self.locked(name):
            if not self._exists(name):
                self._bring(name, size_bytes, transfer, key)
            return self.volume(name)

    def _bring(self, name: str, size_bytes: int, transfer: str, key: str | None) -> None:
        path, needed = self.setting.transfers.file(transfer), self.setting.transfers.virtual_bytes(transfer)
        header = 0
        if key is not None and path.suffix == ".raw" and luks.opens(path, key):  # a backup of such a volume
            header = luks.header_bytes(path)
        if needed - header > size_bytes:
            raise Refused(f"transfer {transfer} has {needed - header} bytes and the volume would have {size_bytes}")
        data = path.stat().st_blocks * 512
        if data > self._cluster.capacity()[1]:
            raise NoRoom(f"pool {self._pool} has no room for {data} bytes")
        making = self._begin(name, size_bytes + header, None if header else key)
        if header:
            self._cluster.rbd("image-meta", "set", f"{self._pool}/{making}", HEADER, str(header))
        self._copies.write(path, making, None if header else key)
        self._finish(name)

    def clone(self, name: str, format: VolumeFormat, size_bytes: int, source: str, snapshot: str | None = None,
              key: str | None = None) -> StoredVolume:
        self._must_be_raw(format)
        size_bytes = _rounded(size_bytes)
        segment(source)
        with self.locked(name):
            if self._exists(name):
                return self.volume(name)
            self._clone(name, size_bytes, source, snapshot, key)
            return StoredVolume(name=name, format="raw", size_bytes=size_bytes)

    def _clone(self, name: str, size_bytes: int, source: str, snapshot: str | None, key: str | None) -> None:
        moment = segment(snapshot) if snapshot is not None else f"{COPY}{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        if snapshot is None:
            self._take(source, moment)
        making = f"{MAKING}{name}"
        try:
            size = self._info(f"{source}@{moment}")["size"]
            header = self._header(source, size)
            if key is not None and not header:
                raise Refused(f"volume {source} is not encrypted, and its copy shares its data")
            there = size - header
            if there > size_bytes:
                raise Refused(f"volume {source} has {there} bytes and its copy would have {size_bytes}")
            grow = there < size_bytes
            words = ["clone", "--rbd-default-clone-format", "2", f"{self._pool}/{source}@{moment}",
                     f"{self._pool}/{making if grow else name}"]
            if grow and isinstance(self._cluster.rbd(*words, fine=(EEXIST,)), Failed):
                self._remove(making)
                self._cluster.rbd(*words)
            elif not grow:
                self._cluster.rbd(*words)
            if grow:
                self._resize(making, size_bytes + header)
                self._finish(name)
        finally:
            if snapshot is None:  # into Ceph's trash, while the clone lives
                self._cluster.rbd("snap", "rm", "--no-progress", f"{self._pool}/{source}@{moment}", fine=(ENOENT,))

    def _begin(self, name: str, size_bytes: int, key: str | None) -> str:
        """An empty image under another name, with its header when it is to be encrypted."""
        making = f"{MAKING}{name}"
        words = ["create", "--size", f"{size_bytes}B", f"{self._pool}/{making}"]
        if isinstance(self._cluster.rbd(*words, fine=(EEXIST,)), Failed):
            self._remove(making)
            self._cluster.rbd(*words)
        if key is not None:
            def grow(header: int) -> None:
                self._resize(making, size_bytes + header)
                self._cluster.rbd("image-meta", "set", f"{self._pool}/{making}", HEADER, str(header))

            self._copies.luks_header(making, key, grow)
        return making

    def _finish(self, name: str) -> None:
        self._cluster.rbd("rename", f"{self._pool}/{MAKING}{name}", self._spec(name))

    # ------------------------------------------------------------ volumes that change

    def extend(self, name: str, size_bytes: int, key: str | None = None) -> StoredVolume:
        self.must_be_free(name)
        return self.grow(name, size_bytes, key)

    def grow(self, name: str, size_bytes: int, key: str | None = None) -> StoredVolume:  # noqa: ARG002
        size_bytes = _rounded(size_bytes)
        with self.locked(name):
            info = self._info(name)
            size = info["size"]
            wanted = size_bytes + self._header(name, size)
            if wanted < size:
                raise Refused(f"volume {name} would shrink")
            if wanted > size:
                self._resize(name, wanted)
            return self._stored(name, info | {"size": wanted})

    def rename(self, name: str, to: str) -> None:
        self.must_be_free(name)
        with self.locked(name, to):
            if name == to:
                self._info(name)
                return
            ended = self._cluster.rbd("rename", self._spec(name), self._spec(to), fine=(ENOENT, EEXIST))
            if isinstance(ended, Failed):
                if ended.code == EEXIST:
                    raise Conflict(f"volume {to} exists")
                self._info(to)

    def revert(self, name: str, snapshot: str) -> None:
        """A rollback gives back the old size as well: the one to return to is written down before."""
        self.must_be_free(name)
        with self.locked(name):
            size = max(self._info(name)["size"], int(self._meta(name).get(SIZE, 0)))
            moment = self._spec(name, snapshot)
            if self._info(f"{name}@{snapshot}")["size"] < size:
                self._cluster.rbd("image-meta", "set", self._spec(name), SIZE, str(size))
            self._patiently("snap", "rollback", "--no-progress", moment)
            if self._info(name)["size"] < size:
                self._resize(name, size)
            self._cluster.rbd("image-meta", "remove", self._spec(name), SIZE, fine=(ENOENT,))

    # ------------------------------------------------------------ snapshots

    def snapshot(self, name: str, snapshot: str) -> None:
        self._take(name, segment(snapshot))

    def delete_snapshot(self, name: str, snapshot: str) -> None:
        with self.locked(name):
            self._cluster.rbd("snap", "rm", "--no-progress", self._spec(name, snapshot), fine=(ENOENT,), seconds=LONG_SECONDS)

    def rename_snapshot(self, name: str, snapshot: str, to: str) -> None:
        with self.locked(name):
            ended = self._cluster.rbd("snap", "rename", self._spec(name, snapshot), self._spec(name, to), fine=(ENOENT, EEXIST))
            if isinstance(ended, Failed):
                there = self._snapshots(name)
                if to in there and snapshot not in there:
                    return
                raise Conflict(f"snapshot {to} exists") if to in there else NotThere(f"no snapshot {snapshot} of {name}")

    def export(self, name: str, transfer: str, snapshot: str | None = None,
               format: Literal["raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx"] = "raw") -> TransferState:
        with self.setting.transfers.made(transfer, format) as path:
            if path is not None:
                moment = snapshot if snapshot is not None else f"{COPY}{hashlib.sha256(transfer.encode()).hexdigest()[:16]}"
                if snapshot is None:
                    self._take(name, moment)
                else:
                    self._info(f"{segment(name)}@{segment(snapshot)}")
                try:
                    self._copies.read(name, moment, path, format)
                finally:
                    if snapshot is None:
                        self._cluster.rbd("snap", "rm", "--no-progress", f"{self._pool}/{name}@{moment}", fine=(ENOENT,))
        return self.setting.transfers.transfer(transfer)

    # ------------------------------------------------------------ volumes that end

    def delete(self, name: str) -> None:
        self.must_be_free(name)
        with self.locked(name):
            left = self._patiently("rm", "--no-progress", self._spec(name), fine=(ENOENT, ENOTEMPTY))
            if isinstance(left, Failed) and left.code == ENOTEMPTY:
                if self._snapshots(name):
                    raise Conflict(f"volume {name} has snapshots")
                self._drop_moments(name)
                self._cluster.rbd("rename", self._spec(name), f"{self._pool}/{DELETED}{uuid.uuid4().hex}")
                self._unswept = True
        self._sweep_later()

    def _drop_moments(self, name: str) -> None:
        """Of copies that were broken off."""
        for moment in self._snapshots(name, ours=True):
            self._cluster.rbd("snap", "rm", "--no-progress", f"{self._pool}/{name}@{moment}", fine=(ENOENT,))

    def _patiently(self, *words: str, fine: tuple[int, ...] = ()) -> str | Failed:
        """A guest that was killed seems to have the image open for a while."""
        deadline = time.monotonic() + WATCHER_SECONDS
        while True:
            ended = self._cluster.rbd(*words, fine=(*fine, EBUSY), seconds=LONG_SECONDS)
            if not (isinstance(ended, Failed) and ended.code == EBUSY):
                return ended
            if time.monotonic() > deadline:
                raise Conflict(f"{words[-1]} is open somewhere: {ended.said.strip()[-300:]}")
            time.sleep(1.0)

    def _sweep_later(self) -> None:
        if self._unswept and not self._sweeping.locked():
            threading.Thread(target=self._sweep, name=f"sweep-{self.setting.name}", daemon=True).start()

    def _drop_unfinished(self) -> None:
        """Of an agent that was killed. One that is being made now has its lock held until it has another name."""
        for name in self._cluster.ask("ls", self._pool) or []:
            if name.startswith(MAKING):
                with self.locked(name.removeprefix(MAKING)):
                    self._remove(name)
        self._fresh = False

    def _sweep(self) -> None:
        """Deleted images whose clones are gone; one that goes may have been the last clone of another."""
        with self._sweeping:
            try:
                if self._fresh:
                    self._drop_unfinished()
                gone = True
                while gone:
                    self._unswept, gone = False, False
                    for name in self._cluster.ask("ls", self._pool) or []:
                        if name.startswith(DELETED):
                            kept = self._cluster.rbd("rm", "--no-progress", f"{self._pool}/{name}", seconds=LONG_SECONDS,
                                                     fine=(ENOENT, ENOTEMPTY, EBUSY))
                            gone, self._unswept = gone or not isinstance(kept, Failed), True
            except HostError as error:
                self._unswept = True
                log.warning("deleted images of back end %s stay for now: %s", self.setting.name, error)

    # ------------------------------------------------------------ small questions

    @contextmanager
    def locked(self, *names: str) -> Iterator[None]:
        for name in names:
            segment(name)
        with super().locked(*names):
            yield

    def _spec(self, name: str, snapshot: str | None = None) -> str:
        suffix = "" if snapshot is None else f"@{segment(snapshot)}"
        return f"{self._pool}/{segment(name)}{suffix}"

    def _must_be_raw(self, format: VolumeFormat) -> None:
        if format != "raw":
            raise Refused(f"volumes of back end {self.setting.name} are raw, not {format}")

    def _info(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._cluster.ask("info", f"{self._pool}/{name}")
        return found

    def _exists(self, name: str) -> bool:
        with suppress(NotThere):
            self._info(segment(name))
            return True
        return False

    def _snapshots(self, name: str, *, ours: bool = False) -> list[str]:
        names = [entry["name"] for entry in self._cluster.ask("snap", "ls", self._spec(name)) or []]
        return [each for each in names if each.startswith(".") == ours]

    def _take(self, name: str, moment: str) -> None:
        self._cluster.rbd("snap", "create", "--no-progress", f"{self._spec(name)}@{moment}", fine=(EEXIST,))

    def _meta(self, name: str) -> dict[str, str]:
        return self._cluster.ask("image-meta", "list", f"{self._pool}/{name}") or {}

    def _header(self, name: str, size: int) -> int:
        """By how much an image is larger than what a guest sees of it. A header is no whole number of MiB, and the rest nearly
        always is: a question less."""
        return int(self._meta(name).get(HEADER, 0)) if size % MIB else 0

    def _resize(self, name: str, size_bytes: int) -> None:
        self._cluster.rbd("resize", "--no-progress", "--size", f"{size_bytes}B", f"{self._pool}/{name}")

    def _remove(self, name: str) -> None:
        self._patiently("rm", "--no-progress", f"{self._pool}/{name}", fine=(ENOENT,))


def _rounded(size_bytes: int) -> int:
    if not 0 < size_bytes <= LARGEST:
        raise Refused(f"a volume of {size_bytes} bytes")
    return -(-size_bytes // 512) * 512
