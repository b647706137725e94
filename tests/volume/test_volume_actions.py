"""What changes a volume: its size, its data, its type, its place, its words."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from volume_world import Cinder, Make

from haneul.fleet.agents import Agents
from haneul.host.storage import StoredVolume
from haneul.kernel import ids
from haneul.volume import rows, stores
from running import RunningCloud

NOBODY = "00000000-0000-4000-8000-000000000000"
HOST = "os-vol-host-attr:host"


def stored(cloud: RunningCloud, id: str) -> StoredVolume:
    """What the volume's back end has of it."""
    with cloud.cloud.database.read() as tx:
        row = rows.by_id(tx, id)
    assert row is not None
    return stores.of(cloud.cloud, row.host).volume(row.stored_as)


def first_bytes(cloud: RunningCloud, id: str, length: int) -> bytes:
    """As they lie in the volume, through an export of it."""
    with cloud.cloud.database.read() as tx:
        row = rows.by_id(tx, id)
    assert row is not None
    transfer, agent = f"look-{ids.new()}", stores.agent(cloud.cloud, row.host)
    stores.of(cloud.cloud, row.host).export(row.stored_as, transfer)
    found = b"".join(agent.read_transfer(transfer, 0, length))
    agent.transfers.drop(transfer)
    return found


def kind(cinder: Cinder, **extra_specs: str) -> dict[str, Any]:
    return cinder.call("POST", "/types", {"volume_type": {"name": f"type-{ids.new()[:8]}", "extra_specs": {
        key.replace("__", ":"): value for key, value in extra_specs.items()}}})["volume_type"]


def refused(cinder: Cinder, id: str, name: str, body: Any, status: int, text: str = "", version: str | None = None) -> None:
    answer = cinder.http.post(f"/volume/v3/volumes/{id}/action", json={name: body},
                              headers={"OpenStack-API-Version": f"volume {version}"} if version else {})
    assert answer.status_code == status and text in answer.text, answer.text


@pytest.fixture
def elsewhere(cinder: Cinder) -> Iterator[dict[str, str]]:
    yield {f"host-1@{name}#{name}": f"host-1@{other}#{other}" for name, other in (("file", "second"), ("second", "file"))}


# ---------------------------------------------------------------- size


def test_extend(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    id = make()["id"]
    cinder.action(id, "os-extend", {"new_size": 3}, status=202)
    assert cinder.wait(id)["size"] == 3 and stored(cloud, id).size_bytes == 3 << 30
    for size in (3, 2, 0, -1, "many", None, 2**31):
        refused(cinder, id, "os-extend", {"new_size": size}, 400)
    cinder.action(id, "os-reset_status", {"status": "error"})
    refused(cinder, id, "os-extend", {"new_size": 4}, 400, "to extend, currently error")
    cinder.action(NOBODY, "os-extend", {"new_size": 4}, status=404)


def test_of_many_that_ask_at_once_one_is_heard(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    """Each sees the volume as the one before has left it."""
    id = make()["id"]
    with ThreadPoolExecutor(6) as beside:
        clients = [Cinder(cloud) for _ in range(6)]
        answers = list(beside.map(lambda client: client.http.post(
            f"/volume/v3/volumes/{id}/action", json={"os-extend": {"new_size": 2}}).status_code, clients))
    assert sorted(answers) == [202] + [400] * 5
    assert cinder.wait(id)["size"] == 2


def test_extend_with_a_snapshot(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    id = make()["id"]
    cinder.wait(cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": id}})["snapshot"]["id"], kind="snapshots")
    cinder.action(id, "os-extend", {"new_size": 2}, status=202)
    assert cinder.wait(id)["size"] == 2 and stored(cloud, id).size_bytes == 2 << 30


# ---------------------------------------------------------------- flags and words


def test_reset_status(cinder: Cinder, member: Cinder, make: Make) -> None:
    id = make(by=member)["id"]
    for status in ("error", "available", "maintenance", "Available"):
        cinder.action(id, "os-reset_status", {"status": status}, status=202)
        assert cinder.volume(id)["status"] == status.lower()
    cinder.action(id, "os-reset_status", {"migration_status": "error"}, status=202)
    assert cinder.volume(id)["migration_status"] == "error"
    cinder.action(id, "os-reset_status", {"migration_status": "none"}, status=202)
    assert cinder.volume(id)["migration_status"] is None
    for body in ({}, {"status": "sleepy"}, {"attach_status": "maybe"}):
        refused(cinder, id, "os-reset_status", body, 400)
    refused(member, id, "os-reset_status", {"status": "error"}, 403)
    refused(member, id, "os-force_delete", {}, 403)


def test_bootable_and_readonly(cinder: Cinder, make: Make) -> None:
    id = make()["id"]
    for wanted in (True, False):
        cinder.action(id, "os-set_bootable", {"bootable": wanted}, status=200)
        assert cinder.volume(id)["bootable"] == str(wanted).lower()
        cinder.action(id, "os-update_readonly_flag", {"readonly": wanted}, status=202)
        assert cinder.volume(id)["metadata"]["readonly"] == str(wanted)
    refused(cinder, id, "os-set_bootable", {"bootable": "perhaps"}, 400)
    cinder.action(id, "os-reset_status", {"status": "error"})
    refused(cinder, id, "os-update_readonly_flag", {"readonly": True}, 400, "must be available to update readonly flag")


def test_metadata(cinder: Cinder, make: Make) -> None:
    path = f"/volumes/{make()['id']}/metadata"
    assert cinder.call("POST", path, {"metadata": {"a": "1", "b": "2"}})["metadata"] == {"a": "1", "b": "2"}
    assert cinder.call("POST", path, {"metadata": {"c": "3"}})["metadata"] == {"c": "3"}
    assert cinder.get(path)["metadata"] == {"a": "1", "b": "2", "c": "3"}
    assert cinder.get(path + "/b")["meta"] == {"b": "2"}
    assert cinder.call("PUT", path + "/b", {"meta": {"b": "4"}})["meta"] == {"b": "4"}
    cinder.call("PUT", path + "/b", {"meta": {"c": "4"}}, status=400)
    cinder.call("DELETE", path + "/a", status=200)
    cinder.call("DELETE", path + "/a", status=404)
    cinder.get(path + "/a", status=404)
    assert cinder.call("PUT", path, {"metadata": {"only": "this"}})["metadata"] == {"only": "this"}
    assert cinder.get(path)["metadata"] == {"only": "this"}


def test_image_metadata(cinder: Cinder, make: Make, picture: str) -> None:
    id = make(imageRef=picture)["id"]
    wanted = {"kernel_id": "k", "image_name": "other"}
    told = cinder.action(id, "os-set_image_metadata", {"metadata": wanted}, status=200)["metadata"]
    assert told["kernel_id"] == "k" and told["image_name"] == "other" and told["image_id"] == picture
    assert cinder.action(id, "os-show_image_metadata", {}, status=200)["metadata"] == told
    cinder.action(id, "os-unset_image_metadata", {"key": "kernel_id"}, status=200)
    assert "kernel_id" not in cinder.volume(id)["volume_image_metadata"]
    refused(cinder, id, "os-unset_image_metadata", {"key": "kernel_id"}, 404)


# ---------------------------------------------------------------- data


def test_the_images_bytes_go_into_volume_clone_and_image(cloud: RunningCloud, cinder: Cinder, make: Make, picture: str) -> None:
    image = cloud.connect("admin").image
    want = b"what the image holds"
    id = make(imageRef=picture)["id"]
    assert first_bytes(cloud, id, len(want)) == want
    assert first_bytes(cloud, make(source_volid=id)["id"], len(want)) == want
    for disk_format, magic in (("qcow2", b"QFI\xfb"), ("vmdk", b"KDMV")):  # a gibibyte of raw zeros would be hashed for long
        told = cinder.action(id, "os-volume_upload_image", {"image_name": f"up-{disk_format}", "disk_format": disk_format},
                             status=202)["os-volume_upload_image"]
        assert told["status"] == "uploading" and told["disk_format"] == disk_format and told["visibility"] == "private"
        cinder.wait(id)
        made = image.get_image(told["image_id"])
        assert made.status == "active" and made.disk_format == disk_format and made.min_disk == 1
        assert made.properties.get("hw_disk_bus") == "virtio" or made.hw_disk_bus == "virtio"
        got = b"".join(image.download_image(made, stream=True).iter_content(1 << 20))
        assert got.startswith(magic)
        image.delete_image(made)
    refused(cinder, id, "os-volume_upload_image", {"image_name": "x", "disk_format": "iso"}, 400, "cannot be uploaded as iso")
    refused(cinder, id, "os-volume_upload_image", {"image_name": "x", "container_format": "ova"}, 400)
    cinder.action(id, "os-reset_status", {"status": "error"})
    refused(cinder, id, "os-volume_upload_image", {"image_name": "x"}, 400, "must be available")


def test_only_administrators_upload_for_everybody(member: Cinder, make: Make) -> None:
    id = make(by=member)["id"]
    refused(member, id, "os-volume_upload_image", {"image_name": "x", "visibility": "public"}, 403)


def test_reimage(cloud: RunningCloud, cinder: Cinder, make: Make, picture: str) -> None:
    id, want = make()["id"], b"what the image holds"
    assert first_bytes(cloud, id, 20) == bytes(20)
    cinder.action(id, "os-reimage", {"image_id": picture}, status=202)
    found = cinder.wait(id)
    assert first_bytes(cloud, id, 20) == want and found["bootable"] == "true"
    assert found["volume_image_metadata"]["image_id"] == picture
    refused(cinder, id, "os-reimage", {"image_id": NOBODY}, 404)
    refused(cinder, id, "os-reimage", {"image_id": picture}, 400, version="3.67")
    cloud.settle()
    assert [one.name for one in stores.of(cloud.cloud, found[HOST]).volumes() if id in one.name] == []


# ---------------------------------------------------------------- type and place


def test_a_retype_that_changes_nothing_in_the_store_is_immediate(cinder: Cinder, make: Make) -> None:
    plain, shared = kind(cinder), kind(cinder, multiattach="<is> True")
    found = make(volume_type=plain["id"])
    cinder.action(found["id"], "os-retype", {"new_type": shared["name"], "migration_policy": "never"}, status=202)
    after = cinder.volume(found["id"])
    assert after["volume_type"] == shared["name"] and after["multiattach"] is True and after["migration_status"] is None
    assert after[HOST] == found[HOST]
    refused(cinder, found["id"], "os-retype", {"new_type": shared["name"]}, 400, "same as original")
    refused(cinder, found["id"], "os-retype", {"new_type": NOBODY}, 404)
    refused(cinder, found["id"], "os-retype", {"new_type": plain["name"], "migration_policy": "always"}, 400)


def test_a_retype_copies_to_the_back_end_of_the_type(cloud: RunningCloud, cinder: Cinder, make: Make, picture: str) -> None:
    here, there = kind(cinder, volume_backend_name="file"), kind(cinder, volume_backend_name="second")
    found = make(volume_type=here["id"], imageRef=picture)
    refused(cinder, found["id"], "os-retype", {"new_type": there["id"], "migration_policy": "never"}, 400, "requires migration")
    cinder.action(found["id"], "os-retype", {"new_type": there["id"], "migration_policy": "on-demand"}, status=202)
    after = cinder.wait(found["id"])
    assert after["volume_type"] == there["name"] and after[HOST] == "host-1@second#second"
    assert after["migration_status"] == after["os-vol-mig-status-attr:migstat"] == "success"
    assert first_bytes(cloud, found["id"], 20) == b"what the image holds"
    cloud.settle()
    assert f"volume-{found['id']}" not in {one.name for one in stores.of(cloud.cloud, found[HOST]).volumes()}
    left = cloud.cloud.get(Agents).of("host-1").transfers.transfers()
    assert not [state for state in left if state.id.startswith("move-")]


def test_a_retype_to_another_format_stays_on_the_back_end_or_not(cloud: RunningCloud, cinder: Cinder, make: Make,
                                                                 picture: str) -> None:
    thin = kind(cinder, volume__format="qcow2")
    found = make(imageRef=picture)
    cinder.action(found["id"], "os-retype", {"new_type": thin["id"], "migration_policy": "on-demand"}, status=202)
    cinder.wait(found["id"])
    assert stored(cloud, found["id"]).format == "qcow2"
    assert first_bytes(cloud, found["id"], 20) == b"what the image holds"


def test_migrate(cloud: RunningCloud, cinder: Cinder, make: Make, elsewhere: dict[str, str]) -> None:
    found = make()
    target = elsewhere[found[HOST]]
    refused(cinder, found["id"], "os-migrate_volume", {"host": found[HOST]}, 400, "must be different")
    refused(cinder, found["id"], "os-migrate_volume", {"host": "nowhere@x#y"}, 400, "No available service named")
    refused(cinder, found["id"], "os-migrate_volume", {}, 400)
    copy = make(source_volid=found["id"])
    for status in ("creating", "available"):
        with cloud.cloud.database.write() as tx:
            row = rows.by_id(tx, copy["id"])
            assert row is not None
            row.status = status
        if status == "creating":
            refused(cinder, found["id"], "os-migrate_volume", {"host": target}, 400, "gets its data from")
    cinder.action(found["id"], "os-migrate_volume", {"host": target.partition("#")[0]}, status=202)
    after = cinder.wait(found["id"])
    assert after[HOST] == target and after["migration_status"] == "success"
    cinder.call("DELETE", f"/volumes/{found['id']}", status=202)
    cinder.wait_gone(found["id"])
    refused(cinder, make()["id"], "os-migrate_volume_completion", {"new_volume": NOBODY}, 404)


def test_what_has_snapshots_stays_where_it_is(cinder: Cinder, make: Make, elsewhere: dict[str, str], picture: str) -> None:
    found = make()
    made = cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": found["id"]}})["snapshot"]["id"]
    cinder.wait(made, kind="snapshots")
    refused(cinder, found["id"], "os-migrate_volume", {"host": elsewhere[found[HOST]]}, 400, "must not have snapshots")
    refused(cinder, found["id"], "os-reimage", {"image_id": picture}, 400, "has snapshots")


# ---------------------------------------------------------------- encryption


@pytest.fixture
def secret(cinder: Cinder) -> dict[str, Any]:
    found = kind(cinder)
    cinder.call("POST", f"/types/{found['id']}/encryption", {"encryption": {
        "provider": "luks", "cipher": "aes-xts-plain64", "key_size": 256, "control_location": "front-end"}})
    return found


def test_an_encrypted_volume(cloud: RunningCloud, cinder: Cinder, make: Make, secret: dict[str, Any], picture: str) -> None:
    found = make(volume_type=secret["id"], imageRef=picture)
    assert found["encrypted"] is True and ids.is_uuid(found["encryption_key_id"])
    assert first_bytes(cloud, found["id"], 6) == b"LUKS\xba\xbe"
    clone = make(source_volid=found["id"])
    assert clone["encrypted"] is True and first_bytes(cloud, clone["id"], 6) == b"LUKS\xba\xbe"
    refused(cinder, found["id"], "os-volume_upload_image", {"image_name": "x"}, 400, "encrypted")
    refused(cinder, found["id"], "os-retype", {"new_type": "__DEFAULT__", "migration_policy": "on-demand"}, 400, "in the clear")
    answer = cinder.http.post("/volume/v3/volumes", json={"volume": {"size": 1, "source_volid": found["id"],
                                                                      "volume_type": "__DEFAULT__"}})
    assert answer.status_code == 400 and "not compatible" in answer.text
    cinder.action(found["id"], "os-extend", {"new_size": 2}, status=202)
    assert cinder.wait(found["id"])["size"] == 2


def test_an_encrypted_volume_moves(cloud: RunningCloud, cinder: Cinder, make: Make, secret: dict[str, Any], picture: str,
                                   elsewhere: dict[str, str]) -> None:
    found = make(volume_type=secret["id"], imageRef=picture)
    cinder.action(found["id"], "os-migrate_volume", {"host": elsewhere[found[HOST]]}, status=202)
    after = cinder.wait(found["id"])
    assert after[HOST] == elsewhere[found[HOST]] and after["encryption_key_id"] == found["encryption_key_id"]
    assert first_bytes(cloud, found["id"], 6) == b"LUKS\xba\xbe"
    clone = make(source_volid=found["id"])  # opened with its key: whole
    assert clone["encrypted"] is True
