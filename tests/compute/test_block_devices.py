"""Servers that boot with volumes, and from them: through the front, on the fake hypervisor, with real volumes in files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from compute_world import Boot, Nova
from sqlalchemy import text
from test_guest_reports import Guest

from haneul.fleet.agents import Agents
from haneul.volume import quotas
from haneul.volume.model import AttachmentRow, PoolRow
from running import RunningCloud, wait_until
from volume.volume_world import Cinder

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cinder(cloud: RunningCloud) -> Cinder:
    with cloud.cloud.database.write() as tx:
        quotas.set_limits(tx, cloud.connect("admin").current_project_id, {
            "volumes": -1, "gigabytes": -1, "snapshots": -1, "per_volume_gigabytes": -1})

    def reported() -> bool:
        with cloud.cloud.database.read() as tx:
            return tx.query(PoolRow).filter(PoolRow.at > 0).count() > 0

    wait_until(reported, what="the back ends' first report")
    return Cinder(cloud)


@pytest.fixture(scope="module")
def zero(nova: Nova) -> str:
    """A flavor without a disk of its own."""
    return nova.call("POST", "/flavors", {"flavor": {"name": "volume-backed", "vcpus": 1, "ram": 64, "disk": 0}})["flavor"]["id"]


@pytest.fixture(scope="module")
def picture(cloud: RunningCloud) -> str:
    """A raw image with something in it."""
    return cloud.connect("admin").image.create_image(
        name="bdm-image", disk_format="raw", container_format="bare", data=b"boots" + bytes((1 << 20) - 5), visibility="public",
        hw_rescue_bus="scsi", wait=True).id


@pytest.fixture
def volume(cinder: Cinder) -> Iterator[Any]:
    made: list[str] = []

    def make(**values: Any) -> dict[str, Any]:
        found = cinder.call("POST", "/volumes", {"volume": {"name": f"bdm-{next(_numbers)}", "size": 1, **values}})["volume"]
        made.append(found["id"])
        return cinder.wait(found["id"])

    yield make
    for id in made:
        if cinder.http.get(f"/volume/v3/volumes/{id}").status_code == 200:
            wait_until(lambda id=id: cinder.volume(id)["status"] in ("available", "error"), what=f"volume {id} at rest")
            cinder.http.delete(f"/volume/v3/volumes/{id}")
            cinder.wait_gone(id)


def root(source: str, id: str | None = None, **values: Any) -> dict[str, Any]:
    return {"boot_index": 0, "source_type": source, "destination_type": "volume", **({"uuid": id} if id else {}), **values}


def disks(cloud: RunningCloud, server_id: str) -> list[str]:
    return cloud.cloud.get(Agents).of("host-1").hypervisor.server(server_id).disks


def attached(server: dict[str, Any]) -> list[str]:
    return [each["id"] for each in server["os-extended-volumes:volumes_attached"]]


def test_boot_from_a_volume_that_is_made_of_an_image(cloud: RunningCloud, nova: Nova, cinder: Cinder, boot: Boot, picture: str,
                                                      zero: str) -> None:
    server = boot(imageRef="", flavorRef=zero, block_device_mapping_v2=[
        root("image", picture, volume_size=1, delete_on_termination=True)])
    assert server["image"] == "" and server["OS-EXT-SRV-ATTR:root_device_name"] == "/dev/vda"
    [volume_id] = attached(server)
    made = cinder.volume(volume_id)
    assert (made["status"], made["bootable"], made["size"]) == ("in-use", "true", 1)
    assert made["attachments"][0]["server_id"] == server["id"] and made["attachments"][0]["device"] == "/dev/vda"
    assert made["volume_image_metadata"]["image_id"] == picture
    assert [name[:4] for name in disks(cloud, server["id"])] == ["vol-"]
    assert nova.http.request("DELETE", f"/volume/v3/volumes/{volume_id}").status_code == 400
    with cloud.cloud.database.read() as tx:
        held = dict(tx.execute(text("SELECT resource_class, used FROM allocations WHERE consumer_id = :id"),
                               {"id": server["id"]}).all())
    assert held == {"VCPU": 1, "MEMORY_MB": 64}
    nova.call("DELETE", f"/servers/{server['id']}")
    nova.wait_gone(server["id"])
    cinder.wait_gone(volume_id)


def test_a_volume_outlives_its_servers(cloud: RunningCloud, nova: Nova, cinder: Cinder, volume: Any, boot: Boot, picture: str,
                                        zero: str) -> None:
    mine = volume(imageRef=picture)
    first = boot(imageRef="", flavorRef=zero, block_device_mapping_v2=[root("volume", mine["id"])])
    assert attached(first) == [mine["id"]]
    answer = nova.http.post("/compute/v2.1/servers", json={"server": {
        "name": "second", "flavorRef": zero, "imageRef": "", "networks": "none",
        "block_device_mapping_v2": [root("volume", mine["id"])]}})
    assert answer.status_code == 400 and "status must be available" in answer.text
    for action, status in (("os-stop", "SHUTOFF"), ("os-start", "ACTIVE"), ("pause", "PAUSED"), ("unpause", "ACTIVE"),
                           ("suspend", "SUSPENDED"), ("resume", "ACTIVE")):
        nova.action(first["id"], action)
        nova.wait(first["id"], status)
    nova.action(first["id"], "reboot", {"type": "HARD"})
    nova.wait(first["id"], "ACTIVE")
    assert len(disks(cloud, first["id"])) == 1
    nova.call("DELETE", f"/servers/{first['id']}")
    nova.wait_gone(first["id"])
    assert cinder.volume(mine["id"])["status"] == "available"
    second = boot(imageRef="", flavorRef=zero, block_device_mapping_v2=[root("volume", mine["id"])])
    assert cinder.volume(mine["id"])["attachments"][0]["server_id"] == second["id"]
    answer = nova.http.delete(f"/compute/v2.1/servers/{second['id']}/os-volume_attachments/{mine['id']}")
    assert answer.status_code == 400 and "Cannot detach a root device volume" in answer.text


def test_snapshot_blank_volume_and_local_disks_together(cloud: RunningCloud, nova: Nova, cinder: Cinder, volume: Any, boot: Boot,
                                                         picture: str) -> None:
    flavor = nova.call("POST", "/flavors", {"flavor": {
        "name": f"bdm-{next(_numbers)}", "vcpus": 1, "ram": 64, "disk": 1, "OS-FLV-EXT-DATA:ephemeral": 2, "swap": 64}})
    origin = volume(imageRef=picture)
    taken = cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": origin["id"], "name": "s"}})["snapshot"]
    cinder.wait(taken["id"], kind="snapshots")
    server = boot(imageRef="", flavorRef=flavor["flavor"]["id"], config_drive=True, block_device_mapping_v2=[
        root("snapshot", taken["id"], delete_on_termination=True),
        {"source_type": "blank", "destination_type": "volume", "volume_size": 2, "boot_index": -1, "tag": "data",
         "delete_on_termination": True},
        {"source_type": "blank", "destination_type": "local", "volume_size": 1},
        {"source_type": "blank", "destination_type": "local", "volume_size": 1, "disk_bus": "scsi"},
        {"source_type": "blank", "destination_type": "local", "guest_format": "swap", "volume_size": 32}])
    names = disks(cloud, server["id"])
    assert [name if name[:4] != "vol-" else "vol" for name in names] == [
        "vol", "ephemeral0", "ephemeral1", "swap", "vol", "config"]
    made = [cinder.volume(id) for id in attached(server)]
    assert {(each["size"], each["snapshot_id"]) for each in made} == {(1, taken["id"]), (2, None)}
    assert {each["attachments"][0]["device"] for each in made} == {"/dev/vda", "/dev/vde"}
    port = nova.get(f"/servers/{server['id']}/os-interface")["interfaceAttachments"][0]["port_id"]
    guest = Guest(cloud, port)
    [data] = guest.ask("/openstack/latest/meta_data.json").json()["devices"]
    blank = next(each for each in made if each["size"] == 2)
    assert data["type"] == "disk" and data["tags"] == ["data"] and data["serial"] == blank["id"][:20]
    assert guest.ask("/latest/meta-data/block-device-mapping/root").text == "/dev/vda"
    assert guest.ask("/latest/meta-data/block-device-mapping/ebs0").text == "/dev/vde"
    assert guest.ask("/latest/meta-data/block-device-mapping/swap").text == "/dev/vdd"
    nova.call("DELETE", f"/servers/{server['id']}")
    nova.wait_gone(server["id"])
    for each in made:
        cinder.wait_gone(each["id"])
    cinder.call("DELETE", f"/snapshots/{taken['id']}")
    cinder.wait_gone(taken["id"], kind="snapshots")


def test_the_first_version_of_mappings(nova: Nova, cinder: Cinder, volume: Any, boot: Boot, picture: str, zero: str,
                                        image: str) -> None:
    mine, beside = volume(imageRef=picture), volume()
    server = boot(imageRef="", flavorRef=zero, block_device_mapping=[
        {"device_name": "vda", "volume_id": mine["id"], "delete_on_termination": "false"}])
    assert server["image"] == "" and attached(server) == [mine["id"]]
    other = boot(block_device_mapping=[{"device_name": "/dev/vdc", "volume_id": beside["id"]}])
    assert other["image"]["id"] == image and attached(other) == [beside["id"]]
    assert cinder.volume(beside["id"])["attachments"][0]["device"] == "/dev/vdb"


def test_an_image_and_volumes_beside_it(cloud: RunningCloud, nova: Nova, cinder: Cinder, boot: Boot, image: str) -> None:
    server = boot(block_device_mapping_v2=[
        {"source_type": "image", "destination_type": "local", "boot_index": 0, "uuid": image, "delete_on_termination": True},
        {"source_type": "blank", "destination_type": "volume", "boot_index": -1, "volume_size": 1,
         "delete_on_termination": True}])
    assert server["image"]["id"] == image and len(attached(server)) == 1
    assert [name[:4] for name in disks(cloud, server["id"])] == ["root", "vol-"]
    nova.action(server["id"], "shelve")
    nova.wait(server["id"], "SHELVED_OFFLOADED")
    assert cinder.volume(attached(server)[0])["status"] == "reserved"
    nova.action(server["id"], "unshelve")
    nova.wait(server["id"], "ACTIVE")
    assert [name[:4] for name in disks(cloud, server["id"])] == ["root", "vol-"]
    assert cinder.volume(attached(server)[0])["status"] == "in-use"


NOBODY = "11111111-2222-4333-8444-555555555555"
REFUSED: list[tuple[list[dict[str, Any]], str]] = [
    ([root("blank")], "non-zero size"),
    ([root("image", "{image}")], "need to have a non-zero size specified"),
    ([root("image", NOBODY, volume_size=1)], f"failed to get image {NOBODY}"),
    ([root("volume", NOBODY)], f"failed to get volume {NOBODY}"),
    ([root("snapshot", NOBODY)], f"failed to get snapshot {NOBODY}"),
    ([root("volume")], "Missing device UUID"),
    ([{"destination_type": "volume"}], "Some required fields are missing"),
    ([root("blank", NOBODY, volume_size=1)], "Invalid device UUID"),
    ([{**root("blank", volume_size=1), "boot_index": 1}], "Boot sequence"),
    ([root("blank", volume_size=1), root("blank", volume_size=1)], "Boot sequence"),
    ([root("blank", volume_size=1), {"source_type": "blank", "destination_type": "local", "volume_size": 1}],
     "Ephemeral disks requested are larger"),
    ([root("blank", volume_size=1), {"source_type": "blank", "destination_type": "local", "guest_format": "swap",
                                     "volume_size": 1}], "Swap drive requested is larger"),
    ([root("blank", volume_size=1, disk_bus="fdc")], "disk bus fdc is not valid"),
    ([root("blank", volume_size=1, volume_type="no such")], "Volume type no such could not be found"),
    ([root("volume", NOBODY, volume_type="x")], "Specifying volume type to existing volume"),
    ([root("blank", volume_size=0)], "volume_size"),
    ([root("blank", volume_size=1, nonsense=1)], "nonsense"),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_cannot_be_is_refused(nova: Nova, cinder: Cinder, zero: str, picture: str, number: int) -> None:
    mappings, words = REFUSED[number]
    given = [{key: value.replace("{image}", picture) if isinstance(value, str) else value for key, value in each.items()}
             for each in mappings]
    before = {each["id"] for each in cinder.get("/volumes")["volumes"]}
    answer = nova.http.post("/compute/v2.1/servers", json={"server": {
        "name": "refused", "flavorRef": zero, "imageRef": "", "networks": "none", "block_device_mapping_v2": given}})
    assert answer.status_code == 400 and words in answer.text, answer.text
    assert {each["id"] for each in cinder.get("/volumes")["volumes"]} <= before


def test_other_refusals(nova: Nova, cinder: Cinder, zero: str, picture: str, volume: Any, cloud: RunningCloud) -> None:
    plain = volume()

    def refuse(words: str, status: int = 400, version: str = "2.96", **body: Any) -> None:
        answer = nova.http.post("/compute/v2.1/servers", json={"server": {
            "name": "refused", "flavorRef": zero, "imageRef": "", "networks": "none", **body}},
            headers={"OpenStack-API-Version": f"compute {version}"})
        assert answer.status_code == status and words in answer.text, answer.text

    refuse("is not bootable", block_device_mapping_v2=[root("volume", plain["id"])])
    refuse("to multiple instances", min_count=2, block_device_mapping_v2=[
        root("blank", volume_size=1), {"source_type": "volume", "destination_type": "volume", "uuid": plain["id"]}])
    refuse("different block_device_mapping syntaxes", block_device_mapping=[{"volume_id": plain["id"]}],
           block_device_mapping_v2=[root("volume", plain["id"])])
    refuse("Unrecognized legacy format", block_device_mapping=[{"device_name": "vda"}])
    refuse("same device name as the root device", imageRef=picture,
           block_device_mapping=[{"device_name": "vda", "volume_id": plain["id"]}])
    refuse("Missing imageRef", block_device_mapping_v2=[])
    refuse("'tag' was unexpected", version="2.41", block_device_mapping_v2=[root("blank", volume_size=1, tag="t")])
    refuse("'volume_type' was unexpected", version="2.66", block_device_mapping_v2=[
        root("blank", volume_size=1, volume_type="__DEFAULT__")])
    large = cloud.connect("admin").image.create_image(
        name="wants-three", disk_format="raw", container_format="bare", data=b"x" * 512, min_disk=3, wait=True)
    refuse("smaller than the minimum size", block_device_mapping_v2=[root("image", large.id, volume_size=2)])
    assert cinder.volume(plain["id"])["status"] == "available"
    project = cloud.connect("admin").current_project_id
    with cloud.cloud.database.write() as tx:
        quotas.set_limits(tx, project, {"volumes": 0})
    try:
        refuse("", status=403, block_device_mapping_v2=[root("blank", volume_size=1)])
    finally:
        with cloud.cloud.database.write() as tx:
            quotas.set_limits(tx, project, {"volumes": -1})


def test_others_volumes_cannot_be_booted(cloud: RunningCloud, nova: Nova, cinder: Cinder, picture: str, volume: Any) -> None:
    mine = volume(imageRef=picture)
    stranger = Nova(cloud, "other")
    answer = stranger.http.post("/compute/v2.1/servers", json={"server": {
        "name": "thief", "flavorRef": "42", "imageRef": "", "networks": "none",
        "block_device_mapping_v2": [root("volume", mine["id"])]}})
    assert answer.status_code == 400 and "failed to get volume" in answer.text
    assert cinder.volume(mine["id"])["status"] == "available"


def test_a_boot_that_fails_gives_its_volumes_back(cloud: RunningCloud, nova: Nova, cinder: Cinder, volume: Any, boot: Boot,
                                                   picture: str) -> None:
    flavor = nova.call("POST", "/flavors", {"flavor": {"name": f"bdm-{next(_numbers)}", "vcpus": 1, "ram": 1 << 28, "disk": 0}})
    mine = volume(imageRef=picture)
    before = {each["id"] for each in cinder.get("/volumes")["volumes"]}
    server = boot(until="ERROR", imageRef="", flavorRef=flavor["flavor"]["id"], block_device_mapping_v2=[
        root("volume", mine["id"]),
        {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}])
    assert "No valid host" in server["fault"]["message"]
    assert cinder.volume(mine["id"])["status"] == "available"
    wait_until(lambda: {each["id"] for each in cinder.get("/volumes")["volumes"]} <= before, what="the blank volume's end")
    with cloud.cloud.database.read() as tx:
        assert tx.query(AttachmentRow).filter_by(server_id=server["id"]).count() == 0


def test_an_image_of_a_volume_backed_server(cloud: RunningCloud, nova: Nova, cinder: Cinder, boot: Boot, picture: str,
                                             zero: str) -> None:
    first = boot(imageRef="", flavorRef=zero, block_device_mapping_v2=[
        root("image", picture, volume_size=1, delete_on_termination=True)])
    image_id = nova.action(first["id"], "createImage", {"name": "of-volumes"})["image_id"]
    images = cloud.connect("admin").image
    made = wait_until(lambda: (found := images.get_image(image_id)).status == "active" and found, what="the image")
    assert made.size == 0 and made.disk_format == "raw"
    nova.wait(first["id"], "ACTIVE")
    [taken] = [each for each in cinder.get("/snapshots")["snapshots"] if each["name"] == "snapshot for of-volumes"]
    assert taken["status"] == "available" and taken["id"] in made.properties["block_device_mapping"]
    volume = cinder.call("POST", "/volumes", {"volume": {"size": 1, "imageRef": image_id}}, version="3.46")["volume"]
    assert cinder.wait(volume["id"])["snapshot_id"] == taken["id"]  # the image has no data that it could be made of
    cinder.call("DELETE", f"/volumes/{volume['id']}")
    cinder.wait_gone(volume["id"])
    second = boot(imageRef=image_id, flavorRef=zero)
    assert second["image"] == ""
    [copy] = attached(second)
    assert cinder.volume(copy)["snapshot_id"] == taken["id"]
    assert cinder.volume(copy)["volume_image_metadata"]["image_id"] == picture
    answer = nova.http.post(f"/compute/v2.1/servers/{first['id']}/action", json={
        "createBackup": {"name": "b", "backup_type": "daily", "rotation": 1}})
    assert answer.status_code == 400 and "not supported for volume-backed" in answer.text
    for server in (first, second):
        nova.call("DELETE", f"/servers/{server['id']}")
        nova.wait_gone(server["id"])
    cinder.wait_gone(copy)
    assert cinder.volume(attached(first)[0])["status"] == "available"  # its snapshot stands on it
    images.delete_image(image_id)
    cinder.call("DELETE", f"/snapshots/{taken['id']}")
    cinder.wait_gone(taken["id"], kind="snapshots")
    cinder.call("DELETE", f"/volumes/{attached(first)[0]}")


def test_shelve_and_resize_of_a_volume_backed_server(cloud: RunningCloud, nova: Nova, cinder: Cinder, boot: Boot, picture: str,
                                                      zero: str) -> None:
    server = boot(imageRef="", flavorRef=zero, block_device_mapping_v2=[
        root("image", picture, volume_size=1, delete_on_termination=True)])
    [volume_id] = attached(server)
    nova.action(server["id"], "shelve")
    nova.wait(server["id"], "SHELVED_OFFLOADED")
    assert cinder.volume(volume_id)["status"] == "reserved"
    assert not [each for each in cloud.connect("admin").image.images() if each.name == f"{server['name']}-shelved"]
    nova.action(server["id"], "unshelve")
    nova.wait(server["id"], "ACTIVE")
    assert cinder.volume(volume_id)["status"] == "in-use"
    nova.action(server["id"], "resize", {"flavorRef": "42"})
    nova.wait(server["id"], "VERIFY_RESIZE")
    nova.action(server["id"], "revertResize")
    nova.wait(server["id"], "ACTIVE")
    nova.action(server["id"], "resize", {"flavorRef": "42"})
    nova.wait(server["id"], "VERIFY_RESIZE")
    nova.action(server["id"], "confirmResize", status=204)
    nova.wait(server["id"], "ACTIVE")
    assert [name[:4] for name in disks(cloud, server["id"])] == ["vol-"]
    assert cinder.volume(volume_id)["status"] == "in-use"


def test_rescue_of_a_volume_backed_server(cloud: RunningCloud, nova: Nova, boot: Boot, picture: str, image: str,
                                           zero: str) -> None:
    server = boot(imageRef="", flavorRef=zero, block_device_mapping_v2=[
        root("image", picture, volume_size=1, delete_on_termination=True)])
    path = f"/compute/v2.1/servers/{server['id']}/action"
    for body, version in (({"rescue": {"rescue_image_ref": picture}}, "2.86"), ({"rescue": None}, "2.87"),
                          ({"rescue": {"rescue_image_ref": image}}, "2.87")):
        answer = nova.http.post(path, json=body, headers={"OpenStack-API-Version": f"compute {version}"})
        assert answer.status_code == 400 and "Cannot rescue a volume-backed instance" in answer.text
    nova.action(server["id"], "rescue", {"rescue_image_ref": picture})
    nova.wait(server["id"], "RESCUE")
    assert [name[:6] for name in disks(cloud, server["id"])] == [disks(cloud, server["id"])[0][:6], "rescue"]
    nova.action(server["id"], "unrescue")
    nova.wait(server["id"], "ACTIVE")
    assert [name[:4] for name in disks(cloud, server["id"])] == ["vol-"]


def test_rebuild_of_a_volume_backed_server(cloud: RunningCloud, nova: Nova, cinder: Cinder, boot: Boot, picture: str, image: str,
                                            zero: str) -> None:
    server = boot(imageRef="", flavorRef=zero, block_device_mapping_v2=[
        root("image", picture, volume_size=1, delete_on_termination=True)])
    [volume_id] = attached(server)
    answer = nova.http.post(f"/compute/v2.1/servers/{server['id']}/action", json={"rebuild": {"imageRef": image}},
                            headers={"OpenStack-API-Version": "compute 2.92"})
    assert answer.status_code == 400 and "different image for a volume-backed" in answer.text
    nova.action(server["id"], "rebuild", {"imageRef": picture}, version="2.92")
    nova.wait(server["id"], "ACTIVE")
    other = cloud.connect("admin").image.create_image(
        name="bdm-other", disk_format="raw", container_format="bare", data=b"other" + bytes(1 << 20), wait=True).id
    nova.action(server["id"], "rebuild", {"imageRef": other}, version="2.93")
    rebuilt = nova.wait(server["id"], "ACTIVE")
    assert rebuilt["image"] == "" and attached(rebuilt) == [volume_id]
    found = cinder.volume(volume_id)
    assert found["status"] == "in-use" and found["volume_image_metadata"]["image_id"] == other
    assert [name[:4] for name in disks(cloud, server["id"])] == ["vol-"]


def test_the_image_says_which_bus(cloud: RunningCloud, nova: Nova, cinder: Cinder, boot: Boot, zero: str) -> None:
    scsi = cloud.connect("admin").image.create_image(
        name="bdm-scsi", disk_format="raw", container_format="bare", data=bytes(1 << 20), hw_disk_bus="scsi", wait=True).id
    server = boot(imageRef="", flavorRef=zero, block_device_mapping_v2=[
        root("image", scsi, volume_size=1, delete_on_termination=True),
        {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "disk_bus": "virtio",
         "delete_on_termination": True}])
    assert server["OS-EXT-SRV-ATTR:root_device_name"] == "/dev/sda"
    devices = {cinder.volume(id)["attachments"][0]["device"] for id in attached(server)}
    assert devices == {"/dev/sda", "/dev/vda"}
    with cloud.cloud.database.read() as tx:
        buses = {row.boot_index: row.disk_bus for row in tx.query(AttachmentRow).filter_by(server_id=server["id"])}
    assert buses == {0: "scsi", None: "virtio"}


def test_the_old_door(nova: Nova, cinder: Cinder, zero: str) -> None:
    made = nova.call("POST", "/os-volumes_boot", {"server": {
        "name": "old-door", "flavorRef": zero, "networks": "none",
        "block_device_mapping_v2": [root("blank", volume_size=1, delete_on_termination=True)]}}, status=202)["server"]
    server = nova.wait(made["id"], "ACTIVE")
    nova.call("DELETE", f"/servers/{server['id']}")
    nova.wait_gone(server["id"])
    cinder.wait_gone(attached(server)[0])


def test_several_servers_have_a_volume_each(nova: Nova, cinder: Cinder, picture: str, zero: str) -> None:
    before = {each["id"] for each in cinder.get("/volumes")["volumes"]}
    reservation = nova.call("POST", "/servers", {"server": {
        "name": "several", "flavorRef": zero, "imageRef": "", "networks": "none", "min_count": 2, "return_reservation_id": True,
        "block_device_mapping_v2": [root("image", picture, volume_size=1, delete_on_termination=True)]}}, status=202)
    ids = [each["id"] for each in nova.get("/servers/detail")["servers"]
           if each["OS-EXT-SRV-ATTR:reservation_id"] == reservation["reservation_id"]]
    volumes = {attached(nova.wait(id, "ACTIVE"))[0] for id in ids}
    assert len(ids) == len(volumes) == 2
    for id in ids:
        nova.call("DELETE", f"/servers/{id}")
    wait_until(lambda: {each["id"] for each in cinder.get("/volumes")["volumes"]} <= before, what="the end of their volumes")


def test_a_deletion_overtakes_a_boot(nova: Nova, cinder: Cinder, picture: str, zero: str) -> None:
    """Whatever the volumes were doing: those that were to end with the server do, and no other is held."""
    before = {each["id"] for each in cinder.get("/volumes")["volumes"]}
    made = nova.call("POST", "/servers", {"server": {
        "name": "overtaken", "flavorRef": zero, "imageRef": "", "networks": "none", "block_device_mapping_v2": [
            root("image", picture, volume_size=1, delete_on_termination=True),
            {"source_type": "blank", "destination_type": "volume", "volume_size": 1}]}}, status=202)["server"]
    nova.call("DELETE", f"/servers/{made['id']}")
    nova.wait_gone(made["id"])
    kept = wait_until(lambda: (left := {each["id"] for each in cinder.get("/volumes")["volumes"]} - before) and len(left) == 1
                      and left, what="one volume left").pop()
    cinder.wait(kept)
    cinder.call("DELETE", f"/volumes/{kept}")
    cinder.wait_gone(kept)
