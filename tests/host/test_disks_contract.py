"""What every disks driver does alike: fake and files."""

from __future__ import annotations

import hashlib

import pytest
from guests import DISK_BYTES, Machine, boot_sector

from haneul.host.contract import ConfigDrive, Conflict, NotThere, Refused
from haneul.host.disks import qcow2

RAW = boot_sector(b"\xf4").ljust(DISK_BYTES, b"\0")
QCOW2 = qcow2.empty(DISK_BYTES * 4)


def with_backing_file() -> bytes:
    content = bytearray(QCOW2)
    content[8:20] = (1024).to_bytes(8, "big") + (11).to_bytes(4, "big")
    content[1024:1035] = b"/etc/passwd"
    return bytes(content)


def with_data_file() -> bytes:
    content = bytearray(QCOW2)
    content[72:80] = (4).to_bytes(8, "big")  # the incompatible feature "external data file"
    return bytes(content)


def test_an_image_is_kept_once(machine: Machine) -> None:
    disks = machine.disks
    assert not disks.has_image("image") and disks.images() == []
    for _ in range(2):
        state = machine.put_image(QCOW2, "qcow2")
        assert (state.id, state.format, state.bytes) == ("image", "qcow2", len(QCOW2))
    assert disks.has_image("image") and [image.id for image in disks.images()] == ["image"]
    machine.restart()
    assert machine.disks.has_image("image")
    for _ in range(2):
        machine.disks.drop_image("image")
    assert machine.disks.images() == []


@pytest.mark.parametrize(("content", "format"), [
    (RAW, "qcow2"), (QCOW2, "raw"), (QCOW2, "iso"), (b"QFI\xfb" + b"\0" * 5000, "qcow2"), (with_backing_file(), "qcow2"),
    (with_data_file(), "qcow2"), (RAW, "vmdk"), (RAW, "ami"), (b"", "qcow2")])
def test_an_image_that_lies_leaves_nothing(machine: Machine, content: bytes, format: str) -> None:
    with pytest.raises(Refused):
        machine.put_image(content, format)
    assert machine.disks.images() == []
    assert not list(machine.state.rglob(".partial-*"))


def test_an_image_with_another_digest_is_refused(machine: Machine) -> None:
    with pytest.raises(Refused, match="SHA-512"):
        machine.put_image(RAW, "raw", sha512=hashlib.sha512(b"other").hexdigest())
    assert machine.disks.images() == []


def test_disks_are_made_grown_and_removed(machine: Machine) -> None:
    disks = machine.disks
    machine.put_image(QCOW2, "qcow2")
    for _ in range(2):
        root = disks.create("server", "root", "qcow2", 1, "image", "qcow2")
        assert (root.virtual_bytes, root.image_id, root.format) == (DISK_BYTES * 4, "image", "qcow2")
    assert disks.create("server", "ephemeral0", "raw", DISK_BYTES).virtual_bytes == DISK_BYTES
    assert disks.create("server", "copy", "raw", 1, "image", "qcow2").virtual_bytes == DISK_BYTES * 4
    for _ in range(2):
        assert disks.resize("server", "root", DISK_BYTES * 8).virtual_bytes == DISK_BYTES * 8
    with pytest.raises(Refused):
        disks.resize("server", "root", DISK_BYTES)
    with pytest.raises(NotThere):
        disks.resize("server", "none", DISK_BYTES)
    with pytest.raises(NotThere):
        disks.create("server", "other", "qcow2", 1, "no-image", "qcow2")
    with pytest.raises(Conflict):
        disks.drop_image("image")
    machine.restart()
    assert {(disk.name, disk.virtual_bytes) for disk in machine.disks.disks()} == {
        ("root", DISK_BYTES * 8), ("ephemeral0", DISK_BYTES), ("copy", DISK_BYTES * 4)}
    for _ in range(2):
        machine.disks.remove("server", "root")
        assert {disk.name for disk in machine.disks.disks()} == {"ephemeral0", "copy"}
    machine.disks.remove("server")
    assert machine.disks.disks() == []


@pytest.mark.parametrize("format", ["iso9660", "vfat"])
def test_a_config_drive_is_written_anew(machine: Machine, format: str) -> None:
    for text in ("{}", '{"x": 1}'):
        state = machine.disks.create_config_drive("server", ConfigDrive(
            files={"openstack/latest/meta_data.json": text}, base64_files={"openstack/content/0000": "AAEC"},
            format=format))  # type: ignore[arg-type]
        assert (state.name, state.format) == ("config", "raw") and state.virtual_bytes > 0
    assert len(machine.disks.disks()) == 1


def test_disks_in_use_are_left_alone(machine: Machine) -> None:
    spec = machine.running()
    for forbidden in (lambda: machine.disks.remove(spec.id), lambda: machine.disks.remove(spec.id, "root"),
                      lambda: machine.disks.resize(spec.id, "root", DISK_BYTES * 2),
                      lambda: machine.disks.create_config_drive(spec.id, ConfigDrive(files={}))):
        with pytest.raises(Conflict):
            forbidden()
    machine.hypervisor.kill(spec.id)
    machine.disks.remove(spec.id)


@pytest.mark.parametrize("power", ["running", "paused", "off", "suspended"])
def test_a_snapshot_of_a_server_in_any_state(machine: Machine, power: str) -> None:
    spec = machine.running()
    {"running": machine.hypervisor.run, "paused": machine.hypervisor.pause, "off": machine.hypervisor.kill,
     "suspended": machine.hypervisor.suspend}[power](spec.id)
    for _ in range(2):
        state = machine.disks.snapshot(spec.id, "root", "snapshot")
        assert state.format == "qcow2" and state.bytes > 0
    file, size = machine.disks.open_snapshot("snapshot")  # type: ignore[attr-defined]
    with file:
        content = file.read()
    assert size == state.bytes == len(content)
    assert machine.put_image(content, "qcow2", "copy").bytes == size  # it is what a server may start from
    assert machine.hypervisor.server(spec.id).power == power
    for _ in range(2):
        machine.disks.drop_snapshot("snapshot")
    with pytest.raises(NotThere):
        machine.disks.open_snapshot("snapshot")  # type: ignore[attr-defined]


def test_a_snapshot_of_nothing(machine: Machine) -> None:
    with pytest.raises(NotThere):
        machine.disks.snapshot("server", "root", "snapshot")
