"""Domains, projects, users, groups, roles and the catalog, as their clients see them."""

from __future__ import annotations

import json
from typing import Any

import pytest


def test_a_project_has_keystones_shape_and_keeps_extras(world: Any) -> None:
    made = world.project(description="d", colour="blue")
    shown = world.get(f"/projects/{made['id']}")["project"]
    assert shown == made
    assert set(shown) == {"id", "name", "domain_id", "description", "enabled", "parent_id", "is_domain", "tags", "options",
                          "links", "colour"}
    assert shown["parent_id"] == shown["domain_id"] == "default" and shown["colour"] == "blue" and len(shown["id"]) == 32
    changed = world.call("PATCH", f"/projects/{made['id']}", 200, {"project": {"name": world.name(), "colour": "red", "id": "x"}})
    assert changed["project"]["colour"] == "red" and changed["project"]["id"] == made["id"]


def test_a_tree_of_projects(world: Any) -> None:
    domain = world.domain()
    top = world.project(domain_id=domain["id"])
    middle = world.project(parent_id=top["id"])
    leaf = world.project(parent_id=middle["id"])
    assert leaf["domain_id"] == domain["id"]
    ids = world.get(f"/projects/{leaf['id']}?parents_as_ids")["project"]["parents"]
    assert ids == {middle["id"]: {top["id"]: {domain["id"]: None}}}
    assert world.get(f"/projects/{top['id']}?subtree_as_ids")["project"]["subtree"] == {middle["id"]: {leaf["id"]: None}}
    assert world.get(f"/projects/{top['id']}?subtree_as_list")["project"]["subtree"] == []  # no role there
    world.grant(world.me["user"], f"projects/{leaf['id']}")
    assert [item["project"]["id"] for item in world.get(f"/projects/{top['id']}?subtree_as_list")["project"]["subtree"]] == [
        leaf["id"]]
    world.call("GET", f"/projects/{top['id']}?subtree_as_list&subtree_as_ids", 400)
    world.call("PATCH", f"/projects/{top['id']}", 403, {"project": {"enabled": False}})
    world.call("DELETE", f"/projects/{middle['id']}", 403)
    world.call("PATCH", f"/projects/{leaf['id']}", 403, {"project": {"parent_id": top["id"]}})
    world.call("PATCH", f"/projects/{leaf['id']}", 200, {"project": {"enabled": False}})
    world.call("PATCH", f"/projects/{middle['id']}", 200, {"project": {"enabled": False}})
    world.call("PATCH", f"/projects/{leaf['id']}", 403, {"project": {"enabled": True}})
    world.call("POST", "/projects", 403, {"project": {"name": "x", "parent_id": middle["id"]}})
    world.call("DELETE", f"/projects/{leaf['id']}", 204)
    world.call("GET", f"/projects/{leaf['id']}", 404)


def test_the_tree_has_a_depth(world: Any) -> None:
    parent = world.domain()["id"]
    for _ in range(5):
        parent = world.project(parent_id=parent)["id"]
    world.call("POST", "/projects", 403, {"project": {"name": "too deep", "parent_id": parent}})


def test_project_names_are_of_their_domain(world: Any) -> None:
    name = world.project()["name"]
    answer = world.call("POST", "/projects", 409, {"project": {"name": name}})
    assert "Duplicate entry" in answer["error"]["message"]
    world.project(name=name, domain_id=world.domain()["id"])


@pytest.mark.parametrize("project, status", [
    ({}, 400), ({"name": ""}, 400), ({"name": "  "}, 400), ({"name": "x" * 65}, 400), ({"name": 7}, 400),
    ({"name": "bad", "enabled": "yes"}, 400), ({"name": "bad", "domain_id": "nowhere"}, 404),
    ({"name": "bad", "parent_id": "nowhere"}, 404), ({"name": "bad", "tags": ["a,b"]}, 400)])
def test_bad_projects_change_nothing(world: Any, project: dict[str, Any], status: int) -> None:
    before = len(world.get("/projects")["projects"])
    world.call("POST", "/projects", status, {"project": project})
    assert len(world.get("/projects")["projects"]) == before


def test_project_tags(world: Any) -> None:
    project = world.project(tags=["red", "blue"])
    path = f"/projects/{project['id']}/tags"
    assert world.get(path)["tags"] == ["blue", "red"]
    world.call("PUT", f"{path}/green", 201)
    world.call("GET", f"{path}/green", 204)
    world.call("GET", f"{path}/black", 404)

    def listed(query: str) -> bool:
        return project["id"] in [item["id"] for item in world.get(f"/projects?{query}")["projects"]]

    assert listed("tags=red,green") and not listed("tags=red,black")
    assert listed("tags-any=red,black") and not listed("not-tags-any=red,black") and listed("not-tags=red,black")
    world.call("DELETE", f"{path}/green", 204)
    world.call("DELETE", f"{path}/green", 404)
    assert world.call("PUT", path, 200, {"tags": ["one"]})["tags"] == ["one"]
    world.call("DELETE", path, 204)
    assert world.get(path)["tags"] == []


def test_domains(world: Any) -> None:
    domain = world.domain(description="d")
    assert set(domain) == {"id", "name", "description", "enabled", "tags", "options", "links"}
    assert world.get(f"/domains?name={domain['name']}")["domains"] == [domain]
    assert world.get(f"/projects/{domain['id']}")["project"]["is_domain"] is True
    assert domain["id"] not in [project["id"] for project in world.get("/projects")["projects"]]
    user, project = world.user(domain_id=domain["id"]), world.project(domain_id=domain["id"])
    world.grant(user, f"projects/{project['id']}")
    world.call("DELETE", f"/domains/{domain['id']}", 403)
    world.call("PATCH", f"/domains/{domain['id']}", 200, {"domain": {"enabled": False}})
    world.call("DELETE", f"/domains/{domain['id']}", 204)
    for path in (f"/domains/{domain['id']}", f"/users/{user['id']}", f"/projects/{project['id']}"):
        world.call("GET", path, 404)
    assert world.get(f"/role_assignments?user.id={user['id']}")["role_assignments"] == []


def test_users(world: Any) -> None:
    user = world.user(email="u@example.org")
    assert set(user) == {"id", "name", "domain_id", "enabled", "password_expires_at", "options", "links", "email"}
    assert "password" not in world.get(f"/users/{user['id']}")["user"]
    assert world.get(f"/users?name={user['name']}")["users"] == [user]
    assert world.get(f"/users?name__contains={user['name'][1:]}")["users"][0]["id"] == user["id"]
    assert user["id"] not in [item["id"] for item in world.get("/users?enabled=false")["users"]]
    world.call("POST", "/users", 409, {"user": {"name": user["name"]}})
    world.call("POST", "/users", 400, {"user": {"name": "x" * 256}})
    world.call("POST", "/users", 400, {"user": {"name": world.name(), "options": {"no_such_option": True}}})
    world.call("PATCH", f"/users/{user['id']}", 400, {"user": {"domain_id": "other"}})
    changed = world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"options": {"lock_password": True}}})
    assert changed["user"]["options"] == {"lock_password": True}
    answer = world.admin.post(f"/users/{user['id']}/password", json={"user": {"password": "new", "original_password": "pw"}})
    assert answer.status_code == 400
    changed = world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"options": {"lock_password": None}}})
    assert changed["user"]["options"] == {}


def test_changing_a_password_needs_the_old_one(world: Any) -> None:
    user = world.user()
    for original, new, status in (("wrong", "new", 401), ("pw", "pw", 400), ("pw", "", 400), ("pw", "new", 204)):
        answer = world.plain.post(f"/users/{user['id']}/password",
                                  json={"user": {"password": new, "original_password": original}})
        assert answer.status_code == status, answer.text
    assert world.plain.post("/users/nobody/password",
                            json={"user": {"password": "a", "original_password": "b"}}).status_code == 401


def test_more_than_one_factor(world: Any) -> None:
    user = world.user(options={"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "token"]]})
    assert world.log_in({"id": user["id"], "password": "pw"}).status_code == 401
    world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"options": {"multi_factor_auth_enabled": False}}})
    assert world.log_in({"id": user["id"], "password": "pw"}).status_code == 201


def test_groups(world: Any) -> None:
    group, user = world.group(description="g"), world.user()
    path = f"/groups/{group['id']}/users/{user['id']}"
    assert set(group) == {"id", "name", "domain_id", "description", "links"}
    world.call("HEAD", path, 404)
    for _ in range(2):
        world.call("PUT", path, 204)
    world.call("HEAD", path, 204)
    assert [item["id"] for item in world.get(f"/groups/{group['id']}/users")["users"]] == [user["id"]]
    assert [item["id"] for item in world.get(f"/users/{user['id']}/groups")["groups"]] == [group["id"]]
    world.call("DELETE", path, 204)
    world.call("DELETE", path, 404)
    world.call("DELETE", f"/groups/{group['id']}", 204)
    world.call("POST", "/groups", 400, {"group": {}})


def test_roles_and_what_they_imply(world: Any) -> None:
    one, two, three = world.role(), world.role(), world.role()
    assert set(one) == {"id", "name", "domain_id", "description", "options", "links"}
    world.call("PUT", f"/roles/{one['id']}/implies/{two['id']}", 201)
    answer = world.call("PUT", f"/roles/{two['id']}/implies/{three['id']}", 201)
    assert answer["role_inference"]["implies"]["name"] == three["name"]
    world.call("PUT", f"/roles/{three['id']}/implies/{one['id']}", 403)
    here, there = (world.call("POST", "/roles", 201, {"role": {"name": world.name("role"), "domain_id": world.domain()["id"]}})
                   ["role"] for _ in range(2))
    world.call("PUT", f"/roles/{here['id']}/implies/{there['id']}", 201)  # one domain's may imply another's
    world.call("PUT", f"/roles/{one['id']}/implies/{here['id']}", 403)  # a global one no domain's
    world.call("HEAD", f"/roles/{one['id']}/implies/{two['id']}", 204)
    world.call("GET", f"/roles/{one['id']}/implies/{three['id']}", 404)
    implied = world.get(f"/roles/{one['id']}/implies")["role_inference"]["implies"]
    assert [role["id"] for role in implied] == [two["id"]]
    assert one["id"] in [item["prior_role"]["id"] for item in world.get("/role_inferences")["role_inferences"]]
    _, _, token = world.somebody(one["id"])
    shown = world.admin.get("/auth/tokens", headers={"X-Subject-Token": token}).json()["token"]["roles"]
    assert {role["id"] for role in shown} == {one["id"], two["id"], three["id"]}
    world.call("DELETE", f"/roles/{world.roles['member']}", 403)


def test_roles_of_a_domain(world: Any) -> None:
    domain = world.domain()
    role = world.role(domain_id=domain["id"])
    assert role["id"] not in [item["id"] for item in world.get("/roles")["roles"]]
    assert [item["id"] for item in world.get(f"/roles?domain_id={domain['id']}")["roles"]] == [role["id"]]
    user, project = world.user(), world.project(domain_id=domain["id"])
    world.grant(user, f"projects/{world.project()['id']}", role["id"], status=403)
    world.call("PUT", f"/roles/{role['id']}/implies/{world.roles['member']}", 201)
    world.grant(user, f"projects/{project['id']}", role["id"])
    shown = world.log_in({"id": user["id"], "password": "pw"}, {"project": {"id": project["id"]}}).json()["token"]["roles"]
    assert {item["name"] for item in shown} == {"member", "reader"}


def test_the_catalog_is_kept_by_administrators(world: Any) -> None:
    region = world.call("POST", "/regions", 201, {"region": {"id": world.name("region"), "description": "r"}})["region"]
    child = world.call("PUT", f"/regions/{world.name('region')}", 201, {"region": {"parent_region_id": region["id"]}})["region"]
    service = world.call("POST", "/services", 201, {"service": {"type": world.name("type"), "name": "n"}})["service"]
    wanted = {"service_id": service["id"], "interface": "public", "region_id": child["id"],
              "url": "http://example.org/$(project_id)s/%(user_id)s"}
    endpoint = world.call("POST", "/endpoints", 201, {"endpoint": wanted})["endpoint"]
    assert endpoint["region"] == endpoint["region_id"] == child["id"]
    user, project, token = world.somebody()
    shown = world.client(token).get("/auth/tokens", headers={"X-Subject-Token": token}).json()["token"]["catalog"]
    mine = next(item for item in shown if item["id"] == service["id"])
    assert mine["endpoints"][0]["url"] == f"http://example.org/{project['id']}/{user['id']}"
    world.call("DELETE", f"/regions/{region['id']}", 403)
    for change in ({"interface": "secret"}, {"service_id": "nowhere"}, {"region_id": "nowhere"}, {"url": ""}):
        world.call("PATCH", f"/endpoints/{endpoint['id']}", 400, {"endpoint": change})
    world.call("PATCH", f"/endpoints/{endpoint['id']}", 409, {"endpoint": {"url": "http://x/$(password)s"}})
    world.call("PATCH", f"/services/{service['id']}", 200, {"service": {"enabled": False}})
    shown = world.client(token).get("/auth/tokens", headers={"X-Subject-Token": token}).json()["token"]["catalog"]
    assert service["id"] not in [item["id"] for item in shown]
    world.call("DELETE", f"/services/{service['id']}", 204)
    world.call("GET", f"/endpoints/{endpoint['id']}", 404)
    world.call("DELETE", f"/regions/{region['id']}", 204)
    world.call("GET", f"/regions/{child['id']}", 404)


def test_stored_credentials_are_encrypted(world: Any) -> None:
    from haneul.identity.model import Credential
    blob = json.dumps({"access": world.name(), "secret": "s3cr3t"})
    wanted = {"user_id": world.me["user"]["id"], "type": "ec2", "blob": blob}
    world.call("POST", "/credentials", 400, {"credential": wanted})
    project_id = world.me["project"]["id"]
    made = world.call("POST", "/credentials", 201, {"credential": {**wanted, "project_id": project_id}})["credential"]
    assert set(made) == {"id", "user_id", "project_id", "type", "blob", "links"}
    assert made["blob"] == blob and len(made["id"]) == 64
    with world.cloud.cloud.database.read() as tx:
        assert "s3cr3t" not in tx.get(Credential, made["id"]).sealed
    world.call("POST", "/credentials", 409, {"credential": {**wanted, "project_id": "x"}})
    changed = world.call("PATCH", f"/credentials/{made['id']}", 200, {"credential": {"blob": blob.replace("s3cr3t", "new")}})
    assert "new" in changed["credential"]["blob"]
    assert made["id"] in [item["id"] for item in world.get("/credentials?type=ec2")["credentials"]]
    world.call("DELETE", f"/credentials/{made['id']}", 204)
    world.call("GET", f"/credentials/{made['id']}", 404)


def test_policies_are_kept_for_others(world: Any) -> None:
    made = world.call("POST", "/policies", 201, {"policy": {"type": "application/json", "blob": "{}"}})["policy"]
    assert set(made) == {"id", "type", "blob", "links"}
    assert world.call("PATCH", f"/policies/{made['id']}", 200, {"policy": {"type": "t"}})["policy"]["type"] == "t"
    assert made["id"] in [item["id"] for item in world.get("/policies")["policies"]]
    world.call("DELETE", f"/policies/{made['id']}", 204)
    world.call("GET", f"/policies/{made['id']}", 404)


def test_pages(world: Any) -> None:
    domain = world.domain()
    made = {world.user(domain_id=domain["id"])["id"] for _ in range(5)}
    seen: list[str] = []
    address = f"/users?domain_id={domain['id']}&limit=2"
    while address:
        answer = world.get(address)
        seen += [user["id"] for user in answer["users"]]
        address = answer["links"]["next"]
    assert len(seen) == 5 and set(seen) == made
    world.call("GET", "/users?limit=x", 400)


def test_the_sdk_reads_it(cloud: Any, world: Any) -> None:
    """One conversation through openstacksdk, with its own discovery."""
    identity = cloud.connect("admin").identity
    project = identity.create_project(name=world.name("sdk"), domain_id="default", tags=["a"])
    user = identity.create_user(name=world.name("sdk"), password="pw", default_project_id=project.id)
    group = identity.create_group(name=world.name("sdk"))
    identity.add_user_to_group(user, group)
    identity.assign_project_role_to_group(project, group, world.roles["member"])
    assert identity.validate_group_has_project_role(project, group, world.roles["member"])
    found = list(identity.role_assignments(user_id=user.id, effective=True, include_names=True))
    assert {item.role["name"] for item in found} == {"member", "reader"}
    assert project.id in [item.id for item in identity.user_projects(user)]
    assert identity.find_service("keystone").type == "identity"
    assert identity.find_user(user.name, ignore_missing=False).id == user.id
    identity.update_project(project, description="new", is_enabled=False)
    assert identity.get_project(project.id).is_enabled is False
    identity.delete_user(user)
    identity.delete_group(group)
    identity.delete_project(project)
    assert identity.find_project(project.name, ignore_missing=True) is None


def test_ec2_keys_are_for_projects_that_the_user_may_enter(world: Any) -> None:
    user, project, other = world.user(), world.project(), world.project()
    world.call("PUT", f"/projects/{project['id']}/users/{user['id']}/roles/{world.roles['member']}", 204)
    mine = world.client(world.token(user, {"project": {"id": project["id"]}}))
    path = f"/users/{user['id']}/credentials/OS-EC2"
    made = mine.post(path, json={"tenant_id": project["id"]})
    assert made.status_code == 201
    keys = made.json()["credential"]
    assert (keys["user_id"], keys["tenant_id"]) == (user["id"], project["id"]) and keys["secret"]
    assert mine.post(path, json={"tenant_id": other["id"]}).status_code == 403
    assert mine.get(path).json()["credentials"] == [keys]
    assert mine.get(f"{path}/{keys['access']}").json()["credential"] == keys
    assert mine.get(f"/users/{world.me['user']['id']}/credentials/OS-EC2").status_code == 403
    assert [row["type"] for row in mine.get("/credentials").json()["credentials"]] == ["ec2"]
    assert mine.delete(f"{path}/{keys['access']}").status_code == 204
    assert mine.get(f"{path}/{keys['access']}").status_code == 404
