"""The folder of a store: names say all there is to know, and one rename makes a volume.

    <volume>.raw  <volume>.luks  <volume>.qcow2     (.luks: raw to who opens it, header and all)
    <volume>@<snapshot>.raw  …@….luks               a copy; qcow2 has its snapshots inside
    .revert-<volume>                                 the size that a qcow2 gets back after its revert
    .partial-<hex>                                   swept when the store is opened
    .store                                           by which a configured folder is known again
"""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

from haneul.host.accounts import qemu_account
from haneul.host.contract import HostError, Refused
from haneul.host.disks.intake import PARTIAL, sweep
from haneul.host.segments import segment
from haneul.host.storage import VolumeFormat
from haneul.host.volumes import sparse

Kind = Literal["raw", "luks", "qcow2"]
KINDS: tuple[Kind, ...] = ("raw", "luks", "qcow2")
REVERT = ".revert-"


class VolumeFile(Struct, frozen=True):
    name: str
    path: Path
    kind: Kind

    @property
    def format(self) -> VolumeFormat:
        return "qcow2" if self.kind == "qcow2" else "raw"


class Folder:
    """A folder that may be out of reach: every way in looks first. One that was configured has a file `.store`, and the agent
    remembers what that said: an empty mount point is not taken for a store whose volumes are gone."""

    def __init__(self, path: Path, own: Path) -> None:
        """`own` is below the state directory: the store itself, or where the agent remembers another one."""
        self.path = path
        self._ours = path == own
        self._name = own.name
        self._remembered = own / "id"
        self._seen: tuple[int, int] | None = None
        self._shares: bool | None = None

    def ready(self) -> Path:
        """The folder itself; HostError says why it cannot be used."""
        try:
            with suppress(FileNotFoundError):
                found = os.stat(self.path)
                if (found.st_dev, found.st_ino) == self._seen:
                    return self.path
            self._open()
            found = os.stat(self.path)
            self._seen = (found.st_dev, found.st_ino)
        except FileNotFoundError as error:
            raise HostError(f"{self.path.parent} does not exist") from error
        except OSError as error:
            raise HostError(f"{self.path}: {error.strerror}") from error
        return self.path

    def _open(self) -> None:
        self.path.mkdir(0o711, parents=self._ours, exist_ok=True)
        if self._ours:
            os.chmod(self.path.parent, 0o711)
            os.chmod(self.path, 0o711)
        else:
            self._recognise()
        sweep(self.path)

    def _recognise(self) -> None:
        mark = self.path / ".store"
        if not self._remembered.exists():
            self._remembered.parent.mkdir(parents=True, exist_ok=True)
            if not mark.exists():
                mark.write_text(f"{self._name} {uuid.uuid4().hex}")
                sparse.flush(mark)
            elif (other := mark.read_text().partition(" ")[0]) != self._name:
                raise HostError(f"{self.path} is the store of back end {other}")
            self._remembered.write_text(mark.read_text())
        elif not mark.exists() or mark.read_text() != self._remembered.read_text():
            raise HostError(f"{self.path} is not the store that it was: is its file system mounted? (If it shall be a new one, "
                            f"remove {self._remembered})")

    def find(self, name: str) -> VolumeFile | None:
        folder = self.ready()
        for kind in KINDS:
            path = folder / f"{segment(name)}.{kind}"
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                continue
            if not stat.S_ISREG(found.st_mode):
                raise Refused(f"{path} is not a plain file")
            return VolumeFile(name, path, kind)
        return None

    def every(self) -> tuple[list[VolumeFile], dict[str, list[str]]]:
        """All volumes, and the names of the snapshots that are files, by volume."""
        volumes: list[VolumeFile] = []
        snapshots: dict[str, list[str]] = {}
        with os.scandir(self.ready()) as entries:
            for entry in entries:
                stem, _, kind = entry.name.rpartition(".")
                name, at, snapshot = stem.partition("@")
                if kind not in KINDS or not name or not entry.is_file(follow_symlinks=False):
                    continue  # not of our making
                if at:
                    snapshots.setdefault(name, []).append(snapshot)
                else:
                    volumes.append(VolumeFile(name, Path(entry.path), kind))
        return volumes, snapshots

    def snapshots(self, name: str) -> list[str]:
        start = f"{name}@"
        return sorted(entry.rpartition(".")[0][len(start):] for entry in os.listdir(self.ready()) if entry.startswith(start))

    def snapshot(self, file: VolumeFile, snapshot: str) -> Path:
        return file.path.with_name(f"{file.name}@{segment(snapshot)}.{file.kind}")

    @contextmanager
    def partial(self) -> Iterator[Path]:
        """An empty file of QEMU's user, gone after the block unless it was moved."""
        path = self.ready() / f"{PARTIAL}{uuid.uuid4().hex}"
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                if os.geteuid() == 0:
                    os.fchown(file, qemu_account().uid, qemu_account().gid)
            finally:
                os.close(file)
            yield path
        except OSError as error:
            raise sparse.told(error) from error
        finally:
            path.unlink(missing_ok=True)

    def keep(self, partial: Path, name: str) -> Path:
        """The file gets its name, for good."""
        sparse.flush(partial)
        final = partial.rename(self.path / name)
        sparse.flush(self.path)
        return final

    def shares(self) -> bool:
        """The file system makes copies on the same blocks, of what is being written too."""
        if self._shares is None:
            with self.partial() as one, self.partial() as two:
                one.write_bytes(b"x")
                with opened(one, os.O_RDONLY) as read, opened(two, os.O_RDWR) as written:
                    self._shares = sparse.share(read, written)
        return self._shares

    def marks(self) -> Iterator[str]:
        """Volumes whose revert was cut short."""
        yield from (path.name.removeprefix(REVERT) for path in self.ready().glob(f"{REVERT}*"))

    def mark(self, name: str) -> Path:
        return self.path / f"{REVERT}{name}"


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """A file of the store, never what a link leads to."""
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def resize(path: Path, size: int) -> None:
    try:
        with opened(path, os.O_RDWR) as file:
            os.ftruncate(file, size)
            os.fsync(file)
    except OSError as error:
        raise sparse.told(error) from error
