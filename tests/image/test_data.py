"""An image's data: in, out, broken off, too much of it, imported."""

from __future__ import annotations

import errno
import http.server
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from haneul.image import images, store, sweep, uploads
from haneul.image.model import ImageRow
from haneul.kernel.context import system

if TYPE_CHECKING:
    from running import RunningCloud

DATA = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def member(cloud: RunningCloud) -> Iterator[httpx.Client]:
    with cloud.http("member") as client:
        client.base_url = cloud.url + "/image/v2"  # type: ignore[assignment]
        yield client


def make(client: httpx.Client, **values: Any) -> str:
    answer = client.post("/images", json={"disk_format": "raw", "container_format": "bare", **values})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def shown(client: httpx.Client, image: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/images/{image}").json()
    return found


def wait_for(client: httpx.Client, image: str, status: str) -> dict[str, Any]:
    from running import wait_until
    wait_until(lambda: shown(client, image)["status"] == status, 20, f"status {status}")
    return shown(client, image)


def files_of(cloud: RunningCloud) -> set[str]:
    return set(os.listdir(cloud.paths.images)) if cloud.paths.images.exists() else set()


def test_ranges(member: httpx.Client) -> None:
    image, data = make(member), os.urandom(3_000_000)
    assert member.get(f"/images/{image}/file").status_code == 204
    member.put(f"/images/{image}/file", content=data, headers=DATA)
    for header, first, last in (("bytes=0-9", 0, 10), ("bytes=2999990-", 2_999_990, 3_000_000),
                                ("bytes=-5", 2_999_995, 3_000_000), ("bytes=1000000-2500000", 1_000_000, 2_500_001)):
        answer = member.get(f"/images/{image}/file", headers={"Range": header})
        assert answer.status_code == 206 and answer.content == data[first:last], header
        assert answer.headers["content-range"] == f"bytes {first}-{last - 1}/3000000"
    for header in ("bytes=3000000-", "bytes=5-1", "bytes=a-b", "bytes=0-1,3-4"):
        assert member.get(f"/images/{image}/file", headers={"Range": header}).status_code == 416, header


def test_data_comes_once_and_as_octets(member: httpx.Client) -> None:
    image = make(member)
    assert member.put(f"/images/{image}/file", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
    assert member.put(f"/images/{image}/file", content=b"x", headers=DATA).status_code == 204
    again = member.put(f"/images/{image}/file", content=b"y", headers=DATA)
    assert again.status_code == 409
    assert member.get(f"/images/{image}/file").content == b"x"
    bare = str(member.post("/images", json={}).json()["id"])
    assert member.put(f"/images/{bare}/file", content=b"x", headers=DATA).status_code == 400
    assert shown(member, bare)["status"] == "queued"


def test_an_upload_that_breaks_off_leaves_nothing(cloud: RunningCloud, member: httpx.Client) -> None:
    image, before = make(member), files_of(cloud)
    with socket.create_connection(("127.0.0.1", cloud.port)) as raw:
        raw.sendall((f"PUT /image/v2/images/{image}/file HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
                     f"X-Auth-Token: {member.headers['X-Auth-Token']}\r\nContent-Length: 50000000\r\n\r\n").encode())
        raw.sendall(b"x" * 9_000_000)
        wait_for(member, image, "saving")
        assert member.put(f"/images/{image}/file", content=b"y", headers=DATA).status_code == 409
    found = wait_for(member, image, "queued")
    assert (found["size"], found["checksum"]) == (None, None)
    assert files_of(cloud) == before
    assert member.put(f"/images/{image}/file", content=b"whole", headers=DATA).status_code == 204


def test_a_delete_during_an_upload_wins(cloud: RunningCloud, member: httpx.Client) -> None:
    image, before = make(member), files_of(cloud)

    def body() -> Iterator[bytes]:
        yield b"x" * 1000
        wait_for(member, image, "saving")
        assert member.delete(f"/images/{image}").status_code == 204
        yield b"x" * 1000

    with cloud.http("member") as second:
        answer = second.put(f"/image/v2/images/{image}/file", content=body(), headers=DATA)
    assert answer.status_code == 410
    assert files_of(cloud) == before


def test_formats_are_compared_unless_the_operator_says_otherwise(cloud: RunningCloud, member: httpx.Client,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    noise, backed = os.urandom(2000), bytearray(b"QFI\xfb" + bytes(508))
    backed[7], backed[8:16] = 3, (300).to_bytes(8, "big")  # version 3, with a backing file
    image = make(member, disk_format="qcow2")
    assert member.put(f"/images/{image}/file", content=noise, headers=DATA).status_code == 415
    monkeypatch.setattr(cloud.cloud.config.image, "require_format_match", False)
    assert member.put(f"/images/{image}/file", content=noise, headers=DATA).status_code == 204
    assert shown(member, image)["virtual_size"] is None and shown(member, image)["status"] == "active"
    unsafe = make(member, disk_format="qcow2")
    assert member.put(f"/images/{unsafe}/file", content=bytes(backed), headers=DATA).status_code == 415


def test_size_and_quota_bind(cloud: RunningCloud, member: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(cloud)
    monkeypatch.setattr(cloud.cloud.config.image, "max_bytes", 1000)
    image = make(member)
    assert member.put(f"/images/{image}/file", content=b"x" * 1001, headers=DATA).status_code == 413
    chunked = member.put(f"/images/{image}/file", content=iter([b"x" * 600, b"x" * 600]), headers=DATA)  # no length announced
    assert chunked.status_code == 413
    assert shown(member, image)["status"] == "queued" and files_of(cloud) == before
    assert member.put(f"/images/{image}/file", content=b"x" * 1000, headers=DATA).status_code == 204
    monkeypatch.setattr(cloud.cloud.config.image, "max_bytes", 1 << 40)
    with cloud.cloud.database.read() as tx:
        row = tx.get_one(ImageRow, image)
        monkeypatch.setattr(cloud.cloud.config.image, "user_quota_bytes", 1)
        assert uploads.room_for(tx, row) == 0
    assert member.put(f"/images/{make(member)}/file", content=b"x", headers=DATA).status_code == 413


def test_a_full_disk_is_told_and_leaves_nothing(cloud: RunningCloud, member: httpx.Client,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    image, before = make(member), files_of(cloud)

    def full(intake: store.Intake, batch: bytes) -> None:
        os.write(intake._file, batch[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.Intake, "_keep", full)
    answer = member.put(f"/images/{image}/file", content=b"x" * 20_000_000, headers=DATA)
    assert answer.status_code == 413 and "full" in answer.json()["message"]
    assert shown(member, image)["status"] == "queued" and files_of(cloud) == before


def test_the_doors_for_snapshots(cloud: RunningCloud, member: httpx.Client) -> None:
    running = cloud.cloud
    with running.database.write() as tx:
        image = images.begin(tx, system(), name="snapshot", disk_format="raw", owner="someone").id
    store.write(running, image, (b"block" * 1000 for _ in range(100)))
    store.write(running, image, iter([b"a step run twice must not matter"]))
    assert b"".join(store.read(running, image)) == b"block" * 100_000
    with running.database.read() as tx:
        row = images.get(tx, system(), image)
        assert (row.status, row.size, row.owner) == ("active", 500_000, "someone")
    for _ in range(2):
        with running.database.write() as tx:
            images.discard(tx, image)
    assert image not in files_of(cloud)


def test_a_write_that_fails_leaves_a_queued_image(cloud: RunningCloud) -> None:
    running, before = cloud.cloud, files_of(cloud)
    with running.database.write() as tx:
        image = images.begin(tx, system(), name="broken", disk_format="raw").id

    def chunks() -> Iterator[bytes]:
        yield b"x" * 100
        raise ConnectionError("the host went away")

    with pytest.raises(ConnectionError):
        store.write(running, image, chunks())
    with running.database.read() as tx:
        assert tx.get_one(ImageRow, image).status == "queued"
    assert files_of(cloud) == before


def test_the_dead_are_released_and_orphans_swept(cloud: RunningCloud, member: httpx.Client) -> None:
    running, image = cloud.cloud, make(member)
    upload = uploads.begin(running, image)
    assert upload is not None and shown(member, image)["status"] == "saving"
    assert uploads.release_dead(running) == 0  # it is alive
    with running.database.write() as tx:
        tx.get_one(ImageRow, image).written_at = time.time() - 3600
    assert uploads.release_dead(running) == 1
    assert shown(member, image)["status"] == "queued"
    with pytest.raises(Exception, match="could not be found after upload"):
        uploads.finish(running, upload)  # the one that was taken for dead comes too late
    upload.intake.abort()
    orphan = cloud.paths.images / str(uuid.uuid4())
    orphan.write_bytes(b"left by a crash")
    assert sweep.sweep(running, grace=3600.0) == 0
    os.utime(orphan, (1, 1))
    assert sweep.sweep(running, grace=3600.0) == 1 and not orphan.exists()


# ---------------------------------------------------------------- import


def start_import(client: httpx.Client, image: str, **method: Any) -> httpx.Response:
    return client.post(f"/images/{image}/import", json={"method": method})


def test_staged_data_is_imported(cloud: RunningCloud, member: httpx.Client) -> None:
    image = make(member)
    assert start_import(member, image, name="glance-direct").status_code == 409
    assert start_import(member, image, name="teleport").status_code == 400
    assert member.put(f"/images/{image}/stage", content=b"staged" * 1000, headers=DATA).status_code == 204
    assert shown(member, image)["status"] == "uploading"
    assert start_import(member, image, name="glance-direct").status_code == 202
    found = wait_for(member, image, "active")
    assert found["size"] == 6000 and found["checksum"]
    assert member.get(f"/images/{image}/file").content == b"staged" * 1000
    cloud.settle()
    assert not any(name.endswith(".staged") for name in files_of(cloud))
    assert {value for key, value in shown(member, image).items() if key.startswith("os_glance")} == {""}
    task = member.get(f"/images/{image}/tasks").json()["tasks"][0]
    assert (task["status"], task["image_id"]) == ("success", image)
    assert member.get(f"/tasks/{task['id']}").json()["type"] == "api_image_import"
    with cloud.http("other") as other:
        assert other.get(f"/image/v2/tasks/{task['id']}").status_code == 404


def test_a_staged_image_that_lies_goes_back_to_queued(cloud: RunningCloud, member: httpx.Client) -> None:
    image = make(member, disk_format="qcow2")
    member.put(f"/images/{image}/stage", content=b"this is no qcow2", headers=DATA)
    assert start_import(member, image, name="glance-direct").status_code == 202
    found = wait_for(member, image, "queued")
    assert found["os_glance_failed_import"] == "file"
    cloud.settle()
    task = member.get(f"/images/{image}/tasks").json()["tasks"][0]
    assert task["status"] == "failure" and "declared as qcow2" in task["message"]
    assert not any(name.startswith(image) for name in files_of(cloud))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server on loopback that serves a file and redirects."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/to/"))
                self.end_headers()
                return
            self.send_response(200 if self.path == "/image" else 404)
            self.send_header("Content-Length", "400000")
            self.end_headers()
            self.wfile.write(b"webb" * 100_000)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_web_download(cloud: RunningCloud, member: httpx.Client, web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = make(member)
    assert start_import(member, image, name="web-download", uri=f"{web}/image").status_code == 400  # loopback
    monkeypatch.setattr(cloud.cloud.config.image, "web_download_allow", ["127.0.0.1/32"])
    assert start_import(member, image, name="web-download", uri=f"{web}/to//to//image").status_code == 202
    assert wait_for(member, image, "active")["size"] == 400_000
    missing = make(member)
    start_import(member, missing, name="web-download", uri=f"{web}/nothing")
    cloud.settle()
    assert shown(member, missing)["status"] == "queued"
    assert "404" in member.get(f"/images/{missing}/tasks").json()["tasks"][0]["message"]


def test_the_older_import_task_is_an_administrators(cloud: RunningCloud, member: httpx.Client, web: str,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"type": "import", "input": {"import_from": f"{web}/image", "import_from_format": "raw", "image_properties": {
        "name": "by-task", "disk_format": "raw", "container_format": "bare"}}}
    assert member.post("/tasks", json=body).status_code == 403
    with cloud.http("admin") as admin:
        assert admin.post("/image/v2/tasks", json=body).status_code == 400  # loopback
        monkeypatch.setattr(cloud.cloud.config.image, "web_download_allow", ["127.0.0.1/32"])
        made = admin.post("/image/v2/tasks", json=body)
        assert made.status_code == 201, made.text
        cloud.settle()
        found = admin.get(f"/image/v2/tasks/{made.json()['id']}").json()
        assert found["status"] == "success"
        assert admin.get(f"/image/v2/images/{found['result']['image_id']}").json()["status"] == "active"
