"""Placement's API through the front, over the microversions."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from running import RunningCloud

INVENTORY = {"total": 16, "reserved": 2, "min_unit": 1, "max_unit": 8, "step_size": 1, "allocation_ratio": 2.0}


class Api:
    """Requests at a microversion."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def __call__(self, method: str, path: str, body: Any = None, version: str = "1.39", expect: int | None = None) -> Any:
        answer = self.client.request(method, "/placement" + path, json=body,
                                     headers={"OpenStack-API-Version": f"placement {version}"})
        assert expect is None or answer.status_code == expect, f"{answer.status_code}: {answer.text}"
        return answer

    def provider(self, parent: str | None = None, **inventories: dict[str, Any]) -> str:
        body = {"name": "rp-" + uuid.uuid4().hex, "parent_provider_uuid": parent}
        made = self("POST", "/resource_providers", body, expect=200).json()["uuid"]
        if inventories:
            self("PUT", f"/resource_providers/{made}/inventories",
                 {"resource_provider_generation": 0, "inventories": inventories}, expect=200)
        return str(made)

    def claim(self, provider: str, resources: dict[str, int], expect: int = 204, **more: Any) -> str:
        consumer = str(uuid.uuid4())
        self("PUT", f"/allocations/{consumer}", {
            "allocations": {provider: {"resources": resources}}, "project_id": "p-" + provider, "user_id": "u",
            "consumer_generation": None, "consumer_type": "TEST", **more}, expect=expect)
        return consumer


@pytest.fixture
def api(cloud: RunningCloud) -> Iterator[Api]:
    with cloud.http("admin") as client:
        yield Api(client)


def test_a_host_is_a_provider_with_inventories_and_traits(cloud: RunningCloud, api: Api) -> None:
    found = api("GET", "/resource_providers?name=host-1").json()["resource_providers"]
    assert len(found) == 1
    inventories = api("GET", f"/resource_providers/{found[0]['uuid']}/inventories").json()["inventories"]
    assert inventories["VCPU"]["allocation_ratio"] == 16.0
    assert inventories["MEMORY_MB"]["reserved"] == 512
    traits = api("GET", f"/resource_providers/{found[0]['uuid']}/traits").json()["traits"]
    assert {"COMPUTE_NODE", "CUSTOM_PHYSNET_PUBLIC"} <= set(traits)


def test_only_administrators_and_services(cloud: RunningCloud) -> None:
    with cloud.http("member") as client:
        assert client.get("/placement/resource_providers").status_code == 403
        mine = cloud.connect("member").current_project_id
        version = {"OpenStack-API-Version": "placement 1.9"}
        assert client.get(f"/placement/usages?project_id={mine}", headers=version).status_code == 200
        assert client.get(f"/placement/usages?project_id={uuid.uuid4().hex}", headers=version).status_code == 403
    with cloud.http(None) as client:
        assert client.get("/placement/resource_providers").status_code == 401


def test_generations_conflict(api: Api) -> None:
    made = api.provider(VCPU=INVENTORY)
    stale = api("PUT", f"/resource_providers/{made}/inventories", {"resource_provider_generation": 0, "inventories": {}})
    assert stale.status_code == 409
    assert stale.json()["errors"][0]["code"] == "placement.concurrent_update"
    assert api("PUT", f"/resource_providers/{made}/traits", {"resource_provider_generation": 0, "traits": []}).status_code == 409
    assert api("PUT", f"/resource_providers/{made}/aggregates",
               {"resource_provider_generation": 7, "aggregates": []}).status_code == 409


def test_what_is_used_stays(api: Api) -> None:
    made = api.provider(VCPU=INVENTORY, DISK_GB=INVENTORY)
    consumer = api.claim(made, {"VCPU": 4})
    generation = api("GET", f"/resource_providers/{made}").json()["generation"]
    refused = api("PUT", f"/resource_providers/{made}/inventories",
                  {"resource_provider_generation": generation, "inventories": {"DISK_GB": INVENTORY}}, expect=409)
    assert refused.json()["errors"][0]["code"] == "placement.inventory.inuse"
    assert api("DELETE", f"/resource_providers/{made}/inventories/VCPU").status_code == 409
    assert api("DELETE", f"/resource_providers/{made}").json()["errors"][0]["code"] == "placement.resource_provider.inuse"
    assert api("GET", f"/resource_providers/{made}/usages").json()["usages"] == {"VCPU": 4, "DISK_GB": 0}
    api("DELETE", f"/allocations/{consumer}", expect=204)
    api("DELETE", f"/resource_providers/{made}/inventories/VCPU", expect=204)
    api("DELETE", f"/resource_providers/{made}", expect=204)
    assert api("DELETE", f"/allocations/{consumer}").status_code == 404


def test_capacity_units_and_ratios_bind(api: Api) -> None:
    made = api.provider(VCPU={**INVENTORY, "step_size": 2})  # (16 - 2) * 2 = 28
    for amount in (9, 3):
        api.claim(made, {"VCPU": amount}, expect=409)
    for _ in range(3):
        api.claim(made, {"VCPU": 8})
    api.claim(made, {"VCPU": 6}, expect=409)
    api.claim(made, {"VCPU": 4})
    api.claim(made, {"VCPU": 2}, expect=409)
    assert api("GET", f"/resource_providers/{made}/usages").json()["usages"] == {"VCPU": 28}


def test_a_claim_over_two_providers_is_all_or_nothing(api: Api) -> None:
    first, second = api.provider(VCPU=INVENTORY), api.provider(VCPU={**INVENTORY, "total": 3, "allocation_ratio": 1.0})
    consumer = str(uuid.uuid4())
    api("PUT", f"/allocations/{consumer}", {
        "allocations": {first: {"resources": {"VCPU": 2}}, second: {"resources": {"VCPU": 2}}}, "project_id": "p", "user_id": "u",
        "consumer_generation": None, "consumer_type": "TEST"}, expect=409)
    assert api("GET", f"/resource_providers/{first}/usages").json()["usages"] == {"VCPU": 0}
    assert api("GET", f"/allocations/{consumer}").json() == {"allocations": {}}


def test_consumers_have_generations_types_and_can_change_places(api: Api) -> None:
    made = api.provider(VCPU={**INVENTORY, "allocation_ratio": 1.0, "reserved": 0, "max_unit": 16})
    consumer = api.claim(made, {"VCPU": 16})
    held = api("GET", f"/allocations/{consumer}").json()
    assert (held["consumer_generation"], held["consumer_type"], held["project_id"]) == (1, "TEST", "p-" + made)
    body = {"allocations": {made: {"resources": {"VCPU": 1}}}, "project_id": "p", "user_id": "u", "consumer_type": "TEST"}
    stale = api("PUT", f"/allocations/{consumer}", {**body, "consumer_generation": None}, expect=409)
    assert stale.json()["errors"][0]["code"] == "placement.concurrent_update"
    heir = str(uuid.uuid4())
    api("POST", "/allocations", {
        heir: {**body, "allocations": {made: {"resources": {"VCPU": 16}}}, "consumer_generation": None},
        consumer: {**body, "allocations": {}, "consumer_generation": 1}}, expect=204)
    assert api("GET", f"/resource_providers/{made}/allocations").json()["allocations"] == {
        heir: {"resources": {"VCPU": 16}, "consumer_generation": 1}}
    usages = api("GET", "/usages?project_id=p&consumer_type=TEST").json()["usages"]["TEST"]
    assert usages["VCPU"] >= 16 and usages["consumer_count"] >= 1
    assert api("GET", "/usages?project_id=p", version="1.37").json()["usages"]["VCPU"] >= 16


def test_old_shapes_of_allocations(api: Api) -> None:
    made, consumer = api.provider(VCPU=INVENTORY), str(uuid.uuid4())
    listed = {"allocations": [{"resource_provider": {"uuid": made}, "resources": {"VCPU": 1}}]}
    api("PUT", f"/allocations/{consumer}", listed, version="1.0", expect=204)
    api("PUT", f"/allocations/{consumer}", listed, version="1.8", expect=400)
    api("PUT", f"/allocations/{consumer}", {**listed, "project_id": "p", "user_id": "u"}, version="1.8", expect=204)
    held = api("GET", f"/allocations/{consumer}", version="1.0").json()
    assert held["allocations"][made]["resources"] == {"VCPU": 1} and "project_id" not in held


def test_traits_and_classes(api: Api) -> None:
    trait, name = f"CUSTOM_T{uuid.uuid4().hex.upper()}", f"CUSTOM_C{uuid.uuid4().hex.upper()}"
    api("PUT", f"/traits/{trait}", expect=201)
    api("PUT", f"/traits/{trait}", expect=204)
    api("PUT", "/traits/lower", expect=400)
    api("GET", f"/traits/{trait}", expect=204)
    api("DELETE", "/traits/HW_CPU_X86_AVX2", expect=400)
    api("PUT", f"/resource_classes/{name}", expect=201)
    api("PUT", f"/resource_classes/{name}", expect=204)
    assert api("GET", f"/resource_classes/{name}").json()["name"] == name
    api("DELETE", "/resource_classes/VCPU", expect=400)
    made = api.provider(**{name: INVENTORY})
    api("PUT", f"/resource_providers/{made}/traits", {"resource_provider_generation": 1, "traits": [trait]}, expect=200)
    api("DELETE", f"/traits/{trait}", expect=409)
    api("DELETE", f"/resource_classes/{name}", expect=409)
    assert api("GET", f"/traits?name=startswith:{trait[:20]}&associated=true").json()["traits"] == [trait]
    found = api("GET", f"/resource_providers?required={trait}&resources={name}:4").json()["resource_providers"]
    assert [provider["uuid"] for provider in found] == [made]
    api("DELETE", f"/resource_providers/{made}/traits", expect=204)
    api("DELETE", f"/traits/{trait}", expect=204)
    api("DELETE", f"/traits/{trait}", expect=404)


def test_trees(api: Api) -> None:
    root = api.provider()
    child = api.provider(parent=root)
    shown = api("GET", f"/resource_providers/{child}").json()
    assert (shown["root_provider_uuid"], shown["parent_provider_uuid"]) == (root, root)
    assert len(api("GET", f"/resource_providers?in_tree={child}").json()["resource_providers"]) == 2
    refused = api("DELETE", f"/resource_providers/{root}", expect=409)
    assert refused.json()["errors"][0]["code"] == "placement.resource_provider.cannot_delete_parent"
    api("PUT", f"/resource_providers/{root}", {"name": "loop-" + root, "parent_provider_uuid": child}, expect=400)
    api("PUT", f"/resource_providers/{child}", {"name": shown["name"], "parent_provider_uuid": None}, version="1.36", expect=400)
    freed = api("PUT", f"/resource_providers/{child}", {"name": shown["name"], "parent_provider_uuid": None}, expect=200).json()
    assert freed["root_provider_uuid"] == child
    assert "root_provider_uuid" not in api("GET", f"/resource_providers/{child}", version="1.13").json()


def test_candidates(api: Api) -> None:
    trait, name = f"CUSTOM_T{uuid.uuid4().hex.upper()}", f"CUSTOM_C{uuid.uuid4().hex.upper()}"
    api("PUT", f"/traits/{trait}"), api("PUT", f"/resource_classes/{name}")
    root = api.provider(VCPU=INVENTORY, MEMORY_MB={**INVENTORY, "total": 4096, "max_unit": 4096})
    for _ in range(2):
        child = api.provider(parent=root, **{name: {**INVENTORY, "total": 1, "reserved": 0, "allocation_ratio": 1.0}})
    api("PUT", f"/resource_providers/{child}/traits", {"resource_provider_generation": 1, "traits": [trait]}, expect=200)

    def ask(query: str, version: str = "1.39", expect: int = 200) -> Any:
        return api("GET", f"/allocation_candidates?{query}", version=version, expect=expect).json()

    spread = ask(f"resources=VCPU:2,{name}:1&in_tree={root}")
    assert len(spread["allocation_requests"]) == 2
    assert spread["allocation_requests"][0]["allocations"][root] == {"resources": {"VCPU": 2}}
    assert len(spread["provider_summaries"]) == 3
    assert ask(f"resources=VCPU:2,{name}:1&in_tree={root}", version="1.31")["allocation_requests"][0].keys() == {"allocations"}
    traited = ask(f"resources=VCPU:2&resources1={name}:1&required1={trait}")["allocation_requests"]
    assert [request["mappings"] for request in traited] == [{"": [root], "1": [child]}]
    forbidden = ask(f"resources1={name}:1&required1=!{trait}")["allocation_requests"]
    assert len(forbidden) == 1 and child not in forbidden[0]["allocations"]
    assert len(ask(f"resources1={name}:1&resources2={name}:1&group_policy=isolate")["allocation_requests"]) == 2
    assert ask(f"resources1={name}:2")["allocation_requests"] == []
    assert ask(f"resources={name}:1&required=in:{trait},HW_CPU_X86_SGX&limit=5")["allocation_requests"][0]["mappings"] == {
        "": [child]}
    aggregate = str(uuid.uuid4())
    generation = api("GET", f"/resource_providers/{root}").json()["generation"]
    api("PUT", f"/resource_providers/{root}/aggregates",
        {"resource_provider_generation": generation, "aggregates": [aggregate]}, expect=200)
    assert len(ask(f"resources=VCPU:1&member_of={aggregate}")["allocation_requests"]) == 1
    assert ask(f"resources=VCPU:1&member_of=!{aggregate}&in_tree={root}")["allocation_requests"] == []
    assert ask("resources=VCPU:1&required=CUSTOM_NEVER_MADE", expect=400)["errors"][0]["code"] == "placement.query.bad_value"
    ask("resources=VCPU", expect=400)
    api("GET", "/allocation_candidates?resources=VCPU:1", version="1.9", expect=404)


def test_reshape_moves_inventory_and_allocations_together(api: Api) -> None:
    root = api.provider(VGPU=INVENTORY)
    child = api.provider(parent=root)
    consumer = api.claim(root, {"VGPU": 2})
    generation = api("GET", f"/resource_providers/{root}").json()["generation"]
    api("POST", "/reshaper", {
        "inventories": {root: {"resource_provider_generation": generation, "inventories": {}},
                        child: {"resource_provider_generation": 0, "inventories": {"VGPU": INVENTORY}}},
        "allocations": {consumer: {"allocations": {child: {"resources": {"VGPU": 2}}}, "project_id": "p", "user_id": "u",
                                   "consumer_generation": 1, "consumer_type": "TEST"}}}, expect=204)
    assert api("GET", f"/resource_providers/{root}/inventories").json()["inventories"] == {}
    assert api("GET", f"/resource_providers/{child}/usages").json()["usages"] == {"VGPU": 2}


def test_versions(api: Api) -> None:
    assert api("GET", "/resource_providers", version="1.40").status_code == 406
    assert api("GET", "/resource_providers", version="latest").headers["openstack-api-version"] == "placement 1.39"
    assert "last-modified" in api("GET", "/traits", version="1.15").headers
    assert "last-modified" not in api("GET", "/traits", version="1.14").headers
    assert api("GET", "/traits", version="1.5").status_code == 404
