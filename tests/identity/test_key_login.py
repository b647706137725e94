"""Requests that EC2 keys signed: services get a token for them, as long as the owner may enter the project."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import quote

import pytest

from haneul.kernel import clock


@pytest.fixture
def keys(world: Any) -> dict[str, Any]:
    user, project, token = world.somebody("member")
    made = world.client(token).post(f"/users/{user['id']}/credentials/OS-EC2", json={"tenant_id": project["id"]})
    return {"user": user, "project": project, "token": token, **made.json()["credential"]}


def _version2(keys: dict[str, Any], **more: Any) -> dict[str, Any]:
    """As AWS describes it, with a host that the client signed without its port."""
    params = {"AWSAccessKeyId": keys["access"], "Action": "DescribeInstances", "SignatureMethod": "HmacSHA256",
              "SignatureVersion": "2", "Timestamp": clock.iso(clock.now()), **more}
    query = "&".join(f"{quote(name, safe='')}={quote(params[name], safe='-_~')}" for name in sorted(params))
    text = f"GET\nec2.example\n/services/Cloud\n{query}"
    signature = base64.b64encode(hmac.digest(keys["secret"].encode(), text.encode(), "sha256")).decode()
    return {"access": keys["access"], "signature": signature, "host": "ec2.example:8773", "verb": "GET",
            "path": "/services/Cloud", "params": params}


def _scope(keys: dict[str, Any], scope: list[str]) -> bytes:
    key = ("AWS4" + keys["secret"]).encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _version4(keys: dict[str, Any], verb: str = "GET") -> dict[str, Any]:
    now = clock.now().strftime("%Y%m%dT%H%M%SZ")
    scope, body = [now[:8], "region", "ec2", "aws4_request"], hashlib.sha256(b"").hexdigest()
    canonical = f"{verb}\n/\n{'Action=x' if verb == 'GET' else ''}\nhost:ec2.example\nx-amz-date:{now}\n\nhost;x-amz-date\n{body}"
    text = "\n".join(("AWS4-HMAC-SHA256", now, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()))
    signature = hmac.new(_scope(keys, scope), text.encode(), "sha256").hexdigest()
    authorization = (f"AWS4-HMAC-SHA256 Credential={keys['access']}/{'/'.join(scope)}, SignedHeaders=host;x-amz-date, "
                     f"Signature={signature}")
    return {"access": keys["access"], "signature": signature, "host": "ec2.example", "verb": verb, "path": "/",
            "params": {"Action": "x"}, "body_hash": body,
            "headers": {"Authorization": authorization, "X-Amz-Date": now, "Host": "ec2.example"}}


@pytest.mark.parametrize("sign", [_version2, _version4])
def test_a_signature_gives_a_token(world: Any, keys: dict[str, Any], sign: Any) -> None:
    answer = world.admin.post("/ec2tokens", json={"credentials": sign(keys)})
    assert answer.status_code == 200, answer.text
    shown = answer.json()["token"]
    assert shown["user"]["id"] == keys["user"]["id"] and shown["project"]["id"] == keys["project"]["id"]
    assert shown["methods"] == ["ec2credential"] and {role["name"] for role in shown["roles"]} == {"member", "reader"}
    held = answer.headers["X-Subject-Token"]
    assert world.holds(held) and world.by_token(held).status_code == 403
    client, user = world.client(held), keys["user"]["id"]
    made = client.post(f"/users/{user}/application_credentials", json={"application_credential": {"name": "x"}})
    assert made.status_code == 403
    assert client.get(f"/users/{user}/credentials/OS-EC2").status_code == 403
    for wrong in ({"signature": "x"}, {"path": "/other"}, {"verb": "POST"}):
        assert world.admin.post("/ec2tokens", json={"credentials": {**sign(keys), **wrong}}).status_code == 401
    assert world.admin.post("/ec2tokens", json={"credentials": {**sign(keys), "access": "0" * 32}}).status_code == 404
    assert world.client(keys["token"]).post("/ec2tokens", json={"credentials": sign(keys)}).status_code == 403


def test_an_old_signature_is_refused(world: Any, keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    signed, real = _version2(keys), clock.seconds
    monkeypatch.setattr(clock, "seconds", lambda: real() + 16 * 60)
    assert world.admin.post("/ec2tokens", json={"credentials": signed}).status_code == 401


def test_keys_end_with_their_owners_role(world: Any, keys: dict[str, Any]) -> None:
    held = world.admin.post("/ec2tokens", json={"credentials": _version2(keys)}).headers["X-Subject-Token"]
    world.call("DELETE", f"/projects/{keys['project']['id']}/users/{keys['user']['id']}/roles/{world.roles['member']}", 204)
    assert not world.holds(held)
    assert world.admin.post("/ec2tokens", json={"credentials": _version2(keys)}).status_code == 401


def test_an_s3_service_asks_with_what_was_signed(world: Any, keys: dict[str, Any]) -> None:
    text = f"GET\n\n\n{clock.iso(clock.now())}\n/bucket/object"
    signature = base64.b64encode(hmac.digest(keys["secret"].encode(), text.encode(), "sha1")).decode()
    first = {"access": keys["access"], "signature": signature, "token": base64.urlsafe_b64encode(text.encode()).decode()}
    now = clock.now().strftime("%Y%m%dT%H%M%SZ")
    scope = [now[:8], "region", "s3", "aws4_request"]
    text = "\n".join(("AWS4-HMAC-SHA256", now, "/".join(scope), hashlib.sha256(b"canonical").hexdigest()))
    fourth = {"access": keys["access"], "token": base64.urlsafe_b64encode(text.encode()).decode(),
              "signature": hmac.new(_scope(keys, scope), text.encode(), "sha256").hexdigest()}
    for signed in (first, fourth):
        answer = world.admin.post("/s3tokens", json={"credentials": signed})
        assert answer.status_code == 200 and answer.json()["token"]["user"]["id"] == keys["user"]["id"]
        assert "X-Subject-Token" not in answer.headers
        assert world.admin.post("/s3tokens", json={"credentials": {**signed, "signature": "x"}}).status_code == 401
        assert world.admin.post("/s3tokens", json={"credentials": {**signed, "token": "!"}}).status_code == 401


def test_a_planted_trust_gives_nobody_more(world: Any) -> None:
    """Keys may name a trust, but only its trustee's, or the trustor's of one that impersonates, open it."""
    trustor, project, token = world.somebody("member")
    trustee, _, _ = world.somebody("reader")
    stranger, _, strangers = world.somebody("reader")
    trust = world.client(token).post("/OS-TRUST/trusts", json={"trust": {
        "trustor_user_id": trustor["id"], "trustee_user_id": trustee["id"], "project_id": project["id"],
        "impersonation": True, "roles": [{"name": "member"}]}}).json()["trust"]
    blob = f'{{"access": "{trust["id"]}", "secret": "s", "trust_id": "{trust["id"]}"}}'
    made = world.client(strangers).post("/credentials", json={"credential": {
        "type": "ec2", "blob": blob, "project_id": project["id"], "user_id": stranger["id"]}})
    assert made.status_code == 201
    keys = {"access": trust["id"], "secret": "s"}
    assert world.admin.post("/ec2tokens", json={"credentials": _version2(keys)}).status_code == 401


def test_keys_of_a_trust_take_its_uses(world: Any) -> None:
    """A trust that could be used once gave any number of tokens to keys that name it."""
    trustor, project, token = world.somebody("member")
    trustee, _, trustees = world.somebody("reader")
    trust = world.client(token).post("/OS-TRUST/trusts", json={"trust": {
        "trustor_user_id": trustor["id"], "trustee_user_id": trustee["id"], "project_id": project["id"],
        "impersonation": False, "roles": [{"name": "member"}], "remaining_uses": 1}}).json()["trust"]
    blob = f'{{"access": "{trust["id"]}", "secret": "s", "trust_id": "{trust["id"]}"}}'
    assert world.client(trustees).post("/credentials", json={"credential": {
        "type": "ec2", "blob": blob, "project_id": project["id"]}}).status_code == 201
    shown = world.client(trustees).get(f"/users/{trustee['id']}/credentials/OS-EC2").json()["credentials"]
    assert [each["trust_id"] for each in shown] == [trust["id"]]
    keys = {"access": trust["id"], "secret": "s"}
    for status in (200, 401):
        assert world.admin.post("/ec2tokens", json={"credentials": _version2(keys)}).status_code == status


def test_an_unsigned_time_makes_no_old_signature_good(world: Any, keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a signature of version 4, whose body's parameters are not signed, and beside S3's."""
    signed, real = _version4(keys, "POST"), clock.seconds
    assert world.admin.post("/ec2tokens", json={"credentials": signed}).status_code == 200
    now = clock.now().strftime("%Y%m%dT%H%M%SZ")
    scope = [now[:8], "region", "s3", "aws4_request"]
    text = "\n".join(("AWS4-HMAC-SHA256", now, "/".join(scope), hashlib.sha256(b"canonical").hexdigest()))
    s3 = {"access": keys["access"], "token": base64.urlsafe_b64encode(text.encode()).decode(),
          "signature": hmac.new(_scope(keys, scope), text.encode(), "sha256").hexdigest()}
    monkeypatch.setattr(clock, "seconds", lambda: real() + 16 * 60)
    fresh = clock.iso(clock.now())
    signed["params"] = {**signed["params"], "Timestamp": fresh}
    assert world.admin.post("/ec2tokens", json={"credentials": signed}).status_code == 401
    s3["headers"] = {"X-Amz-Date": clock.now().strftime("%Y%m%dT%H%M%SZ")}
    assert world.admin.post("/s3tokens", json={"credentials": s3}).status_code == 401


def test_a_credential_becomes_an_ec2_one_only_with_an_access_key(world: Any, keys: dict[str, Any]) -> None:
    """Its user's list of keys answered 500 from then on."""
    client = world.client(keys["token"])
    made = client.post("/credentials", json={"credential": {
        "type": "note", "blob": "no JSON", "project_id": keys["project"]["id"]}}).json()["credential"]
    assert client.patch(f"/credentials/{made['id']}", json={"credential": {"type": "ec2"}}).status_code == 400
    assert client.get(f"/users/{keys['user']['id']}/credentials/OS-EC2").status_code == 200


def test_revocations_are_told(world: Any) -> None:
    user, _, token = world.somebody()
    world.call("PATCH", f"/users/{user['id']}", 200, {"user": {"enabled": False}})
    events = world.get("/OS-REVOKE/events")["events"]
    assert [event for event in events if event.get("user_id") == user["id"]][0]["issued_before"].endswith("Z")
    assert world.get("/OS-REVOKE/events?since=2999-01-01T00:00:00Z")["events"] == []
    world.get("/OS-REVOKE/events?since=yesterday", 400)
