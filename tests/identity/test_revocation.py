"""Tokens end with what they stand on, at once, cause by cause; and come back with none of it."""

from __future__ import annotations

from typing import Any

import pytest

from haneul.identity import authentication, passwords


def test_disabling_a_user(world: Any) -> None:
    user, _, token = world.somebody()
    assert world.holds(token)
    world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"enabled": False}})
    assert not world.holds(token)
    world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"enabled": True}})
    assert not world.holds(token)


def test_deleting_a_user(world: Any) -> None:
    user, _, token = world.somebody()
    world.call("DELETE", f"/users/{user['id']}", 204)
    assert not world.holds(token)


def test_changing_a_password(world: Any) -> None:
    user, project, token = world.somebody()
    answer = world.admin.post(f"/users/{user['id']}/password", json={"user": {"password": "new", "original_password": "pw"}})
    assert answer.status_code == 204
    assert not world.holds(token)
    assert world.log_in({"id": user["id"], "password": "pw"}).status_code == 401
    assert world.holds(world.token(user, {"project": {"id": project["id"]}}, "new"))


def test_an_administrator_resetting_a_password(world: Any) -> None:
    user, _, token = world.somebody()
    world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"password": "reset"}})
    assert not world.holds(token)
    assert world.holds(world.token(user, None, "reset"))


def test_disabling_and_deleting_a_project(world: Any) -> None:
    for method, body, status in (("PATCH", {"project": {"enabled": False}}, 200), ("DELETE", None, 204)):
        user, project, token = world.somebody()
        unscoped = world.token(user)
        world.call(method, f"/projects/{project['id']}", status, body)
        assert not world.holds(token) and world.holds(unscoped)


def test_disabling_a_domain(world: Any) -> None:
    domain = world.domain()
    user, project = world.user(domain_id=domain["id"]), world.project(domain_id=domain["id"])
    world.grant(user, f"projects/{project['id']}")
    token = world.token(user, {"project": {"id": project["id"]}})
    world.call("PATCH", f"/domains/{domain['id']}", 200, {"domain": {"enabled": False}})
    assert not world.holds(token)
    world.call("PATCH", f"/domains/{domain['id']}", 200, {"domain": {"enabled": True}})
    assert not world.holds(token)


def test_taking_a_role_away(world: Any) -> None:
    user, project, token = world.somebody("member")
    world.grant(user, f"projects/{project['id']}", "service")
    world.call("DELETE", f"/projects/{project['id']}/users/{user['id']}/roles/{world.roles['service']}", 204)
    shown = world.admin.get("/auth/tokens", headers={"X-Subject-Token": token}).json()["token"]
    assert {role["name"] for role in shown["roles"]} == {"member", "reader"}
    world.call("DELETE", f"/projects/{project['id']}/users/{user['id']}/roles/{world.roles['member']}", 204)
    assert not world.holds(token)


def test_leaving_a_group(world: Any) -> None:
    user, group, project = world.user(), world.group(), world.project()
    world.call("PUT", f"/groups/{group['id']}/users/{user['id']}", 204)
    world.call("PUT", f"/projects/{project['id']}/groups/{group['id']}/roles/{world.roles['member']}", 204)
    token = world.token(user, {"project": {"id": project["id"]}})
    assert world.holds(token)
    world.call("DELETE", f"/groups/{group['id']}/users/{user['id']}", 204)
    assert not world.holds(token)


def test_deleting_a_role_and_an_implication(world: Any) -> None:
    role = world.role()
    user, project, token = world.somebody(role["id"])
    world.call("PUT", f"/roles/{role['id']}/implies/{world.roles['reader']}", 201)
    shown = world.admin.get("/auth/tokens", headers={"X-Subject-Token": token}).json()["token"]
    assert {item["name"] for item in shown["roles"]} == {role["name"], "reader"}
    world.call("DELETE", f"/roles/{role['id']}/implies/{world.roles['reader']}", 204)
    shown = world.admin.get("/auth/tokens", headers={"X-Subject-Token": token}).json()["token"]
    assert {item["name"] for item in shown["roles"]} == {role["name"]}
    world.call("DELETE", f"/roles/{role['id']}", 204)
    assert not world.holds(token)


def test_a_user_voids_all_their_tokens(world: Any) -> None:
    user, _, token = world.somebody()
    other = world.somebody()[2]
    assert world.client(other).delete(f"/users/{user['id']}/tokens").status_code == 403
    assert world.client(token).delete(f"/users/{user['id']}/tokens").status_code == 204
    assert not world.holds(token) and world.holds(other)


def test_a_log_in_overtaken_by_a_new_password(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    user, real = world.user(), passwords.matches

    def slow(password: str, stored: str) -> bool:
        right = real(password, stored)
        world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"password": "new"}})
        return right

    monkeypatch.setattr(authentication.passwords, "matches", slow)
    token = world.token(user)
    assert not world.holds(token)


def test_another_process_sees_it_with_its_next_request(world: Any) -> None:
    """A second set of caches over the same database, as another control process has."""
    from haneul.identity.keys import Keys
    from haneul.identity.tokens import Tokens
    user, _, token = world.somebody()
    elsewhere = Tokens(world.cloud.cloud, world.cloud.cloud.get(Keys))
    assert elsewhere.entry(token) is not None
    world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"enabled": False}})
    assert elsewhere.entry(token) is None
