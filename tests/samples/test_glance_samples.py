"""The image service answers as Glance's own API samples do."""

from __future__ import annotations

import http.server
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from glance_cases import ABSENT, CASES, RULES
from sample_book import Absent, Book, Case, Tally, Version, World, check, parameters

from running import RunningCloud, wait_until

BOOK = Book("glance")
DATA = {"Content-Type": "application/octet-stream"}
LIMITS = ("image_size_total", "image_count_total", "image_stage_total", "image_count_uploading")
_numbers = itertools.count(1)


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """Data that is not the cloud's, at every path but one."""

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/nothing" else 200)
        self.send_header("Content-Length", "4096")
        self.end_headers()
        self.wfile.write(bytes(4096))

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


class GlanceWorld(World):
    def __init__(self, cloud: RunningCloud) -> None:
        super().__init__()
        self.http = cloud.http("admin")
        cloud.credentials("member")
        self.sdk = cloud.connect("admin")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
        self.place = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.config = cloud.cloud.config.image
        self.allowed = self.config.web_download_allow
        self.config.web_download_allow = [self.place]
        self.registered: list[str] = []

    def close(self) -> None:
        self.config.web_download_allow = self.allowed
        self.server.shutdown()
        self.server.server_close()
        for id in self.registered:
            self.http.delete(f"/identity/v3/registered_limits/{id}")

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        answer = self.http.request(method, "/image/v2" + path, json=body, **options)
        assert answer.status_code < 400, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else None

    def until(self, path: str, status: str) -> None:
        wait_until(lambda: self.ask("GET", path)["status"] == status, 30, f"{status} of {path}")

    # ---------------------------------------------------------------- names

    def each_uuid(self) -> str:
        return f"00000000-0000-4000-8000-{next(_numbers) + 10 ** 9:012d}"

    def each_name(self) -> str:
        return f"samples-{next(_numbers)}"

    def uri(self) -> str:
        return f"http://{self.place}/image"

    # ---------------------------------------------------------------- images

    def each_queued(self) -> str:
        return str(self.ask("POST", "/images", {"name": "samples-image", "disk_format": "raw", "container_format": "bare"})["id"])

    def each_active(self) -> str:
        found = self.each_queued()
        answer = self.http.put(f"/image/v2/images/{found}/file", content=bytes(4096), headers=DATA)
        assert answer.status_code == 204, answer.text
        return found

    def image(self) -> str:
        return self.each_active()

    def deactivated(self) -> str:
        found = self.each_active()
        self.ask("POST", f"/images/{found}/actions/deactivate")
        return found

    def each_staged(self) -> str:
        found = self.each_queued()
        answer = self.http.put(f"/image/v2/images/{found}/stage", content=bytes(4096), headers=DATA)
        assert answer.status_code == 204, answer.text
        return found

    def imported(self) -> str:
        found = self.each_staged()
        self.ask("POST", f"/images/{found}/import", {"method": {"name": "glance-direct"}})
        self.until(f"/images/{found}", "active")
        return found

    def member(self) -> str:
        return str(self.ask("POST", f"/images/{self['image']}/members", {
            "member": self.sdk.identity.find_project("work").id})["member_id"])

    def cached(self) -> str:
        """An image whose data is elsewhere and was read once."""
        found = self.each_queued()
        self.ask("POST", f"/images/{found}/locations", {"url": self.uri(), "validation_data": {}})
        self.until(f"/images/{found}", "active")
        wait_until(lambda: self.http.get(f"/image/v2/images/{found}/file").status_code == 200, 20, "data from elsewhere")
        wait_until(lambda: self.ask("GET", "/cache")["cached_images"], 20, "a cached image")
        return found

    def limited(self) -> str:
        service = next(row.id for row in self.sdk.identity.services() if row.type == "image")
        answer = self.http.post("/identity/v3/registered_limits", json={"registered_limits": [
            {"service_id": service, "region_id": "RegionOne", "resource_name": name, "default_limit": 100_000}
            for name in LIMITS]})
        assert answer.status_code == 201, answer.text
        self.registered = [row["id"] for row in answer.json()["registered_limits"]]
        return str(service)

    # ---------------------------------------------------------------- tasks

    def _task(self, path: str, status: str) -> str:
        found = str(self.ask("POST", "/tasks", {"type": "import", "input": {
            "import_from": f"http://{self.place}/{path}", "import_from_format": "raw", "image_properties": {
                "disk_format": "raw", "container_format": "bare"}}})["id"])
        self.until(f"/tasks/{found}", status)
        return found

    def task(self) -> str:
        return self._task("image", "success")

    def failed_task(self) -> str:
        return self._task("nothing", "failure")

    # ---------------------------------------------------------------- metadata definitions

    def each_namespace(self) -> str:
        name = self.each_name()
        self.ask("POST", "/metadefs/namespaces", {"namespace": name, "display_name": "x", "description": "x"})
        self.ask("POST", f"/metadefs/namespaces/{name}/tags/tag")
        return name

    def namespace(self) -> str:
        """With what the samples' one has."""
        name = self.each_name()
        self.ask("POST", "/metadefs/namespaces", {
            **BOOK.requests["metadef-namespace-create-request"], "namespace": name,
            "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "hw_"}]})
        base = f"/metadefs/namespaces/{name}"
        self.ask("POST", f"{base}/objects", BOOK.requests["metadef-object-create-request"])
        self.ask("POST", f"{base}/tags/tag")
        return name


@pytest.fixture(scope="module")
def world(cloud: RunningCloud) -> Iterator[GlanceWorld]:
    found = GlanceWorld(cloud)
    yield found
    found.close()


def _ask(world: GlanceWorld) -> Any:
    def ask(method: str, path: str, body: Any, headers: dict[str, str], plain: bool) -> httpx.Response:
        return world.http.request(method, "/image/v2" + path, json=body, headers=headers)
    return ask


@pytest.mark.parametrize("case, version", parameters(BOOK, CASES))
def test_answer_is_as_in_the_sample(world: GlanceWorld, case: Case, version: Version) -> None:
    check(BOOK, case, version, world, RULES, _ask(world))


@pytest.mark.parametrize("entry", ABSENT, ids=lambda entry: entry.samples)
def test_what_is_listed_as_absent_is_absent(world: GlanceWorld, entry: Absent) -> None:
    method, _, path = entry.request.partition(" ")
    answer = world.http.request(method, "/image/v2" + world.fill(path), json=world.fill(entry.body))
    assert answer.status_code == entry.status, answer.text


def test_no_sample_is_forgotten() -> None:
    tally = Tally(BOOK, CASES, ABSENT, (0, 0))
    print(f"glance: {tally.line}")
    assert not tally.forgotten, "\n".join(sorted(tally.forgotten))
