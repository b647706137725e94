"""Config drives: the file systems with the label `config-2` that guests look for."""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from pathlib import Path, PurePosixPath

from haneul.host.contract import ConfigDrive, HostError, Refused
from haneul.host.disks.file.tools import present, run
from haneul.host.disks.intake import PARTIAL

LABEL = "config-2"
VFAT_BYTES = 64 << 20  # what Nova makes; the file is sparse


def contents(drive: ConfigDrive) -> dict[PurePosixPath, bytes]:
    """Refused when a path leaves the drive or bytes are not base64."""
    files = {path: text.encode() for path, text in drive.files.items()}
    try:
        files |= {path: base64.b64decode(text, validate=True) for path, text in drive.base64_files.items()}
    except binascii.Error as error:
        raise Refused(f"config drive: not base64: {error}") from error
    checked = {PurePosixPath(path): content for path, content in files.items()}
    for path in checked:
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in str(path):
            raise Refused(f"config drive: {str(path)!r} is no path inside it")
    return checked


def write(drive: ConfigDrive, target: Path) -> None:
    """The whole file system into `target`, which does not exist yet."""
    files = contents(drive)
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=target.parent) as folder:
        tree = Path(folder)
        for path, content in files.items():
            file = tree / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        (_iso9660 if drive.format == "iso9660" else _vfat)(tree, target)


def _iso9660(tree: Path, target: Path) -> None:
    program = present("genisoimage", "mkisofs", "xorriso")
    if program is None:
        raise HostError("none of genisoimage, mkisofs and xorriso is installed")
    run([program, *(["-as", "mkisofs"] if program == "xorriso" else ["-allow-lowercase", "-allow-multidot", "-ldots"]),
         "-quiet", "-l", "-J", "-r", "-V", LABEL, "-o", str(target), str(tree)])


def _vfat(tree: Path, target: Path) -> None:
    size = VFAT_BYTES + sum(file.stat().st_size for file in tree.rglob("*") if file.is_file())
    with open(target, "xb") as file:
        file.truncate(size // 512 * 512)
    run(["mformat", "-i", str(target), "-v", LABEL, "-h", "16", "-s", "63", "-T", str(size // 512), "::"])
    entries = sorted(str(entry) for entry in tree.iterdir())
    if entries:
        run(["mcopy", "-i", str(target), "-s", "-Q", *entries, "::/"])
    _lower_label(target)


def _lower_label(target: Path) -> None:
    """mformat writes the label's directory entry in capitals, and guests look for it as it is spelled."""
    wanted, written = LABEL.encode().ljust(11), LABEL.upper().encode().ljust(11)
    file = os.open(target, os.O_RDWR)
    try:
        at = os.pread(file, 1 << 20, 0).find(written + b"\x08")
        if at >= 0:
            os.pwrite(file, wanted, at)
    finally:
        os.close(file)
