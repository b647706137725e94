"""Role assignments, as granted and as they come to."""

from __future__ import annotations

from typing import Any


def _lines(world: Any, query: str) -> list[dict[str, Any]]:
    return list(world.get(f"/role_assignments?{query}")["role_assignments"])


def test_granting_checking_and_revoking(world: Any) -> None:
    user, group, domain = world.user(), world.group(), world.domain()
    project = world.project()
    member = world.roles["member"]
    for path in (f"/projects/{project['id']}/users/{user['id']}", f"/projects/{project['id']}/groups/{group['id']}",
                 f"/domains/{domain['id']}/users/{user['id']}", f"/domains/{domain['id']}/groups/{group['id']}",
                 f"/system/users/{user['id']}", f"/system/groups/{group['id']}"):
        world.call("HEAD", f"{path}/roles/{member}", 404)
        for _ in range(2):
            world.call("PUT", f"{path}/roles/{member}", 204)
        world.call("HEAD", f"{path}/roles/{member}", 204)
        assert [role["id"] for role in world.get(f"{path}/roles")["roles"]] == [member]
        world.call("DELETE", f"{path}/roles/{member}", 204)
        world.call("DELETE", f"{path}/roles/{member}", 404)
    world.call("PUT", f"/projects/{project['id']}/users/{user['id']}/roles/nowhere", 404)
    world.call("PUT", f"/projects/nowhere/users/{user['id']}/roles/{member}", 404)
    world.call("PUT", f"/projects/{project['id']}/users/nowhere/roles/{member}", 404)


def test_a_line_has_keystones_shape(world: Any) -> None:
    user, project, _ = world.somebody()
    assert _lines(world, f"user.id={user['id']}") == [{
        "role": {"id": world.roles["member"]}, "user": {"id": user["id"]}, "scope": {"project": {"id": project["id"]}},
        "links": {"assignment": f"{world.base}/projects/{project['id']}/users/{user['id']}/roles/{world.roles['member']}"}}]
    named = _lines(world, f"user.id={user['id']}&include_names")[0]
    assert named["user"] == {"id": user["id"], "name": user["name"], "domain": {"id": "default", "name": "Default"}}
    assert named["scope"]["project"]["name"] == project["name"] and named["role"]["name"] == "member"


def test_effective_follows_groups_and_implied_roles(world: Any) -> None:
    user, group, project = world.user(), world.group(), world.project()
    world.call("PUT", f"/groups/{group['id']}/users/{user['id']}", 204)
    world.call("PUT", f"/projects/{project['id']}/groups/{group['id']}/roles/{world.roles['member']}", 204)
    assert _lines(world, f"user.id={user['id']}") == []
    found = _lines(world, f"user.id={user['id']}&effective")
    assert {line["role"]["id"] for line in found} == {world.roles["member"], world.roles["reader"]}
    assert all(line["links"]["membership"].endswith(f"/groups/{group['id']}/users/{user['id']}") for line in found)
    assert [line["links"]["prior_role"] for line in found if "prior_role" in line["links"]] == [
        f"{world.base}/prior_role/{world.roles['member']}/implies/{world.roles['reader']}"]
    world.call("GET", f"/role_assignments?group.id={group['id']}&effective", 400)
    world.call("GET", f"/role_assignments?group.id={group['id']}&user.id={user['id']}", 400)


def test_inheritance(world: Any) -> None:
    domain, user = world.domain(), world.user()
    top = world.project(domain_id=domain["id"])
    leaf = world.project(parent_id=top["id"])
    reader = world.roles["reader"]
    path = f"/OS-INHERIT/domains/{domain['id']}/users/{user['id']}/roles"
    world.call("PUT", f"{path}/{reader}/inherited_to_projects", 204)
    world.call("HEAD", f"{path}/{reader}/inherited_to_projects", 204)
    assert [role["id"] for role in world.get(f"{path}/inherited_to_projects")["roles"]] == [reader]
    assert world.get(f"/domains/{domain['id']}/users/{user['id']}/roles")["roles"] == []
    login = {"id": user["id"], "password": "pw"}
    assert world.log_in(login, {"domain": {"id": domain["id"]}}).status_code == 401
    for project in (top, leaf):
        assert world.log_in(login, {"project": {"id": project["id"]}}).status_code == 201
    direct = _lines(world, f"user.id={user['id']}")
    assert direct[0]["scope"] == {"domain": {"id": domain["id"]}, "OS-INHERIT:inherited_to": "projects"}
    effective = _lines(world, f"user.id={user['id']}&effective")
    assert {line["scope"]["project"]["id"] for line in effective} == {top["id"], leaf["id"]}
    assert effective[0]["links"]["assignment"].endswith(f"{path}/{reader}/inherited_to_projects")
    assert {line["scope"]["project"]["id"] for line in _lines(
        world, f"scope.project.id={top['id']}&include_subtree&effective")} == {top["id"], leaf["id"]}
    token = world.token(user, {"project": {"id": leaf["id"]}})
    world.call("DELETE", f"{path}/{reader}/inherited_to_projects", 204)
    assert not world.holds(token)
    project_path = f"/OS-INHERIT/projects/{top['id']}/users/{user['id']}/roles/{reader}/inherited_to_projects"
    world.call("PUT", project_path, 204)
    assert world.log_in(login, {"project": {"id": leaf["id"]}}).status_code == 201
    assert world.log_in(login, {"project": {"id": top["id"]}}).status_code == 401


def test_system_assignments(world: Any) -> None:
    user = world.user()
    world.grant(user, "system", "reader")
    assert user["id"] in [line["user"]["id"] for line in _lines(world, "scope.system=all") if "user" in line]
    assert _lines(world, f"user.id={user['id']}")[0]["scope"] == {"system": {"all": True}}


def test_things_that_go_take_their_assignments_along(world: Any) -> None:
    user, project, _ = world.somebody()
    world.call("DELETE", f"/projects/{project['id']}", 204)
    assert _lines(world, f"user.id={user['id']}") == []
    user, project, _ = world.somebody()
    world.call("DELETE", f"/users/{user['id']}", 204)
    assert _lines(world, f"scope.project.id={project['id']}") == []
