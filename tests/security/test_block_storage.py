"""Attempts at another's data, or at data in two places, through block storage: CVE-2023-2088 and its kin.

Every attempt is made against a volume that a guest has. However it ends, one thing must hold: the volume is in use and the guest
has it, or it is free and no guest has.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from haneul.fleet.agents import Agents
from haneul.fleet.model import HostRow
from haneul.kernel.tasks import Crash, TaskRow
from haneul.volume.model import AttachmentRow, VolumeRow
from running import RunningCloud, wait_until

VERSIONS = {"OpenStack-API-Version": "compute 2.79, volume 3.60"}
CONNECTOR = {"connector": {"host": "elsewhere", "ip": "192.0.2.7"}}
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def own_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    running = RunningCloud(tmp_path_factory.mktemp("volumes"), {
        "log": {"level": "error"}, "tasks": {"poll_seconds": 0.05, "lease_seconds": 5},
        "quota": {"instances": 100, "cores": 100}}).start()
    yield running
    running.stop()


class Tenant:
    """A persona's two services, plainly."""

    def __init__(self, cloud: RunningCloud, persona: str) -> None:
        self.cloud = cloud
        self.http: httpx.Client = cloud.http(persona)
        self.http.headers.update(VERSIONS)

    def __call__(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.http.request(method, path, json=body)

    def must(self, method: str, path: str, body: Any = None) -> Any:
        answer = self(method, path, body)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def act(self, volume: str, name: str, body: Any = None) -> httpx.Response:
        return self("POST", f"/volume/v3/volumes/{volume}/action", {name: body or {}})

    def volume(self) -> str:
        made = self.must("POST", "/volume/v3/volumes", {"volume": {"size": 1, "name": f"v{next(_numbers)}"}})["volume"]["id"]
        self.until(made, "available")
        return str(made)

    def shown(self, volume: str) -> dict[str, Any]:
        found: dict[str, Any] = self.must("GET", f"/volume/v3/volumes/{volume}")["volume"]
        return found

    def until(self, volume: str, *statuses: str) -> None:
        wait_until(lambda: self.shown(volume)["status"] in statuses, what=f"{statuses} of {volume}")

    def server(self, flavor: str, image: str) -> str:
        made = self.must("POST", "/compute/v2.1/servers", {"server": {
            "name": f"s{next(_numbers)}", "flavorRef": flavor, "imageRef": image, "networks": "none"}})["server"]["id"]
        wait_until(lambda: self.must("GET", f"/compute/v2.1/servers/{made}")["server"]["status"] == "ACTIVE", what="a server")
        return str(made)

    def attach(self, server: str, volume: str) -> httpx.Response:
        return self("POST", f"/compute/v2.1/servers/{server}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume}})


class Scene:
    """A member's server that has a volume, another server of his, and one of a stranger."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self.owner, self.stranger, self.admin = (Tenant(cloud, persona) for persona in ("member", "other", "admin"))
        flavor = self.admin.must("POST", "/compute/v2.1/flavors", {"flavor": {
            "name": f"f{next(_numbers)}", "ram": 64, "vcpus": 1, "disk": 1}})["flavor"]["id"]
        image = self.admin.must("POST", "/image/v2/images", {
            "name": "i", "disk_format": "raw", "container_format": "bare", "visibility": "public"})["id"]
        answer = self.admin.http.put(f"/image/v2/images/{image}/file", content=b"an image",
                                     headers={"Content-Type": "application/octet-stream"})
        assert answer.status_code == 204
        self.first, self.second = self.owner.server(flavor, image), self.owner.server(flavor, image)
        self.foreign = self.stranger.server(flavor, image)
        self.volume = ""

    def held(self) -> str:
        """A volume that the first server has."""
        self.volume = self.owner.volume()
        assert self.owner.attach(self.first, self.volume).status_code == 200
        self.owner.until(self.volume, "in-use")
        return self.volume

    def attachment(self) -> str:
        with self.cloud.cloud.database.read() as tx:
            return str(tx.query(AttachmentRow.id).filter_by(volume_id=self.volume).one()[0])

    def having(self) -> list[str]:
        """Servers whose guests have it open: asked of the host, not of a table."""
        with self.cloud.cloud.database.read() as tx:
            names = {row.disk_name: row.server_id for row in tx.query(AttachmentRow).filter_by(volume_id=self.volume)}
        states = self.cloud.cloud.get(Agents).of("host-1").hypervisor.servers()
        disks = [(state.id, disk) for state in states for disk in state.disks if disk.startswith("vol-")]
        assert all(names.get(disk) in (server, None) for server, disk in disks)
        return [server for server, disk in disks if disk in names]

    def guests_disks(self) -> int:
        """All volumes that any guest has open, whoever is said to have them."""
        states = self.cloud.cloud.get(Agents).of("host-1").hypervisor.servers()
        return sum(disk.startswith("vol-") for state in states for disk in state.disks)

    def still_held(self) -> None:
        self.cloud.settle()
        assert self.having() == [self.first] and self.guests_disks() == 1

    def free(self) -> None:
        self.owner("DELETE", f"/compute/v2.1/servers/{self.first}/os-volume_attachments/{self.volume}")
        self.cloud.settle()
        self.owner.until(self.volume, "available")
        assert self.guests_disks() == 0
        self.owner("DELETE", f"/volume/v3/volumes/{self.volume}")


@pytest.fixture(scope="module")
def scene(own_cloud: RunningCloud) -> Scene:
    return Scene(own_cloud)


# ---------------------------------------------------------------- CVE-2023-2088


def test_nobody_ends_what_compute_attached_CVE_2023_2088(scene: Scene) -> None:
    volume, attachment = scene.held(), scene.attachment()
    text = f"Detach volume from instance {scene.first} using the Compute API"
    path = f"/volume/v3/attachments/{attachment}"
    for tenant in (scene.owner, scene.admin):
        attempts = [
            tenant("DELETE", path), tenant("PUT", path, {"attachment": CONNECTOR}),
            tenant("POST", path + "/action", {"os-complete": attachment}),
            tenant.act(volume, "os-detach"), tenant.act(volume, "os-detach", {"attachment_id": attachment}),
            tenant.act(volume, "os-terminate_connection", CONNECTOR), tenant.act(volume, "os-begin_detaching")]
        for answer in attempts:
            assert answer.status_code == 409 and answer.json()["conflictingRequest"]["message"] == text, answer.text
    forced = {"attachment_id": attachment, "connector": None}
    assert scene.owner.act(volume, "os-force_detach", forced).status_code == 403
    assert scene.admin.act(volume, "os-force_detach", forced).status_code == 409
    for answer in (scene.stranger("GET", path), scene.stranger("DELETE", path),
                   scene.stranger("PUT", path, {"attachment": CONNECTOR}), scene.stranger.act(volume, "os-detach"),
                   scene.stranger.act(volume, "os-initialize_connection", CONNECTOR)):
        assert answer.status_code == 404
    scene.still_held()
    assert scene.owner.shown(volume)["status"] == "in-use"
    scene.free()


@pytest.mark.parametrize("status", ["available", "error", "attaching", "detaching", "in-use", "reserved"])
def test_a_status_set_by_hand_gives_nothing_away(scene: Scene, status: str) -> None:
    """Reset to whatever, then everything that takes a volume, by its owner and a stranger."""
    volume, attachment = scene.held(), scene.attachment()
    scene.admin.act(volume, "os-reset_status", {"status": status, "attach_status": "detached"})
    owner, path = scene.owner, f"/volume/v3/volumes/{volume}"
    attempts = [
        owner.attach(scene.second, volume), scene.stranger.attach(scene.foreign, volume),
        owner("POST", "/volume/v3/attachments", {"attachment": {"volume_uuid": volume, **CONNECTOR}}),
        owner.act(volume, "os-reserve"), owner.act(volume, "os-attach", {"instance_uuid": scene.second}),
        owner.act(volume, "os-detach"), owner("DELETE", f"/volume/v3/attachments/{attachment}"),
        owner("DELETE", path), owner("DELETE", path + "?cascade=true"), scene.admin("DELETE", path + "?force=true"),
        scene.admin.act(volume, "os-force_delete"),
        scene.admin.act(volume, "os-force_detach", {"attachment_id": attachment, "connector": None}),
        owner("POST", "/volume/v3/volume-transfers", {"transfer": {"volume_id": volume}}),
        scene.admin.act(volume, "os-unmanage"), owner.act(volume, "revert", {"snapshot_id": attachment}),
        owner("POST", "/compute/v2.1/servers", {"server": {
            "name": "thief", "flavorRef": "1", "networks": "none",
            "block_device_mapping_v2": [
                {"uuid": volume, "source_type": "volume", "destination_type": "volume", "boot_index": 0}]}})]
    assert [answer.status_code for answer in attempts if answer.status_code < 400] == [], [answer.text for answer in attempts]
    owner.act(volume, "os-unreserve")  # of nothing: fine
    scene.still_held()
    scene.admin.act(volume, "os-reset_status", {"status": "in-use"})
    scene.free()


def test_the_volume_is_the_same_after_it_was_busy(scene: Scene) -> None:
    """Retype, migrate, extend, snapshot and clone of a volume in use: it stays its guest's."""
    volume = scene.held()
    default = scene.owner.must("GET", "/volume/v3/types")["volume_types"][0]["id"]
    scene.owner.act(volume, "os-retype", {"new_type": default, "migration_policy": "on-demand"})
    scene.cloud.settle()
    scene.admin.act(volume, "os-migrate_volume", {"host": "host-1@second#second", "force_host_copy": True})
    scene.cloud.settle()
    scene.still_held()
    wait_until(lambda: scene.owner.shown(volume)["status"] == "in-use", what="in-use")
    scene.free()


# ---------------------------------------------------------------- strangers


def test_a_stranger_does_not_see_or_touch_it(scene: Scene) -> None:
    volume = scene.held()
    server = f"/compute/v2.1/servers/{scene.first}/os-volume_attachments"
    own = scene.stranger.volume()
    swap = {"volumeAttachment": {"volumeId": volume}}
    attempts = [
        scene.stranger.attach(scene.foreign, volume), scene.stranger("GET", server), scene.stranger("GET", f"{server}/{volume}"),
        scene.stranger("DELETE", f"{server}/{volume}"), scene.stranger("DELETE", f"/volume/v3/volumes/{volume}"),
        scene.stranger("DELETE", f"/compute/v2.1/servers/{scene.foreign}/os-volume_attachments/{volume}"),
        scene.stranger("POST", "/volume/v3/attachments", {"attachment": {"volume_uuid": volume, **CONNECTOR}}),
        scene.stranger("POST", "/volume/v3/volumes", {"volume": {"size": 1, "source_volid": volume}}),
        scene.stranger("POST", "/volume/v3/snapshots", {"snapshot": {"volume_id": volume, "force": True}}),
        scene.stranger.act(volume, "os-extend", {"new_size": 2}),
        scene.stranger("POST", "/volume/v3/volume-transfers", {"transfer": {"volume_id": volume}})]
    assert {answer.status_code for answer in attempts} <= {400, 404}, [answer.text for answer in attempts]
    assert scene.stranger.attach(scene.foreign, own).status_code == 200
    scene.stranger.until(own, "in-use")
    answer = scene.stranger("PUT", f"/compute/v2.1/servers/{scene.foreign}/os-volume_attachments/{own}", swap)
    assert answer.status_code == 403
    scene.stranger("DELETE", f"/compute/v2.1/servers/{scene.foreign}/os-volume_attachments/{own}")
    scene.stranger.until(own, "available")
    scene.still_held()
    scene.free()


def test_after_a_transfer_the_old_owner_has_nothing(scene: Scene) -> None:
    volume = scene.owner.volume()
    made = scene.owner("POST", "/volume/v3/volume-transfers", {"transfer": {"volume_id": volume}})
    assert made.status_code == 202, made.text
    assert scene.owner.attach(scene.first, volume).status_code == 400  # awaits its taker
    transfer = made.json()["transfer"]
    scene.stranger.must("POST", f"/volume/v3/volume-transfers/{transfer['id']}/accept", {
        "accept": {"auth_key": transfer["auth_key"]}})
    assert scene.owner.attach(scene.first, volume).status_code == 404
    assert scene.stranger.attach(scene.foreign, volume).status_code == 200
    scene.stranger.until(volume, "in-use")
    path = f"/compute/v2.1/servers/{scene.foreign}/os-volume_attachments/{volume}"
    assert scene.owner("DELETE", path).status_code == 404
    scene.stranger("DELETE", path)
    scene.stranger.until(volume, "available")


# ---------------------------------------------------------------- at the same moment


def test_two_servers_ask_at_once_and_one_gets_it(scene: Scene) -> None:
    from concurrent.futures import ThreadPoolExecutor
    scene.volume = scene.owner.volume()
    tenants = [Tenant(scene.cloud, "member") for _ in range(6)]
    servers = [scene.first, scene.second] * 3
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda pair: pair[0].attach(pair[1], scene.volume).status_code,
                                zip(tenants, servers, strict=True)))
    assert sorted(answers) == [200, 400, 400, 400, 400, 400]
    scene.owner.until(scene.volume, "in-use")
    assert len(scene.having()) == 1 and scene.guests_disks() == 1
    winner = scene.having()[0]
    scene.owner("DELETE", f"/compute/v2.1/servers/{winner}/os-volume_attachments/{scene.volume}")
    scene.owner.until(scene.volume, "available")
    assert scene.guests_disks() == 0


# ---------------------------------------------------------------- killed between two steps


@pytest.mark.parametrize("kind", ["attach_volume", "detach_volume"])
@pytest.mark.parametrize("point", ["before_step", "before_commit", "after_commit"])
def test_a_process_that_dies_leaves_it_in_one_place(scene: Scene, kind: str, point: str) -> None:
    """Killed at each commit of each step; meanwhile others try to take the volume."""
    if kind == "detach_volume":
        scene.held()
    else:
        scene.volume = scene.owner.volume()
    deaths: list[str] = []
    seen: list[tuple[str, int]] = []

    def look() -> None:
        with scene.cloud.cloud.database.read() as tx:
            status = tx.query(VolumeRow.status).filter_by(id=scene.volume).one()[0]
        seen.append((str(status), scene.guests_disks()))

    def hook(at: str, row: TaskRow, step: str) -> None:
        if row.kind == f"compute.server.{kind}" and at == point and step not in deaths:
            deaths.append(step)
            look()
            with scene.cloud.cloud.database.write() as tx:
                tx.query(TaskRow).filter_by(id=row.id).update({"lease_until": 0.0})
            raise Crash

    scene.cloud.cloud.runner.hook = hook if point != "before_commit" else None
    if point == "before_commit":  # inside of the step's own transaction: nothing else may be written there
        def inside(at: str, row: TaskRow, step: str) -> None:
            if row.kind == f"compute.server.{kind}" and at == point and step not in deaths:
                deaths.append(step)
                raise Crash
        scene.cloud.cloud.runner.hook = inside
    try:
        if kind == "attach_volume":
            assert scene.owner.attach(scene.first, scene.volume).status_code == 200
        else:
            scene.owner.must("DELETE", f"/compute/v2.1/servers/{scene.first}/os-volume_attachments/{scene.volume}")
        wait_until(lambda: deaths, what="a death")
        assert scene.owner.attach(scene.second, scene.volume).status_code == 400 or point == "after_commit"
        scene.cloud.settle()
    finally:
        scene.cloud.cloud.runner.hook = None
    assert all(status != "available" or not guests for status, guests in seen), seen
    scene.cloud.settle()
    if kind == "attach_volume":
        scene.owner.until(scene.volume, "in-use")
        scene.still_held()
        scene.free()
    else:
        wait_until(lambda: scene.guests_disks() == len(scene.having()), what="agreement")
        for server in scene.having():
            scene.owner("DELETE", f"/compute/v2.1/servers/{server}/os-volume_attachments/{scene.volume}")
        scene.owner.until(scene.volume, "available")
        assert scene.guests_disks() == 0


# ---------------------------------------------------------------- a host that does not answer


def test_a_volume_on_a_silent_host_is_not_free_before_that_is_proven(scene: Scene) -> None:
    """Its server may be deleted; its data is nobody's until the host shows that the guest is gone."""
    flavor = scene.owner.must("GET", f"/compute/v2.1/servers/{scene.second}")["server"]["flavor"]
    image = scene.owner.must("GET", f"/compute/v2.1/servers/{scene.second}")["server"]["image"]["id"]
    found = scene.admin.must("GET", "/compute/v2.1/flavors/detail?is_public=None")["flavors"]
    server = scene.owner.server(next(one["id"] for one in found if one["name"] == flavor["original_name"]), image)
    volume = scene.volume = scene.owner.volume()
    assert scene.owner.attach(server, volume).status_code == 200
    scene.owner.until(volume, "in-use")
    scene.cloud.kill_agent()
    try:
        with scene.cloud.cloud.database.write() as tx:
            tx.query(HostRow).filter_by(name="host-1").update({"state": "down"})
        scene.owner.must("DELETE", f"/compute/v2.1/servers/{server}")
        wait_until(lambda: scene.owner("GET", f"/compute/v2.1/servers/{server}").status_code == 404, what="the server's end")
        shown = scene.owner.shown(volume)
        assert shown["status"] == "detaching"
        assert scene.owner.attach(scene.second, volume).status_code == 400
        assert scene.owner("DELETE", f"/volume/v3/volumes/{volume}").status_code == 400
        answer = scene.owner("DELETE", f"/volume/v3/attachments/{shown['attachments'][0]['attachment_id']}")
        assert answer.status_code == 409
        scene.cloud.cloud.reconcilers.signal("compute.volumes")
        assert scene.owner.shown(volume)["status"] == "detaching"
    finally:
        scene.cloud.start_agent()

    def free() -> bool:
        for name in ("compute.leaks", "compute.volumes"):
            scene.cloud.cloud.reconcilers.signal(name)
        return bool(scene.owner.shown(volume)["status"] == "available")

    wait_until(free, 30, "a free volume once the host has answered")
    assert scene.guests_disks() == 0
