"""Volumes of servers, as Nova shows and changes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from compute_world import Boot, Nova

from haneul.fleet.agents import Agents
from haneul.volume import attachments
from haneul.volume.model import AttachmentRow
from running import RunningCloud, wait_until

Make = Callable[..., str]
PATH = "/servers/{}/os-volume_attachments"


class Cinder:
    """What these tests ask of block storage."""

    def __init__(self, cloud: RunningCloud, persona: str = "admin") -> None:
        self.http = cloud.http(persona)
        self.http.headers["OpenStack-API-Version"] = "volume 3.60"

    def get(self, id: str) -> dict[str, Any]:
        return self.http.get(f"/volume/v3/volumes/{id}").json()["volume"]

    def wait(self, id: str, status: str) -> dict[str, Any]:
        wait_until(lambda: self.get(id)["status"] == status, what=f"{status} of volume {id}, which is {self.get(id)}")
        return self.get(id)

    def create(self, **values: Any) -> str:
        answer = self.http.post("/volume/v3/volumes", json={"volume": {"size": 1, **values}})
        assert answer.status_code == 202, answer.text
        id = answer.json()["volume"]["id"]
        self.wait(id, "available")
        return str(id)

    def end(self, id: str) -> None:
        def gone() -> bool:
            return self.http.delete(f"/volume/v3/volumes/{id}").status_code == 404

        wait_until(gone, what=f"the end of volume {id}")


@pytest.fixture
def cinder(cloud: RunningCloud) -> Cinder:
    return Cinder(cloud)


@pytest.fixture
def volume(cinder: Cinder) -> Iterator[Make]:
    """Makes volumes that end after the test, whose servers must have let go of them."""
    made: list[str] = []

    def make(**values: Any) -> str:
        made.append(cinder.create(**values))
        return made[-1]

    yield make
    for id in made:
        cinder.end(id)


@pytest.fixture
def shared_type(cinder: Cinder) -> Iterator[str]:
    made = cinder.http.post("/volume/v3/types", json={"volume_type": {
        "name": "shared-for-servers", "extra_specs": {"multiattach": "<is> True"}}})
    assert made.status_code == 200, made.text
    yield made.json()["volume_type"]["id"]
    cinder.http.delete(f"/volume/v3/types/{made.json()['volume_type']['id']}")


def attach(nova: Nova, server: str, volume: str, **values: Any) -> dict[str, Any]:
    options = {key: values.pop(key) for key in ("version", "status") if key in values}
    answer = nova.call("POST", PATH.format(server), {"volumeAttachment": {"volumeId": volume, **values}}, **options)
    return answer["volumeAttachment"] if "volumeAttachment" in answer else answer


def attached(nova: Nova, cinder: Cinder, server: str, volume: str, **values: Any) -> dict[str, Any]:
    found = attach(nova, server, volume, **values)
    cinder.wait(volume, "in-use")
    return found


def detach(nova: Nova, server: str, volume: str, **options: Any) -> None:
    nova.call("DELETE", f"{PATH.format(server)}/{volume}", **options)


def test_since_2_101_attaching_answers_without_a_body(nova: Nova, cinder: Cinder, boot: Boot, volume: Make) -> None:
    server, id = boot()["id"], volume()
    assert nova.call("POST", PATH.format(server), {"volumeAttachment": {"volumeId": id}}, version="2.101", status=202) is None
    cinder.wait(id, "in-use")
    shown = nova.get(f"{PATH.format(server)}/{id}", version="2.101")["volumeAttachment"]
    assert shown["volumeId"] == id and shown["attachment_id"] == shown["bdm_uuid"] and "id" not in shown
    detach(nova, server, id, version="2.101")
    cinder.wait(id, "available")


def guest_disks(cloud: RunningCloud, server: str) -> list[str]:
    """What the host says that the guest has of volumes."""
    found = cloud.cloud.get(Agents).of("host-1").hypervisor.server(server)
    return [name for name in found.disks if name.startswith("vol-")]


def ended(nova: Nova, server: str, request_id: str, event: str) -> None:
    """Waits as clients of Nova do: for its own event of the whole."""
    path = f"/servers/{server}/os-instance-actions/{request_id}"
    wait_until(lambda: "Success" in [each["result"] for each in nova.get(path)["instanceAction"]["events"]
                                     if each["event"] == event], what=event)


def test_a_running_guest_gets_a_volume_and_lets_it_go(cloud: RunningCloud, nova: Nova, boot: Boot, cinder: Cinder,
                                                      volume: Make) -> None:
    server, one = boot()["id"], volume()
    attached(nova, cinder, server, one)
    found = nova.get(f"{PATH.format(server)}/{one}")["volumeAttachment"]  # its own id is told by GET alone
    assert found["volumeId"] == one and found["device"] == "/dev/vdb" and found["attachment_id"] == found["bdm_uuid"]
    shown = cinder.get(one)["attachments"]
    assert [(each["server_id"], each["attachment_id"], each["device"]) for each in shown] == [
        (server, found["attachment_id"], "/dev/vdb")]
    assert guest_disks(cloud, server) == ["vol-" + found["attachment_id"].replace("-", "")[:20]]
    assert nova.server(server)["os-extended-volumes:volumes_attached"] == [{"id": one, "delete_on_termination": False}]
    assert nova.get(PATH.format(server))["volumeAttachments"] == [found]
    detach(nova, server, one)
    cinder.wait(one, "available")
    assert guest_disks(cloud, server) == [] and nova.get(PATH.format(server))["volumeAttachments"] == []
    done = nova.get(f"/servers/{server}/os-instance-actions")["instanceActions"][:2]
    assert [each["action"] for each in done] == ["detach_volume", "attach_volume"]
    for each in done:
        ended(nova, server, each["request_id"], f"compute_{each['action']}")


def test_what_each_microversion_shows(nova: Nova, boot: Boot, cinder: Cinder, volume: Make) -> None:
    server, one = boot()["id"], volume()
    found = attached(nova, cinder, server, one, version="2.1")
    assert found == {"id": one, "volumeId": one, "serverId": server, "device": "/dev/vdb"}
    path = f"{PATH.format(server)}/{one}"
    for version, more in (("2.70", {"tag"}), ("2.79", {"tag", "delete_on_termination"})):
        assert set(nova.get(path, version=version)["volumeAttachment"]) == {"id", "volumeId", "serverId", "device", *more}
    assert set(nova.get(path, version="2.89")["volumeAttachment"]) == {
        "volumeId", "serverId", "device", "tag", "delete_on_termination", "attachment_id", "bdm_uuid"}
    assert nova.server(server, version="2.1")["os-extended-volumes:volumes_attached"] == [{"id": one}]
    for version, key, value in (("2.48", "tag", "disk"), ("2.78", "delete_on_termination", True)):
        attach(nova, server, one, version=version, status=400, **{key: value})
    detach(nova, server, one)
    cinder.wait(one, "available")


def test_a_server_that_is_off_has_it_at_its_next_start(cloud: RunningCloud, nova: Nova, boot: Boot, cinder: Cinder,
                                                       volume: Make) -> None:
    server, one, two = boot()["id"], volume(), volume()
    nova.action(server, "os-stop")
    nova.wait(server, "SHUTOFF")
    attached(nova, cinder, server, one)
    attached(nova, cinder, server, two)
    detach(nova, server, two)
    cinder.wait(two, "available")
    nova.action(server, "os-start")
    nova.wait(server, "ACTIVE")
    assert len(guest_disks(cloud, server)) == 1
    nova.action(server, "reboot", {"type": "HARD"})
    nova.wait(server, "ACTIVE")
    assert len(guest_disks(cloud, server)) == 1
    nova.action(server, "shelve")
    nova.wait(server, "SHELVED_OFFLOADED")
    assert cinder.get(one)["status"] == "reserved"  # nobody has it, and nobody else gets it
    attach(nova, server, two, status=409, version="2.19")
    attached(nova, cinder, server, two)
    detach(nova, server, one)
    cinder.wait(one, "available")
    nova.action(server, "unshelve")
    nova.wait(server, "ACTIVE")
    assert len(guest_disks(cloud, server)) == 1
    detach(nova, server, two)
    cinder.wait(two, "available")


def test_device_names(nova: Nova, boot: Boot, cinder: Cinder, volume: Make) -> None:
    server, one, two = boot()["id"], volume(), volume()
    for bad, status in (("/dev/vda", 409), ("vdb", 400), ("/etc/passwd", 400), ("/dev/vdb; rm", 400), ("", 400)):
        attach(nova, server, one, device=bad, status=status)
    assert cinder.get(one)["status"] == "available"
    assert attached(nova, cinder, server, one, device="/dev/vdd")["device"] == "/dev/vdd"
    attach(nova, server, two, device="/dev/vdd", status=409)
    assert attached(nova, cinder, server, two, device=None)["device"] == "/dev/vdb"
    for each in (one, two):
        detach(nova, server, each)
        cinder.wait(each, "available")


def test_what_is_refused(cloud: RunningCloud, nova: Nova, boot: Boot, cinder: Cinder, volume: Make) -> None:
    server, other, one = boot()["id"], boot()["id"], volume()
    nothing = "0e0e0e0e-0000-4000-8000-00000000000e"
    attach(nova, server, nothing, status=404)
    attach(nova, server, "no-id", status=400)
    detach(nova, server, one, status=404)
    detach(nova, server, nothing, status=404)
    nova.get(f"{PATH.format(server)}/{one}", status=404)
    attached(nova, cinder, server, one)
    attach(nova, server, one, status=400)
    attach(nova, other, one, status=400)
    detach(nova, other, one, status=404)
    assert cinder.http.delete(f"/volume/v3/volumes/{one}").status_code == 400
    foreign = Nova(cloud, "member")
    detach(foreign, server, one, status=404)
    nova.action(server, "rescue", {})
    nova.wait(server, "RESCUE")
    detach(nova, server, one, status=409)
    attach(nova, server, volume(), status=409)
    nova.action(server, "unrescue")
    nova.wait(server, "ACTIVE")
    assert len(guest_disks(cloud, server)) == 1
    detach(nova, server, one)
    cinder.wait(one, "available")


def test_a_locked_server_keeps_its_volumes(cloud: RunningCloud, nova: Nova, boot: Boot, network: str, image: str) -> None:
    member, cinder = Nova(cloud, "member"), Cinder(cloud, "member")
    one = cinder.create()
    net = cloud.connect("member").network.create_network(name="locked")
    cloud.connect("member").network.create_subnet(network_id=net.id, cidr="10.78.0.0/24", ip_version=4)
    server = member.call("POST", "/servers", {"server": {
        "name": "locked", "flavorRef": "42", "imageRef": image, "networks": [{"uuid": net.id}]}})["server"]["id"]
    member.wait(server, "ACTIVE")
    member.action(server, "lock")
    attach(nova, server, one, status=200)  # an administrator may
    cinder.wait(one, "in-use")
    nova.action(server, "lock")
    nova.action(server, "unlock")
    nova.action(server, "lock", {"locked_reason": "kept"})
    detach(member, server, one, status=409)
    member.call("DELETE", f"/servers/{server}", status=409)
    nova.call("DELETE", f"/servers/{server}")
    member.wait_gone(server)
    cinder.wait(one, "available")
    cinder.end(one)
    cloud.connect("member").network.delete_network(net.id)


def test_several_servers_share_a_volume(cloud: RunningCloud, nova: Nova, boot: Boot, cinder: Cinder, volume: Make,
                                        shared_type: str) -> None:
    first, second, one = boot()["id"], boot()["id"], volume(volume_type=shared_type)
    attach(nova, first, one, version="2.59", status=400)
    for server in (first, second):
        attach(nova, server, one)
        wait_until(lambda server=server: server in {each["server_id"] for each in cinder.get(one)["attachments"]})
    attach(nova, second, one, status=400)
    assert guest_disks(cloud, first) and guest_disks(cloud, second)
    other = volume(volume_type=shared_type)
    nova.call("PUT", f"{PATH.format(first)}/{one}", {"volumeAttachment": {"volumeId": other}}, status=409)
    detach(nova, first, one)
    wait_until(lambda: len(cinder.get(one)["attachments"]) == 1)
    assert cinder.get(one)["status"] == "in-use" and not guest_disks(cloud, first)
    detach(nova, second, one)
    cinder.wait(one, "available")


def test_a_volume_takes_the_place_of_another(cloud: RunningCloud, nova: Nova, boot: Boot, cinder: Cinder, volume: Make) -> None:
    server, one, two, large = boot()["id"], volume(), volume(), volume(size=2)
    found = attached(nova, cinder, server, one)
    path = f"{PATH.format(server)}/{one}"
    nova.call("PUT", path, {"volumeAttachment": {"volumeId": two}}, version="2.84", status=202)
    cinder.wait(one, "available")
    cinder.wait(two, "in-use")
    shown = nova.get(PATH.format(server))["volumeAttachments"]
    assert [(each["volumeId"], each["device"]) for each in shown] == [(two, found["device"])]
    assert len(guest_disks(cloud, server)) == 1
    back = f"{PATH.format(server)}/{two}"
    nova.call("PUT", back, {"volumeAttachment": {"volumeId": large}}, status=400)
    nova.call("PUT", path, {"volumeAttachment": {"volumeId": one}}, version="2.84", status=404)
    nova.call("PUT", back, {"volumeAttachment": {"volumeId": "0e0e0e0e-0000-4000-8000-00000000000e"}}, status=400)
    member = Nova(cloud, "member")
    assert member.http.put("/compute/v2.1" + back, json={"volumeAttachment": {"volumeId": one}}).status_code == 404
    detach(nova, server, two)
    cinder.wait(two, "available")


def test_whether_a_volume_ends_with_its_server(nova: Nova, boot: Boot, cinder: Cinder, volume: Make) -> None:
    server, kept, gone, changed = boot()["id"], volume(), volume(), volume()
    attached(nova, cinder, server, kept)
    assert attached(nova, cinder, server, gone, delete_on_termination=True)["delete_on_termination"] is True
    attached(nova, cinder, server, changed)
    body = {"volumeId": changed, "delete_on_termination": True}
    path = f"{PATH.format(server)}/{changed}"
    nova.call("PUT", path, {"volumeAttachment": body}, version="2.84", status=400)
    nova.call("PUT", path, {"volumeAttachment": {**body, "device": "/dev/vdz"}}, status=400)
    nova.call("PUT", path, {"volumeAttachment": body}, status=202)
    assert nova.get(path)["volumeAttachment"]["delete_on_termination"] is True
    nova.call("DELETE", f"/servers/{server}")
    nova.wait_gone(server)
    cinder.wait(kept, "available")
    for each in (gone, changed):
        wait_until(lambda each=each: cinder.http.get(f"/volume/v3/volumes/{each}").status_code == 404)


def test_a_guest_reads_which_disk_has_its_tag(cloud: RunningCloud, nova: Nova, boot: Boot, cinder: Cinder, volume: Make) -> None:
    from haneul.compute import metadata, servers
    server, one = boot()["id"], volume()
    attached(nova, cinder, server, one, tag="database")
    with cloud.cloud.database.read() as tx:
        row = servers.by_id(tx, server)
        assert row is not None
        devices = metadata.meta_data(tx, metadata.load(tx, row))["devices"]
    assert [(each["type"], each["serial"], each["tags"]) for each in devices] == [("disk", one[:20], ["database"])]
    detach(nova, server, one)
    cinder.wait(one, "available")


def test_a_guest_that_lost_its_disk_gets_it_again(cloud: RunningCloud, nova: Nova, boot: Boot, cinder: Cinder,
                                                  volume: Make) -> None:
    """It let go after the cloud had given up waiting, and the volume is in use: by it."""
    server, one = boot()["id"], volume()
    attached(nova, cinder, server, one)
    disk = guest_disks(cloud, server)[0]
    with cloud.cloud.database.write() as tx:  # as of one that was attached a while ago
        row = tx.query(AttachmentRow).filter_by(volume_id=one).one()
        row.attached_at -= timedelta(seconds=10)
    cloud.cloud.get(Agents).of("host-1").hypervisor.detach(server, disk)
    assert guest_disks(cloud, server) == []

    def again() -> bool:
        cloud.cloud.reconcilers.signal("compute.volumes")
        return guest_disks(cloud, server) == [disk]

    wait_until(again, what="the disk's return")
    cinder.wait(one, "in-use")
    detach(nova, server, one)
    cinder.wait(one, "available")


def test_what_a_task_had_to_leave_is_taken_up_again(cloud: RunningCloud, nova: Nova, boot: Boot, cinder: Cinder,
                                                    volume: Make) -> None:
    server, one = boot()["id"], volume()
    attached(nova, cinder, server, one)
    with cloud.cloud.database.write() as tx:
        row = tx.query(AttachmentRow).filter_by(volume_id=one).one()
        attachments.begin_detach(tx, row)

    def free() -> bool:
        cloud.cloud.reconcilers.signal("compute.volumes")
        return cinder.get(one)["status"] == "available"

    wait_until(free, what="a free volume")
    assert guest_disks(cloud, server) == []
