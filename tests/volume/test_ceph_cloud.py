"""A cloud with a file back end and one on Ceph, through the API: both by type, from one to the other, and Ceph's absence."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from volume_world import Cinder

from ceph_cluster import POOL, Cluster
from running import RunningCloud, wait_until

pytestmark = pytest.mark.real
DATA = b"what the image holds".ljust(1 << 20, b".")


@pytest.fixture(scope="module")
def client(ceph_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cinder]:
    backends = {"file": {"driver": "file"}, "rbd": ceph_cluster.options()}
    cloud = RunningCloud(tmp_path_factory.mktemp("ceph-cloud"), {"volume": {"backends": backends}}).start()
    found = Cinder(cloud)
    wait_until(lambda: len(_pools(found)) == 2, what="both back ends")
    for name in backends:
        found.call("POST", "/types", {"volume_type": {"name": name, "extra_specs": {"volume_backend_name": name}}})
    yield found
    cloud.stop()
    ceph_cluster.empty()


def _pools(client: Cinder) -> dict[str, dict[str, Any]]:
    found = client.get("/scheduler-stats/get_pools?detail=true")["pools"]
    return {pool["name"]: pool["capabilities"] for pool in found if pool["capabilities"].get("total_capacity_gb")}


def make(client: Cinder, **values: Any) -> dict[str, Any]:
    made = client.call("POST", "/volumes", {"volume": {"name": "v", "size": 1, **values}}, status=202)["volume"]
    return client.wait(made["id"], seconds=60)


def gone(client: Cinder, kind: str, id: str) -> None:
    client.call("DELETE", f"/{kind}/{id}", status=202)
    client.wait_gone(id, kind=kind, seconds=60)


def begins(client: Cinder, ceph: Cluster, id: str) -> bytes:
    """The volume's first mebibyte, as it lies in the pool or in the folder: after a move under another name."""
    volume = client.volume(id)
    name = f"volume-{volume.get('os-vol-mig-status-attr:name_id') or id}"
    if volume["os-vol-host-attr:host"].endswith("@file#file"):
        with open(client.cloud.paths.host / "volumes" / "file" / f"{name}.raw", "rb") as content:
            return content.read(1 << 20)
    command = ["rbd", "export", "--no-progress", f"{POOL}/{name}", "-", "--conf", str(ceph.conf)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        assert reader.stdout
        data = reader.stdout.read(1 << 20)
        reader.kill()
    return data


def flat(image: bytes, folder: Path) -> bytes:
    source, target = folder / "image.qcow2", folder / "image.raw"
    source.write_bytes(image)
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(source), str(target)], check=True)
    with open(target, "rb") as content:
        return content.read(1 << 20)


def test_volumes_of_both_back_ends(client: Cinder, ceph_cluster: Cluster, tmp_path: Path) -> None:
    kinds = {name.partition("@")[2]: pool["storage_protocol"] for name, pool in _pools(client).items()}
    assert kinds == {"file#file": "file", "rbd#rbd": "ceph"}
    images = client.cloud.connect("admin").image
    image = images.create_image(name="i", disk_format="raw", container_format="bare", data=DATA, wait=True)
    first = make(client, imageRef=image.id, volume_type="rbd")
    assert first["os-vol-host-attr:host"].endswith("@rbd#rbd") and first["bootable"] == "true"
    assert ceph_cluster.rbd("ls", POOL).split() == [f"volume-{first['id']}"]
    image_id = client.action(first["id"], "os-volume_upload_image", {"image_name": "up", "disk_format": "qcow2"})[
        "os-volume_upload_image"]["image_id"]
    wait_until(lambda: images.get_image(image_id).status == "active", 60, "the image")
    client.wait(first["id"])
    assert flat(images.download_image(image_id).content, tmp_path) == DATA

    taken = client.call("POST", "/snapshots", {"snapshot": {"volume_id": first["id"], "name": "s"}}, status=202)["snapshot"]
    client.wait(taken["id"], kind="snapshots")
    clone, other = make(client, snapshot_id=taken["id"], size=2), make(client, source_volid=first["id"])
    assert {each["os-vol-host-attr:host"].partition("@")[2] for each in (clone, other)} == {"rbd#rbd"}
    client.action(other["id"], "os-extend", {"new_size": 3}, status=202)
    assert client.wait(other["id"])["size"] == 3
    gone(client, "snapshots", taken["id"])  # its clone does not hold it back
    gone(client, "volumes", first["id"])
    assert begins(client, ceph_cluster, clone["id"]) == DATA

    client.action(clone["id"], "os-retype", {"new_type": "file", "migration_policy": "on-demand"}, status=202)
    wait_until(lambda: client.volume(clone["id"])["volume_type"] == "file", 60, "the move")
    moved = client.wait(clone["id"])
    assert moved["os-vol-host-attr:host"].endswith("@file#file") and begins(client, ceph_cluster, clone["id"]) == DATA
    backup = client.call("POST", "/backups", {"backup": {"volume_id": other["id"]}}, status=202)["backup"]
    client.wait(backup["id"], kind="backups", seconds=60)
    fresh = make(client, volume_type="rbd", size=3)
    client.call("POST", f"/backups/{backup['id']}/restore", {"restore": {"volume_id": fresh["id"]}}, status=202)
    client.wait(backup["id"], kind="backups", seconds=60)
    client.wait(fresh["id"], seconds=60)
    assert begins(client, ceph_cluster, fresh["id"]) == DATA
    gone(client, "backups", backup["id"])
    for volume in (clone, other, fresh):
        gone(client, "volumes", volume["id"])
    wait_until(lambda: not ceph_cluster.rbd("ls", POOL).split(), 30, "an empty pool")
    for each in (image.id, image_id):
        images.delete_image(each)


def test_a_cluster_that_is_away_takes_no_volumes(client: Cinder, ceph_cluster: Cluster) -> None:
    kept = make(client, volume_type="rbd")
    ceph_cluster.pause()
    try:
        wait_until(lambda: _state(client) == "down", 60, "the back end's absence")
        made = client.call("POST", "/volumes", {"volume": {"name": "v", "size": 1, "volume_type": "rbd"}}, status=202)["volume"]
        client.wait(made["id"], "error", 60)
        make(client, volume_type="file")
    finally:
        ceph_cluster.resume()
    wait_until(lambda: _state(client) == "up", 60, "the back end's return")
    for id in (kept["id"], made["id"], make(client, volume_type="rbd")["id"]):
        gone(client, "volumes", id)


def _state(client: Cinder) -> str:
    return next(str(each["state"]) for each in client.get("/os-services")["services"] if each["host"].endswith("@rbd"))
