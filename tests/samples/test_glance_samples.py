"""The image service answers as Glance's own API samples do."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest
from sample_book import Absent, Book, Case, Rules, Tally, Version, World, check, parameters

from running import RunningCloud, wait_until

BOOK = Book("glance")
OLDER = "the sample is older than the answer, which is Glance's of today"
RULES = Rules(
    nullable=("os_hash_algo", "os_hash_value", "checksum", "size", "virtual_size", "name", "owner", "message", "prefix",
              "properties_target", "expires_at", "container_format", "disk_format"),
    maps=("objects.*.properties",),
    extra={name: OLDER for name in (
        "owner", "min_ram", "locations", "direct_url", "stores", "os_hidden", "os_hash_algo", "os_hash_value", "image_id",
        "request_id", "user_id", "next", "first", "schema", "virtual_size")},
)
_numbers = itertools.count(1)


class GlanceWorld(World):
    def __init__(self, cloud: RunningCloud) -> None:
        super().__init__()
        self.http = cloud.http("admin")
        self.member = cloud.http("member")
        self.sdk = cloud.connect("admin")
        cloud.credentials("member")

    def each_number(self) -> int:
        return next(_numbers)

    def each_uuid(self) -> str:
        return f"00000000-0000-4000-8000-{next(_numbers) + 10 ** 9:012d}"

    def work(self) -> str:
        return str(self.sdk.identity.find_project("work").id)

    def image(self) -> str:
        return self.each_image()

    def each_image(self) -> str:
        return str(self.sdk.image.create_image(name="samples", disk_format="raw", container_format="bare", data=bytes(1 << 10),
                                               visibility="shared", wait=True).id)

    def each_staged(self) -> str:
        found = str(self.each_queued())
        answer = self.http.put(f"/image/v2/images/{found}/stage", content=bytes(1 << 10), headers={
            "Content-Type": "application/octet-stream"})
        assert answer.status_code == 204, answer.text
        return found

    def each_queued(self) -> str:
        return str(self.http.post("/image/v2/images", json={
            "name": "samples", "disk_format": "raw", "container_format": "bare"}).json()["id"])

    def imported(self) -> str:
        found = self.each_staged()
        self.http.post(f"/image/v2/images/{found}/import", json={"method": {"name": "glance-direct"}})
        wait_until(lambda: self.http.get(f"/image/v2/images/{found}").json()["status"] == "active", 20, "the import")
        return found

    def each_unshared(self) -> str:
        return self.each_image()

    def shared(self) -> str:
        found = self.each_image()
        answer = self.http.post(f"/image/v2/images/{found}/members", json={"member": self["work"]})
        assert answer.status_code == 200, answer.text
        return found

    # ---------------------------------------------------------------- metadata definitions

    def each_namespace(self) -> str:
        """With an object, a property, a tag and a resource type."""
        name = f"samples-{next(_numbers)}"
        base = f"/image/v2/metadefs/namespaces/{name}"
        for path, body in (("/image/v2/metadefs/namespaces", {
                "namespace": name, "display_name": "x", "description": "x", "visibility": "public", "protected": False}),
                (f"{base}/objects", {"name": "StorageQOS", "description": "x", "properties": {
                    "minIOPS": {"type": "integer", "title": "x", "description": "x", "minimum": 1, "maximum": 9}}}),
                (f"{base}/properties", {"name": "hypervisor_type", "type": "string", "title": "x", "description": "x", "enum": ["a"]}),
                (f"{base}/tags/sample-tag1", None),
                (f"{base}/resource_types", {"name": "OS::Cinder::Volume", "prefix": "hw_", "properties_target": "image"})):
            answer = self.http.post(path, json=body)
            assert answer.status_code == 201, answer.text
        return name

    def namespace(self) -> str:
        return self.each_namespace()

    def each_no_namespace(self) -> str:
        """The samples' names are free."""
        for name in ("OS::Compute::Hypervisor", "FredCo::SomeCategory::Example"):
            self.http.put(f"/image/v2/metadefs/namespaces/{name}", json={"namespace": name, "protected": False})
            self.http.delete(f"/image/v2/metadefs/namespaces/{name}")
        return "namespaces"

    def each_bare_namespace(self) -> str:
        name = f"samples-{next(_numbers)}"
        self.http.post("/image/v2/metadefs/namespaces", json={"namespace": name})
        return name

    # ---------------------------------------------------------------- tasks

    def task(self) -> str:
        return str(self.http.post("/image/v2/tasks", json={"type": "import", "input": {
            "import_from": "http://127.0.0.1:1/x", "import_from_format": "raw", "image_properties": {
                "disk_format": "raw", "container_format": "bare"}}}).json()["id"])


@pytest.fixture(scope="module")
def world(cloud: RunningCloud) -> GlanceWorld:
    return GlanceWorld(cloud)


SPACE = "/metadefs/namespaces/{namespace}"
BARE = "/metadefs/namespaces/{each_bare_namespace}"
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
STORES = {"stores": lambda world: ["file"], "all_stores": lambda world: False}
OWN = {"member": "{work}"}
SCHEMA: Any = {"empty": ("enum", "required", "anyOf", "allOf")}


def _schemas() -> list[Case]:
    pairs = (("image", ""), ("images", ""), ("image-member", "member"), ("image-members", "members"), ("task", ""), ("tasks", ""))
    found = [Case(f"GET /schemas/{real or name}", answer=f"schemas-{name}-{'list' if name.endswith('s') else 'show'}-response",
                  **SCHEMA) for name, real in pairs]
    kinds = ("namespace", "namespaces", "object", "objects", "property", "properties", "resource-type-association",
             "resource-type-associations", "tag", "tags")
    return found + [
        Case(f"GET /schemas/metadefs/{kind.replace('-type-', '_type_')}", **SCHEMA,
             answer=f"schemas-metadef-{kind}-{'list' if kind.endswith('s') else 'show'}-response") for kind in kinds]


CASES: list[Case] = [
    Case("POST /images", 201, send="image-create-request", answer="image-create-response", put={"id": "{each_uuid}"}),
    Case("GET /images/{image}", answer="image-show-response"),
    Case("GET /images", answer="images-list-response", needs=("image",), empty=("tags",)),
    Case("PATCH /images/{each_image}", send="image-update-request", answer="image-update-response", headers=PATCH),
    Case("GET /images/{image}", answer="image-details-deactivate-response"),
    Case("POST /images/{each_unshared}/members", send="image-member-create-request", answer="image-member-create-response", put=OWN),
    Case("GET /images/{shared}/members/{work}", answer="image-member-details-response"),
    Case("GET /images/{shared}/members", answer="image-members-list-response"),
    Case("PUT /images/{shared}/members/{work}", send="image-member-update-request", answer="image-member-update-response",
         plain=(0, 0)),
    Case("GET /images/{imported}/tasks", answer="image-tasks-show-response"),
    Case("POST /images/{each_staged}/import", 202, send="image-import-g-d-request", put=STORES),
    Case("POST /images/{each_queued}/import", 202, send="image-import-w-d-request", put={
        **STORES, "method/uri": "https://192.0.2.1/nothing.img"}),
    Case("GET /info/import", answer="image-info-import-response"),
    Case("GET /info/stores", answer="stores-list-response"),
    Case("GET /info/stores/detail", answer="stores-list-detail-response", maps=("properties",)),
    Case("GET /images/{image}/locations", answer="locations-list-detail-response"),
    Case("GET /cache", answer="cache-list-response", empty=("cached_images", "queued_images")),
    Case("POST /tasks", 201, send="task-create-request", answer="task-create-response"),
    *(Case("GET /tasks/{task}", answer=f"task-show-{kind}-response") for kind in ("failure", "processing", "success")),
    Case("GET /tasks", answer="tasks-list-response", needs=("task",)),
    # ---- metadata definitions
    Case("POST /metadefs/{each_no_namespace}", 201, send="metadef-namespace-create-request",
         answer="metadef-namespace-create-response"),
    Case("POST /metadefs/{each_no_namespace}", 201, send="metadef-namespace-create-request-simple",
         answer="metadef-namespace-create-response-simple"),
    Case(f"GET {SPACE}", answer="metadef-namespace-details-response"),
    Case(f"GET {SPACE}", answer="metadef-namespace-details-with-rt-response", maps=("properties",)),
    Case("PUT /metadefs/namespaces/{each_bare_namespace}", send="metadef-namespace-update-request",
         answer="metadef-namespace-update-response", put={"namespace": "samples-renamed-{each_number}"}),
    Case("GET /metadefs/namespaces", answer="metadef-namespaces-list-response", needs=("namespace",),
         empty=("resource_type_associations",)),
    Case(f"POST {BARE}/objects", 201, send="metadef-object-create-request", answer="metadef-object-create-response"),
    Case(f"GET {SPACE}/objects/StorageQOS", answer="metadef-object-details-response", maps=("properties",)),
    Case("PUT /metadefs/namespaces/{each_namespace}/objects/StorageQOS", send="metadef-object-update-request",
         answer="metadef-object-update-response"),
    Case(f"GET {SPACE}/objects", answer="metadef-objects-list-response"),
    Case(f"POST {BARE}/properties", 201, send="metadef-property-create-request", answer="metadef-property-create-response"),
    Case(f"GET {SPACE}/properties/hypervisor_type", answer="metadef-property-details-response"),
    Case("PUT /metadefs/namespaces/{each_namespace}/properties/hypervisor_type", send="metadef-property-update-request",
         answer="metadef-property-update-response"),
    Case(f"GET {SPACE}/properties", answer="metadef-properties-list-response", maps=("properties",)),
    Case(f"POST {BARE}/tags/sample-tag1", 201, answer="metadef-tag-create-response"),
    Case(f"POST {BARE}/tags", 201, send="metadef-tags-create-request", answer="metadef-tags-create-response"),
    Case(f"GET {SPACE}/tags/sample-tag1", answer="metadef-tag-details-response"),
    Case(f"GET {SPACE}/tags", answer="metadef-tags-list-response"),
    Case("PUT /metadefs/namespaces/{each_namespace}/tags/sample-tag1", send="metadef-tag-update-request",
         answer="metadef-tag-update-response"),
    Case(f"POST {BARE}/resource_types", 201, send="metadef-resource-type-create-request",
         answer="metadef-resource-type-assoc-create-response"),
    Case(f"GET {SPACE}/resource_types", answer="metadef-resource-type-assoc-list-response",
         extra={"resource_type_associations.*.*": OLDER}),
    Case("GET /metadefs/resource_types", answer="metadef-resource-types-list-response", needs=("namespace",)),
    *_schemas(),
]
ABSENT: list[Absent] = [
    Absent("usage-response", "GET /info/usage", "quota has no limits of its own in Glance's sense"),
    Absent("image-import-c-i-request", "POST /images/{each_image}/import", "there is one store", 400, {
        "method": {"name": "copy-image"}, "stores": ["common"], "all_stores": False}),
    Absent("image-import-gd-request", "POST /images/{each_queued}/import", "no other Glance to fetch from", 400, {"method": {
        "name": "glance-download", "glance_image_id": "c4705b36-b281-40f6-a01d-bf98883ead8e", "glance_region": "REGION2"}}),
    Absent("add-location-request", "POST /images/{each_queued}/locations", "data lies in this service's own stores", 403, {
        "url": "cinder://lvmdriver-1/39e6ffab-7502-4199-9609-416601615ca3", "validation_data": {}}),
]


def _ask(world: GlanceWorld) -> Any:
    def ask(method: str, path: str, body: Any, headers: dict[str, str], plain: bool) -> httpx.Response:
        client = world.member if plain else world.http
        return client.request(method, "/image/v2" + path, json=body, headers=headers)
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
