"""Kernel modules: which ones, what they depend on, and the tables modprobe reads.

Debian's kernel package leaves these tables to depmod; here they are made from the modules themselves, so that they name
only the modules that are in the image.
"""

import lzma
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from haneul.image.guest.programs import BuildError

# Enough to reach the root file system, whatever disk it is on.
BOOT = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ata_piix", "ata_generic", "edd")
# Loaded once the root file system is there, or on demand.
LATER = (
    "virtio_net", "virtio_rng", "virtio_balloon", "virtio_console", "sr_mod", "isofs", "vfat", "nls_cp437",
    "nls_ascii", "nls_utf8", "nls_iso8859_1", "button", "evdev", "8021q", "dummy", "loop",
)


class Module(msgspec.Struct, frozen=True):
    name: str
    path: Path
    depends: tuple[str, ...]
    aliases: tuple[str, ...]


def canonical(name: str) -> str:
    return name.replace("-", "_")


def content(path: Path) -> bytes:
    """The module's ELF file; Debian compresses modules since trixie."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def read_module(path: Path) -> Module:
    """Dependencies and aliases from the module's .modinfo section, which is a list of zero-ended key=value."""
    data = content(path)
    name = canonical(path.name.split(".")[0])
    depends = re.findall(rb"\0depends=([^\0]*)\0", data)
    aliases = re.findall(rb"\0alias=([^\0]+)(?=\0)", data)
    return Module(
        name,
        path,
        tuple(canonical(word) for word in depends[0].decode().split(",") if word) if depends else (),
        tuple(sorted({alias.decode() for alias in aliases})),
    )


def choose(tree: Path, names: Iterable[str]) -> list[Module]:
    """The named modules and all they depend on, dependencies first. Those built into the kernel are passed over."""
    files = {canonical(path.name.split(".")[0]): path for path in tree.rglob("*.ko*")}
    built_in = {canonical(Path(line).name.split(".")[0]) for line in _lines(tree / "modules.builtin")}
    chosen: dict[str, Module] = {}

    def add(name: str) -> None:
        if name in chosen or name in built_in:
            return
        if name not in files:
            raise BuildError(f"the kernel has no module {name}")
        module = read_module(files[name])
        for dependency in module.depends:
            add(dependency)
        chosen[name] = module

    for name in names:
        add(canonical(name))
    return list(chosen.values())


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def tables(modules: Iterable[Module]) -> dict[str, str]:
    """modules.dep and modules.alias for modules that all lie in one directory, `kernel/`, dependencies first."""
    order = list(modules)
    by_name = {module.name: module for module in order}

    def needed(name: str) -> set[str]:
        direct = {dependency for dependency in by_name[name].depends if dependency in by_name}
        return direct.union(*(needed(dependency) for dependency in direct))

    dep = []
    for name in sorted(by_name):
        # modprobe loads such a line from its right end.
        wanted = needed(name)
        dep.append(f"kernel/{name}.ko:" + "".join(f" kernel/{m.name}.ko" for m in reversed(order) if m.name in wanted))
    alias = [f"alias {alias} {name}" for name in sorted(by_name) for alias in by_name[name].aliases]
    return {"modules.dep": "\n".join(dep) + "\n", "modules.alias": "\n".join(alias) + "\n"}
