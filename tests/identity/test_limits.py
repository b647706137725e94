"""Unified limits: what is registered, what projects and domains have instead, and who sees which."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def registered(world: Any) -> dict[str, Any]:
    service = world.call("POST", "/services", 201, {"service": {"type": world.name("type")}})["service"]["id"]
    wanted = {"service_id": service, "resource_name": "volume", "default_limit": 10, "region_id": "RegionOne"}
    return dict(world.call("POST", "/registered_limits", 201, {"registered_limits": [wanted]})["registered_limits"][0])


def _wanted(registered: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"limits": [{**{name: registered[name] for name in ("service_id", "region_id", "resource_name")},
                        "resource_limit": 5, **more}]}


def test_registered_limits(world: Any, registered: dict[str, Any]) -> None:
    path = f"/registered_limits/{registered['id']}"
    assert registered["description"] is None and world.get(path)["registered_limit"] == registered
    again = {name: registered[name] for name in ("service_id", "region_id", "resource_name")}
    world.call("POST", "/registered_limits", 409, {"registered_limits": [{**again, "default_limit": 1}]})
    world.call("POST", "/registered_limits", 400, {"registered_limits": [{**again, "service_id": "0" * 32, "default_limit": 1}]})
    world.call("POST", "/registered_limits", 400, {"registered_limits": [{**again, "resource_name": "x", "default_limit": -2}]})
    changed = world.call("PATCH", path, 200, {"registered_limit": {"default_limit": 20}})["registered_limit"]
    assert changed == {**registered, "default_limit": 20}
    found = world.get(f"/registered_limits?service_id={registered['service_id']}&resource_name=volume")["registered_limits"]
    assert found == [changed]
    assert world.get(f"/registered_limits?resource_name=none-{registered['id']}")["registered_limits"] == []
    world.call("DELETE", path, 204)
    world.get(path, 404)


def test_a_limit_is_of_what_is_registered(world: Any, registered: dict[str, Any]) -> None:
    _, project, token = world.somebody()
    limit = world.call("POST", "/limits", 201, _wanted(registered, project_id=project["id"]))["limits"][0]
    assert limit["domain_id"] is None and limit["resource_limit"] == 5 and limit["region_id"] == "RegionOne"
    world.call("POST", "/limits", 409, _wanted(registered, project_id=project["id"]))
    world.call("POST", "/limits", 403, _wanted(registered, project_id=project["id"], resource_name="snapshot"))
    world.call("POST", "/limits", 400, _wanted(registered, project_id="0" * 32))
    world.call("POST", "/limits", 400, _wanted(registered))
    world.call("POST", "/limits", 400, _wanted(registered, project_id=project["id"], domain_id="default"))
    of_domain = world.call("POST", "/limits", 201, _wanted(registered, domain_id="default"))["limits"][0]
    assert of_domain["project_id"] is None and of_domain["domain_id"] == "default"
    mine, path = world.client(token), f"/limits/{limit['id']}"
    assert [each["id"] for each in mine.get("/limits").json()["limits"]] == [limit["id"]]
    assert mine.get(path).status_code == 200 and mine.get(f"/limits/{of_domain['id']}").status_code == 403
    assert mine.patch(path, json={"limit": {"resource_limit": 9}}).status_code == 403
    assert world.call("PATCH", path, 200, {"limit": {"resource_limit": 0}})["limit"]["resource_limit"] == 0
    registered_path = f"/registered_limits/{registered['id']}"
    world.call("DELETE", registered_path, 403)
    world.call("PATCH", registered_path, 403, {"registered_limit": {"default_limit": 1}})
    world.call("DELETE", path, 204)
    world.call("DELETE", f"/limits/{of_domain['id']}", 204)
    world.call("DELETE", registered_path, 204)
    assert world.client(token).get("/limits/model").json()["model"]["name"] == "flat"


def test_limits_end_with_their_project_and_their_service(world: Any, registered: dict[str, Any]) -> None:
    first, second = world.project(), world.project()
    made = [world.call("POST", "/limits", 201, _wanted(registered, project_id=each["id"]))["limits"][0]["id"]
            for each in (first, second)]
    world.call("DELETE", f"/projects/{first['id']}", 204)
    world.get(f"/limits/{made[0]}", 404)
    world.call("DELETE", f"/services/{registered['service_id']}", 204)
    world.get(f"/limits/{made[1]}", 404)
