"""What changes a volume while a server has it: its size, its place; and what may not be done to it then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from volume_world import Cinder, Make

from haneul.fleet.agents import Agents
from haneul.host.disks import qcow2
from haneul.kernel.tasks.model import TaskRow
from haneul.volume import rows, stores
from haneul.volume.model import VolumeRow
from haneul.volume.tasks import move
from running import RunningCloud, wait_until

HOST = "os-vol-host-attr:host"
Attached = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def server(cloud: RunningCloud) -> Iterator[str]:
    """A running server without a network."""
    admin, api = cloud.connect("admin"), cloud.http()
    image = admin.image.create_image(name="in-use", disk_format="qcow2", container_format="bare", data=qcow2.empty(1 << 20),
                                     wait=True)
    api.headers["OpenStack-API-Version"] = "compute 2.79"
    made = api.post("/compute/v2.1/servers", json={"server": {"name": "in-use", "imageRef": image.id, "flavorRef": "42",
                                                               "networks": "none"}})
    assert made.status_code == 202, made.text
    id = made.json()["server"]["id"]
    path = f"/compute/v2.1/servers/{id}"
    wait_until(lambda: api.get(path).json()["server"]["status"] == "ACTIVE", what="the server")
    yield id
    api.delete(path)
    wait_until(lambda: api.get(path).status_code == 404, what="the end of the server")
    admin.image.delete_image(image)


@pytest.fixture
def attached(cloud: RunningCloud, cinder: Cinder, make: Make, server: str) -> Iterator[Attached]:
    """Makes volumes that the server has."""
    api, held = cloud.http(), []
    api.headers["OpenStack-API-Version"] = "compute 2.79"
    path = f"/compute/v2.1/servers/{server}/os-volume_attachments"

    def one(**values: Any) -> dict[str, Any]:
        id = make(**values)["id"]
        answer = api.post(path, json={"volumeAttachment": {"volumeId": id}})
        assert answer.status_code == 200, answer.text
        held.append(id)
        return cinder.wait(id, "in-use")

    yield one
    for id in held:
        cinder.wait(id, "in-use")
        api.delete(f"{path}/{id}")
        cinder.wait(id)


def row_of(cloud: RunningCloud, id: str) -> VolumeRow:
    with cloud.cloud.database.read() as tx:
        row = rows.by_id(tx, id)
    assert row is not None
    return row


def test_extend(cloud: RunningCloud, cinder: Cinder, attached: Attached, server: str) -> None:
    id = attached()["id"]
    answer = cinder.http.post(f"/volume/v3/volumes/{id}/action", json={"os-extend": {"new_size": 2}},
                              headers={"OpenStack-API-Version": "volume 3.41"})
    assert answer.status_code == 400 and "to extend, currently in-use" in answer.text
    cinder.action(id, "os-extend", {"new_size": 2}, status=202)
    assert cinder.wait(id, "in-use")["size"] == 2
    row = row_of(cloud, id)
    assert stores.of(cloud.cloud, row.host).volume(row.stored_as).size_bytes == 2 << 30
    api = cloud.http()

    def told() -> Any:
        actions = api.get(f"/compute/v2.1/servers/{server}/os-instance-actions").json()["instanceActions"]
        request = next((one["request_id"] for one in actions if one["action"] == "extend_volume"), None)
        if request is None:
            return None
        action = api.get(f"/compute/v2.1/servers/{server}/os-instance-actions/{request}").json()["instanceAction"]
        return [one for one in action["events"] if one["event"] == "compute_extend_volume" and one["result"] == "Success"]

    wait_until(told, what="the server's record of it")


def test_retype_moves_it_under_the_guest(cloud: RunningCloud, cinder: Cinder, attached: Attached, server: str) -> None:
    kinds = [cinder.call("POST", "/types", {"volume_type": {"name": f"in-use-{name}", "extra_specs": {
        "volume_backend_name": name}}})["volume_type"]["id"] for name in ("file", "second")]
    found = attached(volume_type=kinds[0])
    cinder.action(found["id"], "os-retype", {"new_type": kinds[1], "migration_policy": "on-demand"}, status=202)
    wait_until(lambda: cinder.volume(found["id"])["migration_status"] == "success", what="the retype")
    after = cinder.wait(found["id"], "in-use")
    assert after[HOST] == "host-1@second#second" and after["volume_type"] == "in-use-second"
    assert after["attachments"][0]["server_id"] == server
    cloud.settle()
    assert f"volume-{found['id']}" not in {one.name for one in stores.of(cloud.cloud, found[HOST]).volumes()}
    disks = cloud.cloud.get(Agents).of("host-1").hypervisor.server(server).disks
    assert [name for name in disks if name.startswith("vol-")], disks


def test_a_guest_does_not_start_while_its_volume_is_copied(cloud: RunningCloud, cinder: Cinder, attached: Attached, server: str,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    """What it wrote into the old place would be lost."""
    kinds = [cinder.call("POST", "/types", {"volume_type": {"name": f"stopped-{name}", "extra_specs": {
        "volume_backend_name": name}}})["volume_type"]["id"] for name in ("file", "second")]
    found, api = attached(volume_type=kinds[0]), cloud.http()
    path, go, copy = f"/compute/v2.1/servers/{server}", threading.Event(), move._through_transfer

    def slow(*arguments: Any) -> None:
        assert go.wait(60)
        copy(*arguments)

    def power(name: str, status: str) -> None:
        assert api.post(f"{path}/action", json={name: None}).status_code == 202
        wait_until(lambda: api.get(path).json()["server"]["status"] == status, what=status)

    power("os-stop", "SHUTOFF")
    monkeypatch.setattr(move, "_through_transfer", slow)
    try:
        cinder.action(found["id"], "os-retype", {"new_type": kinds[1], "migration_policy": "on-demand"}, status=202)
        assert api.post(f"{path}/action", json={"os-start": None}).status_code == 202

        def waits() -> Any:
            with cloud.cloud.database.read() as tx:
                return "to be moved" in str([one.waiting_for for one in tx.query(TaskRow).filter(TaskRow.finished.is_(None))])

        wait_until(waits, what="the start to wait")
        assert cloud.cloud.get(Agents).of("host-1").hypervisor.server(server).power == "off"
    finally:
        go.set()
    wait_until(lambda: api.get(path).json()["server"]["status"] == "ACTIVE", what="the start")
    after = cinder.wait(found["id"], "in-use")
    assert after[HOST] == "host-1@second#second" and after["migration_status"] == "success"
    cloud.settle()
    assert f"volume-{found['id']}" not in {one.name for one in stores.of(cloud.cloud, found[HOST]).volumes()}


def test_what_a_server_has_does_not_go(cinder: Cinder, attached: Attached, picture: str) -> None:
    id = attached()["id"]
    for status in ("in-use", "available", "error", "detaching"):
        cinder.action(id, "os-reset_status", {"status": status})
        for path in ("", "?force=true", "?cascade=true&force=true"):
            answer = cinder.http.delete(f"/volume/v3/volumes/{id}{path}")
            assert answer.status_code == 400 and "attached" in answer.text, (status, path, answer.text)
        for name, body in (("os-force_delete", {}), ("os-reimage", {"image_id": picture}),
                           ("os-reset_status", {"attach_status": "detached"})):
            answer = cinder.http.post(f"/volume/v3/volumes/{id}/action", json={name: body})
            assert answer.status_code == 400, (status, name, answer.text)
    cinder.action(id, "os-reset_status", {"status": "in-use"})
    answer = cinder.http.post(f"/volume/v3/volumes/{id}/action", json={"os-volume_upload_image": {"image_name": "x"}})
    assert answer.status_code == 400 and "must be available" in answer.text
    copy = cinder.call("POST", "/volumes", {"volume": {"size": 1, "source_volid": id}}, status=202)["volume"]["id"]
    cinder.wait(copy)
    cinder.call("DELETE", f"/volumes/{copy}", status=202)
    cinder.wait_gone(copy)
