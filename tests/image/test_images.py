"""Images through the front: their life, their lists, who sees and changes them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from running import RunningCloud

PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
DATA = {"Content-Type": "application/octet-stream"}
Clients = Callable[[str], httpx.Client]


@pytest.fixture
def clients(cloud: RunningCloud) -> Iterator[Clients]:
    opened: dict[str, httpx.Client] = {}

    def client(persona: str) -> httpx.Client:
        if persona not in opened:
            opened[persona] = cloud.http(persona)
            opened[persona].base_url = cloud.url + "/image/v2"  # type: ignore[assignment]
        return opened[persona]

    yield client
    for client_ in opened.values():
        client_.close()


def make(client: httpx.Client, **values: Any) -> dict[str, Any]:
    body = {"name": "image-" + uuid.uuid4().hex, "disk_format": "raw", "container_format": "bare", **values}
    answer = client.post("/images", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def upload(client: httpx.Client, image: dict[str, Any], data: bytes) -> httpx.Response:
    return client.put(f"/images/{image['id']}/file", content=data, headers=DATA)


def change(client: httpx.Client, image: dict[str, Any], *operations: dict[str, Any]) -> httpx.Response:
    return client.patch(f"/images/{image['id']}", json=list(operations), headers=PATCH)


def test_the_sdk_creates_checks_and_reads_an_image(cloud: RunningCloud) -> None:
    connection = cloud.connect("member")
    data = b"0123456789" * 500_000
    image = connection.image.create_image(name="sdk-" + uuid.uuid4().hex, data=data, disk_format="raw", container_format="bare",
                                          validate_checksum=True, hw_disk_bus="virtio", tags=["one"])
    shown = connection.image.get_image(image.id)
    assert (shown.status, shown.size, shown.hw_disk_bus, shown.tags) == ("active", len(data), "virtio", ["one"])
    assert (shown.checksum, shown.hash_algo, shown.hash_value) == (
        hashlib.md5(data).hexdigest(), "sha512", hashlib.sha512(data).hexdigest())
    assert connection.image.download_image(image).content == data
    connection.image.delete_image(image.id)
    assert connection.image.find_image(image.id, ignore_missing=True) is None
    assert not (cloud.paths.images / image.id).exists()


def test_an_id_may_be_given_once(clients: Clients) -> None:
    member = clients("member")
    wanted = str(uuid.uuid4())
    assert make(member, id=wanted)["id"] == wanted
    assert member.post("/images", json={"id": wanted}).status_code == 409
    assert member.post("/images", json={"id": "../../etc/passwd"}).status_code == 400


def test_lists_filter_sort_and_page(clients: Clients) -> None:
    member, key = clients("member"), "k" + uuid.uuid4().hex[:8]
    made = [make(member, name=f"{key}-{number}", **{key: "x"}, min_ram=number, tags=[f"{key}-{number % 2}"])
            for number in range(5)]
    upload(member, made[3], b"x" * 100)

    def names(query: str) -> list[str]:
        answer = member.get(f"/images?{key}=x&{query}")
        assert answer.status_code == 200, answer.text
        return [image["name"].removeprefix(key + "-") for image in answer.json()["images"]]

    assert names("") == ["4", "3", "2", "1", "0"]
    assert names("sort=name:asc") == names("sort_key=name&sort_dir=asc") == ["0", "1", "2", "3", "4"]
    assert names(f"tag={key}-1&sort=name:asc") == ["1", "3"]
    assert names(f"name=in:{key}-1,{key}-2&sort=name:desc") == ["2", "1"]
    assert names("status=active") == names("size_min=50&size_max=200") == ["3"]
    assert names("min_ram=2") == ["2"]
    assert names("created_at=gt:2100-01-01T00:00:00Z") == []
    assert names("updated_at=gte:2000-01-01T00:00:00Z&limit=2&sort=name:asc") == ["0", "1"]
    seen, url = [], f"/images?{key}=x&limit=2"
    while url:
        page = member.get(url.removeprefix("/v2")).json()
        seen += [image["name"] for image in page["images"]]
        url = page.get("next")
    assert seen == [f"{key}-{number}" for number in (4, 3, 2, 1, 0)]
    for wrong in ("sort=nothing", "limit=-1", "size_min=x", "created_at=when", "visibility=mine", f"marker={uuid.uuid4()}"):
        assert member.get(f"/images?{wrong}").status_code == 400, wrong


def test_patch(clients: Clients) -> None:
    member = clients("member")
    image = make(member, colour="red")
    answer = change(member, image, {"op": "replace", "path": "/name", "value": "new"},
                    {"op": "add", "path": "/a~1b", "value": "1"}, {"op": "remove", "path": "/colour"},
                    {"op": "replace", "path": "/tags", "value": ["t", "t"]})
    assert answer.status_code == 200
    assert (answer.json()["name"], answer.json()["a/b"], answer.json()["tags"]) == ("new", "1", ["t"])
    assert "colour" not in answer.json()
    for operation, status in (
            ({"op": "replace", "path": "/status", "value": "active"}, 403), ({"op": "replace", "path": "/size", "value": 1}, 403),
            ({"op": "replace", "path": "/id", "value": str(uuid.uuid4())}, 403),
            ({"op": "add", "path": "/os_glance_x", "value": "1"}, 403), ({"op": "add", "path": "/locations/-", "value": {}}, 403),
            ({"op": "add", "path": "/deleted", "value": "1"}, 403), ({"op": "remove", "path": "/name"}, 403),
            ({"op": "replace", "path": "/missing", "value": "1"}, 409), ({"op": "remove", "path": "/missing"}, 409),
            ({"op": "replace", "path": "/min_disk", "value": -1}, 400), ({"op": "add", "path": "/number", "value": 1}, 400),
            ({"op": "move", "path": "/name"}, 400), ({"op": "add", "path": "name", "value": "x"}, 400),
            ({"op": "replace", "path": "/visibility", "value": "public"}, 403),
            ({"op": "replace", "path": "/owner", "value": "someone"}, 403)):
        assert change(member, image, operation).status_code == status, operation
    assert member.get(f"/images/{image['id']}").json()["name"] == "new"
    assert member.patch(f"/images/{image['id']}", json=[]).status_code == 415
    old = member.patch(f"/images/{image['id']}", json=[{"replace": "/name", "value": "old"}],
                       headers={"Content-Type": "application/openstack-images-v2.0-json-patch"})
    assert old.json()["name"] == "old"
    upload(member, image, b"data")
    assert change(member, image, {"op": "replace", "path": "/disk_format", "value": "qcow2"}).status_code == 403


def test_readonly_and_reserved_keys_are_refused_at_creation(clients: Clients) -> None:
    for key, value in (("status", "active"), ("checksum", "0"), ("os_glance_import_task", "1"), ("deleted", "true"),
                       ("owner", "someone-else"), ("visibility", "public")):
        assert clients("member").post("/images", json={key: value}).status_code == 403, key
    for key, value in (("disk_format", "floppy"), ("min_ram", "1"), ("protected", "yes"), ("custom", 5), ("name", "n" * 256)):
        assert clients("member").post("/images", json={key: value}).status_code == 400, key
    assert clients("reader").post("/images", json={}).status_code == 403


def test_who_sees_what(clients: Clients) -> None:
    member, other, admin = clients("member"), clients("other"), clients("admin")
    images = {kind: make(member if kind != "public" else admin, visibility=kind)
              for kind in ("private", "shared", "community", "public")}
    for kind, image in images.items():
        listed = {found["id"] for found in other.get("/images?limit=1000").json()["images"]}
        assert (image["id"] in listed) == (kind == "public"), kind
        assert other.get(f"/images/{image['id']}").status_code == (200 if kind in ("community", "public") else 404), kind
        refused = 403 if kind in ("community", "public") else 404
        assert other.delete(f"/images/{image['id']}").status_code == refused
        assert change(other, image, {"op": "replace", "path": "/name", "value": "mine"}).status_code == refused
        assert upload(other, image, b"x").status_code == refused
        assert other.put(f"/images/{image['id']}/tags/x").status_code == refused
    community = other.get("/images?visibility=community&limit=1000").json()["images"]
    assert images["community"]["id"] in {found["id"] for found in community}
    assert member.get(f"/images/{images['private']['id']}").status_code == 200


def test_sharing_has_two_sides(clients: Clients, cloud: RunningCloud) -> None:
    member, other = clients("member"), clients("other")
    theirs = cloud.connect("other").current_project_id
    image = make(member)
    path = f"/images/{image['id']}/members"
    assert other.get(path).status_code == 404
    assert member.post(path, json={"member": theirs}).json()["status"] == "pending"
    assert member.post(path, json={"member": theirs}).status_code == 409
    assert other.get(f"/images/{image['id']}").status_code == 200

    def listed(query: str = "") -> bool:
        return image["id"] in {found["id"] for found in other.get(f"/images?limit=1000{query}").json()["images"]}

    assert not listed() and listed("&member_status=pending")
    assert member.put(f"{path}/{theirs}", json={"status": "accepted"}).status_code == 403
    assert other.put(f"{path}/{theirs}", json={"status": "perhaps"}).status_code == 400
    assert other.put(f"{path}/{theirs}", json={"status": "accepted"}).json()["status"] == "accepted"
    assert listed() and not listed("&member_status=rejected")
    assert [found["member_id"] for found in other.get(path).json()["members"]] == [theirs]
    assert other.delete(f"{path}/{theirs}").status_code == 403
    assert other.post(path, json={"member": "third"}).status_code == 403
    assert member.delete(f"{path}/{theirs}").status_code == 204
    assert other.get(f"/images/{image['id']}").status_code == 404
    change(member, image, {"op": "replace", "path": "/visibility", "value": "private"})
    assert member.post(path, json={"member": theirs}).status_code == 403


def test_tags(clients: Clients) -> None:
    member = clients("member")
    image = make(member)
    path = f"/images/{image['id']}/tags"
    assert member.put(f"{path}/blue").status_code == 204
    assert member.put(f"{path}/blue").status_code == 204
    assert member.get(f"/images/{image['id']}").json()["tags"] == ["blue"]
    assert member.delete(f"{path}/blue").status_code == 204
    assert member.delete(f"{path}/blue").status_code == 404


def test_protected_hidden_and_deactivated(clients: Clients) -> None:
    member, admin, reader = clients("member"), clients("admin"), clients("reader")
    image = make(member, protected=True, os_hidden=True)
    assert member.delete(f"/images/{image['id']}").status_code == 403
    listed = [{found["id"] for found in member.get(f"/images?limit=1000{query}").json()["images"]}
              for query in ("", "&os_hidden=true")]
    assert image["id"] not in listed[0] and image["id"] in listed[1]
    assert member.post(f"/images/{image['id']}/actions/deactivate").status_code == 403
    upload(member, image, b"data")
    assert reader.post(f"/images/{image['id']}/actions/deactivate").status_code == 403
    assert member.post(f"/images/{image['id']}/actions/deactivate").status_code == 204
    assert member.get(f"/images/{image['id']}/file").status_code == 403
    assert admin.get(f"/images/{image['id']}/file").content == b"data"
    assert member.post(f"/images/{image['id']}/actions/reactivate").status_code == 204
    assert member.get(f"/images/{image['id']}/file").content == b"data"
    assert reader.get(f"/images/{image['id']}/file").status_code == 403
    change(member, image, {"op": "replace", "path": "/protected", "value": False})
    assert member.delete(f"/images/{image['id']}").status_code == 204
    assert member.delete(f"/images/{image['id']}").status_code == 404


def test_schemas_and_stores(clients: Clients) -> None:
    member = clients("member")
    for name in ("image", "images", "member", "members", "task", "tasks"):
        assert member.get(f"/schemas/{name}").json()["name"] == name
    assert member.get("/schemas/nothing").status_code == 404
    assert member.get("/info/stores").json()["stores"][0]["id"] == "file"
    assert "web-download" in member.get("/info/import").json()["import-methods"]["value"]
    assert member.get("/info/stores/detail").status_code == 403
