"""From Debian packages to a qcow2 file, in the order the parts depend on each other."""

import gzip
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from haneul.image.guest import contents, disk, packages
from haneul.image.guest.programs import require_programs
from haneul.image.guest.tree import cpio


def build(output: Path, cache: Path, progress: Callable[[str], None]) -> Path:
    """Writes the image to `output`, in one move when it is complete. Packages are kept in `cache`.

    Needs no privileges: nothing is mounted, installed or written outside of the two paths and the temporary directory.
    """
    require_programs()
    output = output.absolute()
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="haneul-guest-") as scratch:
        work = Path(scratch)
        unpacked = work / "packages"
        unpacked.mkdir()
        chosen = packages.fetch(cache.absolute(), unpacked, progress)
        kernel, module_source = contents.kernel_tree(unpacked)
        progress(f"kernel {module_source.name}")
        initrd = work / "initrd"
        initrd.write_bytes(gzip.compress(cpio(contents.initramfs(unpacked, module_source)), 9, mtime=0))
        progress("root file system")
        root_image = work / "root.ext4"
        disk.write_root(contents.root(unpacked, module_source, chosen), root_image, work / "staging")
        progress("disk")
        syslinux_cfg = work / "syslinux.cfg"
        syslinux_cfg.write_bytes((contents.HERE / "boot/syslinux.cfg").read_bytes())
        raw = work / "disk.raw"
        disk.write_disk(root_image, {"vmlinuz": kernel, "initrd": initrd, "syslinux.cfg": syslinux_cfg}, raw)
        partial = output.with_name(f".{output.name}.{os.getpid()}")
        try:
            disk.compress(raw, partial)
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)
    progress(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    return output
