"""Placement answers as its own API samples do, at every version that has a sample and at the newest."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest
from sample_book import DROP, Absent, Book, Case, Rules, Tally, Version, World, check, parameters

from haneul.placement import service
from running import RunningCloud

BOOK = Book("placement", (1, 0))
NEWEST: Version = service.microversions.maximum  # type: ignore[union-attr]
RULES = Rules(maps=("allocations", "resources", "provider_summaries", "inventories", "usages", "mappings"),
              nullable=("parent_provider_uuid",))
_numbers = itertools.count(1)


class PlacementWorld(World):
    """A tree of two providers with inventories, traits and an allocation; others are made as cases want them."""

    def __init__(self, cloud: RunningCloud) -> None:
        super().__init__()
        self.http = cloud.http("admin")
        self.http.headers["OpenStack-API-Version"] = "placement 1.39"
        self.project_id = str(cloud.connect("admin").current_project_id)

    def project(self) -> str:
        return self.project_id

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, "/placement" + path, json=body)
        assert answer.status_code < 400, f"{method} {path}: {answer.text}"
        return answer.json() if answer.content else None

    def each_uuid(self) -> str:
        return f"00000000-0000-4000-8000-{next(_numbers):012d}"

    def each_number(self) -> int:
        return next(_numbers)

    def _stocked(self, **values: Any) -> str:
        found = str(self.call("POST", "/resource_providers", {"name": f"samples-{next(_numbers)}", **values})["uuid"])
        self.call("PUT", f"/resource_providers/{found}/inventories", {"resource_provider_generation": 0, "inventories": {
            "VCPU": {"total": 64}, "MEMORY_MB": {"total": 4096}, "DISK_GB": {"total": 1024}}})
        return found

    def provider(self) -> str:
        found = self._stocked(parent_provider_uuid=self["parent"])
        self.call("PUT", f"/resource_providers/{found}/traits", {"resource_provider_generation": 1, "traits": [self["trait"]]})
        self.call("PUT", f"/resource_providers/{found}/aggregates", {
            "resource_provider_generation": 2, "aggregates": [self["each_uuid"]]})
        return found

    def parent(self) -> str:
        return self._stocked()

    def each_provider(self) -> str:
        self._made["fresh"] = self._stocked()
        return str(self["fresh"])

    def each_generation(self) -> int:
        return int(self.call("GET", f"/resource_providers/{self['fresh']}")["generation"])

    def each_empty_provider(self) -> str:
        self._made["fresh"] = str(self.call("POST", "/resource_providers", {"name": f"samples-{next(_numbers)}"})["uuid"])
        return str(self["fresh"])

    def trait(self) -> str:
        self.call("PUT", "/traits/CUSTOM_HW_FPGA_CLASS1")
        self.call("PUT", "/traits/CUSTOM_HW_FPGA_CLASS3")
        return "CUSTOM_HW_FPGA_CLASS1"

    def resource_class(self) -> str:
        self.call("PUT", "/resource_classes/CUSTOM_SAMPLES")
        return "CUSTOM_SAMPLES"

    def each_old_class(self) -> str:
        """To be renamed, which ended with 1.6."""
        answer = self.http.post("/placement/resource_classes", json={"name": f"CUSTOM_OLD_{next(_numbers)}"}, headers={
            "OpenStack-API-Version": "placement 1.2"})
        return answer.headers["location"].rsplit("/", 1)[1]

    def consumer(self) -> str:
        found = str(self["each_uuid"])
        self.call("PUT", f"/allocations/{found}", {
            "allocations": {self["provider"]: {"resources": {"VCPU": 1, "MEMORY_MB": 64, "DISK_GB": 1}}},
            "project_id": self.project_id, "user_id": self.project_id, "consumer_generation": None, "consumer_type": "INSTANCE"})
        return found


@pytest.fixture(scope="module")
def world(cloud: RunningCloud) -> PlacementWorld:
    return PlacementWorld(cloud)


ONE = "/resource_providers/{provider}"
FRESH = "/resource_providers/{each_provider}"
GENERATION = {"resource_provider_generation": "{each_generation}"}


def _taken(world: PlacementWorld) -> dict[str, Any]:
    return {world["provider"]: {"resources": {"VCPU": 1}}}


def _many(**more: Any) -> Any:
    """One consumer in place of the sample's three: theirs move what others have, from providers of theirs."""
    return lambda world: {"allocations": _taken(world), "project_id": world.project_id, "user_id": world.project_id, **more}


ONES = {"30328d13-e299-4a93-a102-61e4ccabe474": DROP, "71921e4e-1629-4c5b-bf8d-338d915d2ef3": DROP,
        "48c1d40f-45d8-4947-8d46-52b4e1326df8": DROP}
CANDIDATES = {"maps": ("allocations", "resources", "provider_summaries", "mappings"), "needs": ("provider",)}
CASES: list[Case] = [
    Case("GET /", answer="root/get-root"),
    Case("POST /resource_providers", 200, send="resource_providers/create-resource_providers-request", since=(1, 20),
         answer="resource_providers/create-resource_provider", put={
             "name": "samples {each_number}", "uuid": "{each_uuid}", "parent_provider_uuid": "{parent}"}),
    Case(f"GET {ONE}", answer="resource_providers/get-resource_provider", since=(1, 14)),
    Case("GET /resource_providers", answer="resource_providers/get-resource_providers", since=(1, 14), needs=("provider",)),
    Case("PUT /resource_providers/{each_empty_provider}", send="resource_providers/update-resource_provider-request",
         answer="resource_providers/update-resource_provider", since=(1, 14), put={
             "name": "samples {each_number}", "parent_provider_uuid": "{parent}"}),
    Case(f"GET {ONE}/inventories", answer="inventories/get-inventories"),
    Case(f"GET {ONE}/inventories/VCPU", answer="inventories/get-inventory"),
    Case(f"PUT {FRESH}/inventories", send="inventories/update-inventories-request", answer="inventories/update-inventories",
         put=GENERATION),
    Case(f"PUT {FRESH}/inventories/VCPU", send="inventories/update-inventory-request", answer="inventories/update-inventory",
         put=GENERATION),
    Case(f"GET {ONE}/aggregates", answer="aggregates/get-aggregates", since=(1, 1)),
    Case(f"PUT {FRESH}/aggregates", send="aggregates/update-aggregates-request", answer="aggregates/update-aggregates",
         since=(1, 1), put=GENERATION),
    Case(f"GET {ONE}/traits", answer="resource_provider_traits/get-resource_provider-traits", since=(1, 6)),
    Case(f"PUT {FRESH}/traits", send="resource_provider_traits/update-resource_provider-traits-request", since=(1, 6),
         answer="resource_provider_traits/update-resource_provider-traits", put=GENERATION, needs=("trait",)),
    Case(f"GET {ONE}/usages", answer="resource_provider_usages/get-resource_provider_usages"),
    Case(f"GET {ONE}/allocations", answer="resource_provider_allocations/get-resource_provider_allocations",
         needs=("consumer",), extra={"consumer_generation": "since 1.28"}),
    Case("GET /traits", answer="traits/get-traits", since=(1, 6)),
    Case("GET /resource_classes", answer="resource_classes/get-resource_classes", since=(1, 2)),
    Case("GET /resource_classes/{resource_class}", answer="resource_classes/get-resource_class", since=(1, 2)),
    Case("POST /resource_classes", 201, send="resource_classes/create-resource_classes-request", since=(1, 2),
         put={"name": "CUSTOM_FPGA_{each_number}"}),
    Case("PUT /resource_classes/{each_old_class}", send="resource_classes/update-resource_class-request", since=(1, 2),
         until=(1, 6), answer="resource_classes/update-resource_class", put={"name": "CUSTOM_NEW_{each_number}"}),
    Case("GET /usages?project_id={project}", answer="usages/get-usages", since=(1, 9), needs=("consumer",)),
    Case("GET /allocations/{consumer}", answer="allocations/get-allocations", since=(1, 12)),
    Case("PUT /allocations/{each_uuid}", 204, send="allocations/update-allocations-request", since=(1, 8), until=(1, 11), put={
        "allocations": lambda world: [{"resource_provider": {"uuid": world["provider"]}, "resources": {"VCPU": 1}}]}),
    Case("PUT /allocations/{each_uuid}", 204, send="allocations/update-allocations-request", since=(1, 12), put={
        "allocations": _taken, "consumer_generation": lambda world: None}),
    Case("POST /allocations", 204, send="allocations/manage-allocations-request", since=(1, 13), until=(1, 27), put={
        **ONES, "+{each_uuid}": _many()}),
    Case("POST /allocations", 204, send="allocations/manage-allocations-request", since=(1, 28), until=(1, 37), put={
        **ONES, "+{each_uuid}": _many(consumer_generation=None)}),
    Case("POST /allocations", 204, send="allocations/manage-allocations-request", since=(1, 38), put={
        **ONES, "+{each_uuid}": _many(consumer_generation=None, consumer_type="INSTANCE")}),
    Case("GET /allocation_candidates?resources=MEMORY_MB:64", answer="allocation_candidates/get-allocation_candidates",
         since=(1, 10), until=(1, 33), extra={"resources.*": "since 1.27 all of a provider's"}, **CANDIDATES),
    Case("GET /allocation_candidates?resources1=VCPU:1&resources2=DISK_GB:1&group_policy=none", since=(1, 34),
         answer="allocation_candidates/get-allocation_candidates", empty=("traits",), **CANDIDATES),
    Case("POST /reshaper", 204, send="reshaper/post-reshaper", since=(1, 30), put={
        "allocations": lambda world: {}, "inventories": lambda world: {world["each_provider"]: {
            "inventories": {"VCPU": {"total": 8}}, "resource_provider_generation": world["each_generation"]}}}),
]
ABSENT: list[Absent] = []


@pytest.mark.parametrize("case, version", parameters(BOOK, CASES))
def test_answer_is_as_in_the_sample(world: PlacementWorld, case: Case, version: Version | None) -> None:
    at = version or min(case.until or NEWEST, NEWEST)

    def ask(method: str, path: str, body: Any, headers: dict[str, str], plain: bool) -> httpx.Response:
        return world.http.request(method, "/placement" + path, json=body, headers={
            "OpenStack-API-Version": f"placement {at[0]}.{at[1]}", **headers})

    check(BOOK, case, at, world, RULES, ask)


def test_no_sample_is_forgotten() -> None:
    tally = Tally(BOOK, CASES, ABSENT, NEWEST)
    print(f"placement: {tally.line}")
    assert not tally.forgotten, "\n".join(sorted(tally.forgotten))
