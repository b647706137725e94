"""The programs of the host the builder calls, and how it calls them."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# Program: the Debian package that brings it.
NEEDED = {
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
    "sfdisk": "fdisk",
    "mformat": "mtools",
    "mcopy": "mtools",
    "syslinux": "syslinux",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "qemu-img": "qemu-utils",
}

# sfdisk, mke2fs and debugfs lie where an ordinary user's PATH does not look.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"])

# Every time in the image is this one, so that the same packages give the same bytes.
EPOCH = 1700000000


class BuildError(Exception):
    """The image cannot be built; the text says what to do about it."""


def require_programs() -> None:
    missing = sorted({package for program, package in NEEDED.items() if not shutil.which(program, path=SEARCH_PATH)})
    if missing:
        raise BuildError(f"these Debian packages are needed to build the guest image: {' '.join(missing)}")


def run(arguments: Sequence[str | Path], *, stdin: str | None = None, cwd: Path | None = None,
        environment: Mapping[str, str] | None = None) -> str:
    """Standard output of a program; its last words become the error when it fails."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        input=stdin,
        cwd=cwd,
        text=True,
        capture_output=True,
        env={
            **os.environ,
            "PATH": SEARCH_PATH,
            "LC_ALL": "C",
            "TZ": "UTC",
            "SOURCE_DATE_EPOCH": str(EPOCH),
            "E2FSPROGS_FAKE_TIME": str(EPOCH),
            **(environment or {}),
        },
    )
    if done.returncode != 0:
        raise BuildError(f"{arguments[0]} failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout
