"""Files that a server is born with: on its config drive, counted, and replaced by a rebuild."""

from __future__ import annotations

import base64
import json

from compute_world import Boot, Nova

from haneul.compute import drive
from running import RunningCloud

RAW = b"\x00\xffnot a text"


def _file(path: str, content: bytes = RAW) -> dict[str, str]:
    return {"path": path, "contents": base64.b64encode(content).decode()}


def test_files_travel_on_a_config_drive(cloud: RunningCloud, nova: Nova, boot: Boot, image: str, network: str) -> None:
    created = nova.call("POST", "/servers", {"server": {
        "name": "files", "imageRef": image, "flavorRef": "42", "networks": [{"uuid": network}],
        "personality": [_file("/etc/one", b"one"), _file("two")]}}, version="2.56", status=202)["server"]["id"]
    assert nova.wait(created, "ACTIVE")["config_drive"] == "True"
    built = drive.build(cloud.cloud, created)
    listed = json.loads(built.files["openstack/latest/meta_data.json"])["files"]
    assert listed == [{"path": "/etc/one", "content_path": "/content/0000"}, {"path": "two", "content_path": "/content/0001"}]
    assert built.files["openstack/content/0000"] == "one"
    assert base64.b64decode(built.base64_files["openstack/content/0001"]) == RAW
    nova.action(created, "rebuild", {"imageRef": image, "personality": [_file("/three", b"3")]}, version="2.56")
    nova.wait(created, "ACTIVE")
    assert drive.build(cloud.cloud, created).files["openstack/content/0000"] == "3"
    nova.action(created, "rebuild", {"imageRef": image}, version="2.56")
    nova.wait(created, "ACTIVE")
    assert "files" not in json.loads(drive.build(cloud.cloud, created).files["openstack/latest/meta_data.json"])
    nova.call("DELETE", f"/servers/{created}")
    nova.wait_gone(created)


def test_a_rebuild_with_files_gives_a_server_its_config_drive(cloud: RunningCloud, nova: Nova, boot: Boot, image: str) -> None:
    server = boot()["id"]
    nova.action(server, "rebuild", {"imageRef": image, "personality": [_file("/a")]}, version="2.56")
    assert nova.wait(server, "ACTIVE")["config_drive"] == "True"
    assert drive.build(cloud.cloud, server).base64_files["openstack/content/0000"]


def test_files_are_limited_and_gone_at_2_57(cloud: RunningCloud, nova: Nova, boot: Boot, image: str, network: str) -> None:
    server = boot()["id"]

    def rebuild(files: list[dict[str, str]], version: str, status: int) -> None:
        nova.action(server, "rebuild", {"imageRef": image, "personality": files}, version=version, status=status)
        body = {"name": "files", "imageRef": image, "flavorRef": "42", "networks": [{"uuid": network}], "personality": files}
        nova.call("POST", "/servers", {"server": body}, version=version, status=status)

    rebuild([_file(f"/{number}") for number in range(6)], "2.56", 403)
    rebuild([_file("/" + "a" * 255)], "2.56", 403)
    rebuild([_file("/a", b"a" * 10240)], "2.56", 403)
    rebuild([{"path": "/a", "contents": "not base64!"}], "2.56", 400)
    rebuild([{"path": "/a"}], "2.56", 400)
    rebuild([_file("/a")], "2.57", 400)


def test_the_clouds_domain_stands_behind_every_name_even_one_with_a_domain(cloud: RunningCloud, nova: Nova, boot: Boot) -> None:
    """As in Nova, which since 2.94 takes names with dots: the domain was left out behind these."""
    for name in ("plain", "with.a.domain"):
        found = json.loads(drive.build(cloud.cloud, boot(hostname=name)["id"]).files["openstack/latest/meta_data.json"])
        assert found["hostname"] == f"{name}.{cloud.cloud.config.compute.dhcp_domain}"
