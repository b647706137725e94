"""Application credentials: made by their owner, for one project, with no more than the roles of the token."""

from __future__ import annotations

from typing import Any

import pytest


def _make(world: Any, user: dict[str, Any], token: str, status: int = 201, **more: Any) -> Any:
    answer = world.client(token).post(f"/users/{user['id']}/application_credentials",
                                      json={"application_credential": {"name": world.name("credential"), **more}})
    assert answer.status_code == status, answer.text
    return answer.json().get("application_credential")


def test_one_logs_in_with_its_roles(world: Any) -> None:
    user, project, token = world.somebody("member")
    made = _make(world, user, token, roles=[{"name": "reader"}], description="d")
    assert made["project_id"] == project["id"] and made["unrestricted"] is False and made["expires_at"] is None
    shown = world.client(token).get(f"/users/{user['id']}/application_credentials/{made['id']}").json()["application_credential"]
    assert "secret" not in shown and [role["name"] for role in shown["roles"]] == ["reader"]
    logged_in = world.by_credential(made).json()["token"]
    assert logged_in["methods"] == ["application_credential"] and logged_in["project"]["id"] == project["id"]
    assert [role["name"] for role in logged_in["roles"]] == ["reader"]
    assert logged_in["application_credential"] == {"id": made["id"], "name": made["name"], "restricted": True}
    by_name = {"identity": {"methods": ["application_credential"], "application_credential": {
        "name": made["name"], "user": {"id": user["id"]}, "secret": made["secret"]}}}
    assert world.authenticate(by_name).status_code == 201
    assert world.by_credential({**made, "secret": "wrong"}).status_code == 401
    assert world.by_credential({**made, "id": "0" * 32}).status_code == 401


def test_deleting_it_voids_its_tokens(world: Any) -> None:
    user, _, token = world.somebody()
    made = _make(world, user, token)
    derived = world.by_credential(made).headers["X-Subject-Token"]
    path = f"/users/{user['id']}/application_credentials/{made['id']}"
    assert world.holds(derived)
    assert world.client(token).delete(path).status_code == 204
    assert not world.holds(derived) and world.by_credential(made).status_code == 401
    assert world.client(token).get(path).status_code == 404


def test_losing_the_role_ends_it(world: Any) -> None:
    user, project, token = world.somebody("member")
    made = _make(world, user, token)
    derived = world.by_credential(made).headers["X-Subject-Token"]
    path = f"/projects/{project['id']}/users/{user['id']}/roles/{world.roles['member']}"
    world.call("DELETE", path, 204)
    assert not world.holds(derived)
    world.call("PUT", path, 204)
    assert world.by_credential(made).status_code == 401


@pytest.mark.parametrize("more, status", [
    ({"roles": [{"name": "admin"}]}, 400), ({"roles": [{"name": "no-such-role"}]}, 404),
    ({"expires_at": "2001-01-01T00:00:00"}, 400), ({"expires_at": "soon"}, 400), ({"name": ""}, 400),
    ({"access_rules": [{"service": "compute"}]}, 400), ({"unrestricted": "yes"}, 400)])
def test_bad_ones(world: Any, more: dict[str, Any], status: int) -> None:
    user, _, token = world.somebody("member")
    _make(world, user, token, status, **more)
    assert world.client(token).get(f"/users/{user['id']}/application_credentials").json()["application_credentials"] == []


def test_names_are_of_their_user(world: Any) -> None:
    user, _, token = world.somebody()
    made = _make(world, user, token)
    _make(world, user, token, 409, name=made["name"])


def test_access_rules_hold_for_every_service(world: Any) -> None:
    user, project, token = world.somebody("member")
    made = _make(world, user, token, access_rules=[
        {"service": "identity", "method": "GET", "path": "/v3/users/*"},
        {"service": "image", "method": "GET", "path": "/v2/images"}])
    limited = world.client(world.by_credential(made).headers["X-Subject-Token"])
    assert limited.get(f"/users/{user['id']}").status_code == 200
    assert limited.get(f"/users/{user['id']}/projects").status_code == 401
    assert limited.get("/auth/projects").status_code == 401
    assert limited.get(f"{world.cloud.url}/image/v2/images").status_code == 200
    assert limited.get(f"{world.cloud.url}/image/v2/tasks").status_code in (401, 404)
    rules = world.client(token).get(f"/users/{user['id']}/access_rules").json()["access_rules"]
    assert len(rules) == 2
    assert world.client(token).delete(f"/users/{user['id']}/access_rules/{rules[0]['id']}").status_code == 403
    world.client(token).delete(f"/users/{user['id']}/application_credentials/{made['id']}")
    assert world.client(token).delete(f"/users/{user['id']}/access_rules/{rules[0]['id']}").status_code == 204


def test_it_expires(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    from haneul.kernel import clock
    user, _, token = world.somebody()
    made = _make(world, user, token, expires_at=clock.iso(clock.now() + timedelta(seconds=100)))
    logged_in = world.by_credential(made)
    assert not made["expires_at"].endswith("Z")
    assert logged_in.json()["token"]["expires_at"] <= made["expires_at"] + "Z"
    real = clock.seconds
    monkeypatch.setattr(clock, "seconds", lambda: real() + 101)
    assert world.by_credential(made).status_code == 401
    assert not world.holds(logged_in.headers["X-Subject-Token"])
