"""Several stores, data elsewhere, and the cache of it."""

from __future__ import annotations

import hashlib
import http.server
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import select, update

from haneul.image import cache, fetch, store
from haneul.image.model import ImageRow
from haneul.kernel.config import Image
from haneul.kernel.errors import Gone
from haneul.kernel.tasks import Again, Fault

if TYPE_CHECKING:
    from running import RunningCloud

DATA = {"Content-Type": "application/octet-stream"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
BYTES = b"far away" * 50_000


def client_of(cloud: RunningCloud, persona: str) -> httpx.Client:
    client = cloud.http(persona)
    client.base_url = cloud.url + "/image/v2"  # type: ignore[assignment]
    return client


@pytest.fixture
def member(cloud: RunningCloud) -> Iterator[httpx.Client]:
    with client_of(cloud, "member") as client:
        yield client


@pytest.fixture
def admin(cloud: RunningCloud) -> Iterator[httpx.Client]:
    with client_of(cloud, "admin") as client:
        yield client


class Web:
    """Serves `bytes` at every path and counts."""

    def __init__(self) -> None:
        self.bytes, self.asked, self.go = BYTES, 0, threading.Event()
        self.go.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                outer.go.wait(30.0)
                self.send_response(200)
                self.send_header("Content-Length", str(len(outer.bytes)))
                self.end_headers()
                self.wfile.write(outer.bytes)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"http://{self.place}/image"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def web(cloud: RunningCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    found = Web()
    monkeypatch.setattr(cloud.cloud.config.image, "web_download_allow", [found.place])
    yield found
    found.go.set()
    found.server.shutdown()
    found.server.server_close()


def make(client: httpx.Client, **values: Any) -> str:
    answer = client.post("/images", json={"disk_format": "raw", "container_format": "bare", **values})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def shown(client: httpx.Client, image: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/images/{image}").json()
    return found


def until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come")


def patch(client: httpx.Client, image: str, op: str, path: str, value: Any = None) -> httpx.Response:
    operation = {"op": op, "path": path, **({} if op == "remove" else {"value": value})}
    return client.request("PATCH", f"/images/{image}", json=[operation], headers=PATCH)


def uploaded(client: httpx.Client, data: bytes = b"some data", **headers: str) -> str:
    image = make(client)
    assert client.put(f"/images/{image}/file", content=data, headers={**DATA, **headers}).status_code == 204
    return image


def bring_in(client: httpx.Client, image: str, **body: Any) -> httpx.Response:
    return client.post(f"/images/{image}/import", json=body)


# ---------------------------------------------------------------- stores


def test_what_stores_there_are(member: httpx.Client, admin: httpx.Client) -> None:
    listed = {each["id"]: each for each in member.get("/info/stores").json()["stores"]}
    assert set(listed) == {"file", "second", "web"}
    assert listed["file"]["default"] == "true" and "default" not in listed["second"]
    assert listed["web"]["read-only"] == "true"
    detailed = {each["id"]: each for each in admin.get("/info/stores/detail").json()["stores"]}
    assert detailed["second"]["weight"] == -1 and detailed["second"]["properties"]["data_dir"].endswith("image-stores/second")
    assert member.get("/info/stores/detail").status_code == 403


def test_an_upload_goes_where_its_header_says(cloud: RunningCloud, member: httpx.Client) -> None:
    image = uploaded(member, b"to the second", **{"X-Image-Meta-Store": "second"})
    assert shown(member, image)["stores"] == "second"
    assert store.path_of(cloud.cloud, image, "second").read_bytes() == b"to the second"
    assert member.get(f"/images/{image}/file").content == b"to the second"
    for bad in ("web", "nowhere"):
        answer = member.put(f"/images/{make(member)}/file", content=b"x", headers={**DATA, "X-Image-Meta-Store": bad})
        assert answer.status_code == 400, bad
    member.delete(f"/images/{image}")
    assert not store.path_of(cloud.cloud, image, "second").exists()


def test_an_import_into_all_stores_is_active_when_all_have_it(cloud: RunningCloud, member: httpx.Client) -> None:
    image = make(member)
    member.put(f"/images/{image}/stage", content=b"staged", headers=DATA)
    for bad in ({"stores": ["web"]}, {"stores": ["nowhere"]}):
        assert bring_in(member, image, method={"name": "glance-direct"}, **bad).status_code == 409, bad
    assert bring_in(member, image, method={"name": "glance-direct"}, all_stores=True).status_code == 202
    seen = set()
    while (found := shown(member, image))["status"] != "active":
        seen.add(found.get("stores"))
        assert found["status"] == "importing"
    assert found["stores"] == "file,second" and "file,second" not in seen - {found["stores"]}
    cloud.settle()
    assert {shown(member, image)[f"os_glance_{key}"] for key in ("importing_to_stores", "failed_import")} == {""}
    for name in ("file", "second"):
        assert store.path_of(cloud.cloud, image, name).read_bytes() == b"staged"


@pytest.mark.parametrize("must, status, stores", [(True, "queued", None), (False, "active", "file")])
def test_one_store_that_fails(cloud: RunningCloud, member: httpx.Client, monkeypatch: pytest.MonkeyPatch, must: bool,
                              status: str, stores: str | None) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "copy", full)
    image = make(member)
    member.put(f"/images/{image}/stage", content=b"staged", headers=DATA)
    bring_in(member, image, method={"name": "glance-direct"}, all_stores=True, all_stores_must_succeed=must)
    cloud.settle()
    found = shown(member, image)
    assert (found["status"], found.get("stores")) == (status, stores)
    assert found["os_glance_failed_import"] == ("file,second" if must else "second")
    assert store.path_of(cloud.cloud, image).exists() is not must


def test_copying_is_offered_where_there_is_a_second_store(cloud: RunningCloud, member: httpx.Client, admin: httpx.Client,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    assert "copy-image" in member.get("/info/import").json()["import-methods"]["value"]
    monkeypatch.setattr(cloud.cloud.config.image, "stores", {})
    assert "copy-image" not in member.get("/info/import").json()["import-methods"]["value"]
    assert bring_in(admin, uploaded(member), method={"name": "copy-image"}, all_stores=True).status_code == 400


def test_copies_and_their_removal(cloud: RunningCloud, member: httpx.Client, admin: httpx.Client) -> None:
    image = uploaded(member)
    copy = {"method": {"name": "copy-image"}, "stores": ["second"]}
    assert bring_in(member, image, **copy).status_code == 403
    assert bring_in(admin, make(member), **copy).status_code == 409
    assert bring_in(admin, image, **copy).status_code == 202
    cloud.settle()
    assert shown(member, image)["stores"] == "file,second"
    assert bring_in(admin, image, **copy).status_code == 400
    assert bring_in(admin, image, method={"name": "copy-image"}, all_stores=True).status_code == 202
    assert member.delete(f"/stores/file/{image}").status_code == 403
    assert admin.delete(f"/stores/nowhere/{image}").status_code == 409
    assert admin.delete(f"/stores/web/{image}").status_code in (403, 404)
    assert admin.delete(f"/stores/file/{image}").status_code == 204
    assert not store.path_of(cloud.cloud, image).exists()
    assert member.get(f"/images/{image}/file").content == b"some data" and shown(member, image)["stores"] == "second"
    assert admin.delete(f"/stores/second/{image}").status_code == 403


# ---------------------------------------------------------------- data elsewhere


def test_an_image_of_an_address_is_hashed_and_checked(cloud: RunningCloud, member: httpx.Client, admin: httpx.Client,
                                                      web: Web) -> None:
    right, wrong = hashlib.sha256(BYTES).hexdigest(), "0" * 64
    for value, status in ((right, "active"), (wrong, "queued")):
        image = make(member)
        answer = member.post(f"/images/{image}/locations", json={
            "url": web.url, "validation_data": {"os_hash_algo": "sha256", "os_hash_value": value}})
        assert answer.status_code == 202, answer.text
        cloud.settle()
        found = shown(member, image)
        assert (found["status"], found["stores"]) == (status, "web")
        task = member.get(f"/images/{image}/tasks").json()["tasks"][0]
        assert (task["type"], task["status"]) == ("location_import", "success" if value == right else "failure")
    assert found["os_hash_algo"] is None and found["checksum"] is None
    assert member.put(f"/images/{image}/file", content=b"mine", headers=DATA).status_code == 204
    assert shown(member, image)["stores"] == "file"  # new data takes the place of the address
    whole = make(member)
    member.post(f"/images/{whole}/locations", json={"url": web.url})
    cloud.settle()
    found = shown(member, whole)
    assert (found["status"], found["os_hash_algo"], found["size"], found["virtual_size"]) == (
        "active", "sha512", len(BYTES), len(BYTES))
    asked = web.asked
    assert member.get(f"/images/{whole}/file").content == BYTES and web.asked == asked  # of the cache
    assert member.get(f"/images/{whole}/locations").status_code == 403
    assert admin.get(f"/images/{whole}/locations").json() == [{"url": web.url, "metadata": {"store": "web"}}]


@pytest.mark.parametrize("body", [
    {"url": "file:///etc/passwd"}, {"url": "cinder://x"}, {"url": "http://127.0.0.1:1/"}, {"url": "http://169.254.169.254/"},
    {"url": "http://example.org/", "validation_data": {"os_hash_algo": "sha123", "os_hash_value": "00"}},
    {"url": "http://example.org/", "validation_data": {"os_hash_value": "0" * 128}},
    {"url": "http://example.org/", "validation_data": {"os_hash_algo": "sha512", "os_hash_value": "0" * 64}},
    {"url": "http://example.org/", "validation_data": {"os_hash_algo": "sha512", "os_hash_value": "x" * 128}}, {}])
def test_addresses_are_checked(member: httpx.Client, body: dict[str, Any]) -> None:
    image = make(member)
    assert member.post(f"/images/{image}/locations", json=body).status_code == 400
    assert shown(member, image)["status"] == "queued"


def test_a_name_of_a_forbidden_address_is_no_image(cloud: RunningCloud, member: httpx.Client,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """No name server is asked while the request waits; the fetch does, and refuses."""
    resolved = [(2, 1, 6, "", ("127.0.0.1", 80))]
    original = fetch.socket.getaddrinfo
    monkeypatch.setattr(fetch.socket, "getaddrinfo", lambda host, *rest, flags=0, **more: (
        resolved if host == "inside.example" and not flags else original(host, *rest, flags=flags, **more)))
    image = make(member)
    assert member.post(f"/images/{image}/locations", json={"url": "http://inside.example/"}).status_code == 202
    cloud.settle()
    assert shown(member, image)["status"] == "queued"
    assert "not allowed" in member.get(f"/images/{image}/tasks").json()["tasks"][0]["message"]


def test_data_of_another_format_is_no_image(cloud: RunningCloud, member: httpx.Client, web: Web) -> None:
    image = make(member, disk_format="qcow2")
    member.post(f"/images/{image}/locations", json={"url": web.url})
    cloud.settle()
    assert shown(member, image)["status"] == "queued"
    assert not (cache.folder(cloud.cloud) / image).exists()


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
def test_an_image_deactivated_while_it_is_hashed_stays_so(cloud: RunningCloud, member: httpx.Client, admin: httpx.Client,
                                                          web: Web, disk_format: str) -> None:
    """It became active when the hash was known, or its owner's to fill again when the data was of another format."""
    image = make(member, disk_format=disk_format)
    web.go.clear()
    member.post(f"/images/{image}/locations", json={"url": web.url})
    until(lambda: shown(member, image)["status"] == "active")
    assert admin.post(f"/images/{image}/actions/deactivate").status_code == 204
    web.go.set()
    cloud.settle()
    assert member.get(f"/images/{image}/tasks").json()["tasks"][0]["status"] == (
        "success" if disk_format == "raw" else "failure")
    assert shown(member, image)["status"] == "deactivated"


@pytest.mark.parametrize("change", [{"disk_format": "qcow2"}, {"status": "queued"}, {"locations": []}])
def test_bytes_are_not_kept_for_an_image_that_became_another_meanwhile(
        cloud: RunningCloud, member: httpx.Client, web: Web, change: dict[str, Any]) -> None:
    """They were looked at as another format's, or are those of an address that is not the image's any more."""
    image = make(member)
    member.post(f"/images/{image}/locations", json={"url": web.url})
    cloud.settle()
    with cloud.cloud.database.write() as tx:
        row = tx.get(ImageRow, image)
        cache.drop(tx, image)
    with cloud.cloud.database.write() as tx:
        tx.execute(update(ImageRow).where(ImageRow.id == image).values(**change))
    with pytest.raises(Gone):
        cache.bring(cloud.cloud, row)
    assert not (cache.folder(cloud.cloud) / image).exists()


def test_slow_servers_elsewhere_hold_up_nobody_else(cloud: RunningCloud, member: httpx.Client, web: Web,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads that wait for them took all the threads that uploads and other downloads share."""
    monkeypatch.setattr(cloud.cloud.config.image, "show_multiple_locations", True)
    here = uploaded(member)
    web.go.clear()
    waiting = []
    for number in range(min(32, (os.cpu_count() or 1) + 4) + 1):  # more than asyncio has threads
        image = make(member)
        location = {"url": f"{web.url}{number}", "metadata": {}}
        assert patch(member, image, "add", "/locations/-", location).status_code == 200
        waiting.append(threading.Thread(target=lambda image=image: httpx.get(
            f"{member.base_url}images/{image}/file", headers=dict(member.headers), timeout=60.0).read()))
    for each in waiting:
        each.start()
    until(lambda: web.asked == 3)
    try:
        assert member.get(f"/images/{here}/file").content == b"some data"
    finally:
        web.go.set()
        for each in waiting:
            each.join()


def test_tasks_leave_threads_to_others_while_servers_elsewhere_are_slow(cloud: RunningCloud, member: httpx.Client, web: Web,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that hash data elsewhere, and those that bring it to hosts, took all threads of tasks."""
    monkeypatch.setattr(cloud.cloud.config.image, "show_multiple_locations", True)
    web.go.clear()
    try:
        for number in range(6):
            assert member.post(f"/images/{make(member)}/locations", json={"url": f"{web.url}{number}"}).status_code == 202
        until(lambda: web.asked == 3)
        away = make(member)
        patch(member, away, "add", "/locations/-", {"url": web.url, "metadata": {}})
        with pytest.raises(Again):
            store.read_known(cloud.cloud, away)
        assert web.asked == 3
    finally:
        web.go.set()
    cloud.settle()
    assert web.asked == 6 and b"".join(store.read_known(cloud.cloud, away)[1]) == BYTES


def test_an_image_has_at_most_ten_locations(cloud: RunningCloud, member: httpx.Client, web: Web,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud.cloud.config.image, "show_multiple_locations", True)
    image = make(member)
    for number in range(11):
        answer = patch(member, image, "add", "/locations/-", {"url": f"{web.url}{number}", "metadata": {}})
        assert answer.status_code == (200 if number < 10 else 413), answer.text


def test_locations_by_patch_only_where_they_are_shown(cloud: RunningCloud, member: httpx.Client, admin: httpx.Client, web: Web,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    image = make(member)
    entry = {"url": web.url, "metadata": {"speed": "88"}}
    assert patch(member, image, "add", "/locations/-", entry).status_code == 403 and "locations" not in shown(member, image)
    monkeypatch.setattr(cloud.cloud.config.image, "show_multiple_locations", True)
    assert shown(member, image)["locations"] == []
    for bad in ({"url": "gopher://x", "metadata": {}}, {"url": web.url}, {"url": "file:///etc/passwd", "metadata": {}}, "x"):
        assert patch(member, image, "add", "/locations/-", bad).status_code == 400, bad
    assert patch(member, image, "add", "/locations/7", entry).status_code == 400
    assert patch(member, image, "add", "/locations/-", entry).status_code == 200
    assert patch(member, image, "add", "/locations/-", entry).status_code == 400  # a second time
    second = {"url": web.url + "#2", "metadata": {}}
    assert patch(member, image, "add", "/locations/0", second).status_code == 200
    found = shown(member, image)
    assert found["status"] == "active" and found["os_hash_value"] is None
    assert [each["url"] for each in found["locations"]] == [second["url"], entry["url"]]
    assert patch(member, image, "replace", "/locations", found["locations"][:1]).status_code == 400
    found["locations"][0]["metadata"]["date"] = "today"
    assert patch(member, image, "replace", "/locations", found["locations"]).status_code == 200
    assert shown(member, image)["locations"] == found["locations"]
    assert patch(member, image, "remove", "/locations/0").status_code == 403
    assert patch(admin, image, "remove", "/locations/0").status_code == 200
    assert patch(admin, image, "remove", "/locations/0").status_code == 403  # the last one
    assert member.get(f"/images/{image}/file").content == BYTES
    assert shown(member, image)["size"] == len(BYTES)


def test_what_is_said_of_an_address_must_hold_when_it_is_read(cloud: RunningCloud, member: httpx.Client, web: Web,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud.cloud.config.image, "show_multiple_locations", True)
    image = make(member)
    said = {"checksum": "1" * 32, "os_hash_algo": "sha512", "os_hash_value": "deadbeef" * 16}
    assert patch(member, image, "add", "/locations/-", {
        "url": web.url, "metadata": {}, "validation_data": said}).status_code == 200
    assert shown(member, image)["os_hash_value"] == "deadbeef" * 16
    other = {"url": web.url + "#2", "metadata": {}, "validation_data": {**said, "checksum": "2" * 32}}
    assert patch(member, image, "add", "/locations/-", other).status_code == 409
    assert member.get(f"/images/{image}/file").status_code == 503
    with pytest.raises(Fault):
        list(store.read(cloud.cloud, image))


def test_a_wrong_checksum_of_an_address_is_noticed(cloud: RunningCloud, member: httpx.Client, web: Web,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud.cloud.config.image, "show_multiple_locations", True)
    for checksum, status in (("1" * 32, 503), (hashlib.md5(BYTES).hexdigest(), 200)):
        image = make(member)
        said = {"checksum": checksum, "os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(BYTES).hexdigest().upper()}
        assert patch(member, image, "add", "/locations/-", {
            "url": web.url, "metadata": {}, "validation_data": said}).status_code == 200
        assert member.get(f"/images/{image}/file").status_code == status


def test_every_store_that_has_an_image_counts_for_the_quota(cloud: RunningCloud, member: httpx.Client, admin: httpx.Client,
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    image = uploaded(member, b"x" * 1000)
    owner = shown(member, image)["owner"]
    with cloud.cloud.database.read() as tx:
        before = sum(size * max(1, len(places)) for size, places in tx.execute(
            select(ImageRow.size, ImageRow.locations).where(ImageRow.owner == owner, ImageRow.size.is_not(None))))
    monkeypatch.setattr(cloud.cloud.config.image, "user_quota_bytes", before + 999)
    copying = {"method": {"name": "copy-image"}, "stores": ["second"]}
    assert bring_in(admin, image, **copying).status_code == 413
    monkeypatch.setattr(cloud.cloud.config.image, "user_quota_bytes", before + 1000)
    assert bring_in(admin, image, **copying).status_code == 202
    cloud.settle()
    assert member.put(f"/images/{make(member)}/file", content=b"x", headers=DATA).status_code == 413


def test_an_address_with_a_port_is_allowed_alone() -> None:
    config = Image(web_download_allow=["127.0.0.1:8000", "[::1]:8000"])
    for good in ("http://127.0.0.1:8000/x", "http://[::1]:8000/x"):
        fetch.check(good, config)
    for bad in ("http://127.0.0.1:8001/x", "http://127.0.0.1/x", "http://127.0.0.2:8000/x", "http://[::1]/"):
        with pytest.raises(fetch.Refused):
            fetch.check(bad, config)


# ---------------------------------------------------------------- the cache


def test_the_cache_is_an_administrators(cloud: RunningCloud, member: httpx.Client, admin: httpx.Client) -> None:
    image = uploaded(member)
    for answer in (member.get("/cache"), member.put(f"/cache/{image}"), member.delete(f"/cache/{image}"),
                   member.delete("/cache")):
        assert answer.status_code == 403
    assert admin.put("/cache/nothing").status_code == 404 and admin.put(f"/cache/{make(member)}").status_code == 400
    assert admin.put(f"/cache/{image}").status_code == 202
    cloud.settle()
    (found,) = [each for each in admin.get("/cache").json()["cached_images"] if each["image_id"] == image]
    assert found["size"] == 9 and found["hits"] == 0
    assert admin.delete("/cache", headers={"x-image-cache-clear-target": "all"}).status_code == 400
    assert admin.delete(f"/cache/{image}").status_code == 204
    assert image not in [each["image_id"] for each in admin.get("/cache").json()["cached_images"]]
    assert not (cache.folder(cloud.cloud) / image).exists()
    admin.put(f"/cache/{image}")
    cloud.settle()
    assert admin.delete("/cache").status_code == 204 and admin.get("/cache").json() == {"cached_images": [], "queued_images": []}


def test_what_was_not_read_for_longest_leaves_the_cache(cloud: RunningCloud, member: httpx.Client, admin: httpx.Client,
                                                        web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    admin.delete("/cache")
    monkeypatch.setattr(cloud.cloud.config.image, "cache_bytes", 2 * len(BYTES))
    made = []
    for _ in range(3):
        made.append(make(member))
        member.post(f"/images/{made[-1]}/locations", json={"url": web.url})
        cloud.settle()
    assert {each["image_id"] for each in admin.get("/cache").json()["cached_images"]} == set(made[1:])
    asked = web.asked
    assert member.get(f"/images/{made[0]}/file").content == BYTES and web.asked == asked + 1  # fetched again
    monkeypatch.setattr(cloud.cloud.config.image, "cache_bytes", len(BYTES))
    assert member.post("/cache/prune").status_code == 403 and member.post("/cache/clean").status_code == 403
    assert admin.post("/cache/prune").json() == {"total_files_pruned": 1, "total_bytes_pruned": len(BYTES)}
    (left,) = admin.get("/cache").json()["cached_images"]
    (cache.folder(cloud.cloud) / left["image_id"]).unlink()
    stray = cache.folder(cloud.cloud) / "stray"
    stray.write_bytes(b"x")
    assert admin.post("/cache/clean").status_code == 200
    assert admin.get("/cache").json()["cached_images"] == [] and not stray.exists()
    assert admin.get(f"/cache/nodes/{made[0]}").status_code == 409


# ---------------------------------------------------------------- other images' data


def test_another_image_is_imported_with_what_it_needs(cloud: RunningCloud, member: httpx.Client) -> None:
    source, target = uploaded(member, b"the source"), make(member, hw_cpu_cores="1", speed="1", disk_format="iso")
    for key, value in (("hw_cpu_cores", "5"), ("os_distro", "rhel"), ("speed", "88")):
        assert patch(member, source, "add", f"/{key}", value).status_code == 200

    def download(image: str, source: str, region: str = "RegionOne") -> httpx.Response:
        return bring_in(member, image, method={"name": "glance-download", "glance_region": region, "glance_image_id": source})

    assert download(target, "foo").status_code == 400
    with client_of(cloud, "other") as other:
        hidden = uploaded(other, b"not yours")
    for bad, region in ((hidden, "RegionOne"), (source, "elsewhere"), (make(member), "RegionOne")):
        assert download(target, bad, region).status_code == 202
        cloud.settle()
        assert shown(member, target)["status"] == "queued"
        assert member.get(f"/images/{target}/tasks").json()["tasks"][0]["status"] == "failure"
    assert download(target, source).status_code == 202
    cloud.settle()
    found = shown(member, target)
    assert (found["status"], found["hw_cpu_cores"], found["os_distro"], found["speed"]) == ("active", "5", "rhel", "1")
    assert found["disk_format"] == "raw"
    assert member.get(f"/images/{target}/file").content == b"the source"


# ---------------------------------------------------------------- what uses images


def test_servers_and_volumes_of_data_elsewhere(cloud: RunningCloud, admin: httpx.Client, web: Web) -> None:
    """Hosts want a SHA-512, which such an image may not have; the cache knows it."""
    web.bytes = b"\0" * (1 << 20)
    image = make(admin)
    admin.post(f"/images/{image}/locations", json={"url": web.url, "validation_data": {
        "os_hash_algo": "md5", "os_hash_value": hashlib.md5(web.bytes).hexdigest()}})
    cloud.settle()
    assert shown(admin, image)["os_hash_algo"] == "md5"
    connection = cloud.connect("admin")
    volume = connection.block_storage.create_volume(size=1, image_id=image, name="of-elsewhere")
    flavor = connection.compute.create_flavor(name=f"elsewhere-{image[:8]}", ram=64, vcpus=1, disk=1)
    server = connection.compute.create_server(name="of-elsewhere", image_id=image, flavor_id=flavor.id, networks="none")
    cloud.settle(60)
    assert connection.compute.get_server(server.id).status == "ACTIVE"
    assert connection.block_storage.get_volume(volume.id).status == "available"
    connection.compute.delete_server(server.id)
    connection.block_storage.delete_volume(volume.id)
    cloud.settle(60)
