"""Who may what: every route of the room, as everybody."""

from __future__ import annotations

import re
from typing import Any

import pytest

import identity_things

# What anyone with a token may ask: about themselves, or what tells nothing.
OPEN = {"identity:get_auth_catalog", "identity:get_auth_projects", "identity:get_auth_domains", "identity:get_auth_system",
        "identity:list_regions", "identity:get_region", "identity:list_credentials", "identity:create_credential",
        "identity:create_trust", "identity:get_limit_model", "identity:list_limits", "identity:get_registered_limit",
        "identity:list_registered_limits", "identity:get_security_compliance_domain_config"}


def _service(world: Any) -> Any:
    return next(service for service in world.cloud.cloud.services if service.type == "identity")


def _routes(world: Any) -> list[Any]:
    return [route for routes in _service(world).routes for route in routes.items]


@pytest.fixture
def foreign(world: Any) -> dict[str, str]:
    """Ids of things that none of the personas has to do with."""
    domain = world.domain()
    user, group = world.user(domain_id=domain["id"]), world.group(domain_id=domain["id"])
    project = world.project(domain_id=domain["id"], tags=["tag"])
    world.grant(user, f"projects/{project['id']}")
    token = world.token(user, {"project": {"id": project["id"]}})
    credential = world.client(token).post(f"/users/{user['id']}/application_credentials", json={"application_credential": {
        "name": "c", "access_rules": [{"service": "identity", "method": "GET", "path": "/v3"}]}}).json()["application_credential"]
    service = world.get("/services")["services"][0]["id"]
    kept = {"user_id": user["id"], "type": "t", "blob": "b"}
    stored = world.call("POST", "/credentials", 201, {"credential": kept})["credential"]
    policy = world.call("POST", "/policies", 201, {"policy": {"type": "application/json", "blob": "{}"}})["policy"]
    keys = world.call("POST", f"/users/{user['id']}/credentials/OS-EC2", 201, {"tenant_id": project["id"]})["credential"]
    more = identity_things.extensions(lambda path, body: world.call("POST", path, 201, body), service, project["id"])
    more["trust_id"] = identity_things.trust(lambda path, body: world.client(token).post(path, json=body).json(), user["id"],
                                             world.me["user"]["id"], project["id"])
    world.call("PUT", f"/domains/{domain['id']}/config", 201, {"config": {"ldap": {"url": "ldap://192.0.2.1"}}})
    return {**more, "stored_id": stored["id"], "access": keys["access"], "policy_id": policy["id"],
            "domain_id": domain["id"], "user_id": user["id"], "group_id": group["id"], "project_id": project["id"],
            "role_id": world.roles["member"], "implied_id": world.roles["reader"], "region_id": "RegionOne", "value": "tag",
            "service_id": service, "endpoint_id": world.get("/endpoints")["endpoints"][0]["id"],
            "credential_id": credential["id"], "rule_id": credential["access_rules"][0]["id"], "token": token}


def _path(route: Any, ids: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], route.path)


def test_no_route_without_a_rule(world: Any) -> None:
    free = {(route.method, route.path) for route in _routes(world) if route.rule is None}
    assert free == {("POST", "/auth/tokens"), ("POST", "/users/{user_id}/password"),
                    ("POST", "/OS-OAUTH1/request_token"), ("POST", "/OS-OAUTH1/access_token")}  # a signature says who asks
    assert all(route.rule in world.cloud.cloud.policy.rules for route in _routes(world) if route.rule)


def test_without_a_token_every_route_is_401(world: Any, foreign: dict[str, str]) -> None:
    for route in _routes(world):
        if route.rule is not None:
            answer = world.plain.request(route.method, _path(route, foreign), json={}, headers={
                "X-Subject-Token": foreign["token"]})
            assert answer.status_code == 401, (route.method, route.path, answer.status_code)


@pytest.mark.parametrize("persona", ["member", "reader", "manager", "other", "nobody"])
def test_others_see_and_change_nothing_that_is_foreign(world: Any, foreign: dict[str, str], persona: str) -> None:
    client = world.client(world.cloud.connect(persona).auth_token)
    nowhere = {name: "f" * 32 for name in foreign}
    for route in _routes(world):
        if route.rule is None or route.rule in OPEN:
            continue
        body = {"project": {"name": "x"}, "user": {"name": "x"}, "group": {"name": "x"}}
        for ids in (foreign, nowhere):
            answer = client.request(route.method, _path(route, ids), json=body, headers={"X-Subject-Token": foreign["token"]})
            right = 404 if ids is nowhere and "{trust_id}" in route.path else 403  # as in Keystone: no secret that there is none
            assert answer.status_code == right, (route.method, route.path, answer.status_code, answer.text)


def test_an_administrator_is_told_what_does_not_exist(world: Any) -> None:
    nowhere = {name: "f" * 32 for name in re.findall(r"\{(\w+)\}", " ".join(route.path for route in _routes(world)))}
    for route in _routes(world):
        if "{" not in route.path or route.path == "/regions/{region_id}":  # PUT makes it
            continue
        # nobody makes credentials for others, and what is no option of domains is 403
        if route.rule not in (None, "identity:create_application_credential", "identity:get_domain_config_default",
                              "identity:get_security_compliance_domain_config"):
            answer = world.admin.request(route.method, _path(route, nowhere), json={"project": {}})
            assert answer.status_code == 404, (route.method, route.path, answer.status_code, answer.text)


def test_malformed_bodies_are_400(world: Any, foreign: dict[str, str]) -> None:
    for route in _routes(world):
        if route.method in ("POST", "PATCH"):
            for content in (b"{", b"[]", b"{}", b'{"user": 3, "project": "x", "domain": []}', b"\xff"):
                answer = world.admin.request(route.method, _path(route, {**foreign, "user_id": world.me["user"]["id"]}),
                                             content=content)
                assert answer.status_code == 400, (route.method, route.path, content, answer.status_code, answer.text)


def test_users_read_themselves(world: Any) -> None:
    user, project, token = world.somebody("member")
    client = world.client(token)
    for path in (f"/users/{user['id']}", f"/users/{user['id']}/projects", f"/users/{user['id']}/groups",
                 f"/projects/{project['id']}", f"/projects/{project['id']}/tags", "/domains/default",
                 f"/users/{user['id']}/application_credentials", f"/users/{user['id']}/access_rules"):
        assert client.get(path).status_code == 200, path
    for path in ("/users", "/projects", "/domains", "/roles", "/services", "/endpoints", "/role_assignments", "/groups"):
        assert client.get(path).status_code == 403, path
    assert client.patch(f"/users/{user['id']}", json={"user": {"name": "x"}}).status_code == 403


def test_a_system_reader_reads_everything_and_writes_nothing(world: Any) -> None:
    user = world.user()
    world.grant(user, "system", "reader")
    client = world.client(world.token(user, {"system": {"all": True}}))
    for path in ("/users", "/projects", "/domains", "/roles", "/services", "/endpoints", "/role_assignments", "/groups",
                 "/role_inferences", f"/users/{world.me['user']['id']}"):
        assert client.get(path).status_code == 200, path
    for path, word in (("/users", "user"), ("/projects", "project"), ("/domains", "domain"), ("/roles", "role"),
                       ("/services", "service"), ("/groups", "group")):
        assert client.post(path, json={word: {"name": "x", "type": "x"}}).status_code == 403, path


def test_a_domain_manager_keeps_its_domain_and_no_other(world: Any) -> None:
    domain, manager = world.domain(), world.user()
    world.grant(manager, f"domains/{domain['id']}", "manager")
    client = world.client(world.token(manager, {"domain": {"id": domain["id"]}}))
    foreign_user, foreign_project = world.user(), world.project()
    user = client.post("/users", json={"user": {"name": world.name(), "password": "pw"}}).json()["user"]
    project = client.post("/projects", json={"project": {"name": world.name()}}).json()["project"]
    group = client.post("/groups", json={"group": {"name": world.name()}}).json()["group"]
    assert user["domain_id"] == project["domain_id"] == group["domain_id"] == domain["id"]
    assert {item["domain_id"] for item in client.get("/users").json()["users"]} == {domain["id"]}
    assert {item["domain_id"] for item in client.get("/projects").json()["projects"]} == {domain["id"]}
    assert [item["id"] for item in client.get("/domains").json()["domains"]] == [domain["id"]]
    assert client.put(f"/groups/{group['id']}/users/{user['id']}").status_code == 204
    path = f"/projects/{project['id']}/users/{user['id']}/roles"
    assert client.put(f"{path}/{world.roles['member']}").status_code == 204
    assert client.put(f"{path}/{world.roles['admin']}").status_code == 403
    assert client.delete(f"{path}/{world.roles['member']}").status_code == 204
    member = world.roles["member"]
    for method, target, body in (
            ("POST", "/users", {"user": {"name": "x", "domain_id": "default"}}),
            ("POST", "/projects", {"project": {"name": "x", "domain_id": "default"}}),
            ("POST", "/projects", {"project": {"name": "x", "parent_id": foreign_project["id"]}}),
            ("POST", "/projects", {"project": {"name": "x", "is_domain": True}}),
            ("POST", "/groups", {"group": {"name": "x", "domain_id": "default"}}),
            ("PATCH", f"/users/{foreign_user['id']}", {"user": {"password": "x", "domain_id": domain["id"]}}),
            ("DELETE", f"/projects/{foreign_project['id']}", None),
            ("PUT", f"/groups/{group['id']}/users/{foreign_user['id']}", None),
            ("PUT", f"/projects/{foreign_project['id']}/users/{user['id']}/roles/{member}", None),
            ("PUT", f"/projects/{project['id']}/users/{foreign_user['id']}/roles/{member}", None),
            ("PUT", f"/system/users/{user['id']}/roles/{member}", None),
            ("POST", "/roles", {"role": {"name": "x"}}), ("PATCH", f"/domains/{domain['id']}", {"domain": {"name": "x"}})):
        assert client.request(method, target, json=body).status_code == 403, (method, target, body)
