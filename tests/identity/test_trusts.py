"""Trusts: what a trustee gets, and that it ends with everything it hangs on."""

from __future__ import annotations

from typing import Any

import pytest


class Trusting:
    """A trustor with `member` in a project, and a trustee with nothing there."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.trustor, self.project, self.token = world.somebody("member")
        self.trustee, self.own, self.trustee_token = world.somebody("reader")

    def make(self, status: int = 201, token: str = "", **more: Any) -> Any:
        body = {"trustor_user_id": self.trustor["id"], "trustee_user_id": self.trustee["id"], "impersonation": False,
                "project_id": self.project["id"], "roles": [{"name": "member"}], **more}
        answer = self.world.client(token or self.token).post("/OS-TRUST/trusts", json={"trust": body})
        assert answer.status_code == status, answer.text
        return answer.json().get("trust")

    def use(self, trust: Any, user: Any = None) -> Any:
        return self.world.log_in({"id": (user or self.trustee)["id"], "password": "pw"}, {"OS-TRUST:trust": {"id": trust["id"]}})

    def got(self, trust: Any) -> str:
        answer = self.use(trust)
        assert answer.status_code == 201, answer.text
        return str(answer.headers["X-Subject-Token"])


@pytest.fixture
def trusting(world: Any) -> Trusting:
    return Trusting(world)


def test_a_trustee_acts_in_the_trustors_project(world: Any, trusting: Trusting) -> None:
    trust = trusting.make()
    assert trust["remaining_uses"] is None and trust["deleted_at"] is None and trust["redelegation_count"] == 0
    assert [role["name"] for role in trust["roles"]] == ["member"]
    answer = trusting.use(trust)
    shown = answer.json()["token"]
    assert shown["user"]["id"] == trusting.trustee["id"] and shown["project"]["id"] == trusting.project["id"]
    assert {role["name"] for role in shown["roles"]} == {"member", "reader"}
    assert shown["OS-TRUST:trust"] == {"id": trust["id"], "impersonation": False, "trustor_user": {
        "id": trusting.trustor["id"]}, "trustee_user": {"id": trusting.trustee["id"]}}
    network = {"network": {"name": "of-a-trust"}}
    made = world.client(answer.headers["X-Subject-Token"]).post(f"{world.cloud.url}/network/v2.0/networks", json=network)
    assert made.status_code == 201 and made.json()["network"]["project_id"] == trusting.project["id"]
    assert trusting.use(trust, trusting.trustor).status_code == 403


def test_with_impersonation_the_token_speaks_for_the_trustor(world: Any, trusting: Trusting) -> None:
    held = trusting.got(trusting.make(impersonation=True))
    shown = world.admin.get("/auth/tokens", headers={"X-Subject-Token": held}).json()["token"]
    assert shown["user"]["id"] == trusting.trustor["id"] and shown["user"]["name"] == trusting.trustor["name"]
    assert world.holds(held)


def test_a_token_that_impersonates_may_be_shown_to_itself_and_ended_by_the_trustor(world: Any, trusting: Trusting) -> None:
    """It was the trustee's alone: 403, also for itself."""
    held = trusting.got(trusting.make(impersonation=True))
    about = {"headers": {"X-Subject-Token": held}}
    for token in (held, trusting.trustee_token, trusting.token):
        assert world.client(token).get("/auth/tokens", **about).status_code == 200
    stranger = world.somebody("reader")[2]
    assert world.client(stranger).get("/auth/tokens", **about).status_code == 403
    assert world.client(trusting.token).delete("/auth/tokens", **about).status_code == 204
    assert not world.holds(held)


def test_only_the_trustor_trusts_with_what_they_have(world: Any, trusting: Trusting) -> None:
    trusting.make(403, token=trusting.trustee_token)
    trusting.make(404, roles=[{"name": "admin"}])
    trusting.make(404, roles=[{"id": "0" * 32}])
    trusting.make(403, roles=[])
    trusting.make(404, trustee_user_id="0" * 32)
    trusting.make(404, project_id="0" * 32)
    trusting.make(404, project_id=trusting.own["id"])
    trusting.make(400, expires_at="bad.123Z")
    trusting.make(400, expires_at="2001-01-01T00:00:00Z")
    trusting.make(400, remaining_uses=0)


def test_who_sees_a_trust(world: Any, trusting: Trusting) -> None:
    trust = trusting.make()
    path, (_, _, strangers) = f"/OS-TRUST/trusts/{trust['id']}", world.somebody("member")
    for token, status in ((trusting.token, 200), (trusting.trustee_token, 200), (world.admin_token, 200), (strangers, 403)):
        assert world.client(token).get(path).status_code == status
        assert world.client(token).get(path + "/roles").status_code == status
    assert world.client(strangers).get("/OS-TRUST/trusts").status_code == 403
    found = world.client(trusting.token).get(f"/OS-TRUST/trusts?trustor_user_id={trusting.trustor['id']}").json()["trusts"]
    assert [each["id"] for each in found] == [trust["id"]] and "roles" not in found[0]
    assert world.client(strangers).get(f"/OS-TRUST/trusts?trustor_user_id={trusting.trustor['id']}").status_code == 403
    assert trust["id"] in [each["id"] for each in world.get("/OS-TRUST/trusts")["trusts"]]
    assert world.client(trusting.token).get("/OS-TRUST/trusts/" + "0" * 32).status_code == 404
    assert world.client(trusting.trustee_token).delete(path).status_code == 403


def test_uses_are_counted(world: Any, trusting: Trusting) -> None:
    trust = trusting.make(remaining_uses=2)
    held = [trusting.got(trust), trusting.got(trust)]
    assert trusting.use(trust).status_code == 401 and all(world.holds(token) for token in held)
    assert world.client(trusting.token).get(f"/OS-TRUST/trusts/{trust['id']}").status_code == 404


def test_deleting_a_trust_voids_its_tokens(world: Any, trusting: Trusting) -> None:
    trust = trusting.make()
    held = trusting.got(trust)
    assert world.holds(held)
    assert world.client(trusting.token).delete(f"/OS-TRUST/trusts/{trust['id']}").status_code == 204
    assert not world.holds(held) and trusting.use(trust).status_code == 401


@pytest.mark.parametrize("what", ["role", "trustor", "trustee", "project", "role gone", "trustor gone", "trustee gone",
                                  "project gone", "password"])
def test_a_trusts_tokens_end_with(what: str, world: Any, trusting: Trusting) -> None:
    role = world.role()
    world.grant(trusting.trustor, f"projects/{trusting.project['id']}", role["id"])
    trust = trusting.make(roles=[{"id": role["id"]}])
    held = trusting.got(trust)
    assert world.holds(held)
    trustor, trustee, project = (f"/users/{trusting.trustor['id']}", f"/users/{trusting.trustee['id']}",
                                 f"/projects/{trusting.project['id']}")
    {"role": lambda: world.call("DELETE", f"{project}{trustor}/roles/{role['id']}", 204),
     "trustor": lambda: world.call("PATCH", trustor, 200, {"user": {"enabled": False}}),
     "trustee": lambda: world.call("PATCH", trustee, 200, {"user": {"enabled": False}}),
     "project": lambda: world.call("PATCH", project, 200, {"project": {"enabled": False}}),
     "password": lambda: world.call("PATCH", trustee, 200, {"user": {"password": "other"}}),
     "role gone": lambda: world.call("DELETE", f"/roles/{role['id']}", 204),
     "trustor gone": lambda: world.call("DELETE", trustor, 204),
     "trustee gone": lambda: world.call("DELETE", trustee, 204),
     "project gone": lambda: world.call("DELETE", project, 204)}[what]()
    assert not world.holds(held)
    assert trusting.use(trust).status_code in (401, 403)


@pytest.mark.parametrize("impersonation", [True, False])
def test_a_trustors_new_password_voids_what_they_gave(impersonation: bool, world: Any, trusting: Trusting) -> None:
    held = trusting.got(trusting.make(impersonation=impersonation))
    world.call("PATCH", f"/users/{trusting.trustor['id']}", 200, {"user": {"password": "other"}})
    assert not world.holds(held)


def test_it_expires(world: Any, trusting: Trusting, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    from haneul.kernel import clock
    trust = trusting.make(expires_at=clock.iso(clock.now() + timedelta(seconds=100)))
    answer = trusting.use(trust)
    assert answer.json()["token"]["expires_at"] <= trust["expires_at"]
    real = clock.seconds
    monkeypatch.setattr(clock, "seconds", lambda: real() + 101)
    assert trusting.use(trust).status_code == 401 and not world.holds(answer.headers["X-Subject-Token"])
    assert world.client(trusting.token).get(f"/OS-TRUST/trusts/{trust['id']}").status_code == 404


# -------------------------------------------------------------------- handing on

def test_a_trust_is_handed_on_as_far_as_it_allows(world: Any, trusting: Trusting) -> None:
    first = trusting.make(impersonation=True, allow_redelegation=True)
    assert first["redelegation_count"] == 3
    held = trusting.got(first)
    third, _, _ = world.somebody("reader")
    on = {"token": held, "trustee_user_id": third["id"], "impersonation": True}
    second = trusting.make(**on, allow_redelegation=True)
    assert second["redelegated_trust_id"] == first["id"] and second["redelegation_count"] == 2
    answer = trusting.use(second, third)
    assert answer.status_code == 201, answer.text
    assert answer.json()["token"]["user"]["id"] == trusting.trustor["id"]
    trusting.make(403, **on, remaining_uses=3)
    world.call("DELETE", f"/OS-TRUST/trusts/{first['id']}", 204)
    assert not world.holds(answer.headers["X-Subject-Token"])
    assert world.admin.get(f"/OS-TRUST/trusts/{second['id']}").status_code == 404


def test_a_trust_that_forbids_it_is_not_handed_on(world: Any, trusting: Trusting) -> None:
    held = trusting.got(trusting.make(impersonation=True))
    trusting.make(403, token=held, impersonation=True)
    narrow = trusting.got(trusting.make(impersonation=True, allow_redelegation=True, roles=[{"name": "reader"}]))
    trusting.make(403, token=narrow, impersonation=True, roles=[{"name": "member"}])
    trusting.make(403, token=narrow, impersonation=True, roles=[{"name": "reader"}], redelegation_count=3,
                  allow_redelegation=True)


# -------------------------------------------------------------------- what its token may not

def test_a_trusts_token_makes_nothing_that_outlives_it(world: Any, trusting: Trusting) -> None:
    held = trusting.got(trusting.make(impersonation=True))
    client, user = world.client(held), trusting.trustor["id"]
    assert client.post(f"/users/{user}/application_credentials", json={"application_credential": {
        "name": "mine"}}).status_code == 403
    assert client.get(f"/users/{user}/application_credentials").status_code == 403
    assert client.get(f"/users/{user}/access_rules").status_code == 403
    assert client.post(f"/users/{user}/credentials/OS-EC2", json={"tenant_id": trusting.project["id"]}).status_code == 403
    assert client.post("/credentials", json={"credential": {"type": "totp", "blob": "x", "user_id": user}}).status_code == 403
    assert world.by_token(held).status_code == 403
    assert world.by_token(held, {"project": {"id": trusting.project["id"]}}).status_code == 403


def test_an_application_credential_neither_makes_nor_uses_trusts(world: Any, trusting: Trusting) -> None:
    answer = world.client(trusting.token).post(f"/users/{trusting.trustor['id']}/application_credentials", json={
        "application_credential": {"name": "free", "unrestricted": True}})
    credential = answer.json()["application_credential"]
    held = world.by_credential(credential).headers["X-Subject-Token"]
    trusting.make(403, token=held)
    back = trusting.make(token=trusting.token, trustee_user_id=trusting.trustor["id"])
    assert world.by_credential(credential, {"OS-TRUST:trust": {"id": back["id"]}}).status_code == 403
    assert world.by_token(held, {"OS-TRUST:trust": {"id": back["id"]}}).status_code == 403
