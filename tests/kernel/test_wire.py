"""The front door, with a small service of its own over ASGI."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct

from haneul.kernel.cloud import Cloud
from haneul.kernel.config import Config, Paths
from haneul.kernel.context import Context
from haneul.kernel.database import Base, Database
from haneul.kernel.errors import Conflict, NotFound
from haneul.kernel.policy import ADMIN, PROJECT_READER, Policy, Rule
from haneul.kernel.quota import QuotaLimit
from haneul.kernel.wire import errors
from haneul.kernel.wire.app import Application
from haneul.kernel.wire.call import Call, Reply
from haneul.kernel.wire.routes import Routes, Service, Table
from haneul.kernel.wire.versions import Microversions

PEOPLE = {"reader": Context(user_id="u1", project_id="p1", roles=frozenset({"reader"})),
          "admin": Context(user_id="u0", project_id="p0", roles=frozenset({"admin", "reader"})),
          "system": Context(user_id="u0", system_scope="all", roles=frozenset({"admin", "reader"}))}
routes = Routes()


class Thing(Struct, forbid_unknown_fields=True):
    name: str
    size: int = 1


class Wanted(Struct, forbid_unknown_fields=True):
    thing: Thing


def _thing(call: Call) -> dict[str, Any]:
    if call.values["thing_id"] != "t1" and not call.context.is_admin:
        raise NotFound("Thing could not be found.")
    return {"project_id": "p1", "id": call.values["thing_id"]}


@routes.get("/things/{thing_id}", rule="thing:show", target=_thing)
def show(call: Call, thing: dict[str, Any]) -> dict[str, Any]:
    return {"thing": thing, "version": list(call.version)}


@routes.get("/things/detail", rule="thing:list", maximum=(2, 4))
def old_detail(call: Call) -> dict[str, Any]:
    return {"old": True}


@routes.get("/things/detail", rule="thing:list", minimum=(2, 5))
def new_detail(call: Call) -> dict[str, Any]:
    return {"old": False}


class Wait(Struct):
    seconds: float


@routes.post("/log-in", rule=None, anonymous=True, bare=True, body=Wait)
def log_in(call: Call, body: Wait) -> dict[str, Any]:
    time.sleep(body.seconds)
    return {}


@routes.post("/things", rule="thing:create", body=Wanted, status=201)
def create(call: Call, body: Wanted) -> Reply:
    call.tx.add(QuotaLimit(project_id=body.thing.name, service="s", resource="r", limit=body.thing.size))
    call.tx.flush()
    if body.thing.size > 9:
        raise Conflict("Too big.")
    return Reply({"name": body.thing.name}, headers={"Location": "/there"})


@routes.action("/things/{thing_id}/action", "poke", rule="thing:show", target=_thing, body=int)
def poke(call: Call, thing: dict[str, Any], body: int) -> dict[str, int]:
    return {"poked": body}


@routes.action("/things/{thing_id}/action", "break", rule="thing:create", target=_thing)
def explode(call: Call, thing: dict[str, Any]) -> None:
    raise ZeroDivisionError("the secret is 4711")


SERVICE = Service(type="compute", name="nova", prefix="/compute/v2.1", error_body=errors.nova, routes=[routes],
                  microversions=Microversions("compute", (2, 1), (2, 9), "X-OpenStack-Nova-API-Version"))


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(Config(), Paths(tmp_path))
    made.database = Database.at(tmp_path / "wire.db")
    made.database.cloud = made
    Base.metadata.create_all(made.database.engine)
    made.policy = Policy([Rule("thing:show", PROJECT_READER), Rule("thing:list", PROJECT_READER), Rule("thing:create", ADMIN)])
    yield made
    made.database.close()


class Client:
    def __init__(self, cloud: Cloud) -> None:
        self.transport = httpx.ASGITransport(Application(cloud, [SERVICE], lambda _, token: PEOPLE.get(token)))

    def __call__(self, method: str, path: str, who: str | None = "admin", **options: Any) -> httpx.Response:
        import asyncio
        headers = options.pop("headers", {}) | ({"X-Auth-Token": who} if who else {})

        async def go() -> httpx.Response:
            async with httpx.AsyncClient(transport=self.transport, base_url="http://t") as http:
                return await http.request(method, "/compute/v2.1" + path, headers=headers, **options)

        return asyncio.run(go())


@pytest.fixture
def ask(cloud: Cloud) -> Client:
    return Client(cloud)


def test_an_answer_carries_request_id_and_version(ask: Client) -> None:
    answer = ask("GET", "/things/t1", "reader")
    assert answer.status_code == 200 and answer.json()["version"] == [2, 1]
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    assert answer.headers["openstack-api-version"] == "compute 2.1"
    assert answer.headers["x-openstack-nova-api-version"] == "2.1"


@pytest.mark.parametrize(("headers", "status", "version"), [
    ({"OpenStack-API-Version": "compute 2.7"}, 200, [2, 7]),
    ({"OpenStack-API-Version": "volume 3.9, compute 2.3"}, 200, [2, 3]),
    ({"OpenStack-API-Version": "compute latest"}, 200, [2, 9]),
    ({"X-OpenStack-Nova-API-Version": "2.4"}, 200, [2, 4]),
    ({"OpenStack-API-Version": "compute 2.10"}, 406, None),
    ({"OpenStack-API-Version": "compute 2.x"}, 400, None),
    ({"OpenStack-API-Version": "compute 2.01"}, 400, None)])
def test_microversions(ask: Client, headers: dict[str, str], status: int, version: list[int] | None) -> None:
    answer = ask("GET", "/things/t1", headers=headers)
    assert answer.status_code == status
    if version:
        assert answer.json()["version"] == version


def test_a_route_may_differ_by_version(ask: Client) -> None:
    assert ask("GET", "/things/detail").json() == {"old": True}
    assert ask("GET", "/things/detail", headers={"OpenStack-API-Version": "compute 2.5"}).json() == {"old": False}


def test_who_may(ask: Client) -> None:
    assert ask("GET", "/things/t1", None).status_code == 401
    assert ask("GET", "/things/t1", "forged").status_code == 401
    assert ask("GET", "/things/t2", "reader").status_code == 404
    assert ask("POST", "/things", "reader", json={"thing": {"name": "n"}}).status_code == 403
    assert ask("GET", "/things/t1", "system").status_code == 403


def test_identity_headers_are_nothing(ask: Client) -> None:
    forged = {"X-Roles": "admin", "X-Project-Id": "p1", "X-Identity-Status": "Confirmed", "X-User-Id": "u0"}
    assert ask("POST", "/things", "reader", json={"thing": {"name": "n"}}, headers=forged).status_code == 403
    assert ask("GET", "/things/t1", None, headers=forged).status_code == 401


@pytest.mark.parametrize("content", [b"{", b"[]", b"", b'{"thing": 1}', b'{"thing": {"name": 5}}',
                                     b'{"thing": {"name": "n", "x": 1}}', b'{"thing": {"name": "n"}, "more": 1}', b"\xff\xfe",
                                     b"[" * 100_000])
def test_bad_bodies_are_400_and_change_nothing(ask: Client, cloud: Cloud, content: bytes) -> None:
    answer = ask("POST", "/things", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and answer.json()["badRequest"]["code"] == 400
    with cloud.database.read() as tx:
        assert tx.query(QuotaLimit).count() == 0


def test_bodies_are_bounded(ask: Client) -> None:
    assert ask("POST", "/things", content=b" " * (2 << 20)).status_code == 413


def test_success_commits_and_a_problem_rolls_back(ask: Client, cloud: Cloud) -> None:
    answer = ask("POST", "/things", json={"thing": {"name": "n1"}})
    assert (answer.status_code, answer.headers["location"]) == (201, "/there")
    assert ask("POST", "/things", json={"thing": {"name": "n2", "size": 10}}).json() == {
        "conflictingRequest": {"code": 409, "message": "Too big."}}
    with cloud.database.read() as tx:
        assert [row.project_id for row in tx.query(QuotaLimit)] == ["n1"]


def test_actions(ask: Client) -> None:
    assert ask("POST", "/things/t1/action", json={"poke": 7}).json() == {"poked": 7}
    for body in ({"other": None}, {}, {"poke": 1, "break": None}, {"poke": "x"}):
        assert ask("POST", "/things/t1/action", json=body).status_code == 400


def test_a_bug_shows_no_internals(ask: Client) -> None:
    answer = ask("POST", "/things/t1/action", json={"break": None})
    assert answer.status_code == 500 and "4711" not in answer.text and "Zero" not in answer.text


def test_unknown_paths_and_methods(ask: Client) -> None:
    assert ask("GET", "/nothing").json()["itemNotFound"]["code"] == 404
    assert ask("PUT", "/things/t1").status_code == 405


def test_the_table_prefers_fixed_segments_and_gives_back_the_rest() -> None:
    tree = Routes()
    for path in ("/a/{x}/c", "/a/b/{y}", "/f/{rest:path}"):
        tree.get(path, None, anonymous=True)(lambda call: None)
    table = Table([Service(type="t", name="t", prefix="", error_body=errors.nova, routes=[tree])])

    def values(path: str) -> dict[str, str]:
        found = table.find(path)
        assert found is not None
        return found.values

    assert values("/a/b/c") == {"y": "c"} and values("/a/z/c") == {"x": "z"} and values("/f/1/2/3") == {"rest": "1/2/3"}
    assert table.find("/a//c") is None and table.find("/a/b") is None


def test_a_flood_of_log_ins_leaves_room_for_all_else(ask: Client, cloud: Cloud) -> None:
    body = {"seconds": 1.0}
    with ThreadPoolExecutor(32) as crowd:
        flood = [crowd.submit(ask, "POST", "/log-in", None, json=body) for _ in range(cloud.config.api.threads)]
        time.sleep(0.2)
        assert ask("GET", "/things/t1").status_code == 200
        assert not all(one.done() for one in flood)
        assert {one.result().status_code for one in flood} == {200}
