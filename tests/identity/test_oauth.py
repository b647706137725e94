"""OAuth 1: consumers, what a user lets one do, and requests that it signs."""

from __future__ import annotations

import base64
import hmac
from typing import Any
from urllib.parse import parse_qs, quote

import pytest

from haneul.identity import oauth
from haneul.kernel import clock


def _quoted(text: str) -> str:
    return quote(text, safe="-._~")


class Client:
    """What a consumer's library does, written from RFC 5849 and not from haneul's code."""

    def __init__(self, world: Any) -> None:
        self.world = world
        made = world.call("POST", "/OS-OAUTH1/consumers", 201, {"consumer": {"description": "d"}})["consumer"]
        self.id, self.secret = made["id"], made["secret"]
        self.nonces = iter(range(1000))

    def header(self, path: str, token: dict[str, str], stamp: float | None = None, **more: str) -> str:
        values = {"oauth_consumer_key": self.id, "oauth_signature_method": "HMAC-SHA1", "oauth_version": "1.0",
                  "oauth_timestamp": str(int(stamp or clock.seconds())), "oauth_nonce": f"n{next(self.nonces)}", **more}
        if token:
            values["oauth_token"] = token["oauth_token"]
        pairs = "&".join(f"{name}={value}" for name, value in sorted((_quoted(k), _quoted(v)) for k, v in values.items()))
        text = f"POST&{_quoted(self.world.base + path)}&{_quoted(pairs)}"
        key = f"{self.secret}&{token.get('oauth_token_secret', '')}"
        values["oauth_signature"] = base64.b64encode(hmac.digest(key.encode(), text.encode(), "sha1")).decode()
        return "OAuth " + ", ".join(f'{name}="{_quoted(value)}"' for name, value in values.items())

    def post(self, path: str, header: str, json: Any = None, **headers: str) -> Any:
        return self.world.plain.post(path, headers={"Authorization": header, **headers}, json=json)

    def ask(self, project: dict[str, Any]) -> dict[str, str]:
        path = "/OS-OAUTH1/request_token"
        answer = self.post(path, self.header(path, {}), **{"Requested-Project-Id": project["id"]})
        assert answer.status_code == 201, answer.text
        return {name: values[0] for name, values in parse_qs(answer.text).items()}

    def exchange(self, request: dict[str, str], verifier: str) -> Any:
        path = "/OS-OAUTH1/access_token"
        return self.post(path, self.header(path, request, oauth_verifier=verifier))

    def log_in(self, access: dict[str, str], scope: Any = None, **more: Any) -> Any:
        auth: dict[str, Any] = {"identity": {"methods": ["oauth1"], "oauth1": {}}}
        if scope is not None:
            auth["scope"] = scope
        return self.post("/auth/tokens", self.header("/auth/tokens", access, **more), {"auth": auth})


@pytest.fixture
def client(world: Any) -> Client:
    return Client(world)


def _access(world: Any, client: Client) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    """A user, their project, and an access token that lets the consumer read there. Only administrators authorize, by
    Keystone's rule."""
    user, project, token = world.somebody("admin")
    request = client.ask(project)
    answer = world.client(token).put(f"/OS-OAUTH1/authorize/{request['oauth_token']}", json={"roles": [{"name": "reader"}]})
    assert answer.status_code == 200, answer.text
    given = client.exchange(request, answer.json()["token"]["oauth_verifier"])
    assert given.status_code == 201, given.text
    return user, project, {name: values[0] for name, values in parse_qs(given.text).items()}


def test_the_signature_is_that_of_the_rfc() -> None:
    given = oauth.given('OAuth realm="Photos", oauth_consumer_key="dpf43f3p2l4k3l03", oauth_signature_method="HMAC-SHA1", '
                        'oauth_timestamp="137131200", oauth_nonce="wIjqoS", '
                        'oauth_callback="http%3A%2F%2Fprinter.example.com%2Fready", '
                        'oauth_signature="74KNZJeDHnMBp0EMJ9ZHt%2FXKycU%3D"')
    signed = oauth.Signed("POST", "https://photos.example.net/initiate", [], given)
    assert oauth.signature(signed, "kd94hf93k423kf44", "") == given["oauth_signature"]


def test_the_signature_covers_the_query() -> None:
    """The example of OAuth Core 1.0, appendix A.5."""
    given = {"oauth_consumer_key": "dpf43f3p2l4k3l03", "oauth_token": "nnch734d00sl2jdk", "oauth_version": "1.0",
             "oauth_signature_method": "HMAC-SHA1", "oauth_timestamp": "1191242096", "oauth_nonce": "kllo9940pd9333jh"}
    query = [("size", "original"), ("file", "vacation.jpg")]
    signed = oauth.Signed("GET", "http://photos.example.net/photos", query, given)
    assert oauth.signature(signed, "kd94hf93k423kf44", "pfkkdhi9sl3r4s00") == "tR3+Ty81lMeYAr/Fid0kMTYa/WM="


def test_consumers(world: Any, client: Client) -> None:
    path = f"/OS-OAUTH1/consumers/{client.id}"
    shown = world.get(path)["consumer"]
    assert shown["description"] == "d" and "secret" not in shown and shown["links"]["self"].endswith(path)
    assert world.call("PATCH", path, 200, {"consumer": {"description": "e"}})["consumer"]["description"] == "e"
    world.call("PATCH", path, 400, {"consumer": {"secret": "mine"}})
    assert client.id in [each["id"] for each in world.get("/OS-OAUTH1/consumers")["consumers"]]


def test_a_consumer_logs_in_with_what_a_user_gave(world: Any, client: Client) -> None:
    user, project, access = _access(world, client)
    answer = client.log_in(access)
    shown = answer.json()["token"]
    assert shown["user"]["id"] == user["id"] and shown["project"]["id"] == project["id"] and shown["methods"] == ["oauth1"]
    assert [role["name"] for role in shown["roles"]] == ["reader"]
    assert shown["OS-OAUTH1"] == {"access_token_id": access["oauth_token"], "consumer_id": client.id}
    held = answer.headers["X-Subject-Token"]
    assert world.holds(held) and world.by_token(held).status_code == 403
    assert world.client(held).get(f"/users/{user['id']}/OS-OAUTH1/access_tokens").status_code == 403
    path = f"/users/{user['id']}/OS-OAUTH1/access_tokens"
    assert [each["id"] for each in world.get(path)["access_tokens"]] == [access["oauth_token"]]
    path += "/" + access["oauth_token"]
    assert world.get(path)["access_token"]["authorizing_user_id"] == user["id"]
    assert [role["name"] for role in world.get(path + "/roles")["roles"]] == ["reader"]
    assert world.get(f"{path}/roles/{world.roles['reader']}")["role"]["name"] == "reader"
    world.get(f"{path}/roles/{world.roles['admin']}", 404)
    assert client.log_in(access, {"system": {"all": True}}).status_code == 403
    world.call("DELETE", path, 204)
    assert not world.holds(held) and client.log_in(access).status_code == 401


def test_the_token_ends_with_its_consumer_and_with_the_role(world: Any, client: Client) -> None:
    user, project, access = _access(world, client)
    held = client.log_in(access).headers["X-Subject-Token"]
    role = f"/projects/{project['id']}/users/{user['id']}/roles/{world.roles['admin']}"
    world.call("DELETE", role, 204)
    assert not world.holds(held) and client.log_in(access).status_code == 401
    world.call("PUT", role, 204)
    held = client.log_in(access).headers["X-Subject-Token"]
    world.call("DELETE", f"/OS-OAUTH1/consumers/{client.id}", 204)
    assert not world.holds(held) and client.log_in(access).status_code == 401


def test_a_request_is_good_once_and_while_it_is_fresh(world: Any, client: Client) -> None:
    _, _, access = _access(world, client)
    body = {"auth": {"identity": {"methods": ["oauth1"], "oauth1": {}}}}
    header = client.header("/auth/tokens", access)
    assert [client.post("/auth/tokens", header, body).status_code for _ in range(2)] == [201, 401]
    assert client.log_in(access, stamp=clock.seconds() - 3600).status_code == 401
    assert client.log_in({**access, "oauth_token_secret": "wrong"}).status_code == 401
    assert world.plain.post("/auth/tokens", json=body).status_code == 400


def test_only_a_consumer_learns_whether_a_project_exists(world: Any, client: Client) -> None:
    """Anybody could ask: the project was looked for before the signature was."""
    path = "/OS-OAUTH1/request_token"
    for project in (world.somebody()[1]["id"], "nowhere"):
        header = client.header(path, {}, oauth_signature_method="HMAC-SHA256")  # signed otherwise than it says
        assert client.post(path, header, **{"Requested-Project-Id": project}).status_code == 401, project
    assert client.post(path, client.header(path, {}), **{"Requested-Project-Id": "nowhere"}).status_code == 404


def test_a_verifier_is_needed_and_a_request_token_is_exchanged_once(world: Any, client: Client) -> None:
    user, project, token = world.somebody("admin")
    request = client.ask(project)
    assert client.exchange(request, "12345678").status_code == 401  # nobody authorized it
    path, admin = f"/OS-OAUTH1/authorize/{request['oauth_token']}", world.client(token)
    assert admin.put(path, json={"roles": []}).status_code == 400
    assert admin.put(path, json={"roles": [{"name": "service"}]}).status_code == 401
    assert admin.put("/OS-OAUTH1/authorize/" + "0" * 32, json={"roles": [{"name": "reader"}]}).status_code == 404
    verifier = admin.put(path, json={"roles": [{"name": "reader"}]}).json()["token"]["oauth_verifier"]
    assert client.exchange(request, "12345678").status_code == 401
    assert Client(world).exchange(request, verifier).status_code == 401  # another consumer
    assert client.log_in(request).status_code == 401  # no access token yet
    assert [client.exchange(request, verifier).status_code for _ in range(2)] == [201, 404]
    assert client.post("/OS-OAUTH1/request_token", "Basic x").status_code == 400
    header = client.header("/OS-OAUTH1/request_token", {})
    assert client.post("/OS-OAUTH1/request_token", header).status_code == 400
    assert client.post("/OS-OAUTH1/request_token", header, **{"Requested-Project-Id": "0" * 32}).status_code == 404
