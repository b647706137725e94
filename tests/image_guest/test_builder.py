"""The guest image's builder, without downloads: packages, modules, file trees, the disk's layout, the guest's scripts."""

import json
import shutil
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from haneul.image.guest import contents, disk, modules, packages
from haneul.image.guest.build import build
from haneul.image.guest.programs import SEARCH_PATH, BuildError, run
from haneul.image.guest.tree import Tree, cpio, debugfs_script

STANZAS = """Package: sudo
Version: 1:1.9.13p3-1
Architecture: amd64
Depends: libaudit1 (>= 1:2.2.1), libpam0g, debconf (>= 0.5) | debconf-2.0, lsb-base
Pre-Depends: init-system-helpers (>= 1.54~)
Description: text
 over: lines

Package: zlib1g
Version: 1.2
Architecture: amd64
"""


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if not shutil.which(program, path=SEARCH_PATH)]
    return pytest.mark.skipif(bool(missing), reason=f"needs {' '.join(missing)}")


def test_packages_are_read_from_what_apt_prints() -> None:
    sudo, zlib = packages.parse_stanzas(STANZAS)
    assert sudo.depends == ("init-system-helpers", "libaudit1", "libpam0g", "debconf", "lsb-base")
    assert sudo.file_name == "sudo_1%3a1.9.13p3-1_amd64.deb"
    assert (zlib.name, zlib.depends) == ("zlib1g", ())


def test_resolving_follows_libraries_and_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = {
        packages.KERNEL: "linux-image-6.1-cloud, perl",
        "linux-image-6.1-cloud": "initramfs-tools, kmod",
        "tool": "liba, perl",
        "liba": "zlib1g, debconf",
        "zlib1g": "liba",
    }

    def show(arguments: list[str]) -> str:
        return "\n\n".join(
            f"Package: {name}\nVersion: 1\nArchitecture: amd64\nDepends: {archive[name]}"
            for name in arguments if name in archive
        )

    monkeypatch.setattr(packages, "run", show)
    assert set(packages.resolve([packages.KERNEL, "tool"])) == set(archive)
    with pytest.raises(BuildError, match="no-such"):
        packages.resolve(["no-such"])


def module(folder: Path, name: str, depends: str = "", *aliases: str) -> None:
    info = [b"license=GPL", f"depends={depends}".encode(), *(f"alias={alias}".encode() for alias in aliases)]
    (folder / f"{name}.ko").write_bytes(b"\x7fELF" + b"\0" + b"\0".join(info) + b"\0rest")


def test_modules_bring_their_dependencies_in_an_order_that_loads(tmp_path: Path) -> None:
    module(tmp_path, "scsi_common")
    module(tmp_path, "scsi_mod", "scsi_common")
    module(tmp_path, "libata", "scsi_mod,scsi_common")
    module(tmp_path, "ata-piix", "libata,scsi_mod", "pci:v8086*", "ata:x")
    module(tmp_path, "other")
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    chosen = modules.choose(tmp_path, ["ext4", "ata_piix"])
    assert [each.name for each in chosen] == ["scsi_common", "scsi_mod", "libata", "ata_piix"]
    tables = modules.tables(chosen)
    line = next(line for line in tables["modules.dep"].splitlines() if line.startswith("kernel/ata_piix.ko:"))
    # modprobe loads from the right.
    assert line.split()[1:] == ["kernel/libata.ko", "kernel/scsi_mod.ko", "kernel/scsi_common.ko"]
    assert "alias pci:v8086* ata_piix" in tables["modules.alias"].splitlines()
    with pytest.raises(BuildError, match="missing_one"):
        modules.choose(tmp_path, ["missing_one"])


def small_tree() -> Tree:
    tree = Tree()
    tree.file("/usr/bin/tool", b"#!/bin/sh\n", 0o4755)
    tree.link("/bin", "usr/bin")
    tree.directory("/home/user", 0o700, (1000, 1000))
    tree.directory("/tmp", 0o1777)
    return tree


def cpio_members(archive: bytes) -> dict[str, tuple[int, bytes]]:
    members: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert archive[at:at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        name = archive[at + 110:at + 110 + fields[11] - 1].decode()
        start = (at + 110 + fields[11] + 3) // 4 * 4
        if name == "TRAILER!!!":
            return members
        members[name] = (fields[1], archive[start:start + fields[6]])
        at = (start + fields[6] + 3) // 4 * 4


def test_an_initramfs_has_every_file_once_after_its_directory() -> None:
    members = cpio_members(cpio(small_tree()))
    assert members["usr/bin/tool"] == (stat.S_IFREG | 0o4755, b"#!/bin/sh\n")
    assert members["bin"] == (stat.S_IFLNK | 0o777, b"usr/bin")
    names = list(members)
    assert names.index("usr") < names.index("usr/bin") < names.index("usr/bin/tool")


def test_a_tree_has_the_same_bytes_whatever_the_order_it_was_filled_in() -> None:
    backwards = Tree()
    for path, entry in reversed(small_tree().entries.items()):
        backwards.entries[path] = entry
    assert cpio(backwards) == cpio(small_tree())


@pytest.mark.parametrize("path", ["relative", "/with space", '/with"quote', "/line\nbreak"])
def test_paths_that_would_confuse_debugfs_are_refused(path: str) -> None:
    with pytest.raises(BuildError):
        Tree().file(path, b"")


@needs("mke2fs", "debugfs")
def test_the_root_file_system_has_owners_and_modes_and_is_reproducible(tmp_path: Path) -> None:
    images = []
    for name in ("one", "two"):
        image = tmp_path / name
        disk.write_root(small_tree(), image, tmp_path / f"{name}.staging")
        images.append(image.read_bytes())
    assert images[0] == images[1]
    shown = run(["debugfs", "-R", "stat /home/user", tmp_path / "one"])
    assert "User:  1000   Group:  1000" in shown and "Mode:  0700" in shown
    assert "Mode:  04755" in run(["debugfs", "-R", "stat /usr/bin/tool", tmp_path / "one"])
    assert run(["debugfs", "-R", "cat /usr/bin/tool", tmp_path / "one"]) == "#!/bin/sh\n"
    assert images[0][1024 + 120:1024 + 120 + 11] == b"haneul-root"


def test_the_initramfs_looks_for_the_label_the_builder_writes() -> None:
    init = (contents.HERE / "initramfs/init").read_text()
    assert disk.ROOT_LABEL.encode().hex() in init
    # And grow-root knows the signature of a disk that was never booted.
    assert "= hanl ]" in (contents.HERE / "rootfs/usr/libexec/haneul/grow-root").read_text()
    assert struct.pack("<I", disk.SIGNATURE) == b"hanl"


def test_partitions_lie_where_their_contents_are_written() -> None:
    lines = disk.partition_table().splitlines()
    assert f"start={disk.BOOT_START // 512}," in lines[3] and "bootable" in lines[3]
    assert f"start={disk.ROOT_START // 512}," in lines[4]
    assert disk.BOOT_START + disk.BOOT_SIZE <= disk.ROOT_START
    assert disk.DISK_SIZE <= 256 * disk.MIB


def test_debugfs_stages_contents_under_numbers(tmp_path: Path) -> None:
    script = debugfs_script(small_tree(), tmp_path).splitlines()
    written = next(line for line in script if line.startswith("write "))
    assert Path(written.split()[1]).read_bytes() == b"#!/bin/sh\n"
    assert "symlink bin usr/bin" in script


@pytest.mark.parametrize(
    "script", [path for path in sorted(contents.HERE.rglob("*")) if path.is_file() and path.suffix != ".py"
               and path.read_bytes().startswith(b"#!/bin/busybox sh")], ids=lambda path: path.name)
def test_scripts_of_the_guest_parse(script: Path) -> None:
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@needs("awk")
def test_the_guest_reads_json_with_awk() -> None:
    document = {
        "name": "a.b", "public_keys": {"k": "ssh-rsa AAA x\nssh-ed25519 BBB"}, "none": None, "n": [1, {"deep": True}],
        "meta": {"quote": 'say "hi" \\ / end', "empty": {}}, "list": [],
    }
    for text in (json.dumps(document), json.dumps(document, indent=1)):
        done = run(["awk", "-f", contents.HERE / "rootfs/usr/libexec/haneul/json.awk"], stdin=text)
        assert dict(line.split("\t") for line in done.splitlines()) == {
            "name": "a.b", "public_keys/k": "ssh-rsa AAA x\\nssh-ed25519 BBB", "none": "null", "n/0": "1",
            "n/1/deep": "true", "meta/quote": 'say "hi" \\\\ / end',
        }


def test_missing_host_programs_are_named_by_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("haneul.image.guest.programs.SEARCH_PATH", str(tmp_path))
    with pytest.raises(BuildError, match="e2fsprogs.*mtools.*syslinux"):
        build(tmp_path / "out.qcow2", tmp_path / "cache", lambda line: None)
    assert not (tmp_path / "out.qcow2").exists()
