"""The files of a root file system as a table in memory, and the two forms it is written in: cpio and ext4."""

import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from haneul.image.guest.programs import EPOCH, BuildError


class Entry(msgspec.Struct, frozen=True):
    """A file, directory (content None, no target) or symbolic link."""

    mode: int
    content: bytes | None = None
    target: str | None = None
    uid: int = 0
    gid: int = 0


class Tree:
    """Paths are absolute. Links of directories (`/bin` to `usr/bin`) are the caller's business: nothing is resolved."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def directory(self, path: str, mode: int = 0o755, owner: tuple[int, int] = (0, 0)) -> None:
        self._parents(path)
        self.entries[path] = Entry(stat.S_IFDIR | mode, uid=owner[0], gid=owner[1])

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        self._parents(path)
        self.entries[path] = Entry(stat.S_IFREG | mode, content=content)

    def link(self, path: str, target: str) -> None:
        self._parents(path)
        self.entries[path] = Entry(stat.S_IFLNK | 0o777, target=target)

    def copy(self, source: Path) -> None:
        """A directory of plain files. Modes come from the content, not from the checkout or the wheel it lies in."""
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes()
                name = "/" + path.relative_to(source).as_posix()
                self.file(name, content, 0o755 if content.startswith(b"#!") else 0o644)

    def sorted(self) -> Iterator[tuple[str, Entry]]:
        return iter(sorted(self.entries.items(), key=lambda item: item[0].split("/")))

    def _parents(self, path: str) -> None:
        if not path.startswith("/") or any(character.isspace() or character == '"' for character in path):
            raise BuildError(f"no path for the image: {path!r}")
        parent = path.rpartition("/")[0]
        if parent and parent not in self.entries:
            self.directory(parent)


def cpio(tree: Tree) -> bytes:
    """The tree as an initramfs in the newc format, sorted and with one time for all."""
    out = bytearray()
    for number, (path, entry) in enumerate(tree.sorted(), start=1):
        data = entry.content if entry.content is not None else (entry.target or "").encode()
        _cpio_member(out, path.lstrip("/"), number, entry, data)
    _cpio_member(out, "TRAILER!!!", 0, Entry(0), b"")
    out.extend(b"\0" * (-len(out) % 512))
    return bytes(out)


def _cpio_member(out: bytearray, name: str, number: int, entry: Entry, data: bytes) -> None:
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (number, entry.mode, entry.uid, entry.gid, links, EPOCH if number else 0, len(data), 0, 0, 0, 0,
              len(name) + 1, 0)
    out.extend(b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0")
    out.extend(b"\0" * (-len(out) % 4))
    out.extend(data)
    out.extend(b"\0" * (-len(out) % 4))


def debugfs_script(tree: Tree, staging: Path) -> str:
    """Commands that fill an empty ext4 file system. Files are staged under numbers, so that no name needs quoting.

    debugfs instead of `mke2fs -d`: owners and modes need no root, and neither the directory order nor the change times
    of the building machine get into the image.
    """
    lines = []
    for number, (path, entry) in enumerate(tree.sorted()):
        parent, _, name = path.rpartition("/")
        lines.append(f"cd {parent or '/'}")
        if entry.target is not None:
            lines.append(f"symlink {name} {entry.target}")
            continue
        if entry.content is not None:
            staged = staging / str(number)
            staged.write_bytes(entry.content)
            lines.append(f"write {staged} {name}")
        else:
            lines.append(f"mkdir {name}")
        lines.append(f"set_inode_field {name} mode 0{entry.mode:o}")
        if entry.uid or entry.gid:
            lines.append(f"set_inode_field {name} uid {entry.uid}")
            lines.append(f"set_inode_field {name} gid {entry.gid}")
    return "\n".join(lines) + "\n"
