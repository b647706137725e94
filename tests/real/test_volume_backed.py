"""Servers of QEMU whose root disk is a volume: it outlives them, snapshots of it boot, and disks are found by their serials."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from haneul.cli import guest as guests
from haneul.cli.up import Steps
from real.ground import Ground, Tenant, until

pytestmark = [pytest.mark.real, pytest.mark.skipif(os.geteuid() != 0, reason="a cloud needs root"), pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def zero(ground: Ground) -> str:
    """A flavor without a disk."""
    return str(ground.admin.compute.create_flavor(name="real.on-volume", vcpus=1, ram=192, disk=0).id)


@pytest.fixture
def volume(blue: Tenant, ground: Ground) -> Iterator[Any]:
    """Made of the guests' image."""
    storage = blue.cloud.block_storage
    made = storage.create_volume(name="root", size=1, image_id=ground.image)
    yield until(lambda: (found := storage.get_volume(made.id)).status == "available" and found, 120, "a bootable volume")
    storage.delete_volume(made.id, ignore_missing=True)
    until(lambda: storage.find_volume(made.id, ignore_missing=True) is None, 60, "the end of the volume")


def _root(source: str, id: str, **values: Any) -> dict[str, Any]:
    return {"boot_index": 0, "source_type": source, "destination_type": "volume", "uuid": id, **values}


def test_a_root_volume_outlives_its_servers(ground: Ground, blue: Tenant, zero: str, volume: Any) -> None:
    storage, image_id = blue.cloud.block_storage, ""
    shape: dict[str, Any] = {"image_id": "", "flavor_id": zero}
    with blue.guests("backed", **shape, block_device_mapping=[_root("volume", volume.id), {
            "boot_index": -1, "source_type": "blank", "destination_type": "volume", "volume_size": 1,
            "delete_on_termination": True}]) as [guest]:
        blank = next(each["id"] for each in guest.show().attached_volumes if each["id"] != volume.id)
        serials = guest.run("for disk in /sys/block/vd*; do cat $disk/serial; echo; done").split()
        assert serials == [volume.id[:20], blank[:20]]
        guest.run("echo kept > kept && sync")
        image_id = blue.cloud.compute.create_server_image(guest.id, "of-volumes", wait=False).id
        until(lambda: blue.cloud.image.get_image(image_id).status == "active", 60, "the image of volumes")
        guest.run("echo later > later && sync")
    try:
        assert storage.get_volume(volume.id).status == "available"
        with blue.guests("backed-2", **shape, block_device_mapping=[_root("volume", volume.id)]) as [guest]:
            assert guest.run("cat kept later").split() == ["kept", "later"]
            _rescue(ground, blue, guest, volume.id)
        with blue.guests("copied", image_id=image_id, flavor_id=zero) as [guest]:
            assert guest.run("cat kept; ls later || true").split()[0] == "kept"
            assert guest.attempt("cat later").returncode != 0
            for held in guest.show().attached_volumes:
                blue.cloud.compute.update_volume_attachment(guest.id, held["id"], delete_on_termination=True)
    finally:
        blue.cloud.image.delete_image(image_id, ignore_missing=True)
        for taken in storage.snapshots():
            storage.delete_snapshot(taken.id)
        until(lambda: not list(storage.snapshots()), 60, "the end of all snapshots")


def _rescue(ground: Ground, blue: Tenant, guest: Any, volume_id: str) -> None:
    """The rescue disk comes behind the root volume, which keeps its name, and is what the machine starts from."""
    compute = blue.cloud.compute
    image = ground.admin.image.create_image(name="rescue", disk_format="qcow2", container_format="bare", visibility="public",
                                            data=guests.ensure(Steps()).read_bytes(), hw_rescue_bus="virtio",
                                            validate_checksum=False)
    compute.default_microversion = "2.87"
    try:
        compute.rescue_server(guest.id, image=image.id)
        guest.until("RESCUE")
        guest.until_login()
        assert guest.run("cat /sys/block/vda/serial") == volume_id[:20]
        assert "vdb" in guest.run("ls /sys/block")
        compute.unrescue_server(guest.id)
        guest.until("ACTIVE")
        guest.until_login()
        assert guest.run("cat kept later").split() == ["kept", "later"]
    finally:
        compute.default_microversion = None
        ground.admin.image.delete_image(image.id)


@pytest.fixture
def encrypted(ground: Ground) -> Iterator[str]:
    """A volume type whose volumes are LUKS."""
    storage = ground.admin.block_storage
    made = storage.create_type(name="real-luks")
    storage.create_type_encryption(made, provider="luks", cipher="aes-xts-plain64", key_size=256, control_location="front-end")
    yield str(made.name)
    storage.delete_type(made)


def test_an_encrypted_root_volume_through_the_actions(ground: Ground, blue: Tenant, zero: str, encrypted: str) -> None:
    """Whatever starts QEMU again hands it the key again."""
    compute = blue.cloud.compute
    compute.default_microversion = "2.93"
    try:
        with blue.guests("locked", image_id="", flavor_id=zero, block_device_mapping=[_root(
                "image", ground.image, volume_size=1, volume_type=encrypted, delete_on_termination=True)]) as [guest]:
            [held] = guest.show().attached_volumes
            assert blue.cloud.block_storage.get_volume(held["id"]).is_encrypted
            guest.run("echo kept > kept && sync")
            compute.suspend_server(guest.id)
            guest.until("SUSPENDED")
            compute.resume_server(guest.id)
            guest.until("ACTIVE")
            assert guest.run("cat kept") == "kept"
            compute.shelve_server(guest.id)
            guest.until("SHELVED_OFFLOADED")
            assert blue.cloud.block_storage.get_volume(held["id"]).status == "reserved"
            compute.unshelve_server(guest.id)
            guest.until("ACTIVE")
            guest.until_login()
            assert guest.run("cat kept") == "kept"
            compute.rebuild_server(guest.id, ground.image)
            guest.until("ACTIVE", 300)
            guest.until_login()
            assert guest.attempt("cat kept").returncode != 0
    finally:
        compute.default_microversion = None
