"""Log-in, scopes, validation and the chain of derived tokens."""

from __future__ import annotations

from typing import Any

import pytest


def _when(token: dict[str, Any]) -> tuple[str, str]:
    return token["issued_at"], token["expires_at"]


def test_a_project_token_has_keystones_shape(world: Any) -> None:
    user, project, token = world.somebody("member")
    answer = world.client(token).get("/auth/tokens", headers={"X-Subject-Token": token})
    assert answer.status_code == 200 and answer.headers["X-Subject-Token"] == token and answer.headers["Vary"] == "X-Auth-Token"
    shown = answer.json()["token"]
    assert set(shown) == {"methods", "user", "audit_ids", "expires_at", "issued_at", "project", "is_domain", "roles", "catalog"}
    assert shown["user"] == {"domain": {"id": "default", "name": "Default"}, "id": user["id"], "name": user["name"],
                             "password_expires_at": None}
    assert shown["project"] == {"domain": {"id": "default", "name": "Default"}, "id": project["id"], "name": project["name"]}
    assert {role["name"] for role in shown["roles"]} == {"member", "reader"}
    assert shown["methods"] == ["password"] and len(shown["audit_ids"]) == 1 and shown["expires_at"].endswith(".000000Z")
    identity = next(entry for entry in shown["catalog"] if entry["type"] == "identity")
    assert {endpoint["interface"] for endpoint in identity["endpoints"]} == {"public", "internal", "admin"}
    assert set(identity["endpoints"][0]) == {"id", "interface", "region", "region_id", "url"}


def test_scopes(world: Any) -> None:
    user, domain = world.user(), world.domain()
    assert "project" not in world.log_in({"id": user["id"], "password": "pw"}).json()["token"]
    world.grant(user, f"domains/{domain['id']}")
    shown = world.log_in({"id": user["id"], "password": "pw"}, {"domain": {"name": domain["name"]}}).json()["token"]
    assert shown["domain"] == {"id": domain["id"], "name": domain["name"]} and "catalog" in shown
    assert world.log_in({"id": user["id"], "password": "pw"}, {"system": {"all": True}}).status_code == 401
    world.grant(user, "system", "reader")
    shown = world.log_in({"id": user["id"], "password": "pw"}, {"system": {"all": True}}).json()["token"]
    assert shown["system"] == {"all": True} and [role["name"] for role in shown["roles"]] == ["reader"]


def test_the_default_project_applies_unless_unscoped_is_asked_for(world: Any) -> None:
    user, project, _ = world.somebody()
    world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"default_project_id": project["id"]}})
    login = {"id": user["id"], "password": "pw"}
    assert world.log_in(login).json()["token"]["project"]["id"] == project["id"]
    assert "project" not in world.log_in(login, "unscoped").json()["token"]
    world.call("DELETE", f"/projects/{project['id']}", 204)
    assert "project" not in world.log_in(login).json()["token"]


def test_projects_domains_and_system_to_scope_to(world: Any) -> None:
    user, project, token = world.somebody()
    domain = world.domain()
    world.grant(user, f"domains/{domain['id']}")
    client = world.client(token)
    assert [item["id"] for item in client.get("/auth/projects").json()["projects"]] == [project["id"]]
    assert [item["id"] for item in client.get("/auth/domains").json()["domains"]] == [domain["id"]]
    assert client.get("/auth/system").json()["system"] == []
    assert world.get("/auth/system")["system"] == [{"all": True}]
    assert client.get("/auth/catalog").json()["catalog"]


def test_a_derived_token_keeps_expiry_and_the_head_of_its_chain(world: Any) -> None:
    user, project, token = world.somebody()
    first = world.client(token).get("/auth/tokens", headers={"X-Subject-Token": token}).json()["token"]
    second = world.by_token(token)
    assert second.status_code == 201
    third = world.by_token(second.headers["X-Subject-Token"], {"project": {"id": project["id"]}}).json()["token"]
    assert third["expires_at"] == second.json()["token"]["expires_at"] == first["expires_at"]
    assert third["audit_ids"][1] == second.json()["token"]["audit_ids"][1] == first["audit_ids"][0]
    assert set(third["methods"]) == {"password", "token"}


def test_who_may_validate_whose_token(world: Any) -> None:
    _, _, mine = world.somebody()
    _, _, theirs = world.somebody()
    _, _, service = world.somebody("service")
    subject = {"X-Subject-Token": theirs}
    assert world.client(mine).get("/auth/tokens", headers=subject).status_code == 403
    assert world.client(mine).delete("/auth/tokens", headers=subject).status_code == 403
    assert world.client(service).get("/auth/tokens", headers=subject).status_code == 200
    assert world.client(service).delete("/auth/tokens", headers=subject).status_code == 403
    assert world.admin.get("/auth/tokens", headers={"X-Subject-Token": "nonsense"}).status_code == 404
    assert world.client(mine).get("/auth/tokens", headers={"X-Subject-Token": "nonsense"}).status_code == 404
    head = world.admin.head("/auth/tokens", headers=subject)
    assert head.status_code == 200 and not head.content
    assert "catalog" not in world.admin.get("/auth/tokens?nocatalog", headers=subject).json()["token"]


def test_a_deleted_token_is_void_and_others_are_not(world: Any) -> None:
    _, _, token = world.somebody()
    derived = world.by_token(token).headers["X-Subject-Token"]
    assert world.client(token).delete("/auth/tokens", headers={"X-Subject-Token": derived}).status_code == 204
    assert not world.holds(derived) and world.holds(token)


@pytest.mark.parametrize("body, status", [
    (b"", 400), (b"{", 400), (b"[]", 400), (b'{"auth": {}}', 400), (b'{"auth": {"identity": {"methods": []}}}', 401),
    (b'{"auth": {"identity": {"methods": ["magic"]}}}', 401), (b'{"auth": {"identity": {"methods": ["password"]}}}', 400),
    (b'{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "admin"}}}}}', 400),
    (b'{"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": 7, "password": "x"}}}}}', 400),
    (b'{"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}}, "scope": {"system": {"all": true}, '
     b'"domain": {"id": "default"}}}}', 404),
])
def test_malformed_log_ins(world: Any, body: bytes, status: int) -> None:
    answer = world.plain.post("/auth/tokens", content=body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()["error"]) == {"code", "message", "title"}


def test_no_token_and_a_broken_one_are_401(world: Any) -> None:
    for headers in ({}, {"X-Auth-Token": "x"}, {"X-Auth-Token": "g" * 5000}, {"X-Auth-Token": world.admin_token[:-2] + "aa"}):
        answer = world.plain.get("/auth/tokens", headers=headers)
        assert answer.status_code == 401 and "Keystone" in answer.headers["WWW-Authenticate"]


def test_both_addresses_and_discovery(world: Any) -> None:
    root = world.cloud.url
    assert world.plain.get(f"{root}/v3/auth/tokens", headers={
        "X-Auth-Token": world.admin_token, "X-Subject-Token": world.admin_token}).status_code == 200
    assert world.plain.get(f"{root}/identity").status_code == 300
    assert world.plain.get(f"{root}/identity/v3").json()["version"]["id"].startswith("v3.")
