"""Volumes through the API: made of what, seen how, found by what, and gone when."""

from __future__ import annotations

from typing import Any

import pytest
from volume_world import Cinder, Make

from haneul.kernel import ids
from running import RunningCloud, wait_until

NOBODY = "00000000-0000-4000-8000-000000000000"


def refused(client: Cinder, status: int, values: dict[str, Any], text: str = "") -> None:
    answer = client.http.post("/volume/v3/volumes", json={"volume": values})
    assert answer.status_code == status, answer.text
    assert text in answer.text, answer.text


def test_an_empty_volume_is_available_with_what_was_asked_for(cinder: Cinder, make: Make) -> None:
    found = make(name="empty", description="of nothing", metadata={"a": "b"}, size=2)
    assert (found["name"], found["description"], found["size"], found["metadata"]) == ("empty", "of nothing", 2, {"a": "b"})
    assert found["bootable"] == "false" and found["encrypted"] is False and found["attachments"] == []
    assert found["volume_type"] == "__DEFAULT__" and found["availability_zone"] == "nova"
    host, _, backend = found["os-vol-host-attr:host"].partition("@")
    assert host == "host-1" and backend in ("file#file", "second#second")


def test_both_back_ends_are_used(cinder: Cinder, make: Make) -> None:
    assert len({make()["os-vol-host-attr:host"] for _ in range(4)}) == 2


@pytest.mark.parametrize("values, status, text", [
    ({}, 400, "size"), ({"size": 0}, 400, ""), ({"size": -1}, 400, ""), ({"size": ""}, 400, ""), ({"size": "#$"}, 400, ""),
    ({"size": 2**31}, 400, ""), ({"size": 1.5}, 400, ""), ({"size": None}, 400, "size"),
    ({"size": 1, "volume_type": NOBODY}, 404, "Volume type"), ({"size": 1, "snapshot_id": NOBODY}, 404, "Snapshot"),
    ({"size": 1, "source_volid": NOBODY}, 404, "Volume"), ({"size": 1, "imageRef": NOBODY}, 404, "Image"),
    ({"size": 1, "imageRef": "not-an-image"}, 400, "image identifier"), ({"size": 1, "snapshot_id": "x"}, 400, "uuid"),
    ({"size": 1, "availability_zone": "elsewhere"}, 400, "Availability zone 'elsewhere' is invalid"),
    ({"size": 1, "multiattach": True}, 400, "multiattach parameter has been removed"),
    ({"size": 1, "group_id": NOBODY}, 404, "Group"), ({"size": 1, "backup_id": NOBODY}, 404, "Backup"),
    ({"size": 1, "name": "n" * 256}, 400, ""), ({"size": 1, "metadata": {"k" * 256: "v"}}, 400, ""),
    ({"size": 1, "snapshot_id": NOBODY, "source_volid": NOBODY}, 400, "only one of")])
def test_what_cannot_be_is_refused(cinder: Cinder, values: dict[str, Any], status: int, text: str) -> None:
    before = cinder.get("/volumes/summary")
    refused(cinder, status, values, text)
    assert cinder.get("/volumes/summary") == before


def test_sizes_against_sources(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    source = make(size=2)
    refused(cinder, 400, {"size": 1, "source_volid": source["id"]}, "cannot be smaller than the volume size 2GB")
    images = cloud.connect("admin").image
    large = images.create_image(name="wide", disk_format="raw", container_format="bare", data=b"x" * 1024, min_disk=3, wait=True)
    refused(cinder, 400, {"size": 2, "imageRef": large.id}, "minDisk size 3GB")
    queued = images.create_image(name="queued", disk_format="raw", container_format="bare")
    refused(cinder, 400, {"size": 2, "imageRef": queued.id}, "is not active")
    for image in (large, queued):
        images.delete_image(image)


def test_a_volume_of_an_image_is_bootable_and_knows_it(cinder: Cinder, make: Make, picture: str) -> None:
    found = make(imageRef=picture)
    assert found["bootable"] == "true"
    told = found["volume_image_metadata"]
    assert told["image_id"] == picture and told["hw_disk_bus"] == "virtio" and told["disk_format"] == "raw"
    clone = make(source_volid=found["id"], size=2)
    assert clone["bootable"] == "true" and clone["volume_image_metadata"] == told and clone["size"] == 2
    assert clone["os-vol-host-attr:host"] == found["os-vol-host-attr:host"], "a clone is where its source is"


def test_many_volumes_of_one_image_share_its_way(cloud: RunningCloud, cinder: Cinder, make: Make, picture: str) -> None:
    made = [make(until=None, imageRef=picture) for _ in range(5)]
    for one in made:
        cinder.wait(one["id"])
    cloud.settle()
    from haneul.fleet.agents import Agents
    left = [state.id for state in cloud.cloud.get(Agents).of("host-1").transfers.transfers()]
    assert f"image-{picture}" not in left


def test_a_type_that_nothing_fits_ends_in_error_with_a_message(cinder: Cinder, make: Make) -> None:
    kind = cinder.call("POST", "/types", {"volume_type": {"name": f"nowhere-{ids.new()[:8]}", "extra_specs": {
        "volume_backend_name": "nowhere"}}})["volume_type"]
    found = make(until="error", volume_type=kind["id"])
    told = [one for one in cinder.get("/messages")["messages"] if one["resource_uuid"] == found["id"]]
    assert told and "schedule allocate volume" in told[0]["user_message"]


def test_a_type_chooses_the_back_end(cinder: Cinder, make: Make) -> None:
    for name in ("file", "second"):
        for spec in ("volume_backend_name", "capabilities:volume_backend_name"):
            kind = cinder.call("POST", "/types", {"volume_type": {"name": f"on-{name}-{ids.new()[:8]}", "extra_specs": {
                spec: name, "storage_protocol": "<in> file", "vendor_name": "Open Source"}}})["volume_type"]
            assert make(volume_type=kind["name"])["os-vol-host-attr:host"] == f"host-1@{name}#{name}"


def test_hints_keep_volumes_apart_or_together(cinder: Cinder, make: Make) -> None:
    first = make()
    assert make(hints={"same_host": [first["id"]]})["os-vol-host-attr:host"] == first["os-vol-host-attr:host"]
    assert make(hints={"different_host": first["id"]})["os-vol-host-attr:host"] != first["os-vol-host-attr:host"]


def test_a_volume_is_its_projects(cloud: RunningCloud, cinder: Cinder, member: Cinder, make: Make) -> None:
    found, other = make(by=member), Cinder(cloud, "other")
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/metadata")):
        answer = other.http.request(method, f"/volume/v3/volumes/{found['id']}{path}",
                                    json={"volume": {"name": "x"}} if method == "PUT" else None)
        assert answer.status_code == 404, (method, path, answer.text)
    assert found["id"] not in [one["id"] for one in other.get("/volumes?all_tenants=1")["volumes"]]
    assert found["id"] in [one["id"] for one in cinder.get("/volumes?all_tenants=1")["volumes"]]
    assert found["id"] not in [one["id"] for one in cinder.get("/volumes")["volumes"]]
    assert "os-vol-host-attr:host" not in member.volume(found["id"]) and "migration_status" not in member.volume(found["id"])


def test_lists_filter_sort_and_page(cinder: Cinder, make: Make) -> None:
    mark = ids.new()[:8]
    made = [make(name=f"{mark}-{number}", metadata={"mark": mark, "n": str(number)}, size=number) for number in (1, 2, 3)]
    by_metadata = f"/volumes/detail?metadata={{'mark':'{mark}'}}"
    listed = cinder.get(by_metadata + "&sort=size:asc")["volumes"]
    assert [one["size"] for one in listed] == [1, 2, 3]
    assert listed[0] == cinder.volume(made[0]["id"])
    page = cinder.get(by_metadata + "&sort=size:desc&limit=2&with_count=true")
    assert [one["size"] for one in page["volumes"]] == [3, 2] and page["count"] == 3
    following = cinder.http.get(page["volumes_links"][0]["href"]).json()
    assert [one["size"] for one in following["volumes"]] == [1]
    assert [one["id"] for one in cinder.get(f"/volumes?name={mark}-2")["volumes"]] == [made[1]["id"]]
    assert len(cinder.get(f"/volumes?name~={mark}")["volumes"]) == 3
    assert cinder.get(f"/volumes?name={mark}-2&status=error")["volumes"] == []
    assert len(cinder.get(by_metadata + "&bootable=false")["volumes"]) == 3
    assert cinder.get(by_metadata + "&created_at=lt:2020-01-01T00:00:00")["volumes"] == []
    assert cinder.http.get("/volume/v3/volumes?sort=nonsense").status_code == 400
    assert cinder.http.get(f"/volume/v3/volumes?marker={NOBODY}").status_code == 404
    assert cinder.http.get("/volume/v3/volumes?limit=-1").status_code == 400
    assert cinder.http.get("/volume/v3/volumes/").status_code == 404
    summary = cinder.get("/volumes/summary")["volume-summary"]
    assert summary["total_count"] >= 3 and mark in summary["metadata"]["mark"]


def test_what_each_microversion_shows(cinder: Cinder, make: Make) -> None:
    id = make()["id"]
    versions = ("3.0", "3.13", "3.21", "3.48", "3.61", "3.63", "3.65")
    seen = {version: set(cinder.volume(id, version=version)) for version in versions}
    steps = [seen["3.13"] - seen["3.0"], seen["3.21"] - seen["3.13"], seen["3.48"] - seen["3.21"], seen["3.61"] - seen["3.48"],
             seen["3.63"] - seen["3.61"], seen["3.65"] - seen["3.63"]]
    assert steps == [{"group_id"}, {"provider_id"}, {"shared_targets", "service_uuid"}, {"cluster_name"}, {"volume_type_id"},
                     {"consumes_quota"}]


def test_update(cinder: Cinder, make: Make) -> None:
    id = make(metadata={"a": "b"})["id"]
    found = cinder.call("PUT", f"/volumes/{id}", {"volume": {"name": "new", "description": "words", "metadata": {"c": "d"}}})
    assert (found["volume"]["name"], found["volume"]["description"], found["volume"]["metadata"]) == ("new", "words", {"c": "d"})
    found = cinder.call("PUT", f"/volumes/{id}", {"volume": {"display_name": "newer"}})["volume"]
    assert found["name"] == "newer" and found["description"] == "words"
    cinder.call("PUT", f"/volumes/{NOBODY}", {"volume": {"name": "x"}}, status=404)


def test_a_deleted_volume_is_gone_from_store_and_table(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    found = make()
    cinder.call("DELETE", f"/volumes/{found['id']}", status=202)
    cinder.wait_gone(found["id"])
    from haneul.volume import stores
    held = {one.name for one in stores.of(cloud.cloud, found["os-vol-host-attr:host"]).volumes()}
    assert f"volume-{found['id']}" not in held
    cinder.call("DELETE", f"/volumes/{found['id']}", status=404)


def test_a_volume_that_no_back_end_took_is_gone_at_once(cinder: Cinder, make: Make) -> None:
    kind = cinder.call("POST", "/types", {"volume_type": {"name": f"never-{ids.new()[:8]}", "extra_specs": {
        "volume_backend_name": "nowhere"}}})["volume_type"]
    found = make(until="error", volume_type=kind["id"])
    cinder.call("DELETE", f"/volumes/{found['id']}", status=202)
    cinder.call("GET", f"/volumes/{found['id']}", status=404)
    cinder.call("DELETE", f"/types/{kind['id']}", status=202)


def test_a_volume_with_an_unmanaged_snapshot_stays(cloud: RunningCloud, cinder: Cinder, make: Make) -> None:
    """Nobody knows what the snapshot is still good for: managed again and deleted, it lets the volume go."""
    found = make()
    taken = cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": found["id"]}}, status=202)["snapshot"]
    cinder.wait(taken["id"], "available", kind="snapshots")
    cinder.call("POST", f"/snapshots/{taken['id']}/action", {"os-unmanage": {}}, status=202)
    cinder.wait_gone(taken["id"], kind="snapshots")
    cinder.call("DELETE", f"/volumes/{found['id']}", status=202)
    cinder.wait(found["id"], "available")
    back = cinder.call("POST", "/manageable_snapshots", {"snapshot": {"volume_id": found["id"], "ref": {
        "source-name": f"_snapshot-{taken['id']}"}}}, version="3.8", status=202)["snapshot"]
    cinder.wait(back["id"], "available", kind="snapshots")
    cinder.call("DELETE", f"/snapshots/{back['id']}", status=202)
    cinder.wait_gone(back["id"], kind="snapshots")
    cinder.call("DELETE", f"/volumes/{found['id']}", status=202)
    cinder.wait_gone(found["id"])


def test_deletions_that_cinder_refuses(cinder: Cinder, make: Make) -> None:
    id = make()["id"]
    for status in ("in-use", "creating", "attaching", "maintenance"):
        cinder.action(id, "os-reset_status", {"status": status})
        answer = cinder.http.delete(f"/volume/v3/volumes/{id}")
        assert answer.status_code == 400 and "Volume status must be available or error" in answer.text
    cinder.action(id, "os-force_delete", {})
    cinder.wait_gone(id)


def test_snapshots_hold_a_volume_unless_they_go_with_it(cinder: Cinder, make: Make) -> None:
    id = make()["id"]
    snapshot = cinder.call("POST", "/snapshots", {"snapshot": {"volume_id": id}})["snapshot"]["id"]
    cinder.wait(snapshot, kind="snapshots")
    answer = cinder.http.delete(f"/volume/v3/volumes/{id}")
    assert answer.status_code == 400 and "have snapshots" in answer.text
    copy = make(until=None, snapshot_id=snapshot, size=None)
    cinder.call("DELETE", f"/volumes/{id}?cascade=true", status=202)
    cinder.wait_gone(id)
    assert cinder.http.get(f"/volume/v3/snapshots/{snapshot}").status_code == 404
    assert cinder.wait(copy["id"])["snapshot_id"] == snapshot, "a copy that was being made was awaited"


def test_the_quota_is_the_projects(cloud: RunningCloud, member: Cinder, make: Make) -> None:
    from haneul.volume import quotas
    project = cloud.connect("member").current_project_id
    have = member.get("/volumes/summary")["volume-summary"]["total_count"]
    try:
        with cloud.cloud.database.write() as tx:
            quotas.set_limits(tx, project, {"volumes": have + 1})
        make(by=member)
        refused(member, 413, {"size": 1}, "Maximum number of volumes allowed")
    finally:
        with cloud.cloud.database.write() as tx:
            quotas.set_limits(tx, project, {"volumes": -1})


def test_the_sdk(cloud: RunningCloud, cinder: Cinder, picture: str) -> None:
    api = cloud.connect("admin").block_storage
    volume = api.create_volume(name="by the sdk", size=1, image_id=picture)
    api.wait_for_status(volume, "available", interval=0.05, wait=20)
    assert api.get_volume(volume).is_bootable
    assert volume.id in [one.id for one in api.volumes(name="by the sdk")]
    api.delete_volume(volume)
    wait_until(lambda: volume.id not in [one.id for one in api.volumes()], what="the end of the volume")


def test_a_forced_deletion_takes_the_place_of_a_creation(cloud: RunningCloud, cinder: Cinder, make: Make, picture: str) -> None:
    source = make()
    made = [make(until=None, **values)["id"] for _ in range(4)
            for values in ({"imageRef": picture}, {"source_volid": source["id"]}, {"size": 2})]
    for id in made:
        cinder.call("DELETE", f"/volumes/{id}?force=true", status=202)
    for id in made:
        cinder.wait_gone(id)
    cloud.settle()
    from haneul.volume import stores
    left = [one.name for name in ("file", "second") for one in stores.of(cloud.cloud, f"host-1@{name}#{name}").volumes()]
    assert not {f"volume-{id}" for id in made} & set(left)
