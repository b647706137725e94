"""Advisories against other clouds' identity services, each as a check of this one."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import identity_things
from haneul.identity import authentication, passwords


def _credential(world: Any, user: dict[str, Any], token: str, **more: Any) -> Any:
    answer = world.client(token).post(f"/users/{user['id']}/application_credentials",
                                      json={"application_credential": {"name": world.name("credential"), **more}})
    assert answer.status_code == 201, answer.text
    return answer.json()["application_credential"]


# -------------------------------------------------------------------- 12

def test_12_a_restricted_credential_cannot_mint_another_CVE_2020_12691(world: Any) -> None:
    user, project, token = world.somebody("member")
    made = _credential(world, user, token)
    direct = world.by_credential(made).headers["X-Subject-Token"]
    derived = world.by_token(direct, {"project": {"id": project["id"]}}).headers["X-Subject-Token"]
    path = f"/users/{user['id']}/application_credentials"
    for held in (direct, derived):
        client = world.client(held)
        assert client.post(path, json={"application_credential": {"name": "more"}}).status_code == 403
        assert client.delete(f"{path}/{made['id']}").status_code == 403
    assert len(world.client(token).get(path).json()["application_credentials"]) == 1


def test_12_a_credential_bound_by_access_rules_cannot_mint_a_free_one(world: Any) -> None:
    user, _, token = world.somebody("member")
    path = f"/users/{user['id']}/application_credentials"
    made = _credential(world, user, token, unrestricted=True, access_rules=[
        {"service": "identity", "method": "POST", "path": "/v3/users/*/application_credentials"}])
    client = world.client(world.by_credential(made).headers["X-Subject-Token"])
    assert client.post(path, json={"application_credential": {"name": "free"}}).status_code == 403


def test_12_derived_tokens_keep_the_narrowest_scope_CVE_2020_12689(world: Any) -> None:
    user, project, token = world.somebody("member")
    other = world.project()
    for place in (f"projects/{other['id']}", f"projects/{project['id']}"):
        world.grant(user, place, "service")
    world.grant(user, "system", "member")
    token = world.token(user, {"project": {"id": project["id"]}})
    made = _credential(world, user, token, roles=[{"name": "reader"}], unrestricted=True)
    for scope in ({"project": {"id": other["id"]}}, {"system": {"all": True}}, "unscoped"):
        assert world.by_credential(made, scope).status_code == 403
    held = world.by_credential(made).headers["X-Subject-Token"]
    for scope in ({"project": {"id": other["id"]}}, {"system": {"all": True}}, "unscoped"):
        assert world.by_token(held, scope).status_code == 401
    shown = world.by_token(held).json()["token"]
    assert [role["name"] for role in shown["roles"]] == ["reader"] and shown["project"]["id"] == project["id"]
    minted = world.client(held).post(f"/users/{user['id']}/application_credentials", json={
        "application_credential": {"name": "minted", "roles": [{"name": "service"}]}})
    assert minted.status_code == 400
    minted = world.client(held).post(f"/users/{user['id']}/application_credentials", json={
        "application_credential": {"name": "minted"}}).json()["application_credential"]
    assert [role["name"] for role in minted["roles"]] == ["reader"]


def test_12_the_owner_of_a_credential_comes_from_the_token_CVE_2020_12691(world: Any) -> None:
    user, project, token = world.somebody("member")
    victim, _, _ = world.somebody("admin")
    answer = world.client(token).post(f"/users/{user['id']}/application_credentials", json={"application_credential": {
        "name": "mine", "user_id": victim["id"], "project_id": world.me["project"]["id"]}})
    made = answer.json()["application_credential"]
    assert made["user_id"] == user["id"] and made["project_id"] == project["id"]
    for held in (token, world.admin_token):  # not even an administrator makes them for others
        assert world.client(held).post(f"/users/{victim['id']}/application_credentials", json={
            "application_credential": {"name": "theirs"}}).status_code == 403


def test_12_a_stored_credential_keeps_its_owner_CVE_2020_12691(world: Any) -> None:
    user, _, token = world.somebody("member")
    victim = world.user()
    client = world.client(token)
    forged = {"user_id": victim["id"], "type": "totp", "blob": "x"}
    assert client.post("/credentials", json={"credential": forged}).status_code == 403
    made = client.post("/credentials", json={"credential": {"type": "totp", "blob": "x"}}).json()["credential"]
    assert made["user_id"] == user["id"]
    assert client.patch(f"/credentials/{made['id']}", json={"credential": {"user_id": victim["id"]}}).status_code == 403
    world.call("PATCH", f"/credentials/{made['id']}", 403, {"credential": {"user_id": victim["id"]}})
    assert client.get("/credentials").json()["credentials"] == [made]


def test_14_a_restricted_credential_plants_and_reads_no_secrets(world: Any) -> None:
    user, _, token = world.somebody("member")
    client = world.client(token)
    stored = client.post("/credentials", json={"credential": {"type": "totp", "blob": "x"}}).json()["credential"]
    limited = world.client(world.by_credential(_credential(world, user, token)).headers["X-Subject-Token"])
    assert limited.post("/credentials", json={"credential": {"type": "totp", "blob": "y"}}).status_code == 403
    assert limited.get("/credentials").status_code == 403
    for method in ("GET", "PATCH", "DELETE"):
        answer = limited.request(method, f"/credentials/{stored['id']}", json={"credential": {"blob": "y"}})
        assert answer.status_code == 403, method


# -------------------------------------------------------------------- 13

def test_13_forged_targets_change_no_decision_CVE_2026_42999(world: Any) -> None:
    user, project, token = world.somebody("member")
    domain = world.domain()
    victim = world.user(domain_id=domain["id"])
    theirs = world.project(domain_id=domain["id"])
    ids = {"domain_id": domain["id"], "user_id": victim["id"], "project_id": theirs["id"], "role_id": world.roles["admin"],
           "group_id": world.group(domain_id=domain["id"])["id"], "implied_id": world.roles["reader"], "value": "x",
           "region_id": "RegionOne", "service_id": world.get("/services")["services"][0]["id"],
           "endpoint_id": world.get("/endpoints")["endpoints"][0]["id"], "credential_id": "0" * 32, "rule_id": "0" * 32,
           "access": "0" * 32,
           "policy_id": world.call("POST", "/policies", 201, {"policy": {"type": "t", "blob": "{}"}})["policy"]["id"],
           "stored_id": world.call("POST", "/credentials", 201, {"credential": {
               "user_id": victim["id"], "type": "t", "blob": "b"}})["credential"]["id"]}
    ids |= identity_things.extensions(lambda path, body: world.call("POST", path, 201, body), ids["service_id"], theirs["id"])
    world.grant(victim, f"projects/{theirs['id']}")
    trustor = world.client(world.token(victim, {"project": {"id": theirs["id"]}}))
    ids["trust_id"] = identity_things.trust(lambda path, body: trustor.post(path, json=body).json(), victim["id"],
                                            world.me["user"]["id"], theirs["id"])
    mine = {"id": user["id"], "user_id": user["id"], "project_id": project["id"], "domain_id": "default"}
    target = {"target": {"user": mine, "project": {**mine, "id": project["id"]}, "domain": {"id": "default"}, "token": mine},
              "target.user.id": user["id"], "target.project.id": project["id"], "target.token.user_id": user["id"],
              "user_id": user["id"], "project_id": project["id"], "system_scope": "all", "role": "admin", "roles": ["admin"]}
    body = {**target, **{word: {"name": "forged", **mine, **target} for word in (
        "user", "project", "domain", "group", "role", "region", "service", "endpoint", "application_credential",
        "endpoint_group", "consumer", "config", "trust")}}
    query = {key: value for key, value in target.items() if isinstance(value, str)}
    service = next(service for service in world.cloud.cloud.services if service.type == "identity")
    free = {"identity:get_auth_catalog", "identity:get_auth_projects", "identity:get_auth_domains", "identity:get_auth_system",
            "identity:list_regions", "identity:get_region", "identity:list_credentials", "identity:create_credential",
            "identity:create_trust", "identity:get_limit_model", "identity:list_limits", "identity:get_registered_limit",
            "identity:list_registered_limits", "identity:get_security_compliance_domain_config"}
    client, tried = world.client(token), 0
    for routes in service.routes:
        for route in routes.items:
            if route.rule is None or route.rule in free:
                continue
            path = route.path
            for name, value in ids.items():
                path = path.replace("{" + name + "}", value)
            answer = client.request(route.method, path, params=query, json=body,
                                    headers={"X-Subject-Token": world.admin_token})
            assert answer.status_code == 403, (route.method, path, answer.status_code, answer.text)
            tried += 1
    assert tried > 80


def test_13_ids_and_owners_of_a_body_are_not_taken_over(world: Any) -> None:
    user = world.user()
    changed = world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"id": "forged", "links": {"self": "x"}, "email": "e"}})
    assert changed["user"]["id"] == user["id"] and changed["user"]["links"] == user["links"]
    made = world.project(id="forged")
    assert made["id"] != "forged" and len(made["id"]) == 32


# -------------------------------------------------------------------- 14

def test_14_identity_comes_from_the_stored_credential_alone_CVE_2026_42998(world: Any) -> None:
    user, project, token = world.somebody("reader")
    victim, _, _ = world.somebody("admin")
    made = _credential(world, user, token)
    claimed = {"identity": {"methods": ["application_credential"], "application_credential": {
        "id": made["id"], "secret": made["secret"], "user": {"id": victim["id"]}}}}
    answer = world.authenticate(claimed)
    assert answer.status_code == 201 and answer.json()["token"]["user"]["id"] == user["id"]
    by_name = {"identity": {"methods": ["application_credential"], "application_credential": {
        "name": made["name"], "secret": made["secret"], "user": {"id": victim["id"]}}}}
    assert world.authenticate(by_name).status_code == 401
    both = {"identity": {"methods": ["application_credential", "password"], "application_credential": {
        "id": made["id"], "secret": made["secret"]}, "password": {"user": {"id": victim["id"], "password": "pw"}}}}
    assert world.authenticate(both).status_code == 401


def test_14_a_delegated_token_stays_in_its_project_CVE_2026_43000(world: Any) -> None:
    user, project, token = world.somebody("member")
    world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"default_project_id": world.project()["id"]}})
    made = _credential(world, user, token)
    held = world.by_credential(made)
    assert held.json()["token"]["project"]["id"] == project["id"]
    again = world.by_token(held.headers["X-Subject-Token"]).json()["token"]
    assert again["project"]["id"] == project["id"] and again["application_credential"]["id"] == made["id"]
    mixed = {"identity": {"methods": ["token", "application_credential"], "token": {"id": held.headers["X-Subject-Token"]},
                          "application_credential": {"id": made["id"], "secret": made["secret"]}}}
    assert world.authenticate(mixed, {"system": {"all": True}}).status_code == 403


# -------------------------------------------------------------------- 15

def test_15_expiry_never_grows_along_a_chain_CVE_2026_44394_CVE_2012_5563(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from haneul.kernel import clock
    user, project, token = world.somebody()
    first = world.client(token).get("/auth/tokens", headers={"X-Subject-Token": token}).json()["token"]
    real = clock.seconds
    for step in range(1, 5):
        monkeypatch.setattr(clock, "seconds", lambda step=step: real() + step * 600)
        answer = world.by_token(token, {"project": {"id": project["id"]}} if step % 2 else "unscoped")
        assert answer.json()["token"]["expires_at"] == first["expires_at"]
        assert answer.json()["token"]["audit_ids"][-1] == first["audit_ids"][0]
        token = answer.headers["X-Subject-Token"]
    monkeypatch.setattr(clock, "seconds", lambda: real() + 3601)
    assert world.by_token(token).status_code == 404


def test_15_password_with_token_does_not_extend_it(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from haneul.kernel import clock
    user, _, token = world.somebody()
    first = world.client(token).get("/auth/tokens", headers={"X-Subject-Token": token}).json()["token"]
    real = clock.seconds
    monkeypatch.setattr(clock, "seconds", lambda: real() + 600)
    both = {"identity": {"methods": ["token", "password"], "token": {"id": token},
                         "password": {"user": {"id": user["id"], "password": "pw"}}}}
    assert world.authenticate(both).json()["token"]["expires_at"] == first["expires_at"]


def test_15_a_revoked_token_yields_no_other_CVE_2015_7546(world: Any) -> None:
    _, project, token = world.somebody()
    world.client(token).delete("/auth/tokens", headers={"X-Subject-Token": token})
    assert world.by_token(token, {"project": {"id": project["id"]}}).status_code == 404
    assert not world.holds(token)
    for spelling in (token + "=", token + "=="):  # another spelling is not another token
        assert world.plain.get("/auth/projects", headers={"X-Auth-Token": spelling}).status_code == 401


# -------------------------------------------------------------------- 16

def test_16_identity_headers_are_not_believed_CVE_2026_22797(world: Any) -> None:
    forged = {"X-User-Id": world.me["user"]["id"], "X-User-Name": "admin", "X-Roles": "admin", "X-Role": "admin",
              "X-Project-Id": world.me["project"]["id"], "X-Tenant-Id": world.me["project"]["id"], "X-Is-Admin-Project": "True",
              "X-Identity-Status": "Confirmed", "OpenStack-System-Scope": "all", "X-Domain-Id": "default",
              "X-Service-Roles": "service", "X-Service-Identity-Status": "Confirmed", "REMOTE_USER": "admin"}
    assert world.plain.get("/users", headers=forged).status_code == 401
    user, _, token = world.somebody("reader")
    assert world.client(token).get("/users", headers=forged).status_code == 403
    assert world.client(token).get(f"/users/{user['id']}", headers=forged).status_code == 200
    assert world.client(token).get(f"/users/{world.me['user']['id']}", headers=forged).status_code == 403


# -------------------------------------------------------------------- 17

def test_17_one_answer_for_unknown_disabled_and_wrong_CVE_2021_38155(world: Any) -> None:
    disabled = world.user(enabled=False)
    domain = world.domain()
    gone = world.user(domain_id=domain["id"])
    world.call("PATCH", f"/domains/{domain['id']}", 200, {"domain": {"enabled": False}})
    no_password = world.user(password=None)
    right = world.user()
    answers = {world.log_in(user).text for user in (
        {"id": "f" * 32, "password": "pw"}, {"name": "nobody-by-this-name", "domain": {"id": "default"}, "password": "pw"},
        {"name": "x", "domain": {"id": "no-such-domain"}, "password": "pw"}, {"id": disabled["id"], "password": "pw"},
        {"id": disabled["id"], "password": "wrong"}, {"id": gone["id"], "password": "pw"},
        {"id": no_password["id"], "password": "pw"}, {"id": right["id"], "password": "wrong"}, {"id": right["id"]})}
    assert len(answers) == 1


def test_17_every_refusal_hashes_once(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a log-in is that of its one hash, of the configured cost whoever is named."""
    disabled, right = world.user(enabled=False), world.user()
    costs: list[str] = []
    real = passwords.matches

    def counted(password: str, stored: str) -> bool:
        costs.append(stored.split("$")[4])
        return real(password, stored)

    monkeypatch.setattr(authentication.passwords, "matches", counted)
    logins = ({"id": "f" * 32, "password": "x"}, {"id": disabled["id"], "password": "pw"}, {"id": right["id"], "password": "x"},
              {"name": "nobody", "domain": {"id": "default"}, "password": "x"}, {"id": right["id"]})
    for login in logins:
        assert world.log_in(login).status_code == 401
    assert costs == ["04"] * len(logins)
    world.by_credential({"id": "0" * 32, "secret": "x"})
    assert len(costs) == len(logins) + 1


def test_17_a_locked_account_answers_like_a_wrong_password(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from haneul.kernel import clock
    settings = world.cloud.cloud.config.identity
    monkeypatch.setattr(settings, "lockout_failures", 3)
    user = world.user()
    wrong = {world.log_in({"id": user["id"], "password": "wrong"}).text for _ in range(3)}
    locked = world.log_in({"id": user["id"], "password": "pw"})
    assert locked.status_code == 401 and {locked.text} == wrong
    real = clock.seconds
    monkeypatch.setattr(clock, "seconds", lambda: real() + settings.lockout_seconds + 1)
    assert world.log_in({"id": user["id"], "password": "pw"}).status_code == 201


# -------------------------------------------------------------------- 29

def test_29_secrets_are_compared_in_constant_time_CVE_2014_0006() -> None:
    """Passwords and secrets only meet bcrypt's own comparison; tokens only Fernet's."""
    folder = Path(inspect.getfile(authentication)).parent
    for path in folder.rglob("*.py"):
        for line in path.read_text().splitlines():
            for word in ("secret_hash ==", "hash ==", "== stored", "password ==", "secret ==", "token_hash"):
                assert word not in line, (path.name, line)
    assert "bcrypt.checkpw" in inspect.getsource(passwords.matches)


def test_29_a_common_prefix_of_a_secret_tells_nothing(world: Any) -> None:
    """The hash is of a keyed digest: secrets that share all but the last character share nothing that is compared."""
    stored = passwords.hashed("s" * 60 + "a", 4)
    salt = stored.removeprefix("$hmac$")[:29].encode()
    near, far = passwords._digest("s" * 60 + "b", salt), passwords._digest("totally different", salt)
    right = passwords._digest("s" * 60 + "a", salt)
    assert near != right and far != right and near[:8] != right[:8]
