"""What is in the guest: its initramfs and its root file system."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from haneul.image.guest import modules, packages
from haneul.image.guest.packages import Package
from haneul.image.guest.programs import BuildError, run
from haneul.image.guest.tree import Tree

HERE = Path(__file__).parent

# Programs taken from packages, with the directory they get in the guest. Everything else is a busybox applet.
PROGRAMS = {
    "usr/bin": (
        "dropbear", "dropbearkey", "dbclient", "sudo", "lsblk", "blkid", "resizepart", "mkfs", "mke2fs", "resize2fs",
        "ping",
    ),
}
# The first runs in the place of the script `nc` and must have its name, because that is the process people look for
# and kill; the second runs under the script and must not.
NETCATS = {"nc.openbsd": "netcat-openbsd/nc", "nc.traditional": "netcat-traditional/netcat"}
# Loaded by name at run time, so that no ELF header tells of them.
PLUGINS = ("libexec/sudo/sudoers.so", "lib/*/security/pam_permit.so", "lib/*/security/pam_deny.so")
LINKS = {
    "/bin": "usr/bin", "/sbin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib", "/usr/sbin": "bin",
    "/usr/lib64": "lib", "/var/run": "/run", "/etc/mtab": "/proc/self/mounts",
    **{f"/usr/bin/mkfs.{kind}": "mke2fs" for kind in ("ext2", "ext3", "ext4")},
    "/etc/udhcpc": "/usr/share/udhcpc", "/usr/bin/ping6": "ping", "/usr/bin/ssh": "dbclient", "/usr/bin/mkfs.fat": "mkfs.vfat",
    "/usr/bin/sh": "/usr/libexec/busybox-sh/busybox", "/usr/bin/ash": "/usr/libexec/busybox-sh/busybox",
}
# Applets whose place a package's program or a script takes, or that make no sense in a guest.
NOT_BUSYBOX = {"busybox", "dpkg", "dpkg-deb", "rpm", "rpm2cpio", "linuxrc"}


def kernel_tree(unpacked: Path) -> tuple[Path, Path]:
    """The kernel and the directory of its modules."""
    kernels = sorted((unpacked / "boot").glob("vmlinuz-*"))
    if len(kernels) != 1:
        raise BuildError(f"expected one kernel among the packages, found {len(kernels)}")
    release = kernels[0].name.removeprefix("vmlinuz-")
    for base in ("lib", "usr/lib"):
        found = unpacked / base / "modules" / release
        if found.is_dir():
            return kernels[0], found
    raise BuildError(f"the kernel {release} has no modules")


def add_modules(tree: Tree, source: Path, names: tuple[str, ...], base: str) -> None:
    chosen = modules.choose(source, names)
    directory = f"{base}/modules/{source.name}"
    for module in chosen:
        tree.file(f"{directory}/kernel/{module.name}.ko", modules.content(module.path))
    for name, text in modules.tables(chosen).items():
        tree.file(f"{directory}/{name}", text.encode())


def initramfs(unpacked: Path, module_source: Path) -> Tree:
    tree = Tree()
    for directory in ("/dev", "/proc", "/sys", "/root", "/bin"):
        tree.directory(directory)
    tree.file("/bin/busybox", find_program(unpacked, "busybox").read_bytes(), 0o755)
    add_modules(tree, module_source, modules.BOOT, "/lib")
    tree.copy(HERE / "initramfs")
    return tree


def find_program(unpacked: Path, name: str) -> Path:
    for directory in ("usr/bin", "bin", "usr/sbin", "sbin"):
        path = unpacked / directory / name
        if path.is_file() and not path.is_symlink():
            return path
    raise BuildError(f"no package brings the program {name}")


def libraries(unpacked: Path, binary: Path) -> dict[str, Path]:
    """The shared libraries of a program by their names, as the guest's own loader finds them among the packages."""
    loaders = [path for path in (unpacked / "lib64/ld-linux-x86-64.so.2", unpacked / "usr/lib64/ld-linux-x86-64.so.2")
               if path.exists() or path.is_symlink()]
    if not loaders:
        raise BuildError("no package brings the dynamic loader")
    loader = real_path(unpacked, loaders[0])
    places = [unpacked / base / "x86_64-linux-gnu" for base in ("lib", "usr/lib")] + [unpacked / "usr/libexec/sudo"]
    text = run([loader, "--inhibit-cache", "--library-path", ":".join(map(str, places)), "--list", binary])
    found = {"ld-linux-x86-64.so.2": loader}
    for line in text.splitlines():
        name, arrow, path = line.strip().partition(" => ")
        if not arrow or name.startswith("/"):
            continue
        library = Path(path.rpartition(" (")[0])
        if unpacked not in library.parents:
            raise BuildError(f"{binary.name} needs {name}, which no package brings")
        found[name] = library.resolve()
    return found


def real_path(unpacked: Path, path: Path) -> Path:
    """A symbolic link inside the unpacked packages, whose absolute targets mean the guest's root."""
    while path.is_symlink():
        target = path.readlink()
        path = unpacked / target.relative_to("/") if target.is_absolute() else path.parent / target
    return path


def root(unpacked: Path, module_source: Path, chosen: Mapping[str, Package]) -> Tree:
    tree = Tree()
    _skeleton(tree)
    busybox = find_program(unpacked, "busybox")
    tree.file("/usr/bin/busybox", busybox.read_bytes(), 0o755)
    for applet in run([busybox, "--list"]).split():
        if applet not in NOT_BUSYBOX:
            tree.link(f"/usr/bin/{applet}", "busybox")
    _programs(tree, unpacked)
    for path, target in LINKS.items():
        tree.link(path, target)
    add_modules(tree, module_source, modules.BOOT + modules.LATER, "/usr/lib")
    tree.copy(HERE / "rootfs")
    for path, mode in {"/etc/shadow": 0o600, "/etc/sudoers": 0o440}.items():
        content = tree.entries[path].content
        assert content is not None
        tree.file(path, content, mode)
    tree.file("/etc/mke2fs.conf", (unpacked / "etc/mke2fs.conf").read_bytes())
    tree.file("/etc/haneul-image.json", manifest(chosen))
    return tree


def _skeleton(tree: Tree) -> None:
    for directory in ("boot", "dev", "etc", "home", "mnt", "opt", "proc", "run", "srv", "sys", "usr/bin", "usr/lib",
                      "var/log", "var/lib/haneul", "etc/dropbear"):
        tree.directory(f"/{directory}")
    tree.directory("/root", 0o700)
    tree.directory("/tmp", 0o1777)
    tree.directory("/var/tmp", 0o1777)
    tree.directory("/home/cirros", 0o755, (1000, 1000))


def _programs(tree: Tree, unpacked: Path) -> None:
    binaries = []
    for directory, names in PROGRAMS.items():
        for name in names:
            path = find_program(unpacked, name)
            tree.file(f"/{directory}/{name}", path.read_bytes(), 0o4755 if name == "sudo" else 0o755)
            binaries.append(path)
    for name, place in NETCATS.items():
        path = find_program(unpacked, name)
        tree.file(f"/usr/libexec/{place}", path.read_bytes(), 0o755)
        binaries.append(path)
    # The static busybox's shell runs its own applets whatever the PATH says, so it would never find our ping and nc.
    # The dynamic one's does not, and is the shell people get; the boot scripts keep the other for its speed.
    shell = find_program(unpacked / packages.APART["busybox"], "busybox")
    tree.file("/usr/libexec/busybox-sh/busybox", shell.read_bytes(), 0o755)
    binaries.append(shell)
    for pattern in PLUGINS:
        found = sorted(path for base in ("", "usr") for path in (unpacked / base).glob(pattern))
        if not found:
            raise BuildError(f"no package brings {pattern}")
        relative = found[0].relative_to(unpacked).as_posix().removeprefix("usr/")
        tree.file(f"/usr/{relative}", found[0].read_bytes())
        binaries.append(found[0])
    for binary in binaries:
        for name, path in libraries(unpacked, binary).items():
            # sudo's own library lies beside its plugins; the loader finds it there by the program's run path.
            directory = "/usr/libexec/sudo" if name.startswith("libsudo") else "/usr/lib/x86_64-linux-gnu"
            mode = 0o755 if name.startswith("ld-") else 0o644
            tree.file(f"/usr/lib/{name}" if name.startswith("ld-") else f"{directory}/{name}", path.read_bytes(), mode)


def manifest(chosen: Mapping[str, Package]) -> bytes:
    versions = {name: chosen[name].version for name in sorted(chosen)}
    return msgspec.json.format(msgspec.json.encode({"packages": versions}), indent=2) + b"\n"
