"""The verbs of `Volumes` on files of QEMU's user.

What QEMU is given (`node`): {"driver": "raw", "file": {"driver": "file", "filename": …}}, or {"driver": "qcow2", "backing":
null, "file": …}; of an encrypted volume the raw one, above which the hypervisor puts its `luks`.

Raw snapshots and clones share blocks where the file system can (XFS, Btrfs), in use or not; else they are sparse copies, of a
volume in use by its guest's process. A deleted volume's blocks are the file system's, which never shows them to anybody else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Literal

from msgspec import Struct

from haneul.host.contract import Conflict, HostError, NotThere, Refused
from haneul.host.segments import segment
from haneul.host.storage import StoredVolume, StoreState, TransferState, VolumeFormat, VolumeSource
from haneul.host.volumes import sparse
from haneul.host.volumes.file import copies, internal, luks
from haneul.host.volumes.file.copies import Source
from haneul.host.volumes.file.files import Folder, Kind, VolumeFile, resize
from haneul.host.volumes.store import Setting, Store
from haneul.kernel.config import ConfigError

LARGEST = 1 << 56


class FileOptions(Struct, forbid_unknown_fields=True):
    path: str = ""  # empty: below the state directory


class Driver(Store):
    Options: ClassVar[type[Struct]] = FileOptions

    def __init__(self, setting: Setting, options: FileOptions) -> None:
        super().__init__(setting, options)
        if options.path and not os.path.isabs(options.path):
            raise ConfigError(f"[volume.backends.{setting.name}]: path {options.path} is not absolute")
        self._files = Folder(Path(options.path) if options.path else setting.folder, setting.folder)
        with suppress(HostError, OSError):  # `state` says why
            self._files.ready()
            self._finish_reverts()

    # ------------------------------------------------------------ what there is

    def state(self) -> StoreState:
        total = free = 0
        problem = ""
        try:
            found = os.statvfs(self._files.ready())
            total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        except HostError as error:
            problem = str(error)
        return StoreState(driver="file", storage_protocol="file", total_bytes=total, free_bytes=free, formats=("raw", "qcow2"),
                          problem=problem)

    def volumes(self) -> list[StoredVolume]:
        files, snapshots = self._files.every()
        found: list[StoredVolume] = []
        for file in files:
            try:
                found.append(self._stored(file, sorted(snapshots.get(file.name, ()))))
            except (FileNotFoundError, NotThere):
                continue  # deleted meanwhile
            except (HostError, OSError):  # one broken file must not hide all others from who looks for leaks
                found.append(StoredVolume(name=file.name, format=file.format, size_bytes=0))
        return found

    def volume(self, name: str) -> StoredVolume:
        return self._stored(self._file(name))

    def _file(self, name: str) -> VolumeFile:
        file = self._files.find(name)
        if file is None:
            raise NotThere(f"no volume {name} in back end {self.setting.name}")
        return file

    def _stored(self, file: VolumeFile, snapshots: list[str] | None = None) -> StoredVolume:
        if file.kind == "qcow2":
            snapshots = [each.name for each in internal.snapshots(file.path)]
        elif snapshots is None:
            snapshots = self._files.snapshots(file.name)
        return StoredVolume(name=file.name, format=file.format, size_bytes=_size(file.path, file.kind),
                            allocated_bytes=os.lstat(file.path).st_blocks * 512, snapshots=snapshots)

    def _has_snapshot(self, file: VolumeFile, snapshot: str) -> bool:
        if file.kind == "qcow2":
            return internal.find(file.path, segment(snapshot)) is not None
        return self._files.snapshot(file, snapshot).exists()

    def _must_have(self, file: VolumeFile, snapshot: str) -> None:
        if not self._has_snapshot(file, snapshot):
            raise NotThere(f"volume {file.name} has no snapshot {snapshot}")

    def node(self, source: VolumeSource) -> dict[str, Any]:
        file = self._file(source.volume)
        if file.format != source.format:
            raise Refused(f"volume {file.name} is {file.format}, not {source.format}")
        if (file.kind == "luks") != (source.key is not None):
            raise Refused(f"volume {file.name} is {'' if file.kind == 'luks' else 'not '}encrypted")
        if file.kind == "qcow2":
            internal.virtual_size(file.path)
        return copies.node(file.path, file.kind)

    # ------------------------------------------------------------ volumes

    @contextmanager
    def _making(self, name: str, kind: Kind) -> Iterator[Path | None]:
        """An empty file, which is the volume once the block has ended well; None where the volume exists."""
        with self.locked(name):
            if self._files.find(name) is not None:
                yield None
                return
            with self._files.partial() as path:
                yield path
                self._files.keep(path, f"{name}.{kind}")

    def create(self, name: str, format: VolumeFormat, size_bytes: int, key: str | None = None) -> StoredVolume:
        size, kind = _rounded(size_bytes), _kind(format, key)
        with self._making(name, kind) as path:
            if path is not None:
                _empty(path, kind, size, key)
        return self.volume(name)

    def create_from_transfer(self, name: str, format: VolumeFormat, size_bytes: int, transfer: str,
                             key: str | None = None) -> StoredVolume:
        size, kind = _rounded(size_bytes), _kind(format, key)
        with self._making(name, kind) as path:
            if path is not None:
                self._fill_from_transfer(path, kind, size, transfer, key)
        return self.volume(name)

    def _fill_from_transfer(self, path: Path, kind: Kind, size: int, transfer: str, key: str | None) -> None:
        source = self.setting.transfers.file(transfer)
        format = source.suffix[1:]
        virtual = self.setting.transfers.virtual_bytes(transfer)
        if key is not None and format == "raw" and luks.opens(source, key):  # a backup of this very kind of volume
            virtual -= luks.header_bytes(source)
            format = "luks"
        if virtual > size:
            raise Refused(f"the data of transfer {transfer} has {virtual} bytes, the volume {size}")
        self._fill(Source(source, format, virtual), path, kind, size, key)

    def _fill(self, source: Source, path: Path, kind: Kind, size: int, key: str | None) -> None:
        """The empty file becomes a volume of `size` with the data of the source, which is not larger."""
        if source.movable and source.format == kind == "qcow2":
            copies.verbatim(source.path, path, movable=True)
            internal.grow(path, size)
        elif copies.bytes_of(source.format) == kind != "qcow2":
            copies.verbatim(source.path, path, source.movable)
            _resize_raw(path, kind, size)
        else:
            room = max(size, source.opened_bytes)
            _empty(path, kind, room, key)
            copies.convert(source, path, kind, key)
            if room > size and kind == "qcow2":
                internal.shrink(path, size)
            elif room > size:
                _resize_raw(path, kind, size)

    def clone(self, name: str, format: VolumeFormat, size_bytes: int, source: str, snapshot: str | None = None,
              key: str | None = None) -> StoredVolume:
        size = _rounded(size_bytes)
        with self.locked(name, source):
            if self._files.find(name) is not None:
                return self.volume(name)
            file = self._file(source)
            if file.kind == "luks" and format != "raw":
                raise Refused(f"volume {source} is encrypted: a copy is raw")
            kind: Kind = "luks" if file.kind == "luks" else _kind(format, key)
            with self._making(name, kind) as path, self._flat(file, snapshot, kind) as data:
                if data.bytes > size:
                    raise Refused(f"volume {source} has {data.bytes} bytes, its copy would have {size}")
                assert path is not None
                self._fill(data, path, kind, size, key)
        return self.volume(name)

    @contextmanager
    def _flat(self, file: VolumeFile, snapshot: str | None, to: str) -> Iterator[Source]:
        """What is to be copied, at rest: the volume itself, a snapshot of it, or a copy that its guest's process made."""
        if snapshot is not None:
            self._must_have(file, snapshot)
            if file.kind == "qcow2":
                known = internal.find(file.path, snapshot)
                assert known is not None
                yield Source(file.path, "qcow2", known.size, _size(file.path, file.kind), snapshot)
            else:
                path = self._files.snapshot(file, snapshot)
                yield Source(path, file.kind, _size(path, file.kind))
            return
        writer = self.writer(file.name)
        if writer is None or (file.kind == to != "qcow2" and self._files.shares()):
            yield Source(file.path, file.kind, _size(file.path, file.kind))
            return
        with self._files.partial() as path:
            format: VolumeFormat = "raw" if file.kind != "qcow2" else "qcow2"
            copies.prepare(path, format, file.path.stat().st_size if format == "raw" else _size(file.path, file.kind))
            writer.copy(self.setting.name, file.name, path, format)
            if format == "raw":
                sparse.dig(path)
            yield Source(path, file.kind, _size(path, file.kind), movable=True)

    def extend(self, name: str, size_bytes: int, key: str | None = None) -> StoredVolume:
        with self.locked(name):
            size = _size(*self._place(name))
            if _rounded(size_bytes) > size:
                self.must_be_free(name)
            return self.grow(name, size_bytes, key)

    def _place(self, name: str) -> tuple[Path, Kind]:
        file = self._file(name)
        return file.path, file.kind

    def grow(self, name: str, size_bytes: int, key: str | None = None) -> StoredVolume:
        """Without a lock: the hypervisor that asks may hold one of its own, which verbs here wait for."""
        path, kind = self._place(name)
        size, wanted = _size(path, kind), _rounded(size_bytes)
        if wanted < size:
            raise Refused(f"volume {name} has {size} bytes and would shrink")
        if wanted > size:
            if kind == "qcow2":
                internal.grow(path, wanted)
            else:
                _resize_raw(path, kind, wanted)
        return self.volume(name)

    def delete(self, name: str) -> None:
        with self.locked(name):
            file = self._files.find(name)
            if file is None:
                return
            self.must_be_free(name)
            if snapshots := self._stored(file).snapshots:
                raise Conflict(f"volume {name} has snapshots: {', '.join(snapshots)}")
            file.path.unlink()
            self._files.mark(name).unlink(missing_ok=True)
            sparse.flush(self._files.path)

    def rename(self, name: str, to: str) -> None:
        """Snapshots first: as long as the volume has its old name, who asks again goes on."""
        with self.locked(name, to):
            file, other = self._files.find(name), self._files.find(segment(to))
            if name == to and file is not None:
                return
            if file is None:
                if other is None:
                    raise NotThere(f"no volume {name} in back end {self.setting.name}")
                return
            if other is not None:
                raise Conflict(f"there is a volume {to} already")
            self.must_be_free(name)
            if file.kind != "qcow2":
                new = VolumeFile(to, file.path.with_name(f"{to}.{file.kind}"), file.kind)
                for snapshot in self._files.snapshots(name):
                    self._files.snapshot(file, snapshot).rename(self._files.snapshot(new, snapshot))
            file.path.rename(file.path.with_name(f"{to}.{file.kind}"))
            sparse.flush(self._files.path)

    # ------------------------------------------------------------ snapshots

    def snapshot(self, name: str, snapshot: str) -> None:
        with self.locked(name):
            file = self._file(name)
            if self._has_snapshot(file, snapshot):
                return
            if file.kind == "qcow2":
                if writer := self.writer(name):
                    writer.take_snapshot(self.setting.name, name, internal.inner(snapshot))
                else:
                    internal.take(file.path, snapshot)
                return
            with self._flat(file, None, file.kind) as data, self._files.partial() as path:
                copies.verbatim(data.path, path, data.movable)
                self._files.keep(path, self._files.snapshot(file, snapshot).name)

    def delete_snapshot(self, name: str, snapshot: str) -> None:
        with self.locked(name):
            file = self._files.find(name)
            if file is None or not self._has_snapshot(file, snapshot):
                return
            if file.kind != "qcow2":
                self._files.snapshot(file, snapshot).unlink()
                sparse.flush(self._files.path)
            elif writer := self.writer(name):
                writer.drop_snapshot(self.setting.name, name, internal.inner(snapshot))
            else:
                internal.drop(file.path, snapshot)

    def revert(self, name: str, snapshot: str) -> None:
        with self.locked(name):
            file = self._file(name)
            self._must_have(file, snapshot)
            self.must_be_free(name)
            if file.kind == "qcow2":
                self._revert_inside(file, snapshot)
                return
            with self._files.partial() as path:
                copies.verbatim(self._files.snapshot(file, snapshot), path)
                os.truncate(path, file.path.stat().st_size)
                self._files.keep(path, file.path.name)

    def _revert_inside(self, file: VolumeFile, snapshot: str) -> None:
        known, size, mark = internal.find(file.path, snapshot), _size(file.path, file.kind), self._files.mark(file.name)
        assert known is not None
        if known.size != size and not mark.exists():  # an agent that is killed in between must still know the size
            with self._files.partial() as partial:
                partial.write_text(str(size))
                self._files.keep(partial, mark.name)
        internal.go_to(file.path, snapshot)
        self._finish_revert(file.name)

    def _finish_reverts(self) -> None:
        for name in list(self._files.marks()):
            with self.locked(name):
                self._finish_revert(name)

    def _finish_revert(self, name: str) -> None:
        mark, file = self._files.mark(name), self._files.find(name)
        if mark.exists():
            if file is not None:
                internal.grow(file.path, int(mark.read_text()))
            mark.unlink()

    def rename_snapshot(self, name: str, snapshot: str, to: str) -> None:
        with self.locked(name):
            file = self._file(name)
            done = self._has_snapshot(file, to)
            if not self._has_snapshot(file, snapshot):
                if not done:
                    raise NotThere(f"volume {name} has no snapshot {snapshot}")
                return
            if snapshot == to:
                return
            if done:
                raise Conflict(f"volume {name} has a snapshot {to} already")
            if file.kind == "qcow2":
                self.must_be_free(name)
                internal.rename(file.path, snapshot, to)
            else:
                self._files.snapshot(file, snapshot).rename(self._files.snapshot(file, to))
                sparse.flush(self._files.path)

    # ------------------------------------------------------------ copies that leave

    def export(self, name: str, transfer: str, snapshot: str | None = None,
               format: Literal["raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx"] = "raw") -> TransferState:
        with self.locked(name):
            file = self._file(name)
            with self.setting.transfers.made(transfer, format) as path:
                if path is not None:
                    with self._flat(file, snapshot, "raw" if format == "raw" else "") as data:
                        copies.export(data, path, format)
        return self.setting.transfers.transfer(transfer)


# ---------------------------------------------------------------- sizes and kinds


def _rounded(size_bytes: int) -> int:
    if not 0 < size_bytes <= LARGEST:
        raise Refused(f"a volume of {size_bytes} bytes")
    return -(-size_bytes // 512) * 512


def _kind(format: VolumeFormat, key: str | None) -> Kind:
    if key is None:
        return format
    if format != "raw":
        raise Refused(f"an encrypted volume is raw, not {format}")
    return "luks"


def _size(path: Path, kind: str) -> int:
    """As a guest sees it."""
    if kind == "qcow2":
        return internal.virtual_size(path)
    size = os.lstat(path).st_size
    return size - luks.header_bytes(path) if kind == "luks" else size


def _resize_raw(path: Path, kind: Kind, size: int) -> None:
    resize(path, size + (luks.header_bytes(path) if kind == "luks" else 0))


def _empty(path: Path, kind: Kind, size: int, key: str | None) -> None:
    if kind == "luks":
        luks.create(path, size, key or "")
    else:
        copies.prepare(path, kind, size)
