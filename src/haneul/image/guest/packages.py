"""Debian packages: resolved by apt, downloaded, unpacked side by side, never installed."""

import os
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from haneul.image.guest.programs import BuildError, run

KERNEL = "linux-image-cloud-amd64"
WANTED = (
    "busybox",
    "busybox-static",
    "dropbear-bin",
    "util-linux",
    "e2fsprogs",
    "sudo",
    "libpam-modules",
    "iputils-ping",
    "netcat-openbsd",
    "netcat-traditional",
)
# Both bring /bin/busybox: this one is unpacked into a directory of its own.
APART = {"busybox": "apart"}


class Package(msgspec.Struct, frozen=True):
    name: str
    version: str
    architecture: str
    depends: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """As apt-get download names it: the version's colon is escaped."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


def parse_stanzas(text: str) -> list[Package]:
    """What `apt-cache show` prints. Of alternatives in Depends the first counts."""
    packages = []
    for stanza in re.split(r"\n\s*\n", text.strip()):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", stanza, re.MULTILINE))
        if "Package" not in fields:
            continue
        words = f"{fields.get('Pre-Depends', '')},{fields.get('Depends', '')}".split(",")
        depends = tuple(re.split(r"[\s(|:]", word.strip(), maxsplit=1)[0] for word in words if word.strip())
        packages.append(Package(fields["Package"], fields["Version"], fields["Architecture"], depends))
    return packages


def resolve(names: Iterable[str]) -> dict[str, Package]:
    """The candidates of these packages and of all libraries they depend on; of the kernel's metapackage, the kernel."""
    found: dict[str, Package] = {}
    asked: set[str] = set()
    pending = set(names)
    while pending:
        asked |= pending
        text = run(["apt-cache", "show", "--no-all-versions", *sorted(pending)])
        pending = set()
        for package in parse_stanzas(text):
            prefixes = ("linux-image-",) if package.name == KERNEL else ("lib", "zlib")
            found[package.name] = package
            pending |= {name for name in package.depends if name.startswith(prefixes)} - asked
    missing = sorted(set(names) - set(found))
    if missing:
        raise BuildError(f"apt knows no package {', '.join(missing)}: is a Debian release configured?")
    return found


def lists_missing() -> bool:
    return not run(["apt-cache", "policy", KERNEL]).strip()


def download(packages: Iterable[Package], cache: Path) -> None:
    missing = [package for package in packages if not (cache / package.file_name).exists()]
    if not missing:
        return
    # In a directory of its own first: an interrupted download must not look like a package. As root, apt wants to
    # download as its own user, who may not write here.
    partial = cache / f"partial-{os.getpid()}"
    partial.mkdir(parents=True)
    try:
        names = [f"{package.name}={package.version}" for package in missing]
        run(["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *names], cwd=partial)
        for package in missing:
            (partial / package.file_name).replace(cache / package.file_name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def unpack(package: Package, cache: Path, into: Path) -> None:
    run(["dpkg-deb", "-x", cache / package.file_name, into])


def fetch(cache: Path, unpacked: Path, progress: Callable[[str], None]) -> dict[str, Package]:
    """Everything the image is made of, unpacked into one tree."""
    cache.mkdir(parents=True, exist_ok=True)
    if lists_missing():
        progress("apt knows no packages yet, running apt-get update")
        run(["apt-get", "update", "-q"])
    packages = resolve((KERNEL, *WANTED))
    progress(f"{len(packages)} Debian packages in {cache}")
    download(packages.values(), cache)
    for name in sorted(packages):
        unpack(packages[name], cache, unpacked / APART.get(name, ""))
    return packages
