"""Checks 10, 21, 23 and 26: metadata, moves that end early, screens, and what guests print."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from haneul.fleet.agents import Agents
from running import RunningCloud
from security.route_world import Things


@pytest.fixture(scope="module")
def own_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    running = RunningCloud(tmp_path_factory.mktemp("compute"), {"log": {"level": "error"}}).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def things(own_cloud: RunningCloud) -> Things:
    return Things(own_cloud)


@pytest.fixture(scope="module")
def foreign(own_cloud: RunningCloud, things: Things) -> Things:
    return Things(own_cloud)


# ---------------------------------------------------------------- 10

def signed(cloud: RunningCloud, port_id: str, *, signature: str | None = None, **headers: str) -> httpx.Response:
    stamp = str(time.time())
    secret = cloud.paths.agent_secret.read_text().strip().encode()
    made = signature or hmac.new(secret, f"{port_id}\n{stamp}".encode(), sha256).hexdigest()
    return httpx.get(f"{cloud.url}/metadata-proxy/openstack/latest/meta_data.json", headers={
        "X-Haneul-Port-Id": port_id, "X-Haneul-Timestamp": stamp, "X-Haneul-Signature": made, **headers})


def test_10_metadata_is_of_the_port_that_asks_CVE_2013_6419(own_cloud: RunningCloud, things: Things, foreign: Things) -> None:
    victim = {"X-Instance-ID": foreign.ids["server_id"], "X-Tenant-ID": foreign.ids["project_id"],
              "X-Forwarded-For": "10.8.0.9", "X-Instance-ID-Signature": "0" * 64}
    answer = signed(own_cloud, things.ids["compute.port_id"], **victim)
    assert answer.status_code == 200 and answer.json()["uuid"] == things.ids["server_id"]
    # a signature is for one port, and nobody else makes one
    one = signed(own_cloud, things.ids["compute.port_id"])
    good = one.request.headers["X-Haneul-Signature"]
    assert signed(own_cloud, foreign.ids["compute.port_id"], signature=good).status_code == 403

    for headers in (victim, {**victim, "X-Haneul-Port-Id": foreign.ids["compute.port_id"]},
                    {"X-Haneul-Port-Id": foreign.ids["compute.port_id"], "X-Haneul-Timestamp": "nan",
                     "X-Haneul-Signature": "0" * 64}):
        answer = httpx.get(f"{own_cloud.url}/metadata-proxy/openstack/latest/meta_data.json", headers=headers)
        assert answer.status_code == 403 and foreign.ids["server_id"] not in answer.text


def test_10_what_a_guest_says_of_itself_is_not_passed_on_CVE_2013_6419() -> None:
    from haneul.host.fabric.linux.metadata import PASSED_ON
    names_of_identity = (b"x-haneul", b"x-instance", b"x-tenant", b"x-forwarded", b"forwarded", b"x-auth", b"x-real", b"host")
    assert not [name for name in PASSED_ON if name.startswith(names_of_identity)]


# ---------------------------------------------------------------- 21

def usage(api: httpx.Client) -> dict[str, int]:
    headers = {"OpenStack-API-Version": "placement 1.39"}
    hosts = api.get("/placement/resource_providers?name=host-1", headers=headers).json()["resource_providers"]
    return dict(api.get(f"/placement/resource_providers/{hosts[0]['uuid']}/usages", headers=headers).json()["usages"])


@pytest.mark.parametrize("moment", ["at once", "resized", "reverting"])
def test_21_a_delete_during_a_resize_frees_everything_CVE_2015_3241(own_cloud: RunningCloud, things: Things, moment: str) -> None:
    api, ids = things.admin, things.ids
    agent = own_cloud.cloud.get(Agents).of("host-1")
    large = things.make(api, "/compute/v2.1/flavors", {"flavor": {
        "name": f"large-{moment}", "ram": 128, "vcpus": 1, "disk": 2}}, "flavor")["id"]
    own_cloud.settle()
    before = usage(api)
    server = things.make(api, "/compute/v2.1/servers", {"server": {
        "name": "moved", "flavorRef": ids["flavor_id"], "imageRef": ids["image_id"],
        "networks": [{"uuid": ids["network_id"]}]}}, "server")["id"]
    own_cloud.settle()
    path = f"/compute/v2.1/servers/{server}"
    assert api.post(f"{path}/action", json={"resize": {"flavorRef": large}}).status_code == 202
    if moment != "at once":
        own_cloud.settle()
        assert api.get(path).json()["server"]["status"] == "VERIFY_RESIZE"
    if moment == "reverting":
        assert api.post(f"{path}/action", json={"revertResize": None}).status_code == 202
    assert api.delete(path).status_code == 204
    own_cloud.settle()
    assert api.get(path).status_code == 404
    assert usage(api) == before
    assert server not in {state.id for state in agent.hypervisor.servers()} | {disk.server_id for disk in agent.disks.disks()}


def test_21_rebuilds_take_no_room_twice_CVE_2017_17051(own_cloud: RunningCloud, things: Things) -> None:
    own_cloud.settle()
    before = usage(things.admin)
    for _ in range(3):
        answer = things.member.post(f"/compute/v2.1/servers/{things.ids['server_id']}/action",
                                    json={"rebuild": {"imageRef": things.ids["image_id"]}})
        assert answer.status_code == 202, answer.text
        own_cloud.settle()
    assert usage(things.admin) == before
    big = things.make(things.member, "/image/v2/images", {"name": "big", "disk_format": "raw", "container_format": "bare",
                                                           "min_ram": 1 << 20})["id"]
    things.member.put(f"/image/v2/images/{big}/file", content=b"x", headers={"Content-Type": "application/octet-stream"})
    answer = things.member.post(f"/compute/v2.1/servers/{things.ids['server_id']}/action", json={"rebuild": {"imageRef": big}})
    assert answer.status_code == 400, "what a boot would refuse, a rebuild refuses (CVE-2017-16239)"


# ---------------------------------------------------------------- 23

def screen(cloud: RunningCloud, things: Things) -> str:
    """The WebSocket's address of a fresh token."""
    made = things.make(things.member, f"/compute/v2.1/servers/{things.ids['server_id']}/remote-consoles",
                       {"remote_console": {"protocol": "vnc", "type": "novnc"}}, "remote_console")
    path = unquote(parse_qs(urlsplit(made["url"]).query)["path"][0])
    return f"ws://127.0.0.1:{cloud.port}/{path}"


def opened(address: str, origin: str | None = None) -> tuple[bool, int | None]:
    """Whether the handshake went through, and what closed it, if anything did."""
    async def ask() -> tuple[bool, int | None]:
        try:
            async with connect(address, origin=origin, open_timeout=10) as socket:  # type: ignore[arg-type]
                try:
                    await asyncio.wait_for(socket.recv(), 1)
                except ConnectionClosed as closed:
                    return True, closed.rcvd.code if closed.rcvd else None
                except TimeoutError:
                    pass
                return True, None
        except InvalidHandshake as refused:
            response: Any = getattr(refused, "response", None)
            return False, response.status_code if response is not None else None

    return asyncio.run(ask())


def token_of(cloud: RunningCloud, address: str) -> Any:
    from haneul.compute.model import ConsoleTokenRow
    with cloud.cloud.database.read() as tx:
        return tx.get(ConsoleTokenRow, sha256(parse_qs(urlsplit(address).query)["token"][0].encode()).hexdigest())


def test_23_another_origin_uses_up_nothing_and_sees_nothing_CVE_2015_0259(own_cloud: RunningCloud, things: Things) -> None:
    address = screen(own_cloud, things)
    for origin in ("http://evil.example", "http://127.0.0.1.evil.example", f"http://127.0.0.1:{own_cloud.port + 1}", "null", "file://"):
        assert opened(address, origin)[0] is False, origin
    assert token_of(own_cloud, address) is not None


def test_23_a_token_is_bound_and_works_once_CVE_2013_0335(own_cloud: RunningCloud, things: Things) -> None:
    address = screen(own_cloud, things)
    row = token_of(own_cloud, address)
    assert (row.server_id, row.host) == (things.ids["server_id"], "host-1")
    opened(address, f"http://127.0.0.1:{own_cloud.port}")
    assert token_of(own_cloud, address) is None, "used up, whatever came of it"
    assert opened(address)[0] is False
    for wrong in ("", "0" * 43, "x" * 4000):
        assert opened(f"ws://127.0.0.1:{own_cloud.port}/compute/vnc?token={wrong}")[0] is False


def test_23_a_deleted_servers_token_opens_nothing(own_cloud: RunningCloud, things: Things) -> None:
    mine = Things(own_cloud)
    address = screen(own_cloud, mine)
    assert mine.member.delete(f"/compute/v2.1/servers/{mine.ids['server_id']}").status_code == 204
    own_cloud.settle()
    assert token_of(own_cloud, address) is None and opened(address)[0] is False


@pytest.mark.parametrize("path", [
    "/compute/vnc//evil.example/..", "/compute/vnc/", "/compute/vnc//evil.example", "//evil.example/compute/vnc",
    "/compute/vnc?path=//evil.example", "/compute/vnc/../../../etc/passwd", "/compute/vnc/%2e%2e/"])
def test_23_the_proxy_redirects_nobody_and_lists_nothing_CVE_2021_3654(own_cloud: RunningCloud, path: str) -> None:
    answer = httpx.get(own_cloud.url + path, follow_redirects=False)
    assert answer.status_code in (200, 400, 404) and "location" not in answer.headers
    assert "root:" not in answer.text and "evil.example" not in answer.text


# ---------------------------------------------------------------- 26

def test_26_what_guests_print_is_text_CVE_2026_40212(own_cloud: RunningCloud, things: Things,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    printed = "<script>alert(1)</script>\x00\x07\x9b\"'&\n\u2028boot\r\n"
    hypervisor = own_cloud.cloud.get(Agents).of("host-1").hypervisor
    monkeypatch.setattr(hypervisor, "console_log", lambda *_, **__: printed)
    answer = things.member.post(f"/compute/v2.1/servers/{things.ids['server_id']}/action", json={"os-getConsoleOutput": {}})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/json")
    output = answer.json()["output"]
    assert "<script>alert(1)</script>" in output, "kept as it is, for whoever shows it as text"
    assert "\x00" not in output and "\x07" not in output


def test_26_pages_of_ours_may_run_nothing_of_others(own_cloud: RunningCloud) -> None:
    answer = httpx.get(own_cloud.url + "/compute/vnc?path=%3Cscript%3Ealert(1)%3C/script%3E&token=x")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "alert(1)" not in answer.text
    assert answer.headers["referrer-policy"] == "no-referrer" and answer.headers["x-frame-options"] == "DENY"
