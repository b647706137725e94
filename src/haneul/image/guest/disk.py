"""The disk: a small FAT partition that the BIOS boots by syslinux, and the ext4 root file system behind it."""

import os
from pathlib import Path

from haneul.image.guest.programs import EPOCH, BuildError, run
from haneul.image.guest.tree import Tree, debugfs_script

MIB = 1024 * 1024
BOOT_START = 1 * MIB
BOOT_SIZE = 23 * MIB
ROOT_START = 24 * MIB
DISK_SIZE = 160 * MIB
ROOT_LABEL = "haneul-root"
ROOT_UUID = "68616e65-756c-4000-8000-726f6f740001"
HASH_SEED = "68616e65-756c-4000-8000-736565640001"
# "hanl" as the little-endian word sfdisk wants; the guest gives itself a random one at its first boot.
SIGNATURE = int.from_bytes(b"hanl", "little")
MBR_CODE = (Path("/usr/lib/syslinux/mbr/mbr.bin"), Path("/usr/share/syslinux/mbr.bin"))


def partition_table() -> str:
    sectors = 512
    return "\n".join([
        "label: dos",
        f"label-id: 0x{SIGNATURE:08x}",
        "unit: sectors",
        f"start={BOOT_START // sectors}, size={BOOT_SIZE // sectors}, type=c, bootable",
        f"start={ROOT_START // sectors}, size={(DISK_SIZE - ROOT_START) // sectors}, type=83",
    ]) + "\n"


def write_root(tree: Tree, image: Path, staging: Path) -> None:
    """An ext4 file system with the tree in it, as a file of its own."""
    with image.open("wb") as file:
        file.truncate(DISK_SIZE - ROOT_START)
    staging.mkdir()
    run([
        "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-N", "16384", "-m", "0", "-J", "size=4",
        "-L", ROOT_LABEL, "-U", ROOT_UUID, "-O", "^64bit,^metadata_csum,^orphan_file,resize_inode",
        "-E", f"hash_seed={HASH_SEED},lazy_itable_init=0,lazy_journal_init=0,nodiscard,root_owner=0:0", image,
    ])
    script = staging / "script"
    script.write_text(debugfs_script(tree, staging))
    output = run(["debugfs", "-w", "-f", script, image])
    # debugfs goes on after an error and leaves with 0; everything it prints that is no echo of a command is one.
    complaints = [line for line in output.splitlines()
                  if line.strip() and not line.startswith(("debugfs: ", "debugfs:  ", "Allocated inode:"))]
    if complaints:
        raise BuildError(f"debugfs: {complaints[0]}")


def write_boot(disk: Path, files: dict[str, Path]) -> None:
    """The FAT partition, inside the disk file, with syslinux in it."""
    drive = f"{disk}@@{BOOT_START}"
    run(["mformat", "-i", drive, "-T", str(BOOT_SIZE // 512), "-h", "16", "-s", "63", "-H", str(BOOT_START // 512),
         "-N", "68616e65", "-v", "HANEUL-BOOT", "-c", "8", "::"])
    for name, path in sorted(files.items()):
        os.utime(path, (EPOCH, EPOCH))
        run(["mcopy", "-m", "-i", drive, path, f"::{name}"])
    run(["syslinux", "--offset", str(BOOT_START), "--install", disk])


def write_disk(root_image: Path, boot_files: dict[str, Path], disk: Path) -> None:
    with disk.open("wb") as file:
        file.truncate(DISK_SIZE)
    run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", disk], stdin=partition_table())
    write_boot(disk, boot_files)
    code = next((path for path in MBR_CODE if path.exists()), None)
    if code is None:
        raise BuildError("the Debian package syslinux-common, with the boot sector, is needed")
    with disk.open("r+b") as file, root_image.open("rb") as root:
        file.write(code.read_bytes()[:440])
        for offset in range(ROOT_START, DISK_SIZE, MIB):
            block = root.read(MIB)
            if block.strip(b"\0"):
                file.seek(offset)
                file.write(block)


def compress(disk: Path, output: Path) -> None:
    """qcow2 with zlib, which every QEMU and image inspector reads. One coroutine keeps the order of its clusters."""
    run(["qemu-img", "convert", "-c", "-m", "1", "-f", "raw", "-O", "qcow2", disk, output])
