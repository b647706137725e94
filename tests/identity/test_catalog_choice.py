"""Endpoints of single projects: what OS-EP-FILTER says is what their catalogs show. And the stored policies of endpoints."""

from __future__ import annotations

from typing import Any


def _made(world: Any, interface: str = "public", service: str = "") -> tuple[str, str]:
    service = service or world.call("POST", "/services", 201, {"service": {"type": world.name("type")}})["service"]["id"]
    body = {"service_id": service, "interface": interface, "url": "http://192.0.2.1", "region_id": "RegionOne"}
    return service, world.call("POST", "/endpoints", 201, {"endpoint": body})["endpoint"]["id"]


def _catalog(world: Any, token: str) -> set[str]:
    shown = world.client(token).get("/auth/catalog").json()["catalog"]
    return {endpoint["id"] for service in shown for endpoint in service["endpoints"]}


def test_a_project_with_endpoints_of_its_own_sees_those_alone(world: Any) -> None:
    user, project, token = world.somebody()
    _, endpoint = _made(world)
    _, other = _made(world)
    assert {endpoint, other} < _catalog(world, token)
    path = f"/OS-EP-FILTER/projects/{project['id']}/endpoints/{endpoint}"
    assert world.admin.get(path).status_code == 404
    world.call("PUT", path, 204)
    world.call("PUT", path, 409)
    assert _catalog(world, token) == {endpoint}
    issued = world.log_in({"id": user["id"], "password": "pw"}, {"project": {"id": project["id"]}}).json()["token"]["catalog"]
    assert [each["id"] for service in issued for each in service["endpoints"]] == [endpoint]
    assert {endpoint, other} < _catalog(world, world.admin_token)  # nobody else's
    assert [each["id"] for each in world.get(f"/OS-EP-FILTER/endpoints/{endpoint}/projects")["projects"]] == [project["id"]]
    assert [each["id"] for each in world.get(path.rpartition("/")[0])["endpoints"]] == [endpoint]
    world.call("GET", path, 204)
    world.call("DELETE", path, 204)
    assert {endpoint, other} < _catalog(world, token)


def test_a_group_of_endpoints_goes_by_what_they_have_in_common(world: Any) -> None:
    _, project, token = world.somebody()
    service, public = _made(world)
    _, internal = _made(world, "internal", service)
    group = world.call("POST", "/OS-EP-FILTER/endpoint_groups", 201, {"endpoint_group": {
        "name": "g", "description": "d", "filters": {"service_id": service, "interface": "internal"}}})["endpoint_group"]
    path = f"/OS-EP-FILTER/endpoint_groups/{group['id']}"
    assert [each["id"] for each in world.get(path + "/endpoints")["endpoints"]] == [internal]
    world.call("PUT", f"{path}/projects/{project['id']}", 204)
    assert _catalog(world, token) == {internal}
    assert [each["id"] for each in world.get(path + "/projects")["projects"]] == [project["id"]]
    assert world.get(f"/OS-EP-FILTER/projects/{project['id']}/endpoint_groups")["endpoint_groups"] == [group]
    shown = world.get(f"{path}/projects/{project['id']}")["project_endpoint_group"]
    assert shown["endpoint_group_id"] == group["id"] and shown["project_id"] == project["id"]
    changed = world.call("PATCH", path, 200, {"endpoint_group": {"filters": {"service_id": service}}})["endpoint_group"]
    assert changed["filters"] == {"service_id": service} and _catalog(world, token) == {public, internal}
    world.call("DELETE", path, 204)
    assert {public, internal} < _catalog(world, token)
    for filters in ({}, {"colour": "red"}, {"interface": "secret"}, {"enabled": "yes"}):
        world.call("POST", "/OS-EP-FILTER/endpoint_groups", 400, {"endpoint_group": {"name": "g", "filters": filters}})


def test_the_nearest_policy_is_an_endpoints_own(world: Any) -> None:
    around, inside = world.name("region"), world.name("region")
    world.call("POST", "/regions", 201, {"region": {"id": around}})
    world.call("POST", "/regions", 201, {"region": {"id": inside, "parent_region_id": around}})
    service, _ = _made(world)
    endpoint = world.call("POST", "/endpoints", 201, {"endpoint": {
        "service_id": service, "interface": "public", "url": "http://192.0.2.1", "region_id": inside}})["endpoint"]["id"]
    asked = f"/endpoints/{endpoint}/OS-ENDPOINT-POLICY/policy"
    world.get(asked, 404)
    for place in (f"services/{service}", f"services/{service}/regions/{around}", f"endpoints/{endpoint}"):
        policy = world.call("POST", "/policies", 201, {"policy": {"type": "t", "blob": "{}"}})["policy"]["id"]
        path = f"/policies/{policy}/OS-ENDPOINT-POLICY"
        world.get(f"{path}/{place}", 404)
        world.call("PUT", f"{path}/{place}", 204)
        world.get(f"{path}/{place}", 204)
        assert world.get(asked)["policy"]["id"] == policy
        assert endpoint in [each["id"] for each in world.get(path + "/endpoints")["endpoints"]]
    world.call("DELETE", f"{path}/{place}", 204)
    assert world.get(asked)["policy"]["id"] != policy
