"""The agent as a process: its socket, its verbs by path, streams, faults, restart."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from guests import DISK_BYTES, boot_sector, wait
from websockets.exceptions import InvalidStatus
from websockets.sync.client import unix_connect

from haneul.host import contract
from haneul.host.disks import qcow2
from haneul.host.hypervisor.qemu.process import find_below
from haneul.host.verbs import every_verb


class Agent:
    def __init__(self, state: Path, **host: Any) -> None:
        self.state = state
        self.config = json.dumps({"host": {"name": "testhost", "hypervisor": "fake"} | host})
        self.socket = state / "run" / "agent.sock"
        self.start()

    def start(self, *, expect: bool = True) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "haneul.host.agent", "--state", str(self.state), "--config", self.config,
             "--socket-group", "12345"], stderr=subprocess.PIPE, text=True)
        if not expect:
            return
        self.http = httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket)), base_url="http://agent", timeout=30)
        wait(self._answers, "agent")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
        try:
            return self.http.get("/v1/hosts").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, how: int = signal.SIGTERM) -> int:
        self.http.close()
        self.process.send_signal(how)
        code = self.process.wait(20)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def verb(self, path: str, status: int = 200, **arguments: Any) -> Any:
        answer = self.http.post(f"/v1/{path}", json=arguments)
        assert answer.status_code == status, answer.text
        return answer.json()

    def put_image(self, content: bytes, format: str = "raw", prefix: str = "", sha512: str = "") -> httpx.Response:
        return self.http.put(f"/v1/{prefix}disks/images/image", content=content,
                             params={"format": format, "sha512": sha512 or hashlib.sha512(content).hexdigest()})

    def servers(self) -> list[dict[str, Any]]:
        """Of the first host."""
        found: list[dict[str, Any]] = self.http.get("/v1/hosts").json()[0]["servers"]
        return sorted(found, key=lambda server: server["id"])

    def server(self, prefix: str = "") -> str:
        id = str(uuid.uuid4())
        self.verb(f"{prefix}disks/create", server_id=id, name="root", format="qcow2", size_bytes=DISK_BYTES)
        self.verb(f"{prefix}hypervisor/create", spec={"id": id, "name": "web", "vcpus": 1, "memory_mib": 32, "disks": [
            {"name": "root", "format": "qcow2", "boot_index": 0}]})
        self.verb(f"{prefix}hypervisor/run", id=id)
        return id


@pytest.fixture
def agent(state: Path) -> Iterator[Agent]:
    made = Agent(state)
    yield made
    made.stop()


@pytest.fixture
def real_agent(state: Path) -> Iterator[Agent]:
    made = Agent(state, hypervisor="qemu", fabric="fake")
    yield made
    for server in made.servers():
        made.verb("hypervisor/forget", id=server["id"])
    made.stop()


def test_every_abstract_method_is_a_verb(agent: Agent) -> None:
    assert {path.partition("/")[0] for path in every_verb()} == {"hypervisor", "disks", "fabric", "volumes", "transfers"}
    for path in every_verb():
        answer = agent.http.post(f"/v1/{path}", json={"no such argument": 1})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_arguments"), path


def test_the_socket_is_for_its_group_only(agent: Agent) -> None:
    found = agent.socket.stat()
    assert stat.S_IMODE(found.st_mode) == 0o660 and found.st_gid == 12345
    assert (agent.state / "run" / "agent.pid").read_text() == f"{agent.process.pid}\n"


def test_errors_have_their_status_and_code(agent: Agent) -> None:
    id = agent.server()
    agent.verb("disks/create", server_id="off", name="root", format="qcow2", size_bytes=DISK_BYTES)
    for path, arguments, status, code in [
        ("hypervisor/run", {"id": "none"}, 404, "not_there"), ("hypervisor/vnc_socket", {"id": id}, 409, "conflict"),
        ("hypervisor/run", {}, 400, "bad_arguments"), ("hypervisor/run", {"id": 3}, 400, "bad_arguments"),
        ("disks/resize", {"server_id": id, "name": "root", "size_bytes": 1}, 409, "conflict"),
        ("disks/resize", {"server_id": "off", "name": "root", "size_bytes": 1}, 422, "refused"),
        ("hypervisor/none", {}, 404, "no_such_path"), ("hypervisor/run/more", {"id": id}, 404, "no_such_path"),
    ]:
        answer = agent.http.post(f"/v1/{path}", json=arguments)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.json()["message"]
    assert agent.http.post("/v1/hypervisor/run", content=b"{").status_code == 400
    assert agent.http.get("/v1/hypervisor/run").status_code == 404


def test_streams_in_and_out(agent: Agent) -> None:
    content = qcow2.empty(DISK_BYTES) + os.urandom(3 << 20)
    assert agent.put_image(content, "qcow2").json()["bytes"] == len(content)
    assert agent.put_image(content, "raw").json()["code"] == "refused"
    assert agent.put_image(content, "qcow2", sha512="0" * 128).status_code == 422
    id = agent.server()
    size = agent.verb("disks/snapshot", server_id=id, name="root", snapshot_id="snap")["bytes"]
    answer = agent.http.get("/v1/disks/snapshots/snap")
    assert len(answer.content) == size == int(answer.headers["content-length"])
    assert agent.http.get("/v1/disks/snapshots/none").status_code == 404


def test_transfers_in_and_out(agent: Agent) -> None:
    content = os.urandom(3 << 20)
    wish = {"format": "raw", "sha512": hashlib.sha512(content).hexdigest()}
    for _ in range(2):
        assert agent.http.put("/v1/transfers/t", content=content, params=wish).json() == {
            "id": "t", "format": "raw", "bytes": len(content)}
    assert agent.http.get("/v1/transfers/t").content == content
    assert agent.http.get("/v1/transfers/t", params={"offset": 7, "length": 2 << 20}).content == content[7:7 + (2 << 20)]
    assert agent.http.get("/v1/transfers/t", params={"offset": len(content)}).content == b""
    for wrong, status in (({"offset": 1, "length": len(content)}, 422), ({"offset": -1}, 400), ({"offset": "x"}, 400)):
        assert agent.http.get("/v1/transfers/t", params=wrong).status_code == status
    agent.verb("transfers/begin", id="r", size_bytes=4 << 20)
    assert agent.http.put("/v1/transfers/r", content=content, params={"offset": 1 << 20}).json()["bytes"] == 4 << 20
    assert agent.http.get("/v1/transfers/r").content == bytes(1 << 20) + content
    assert agent.verb("transfers/extents", id="r") == [{"offset": 1 << 20, "length": 3 << 20}]
    assert agent.http.put("/v1/transfers/r", content=content, params={"offset": 2 << 20}).status_code == 422
    assert agent.http.put("/v1/transfers/r", content=content).status_code == 400
    assert agent.http.put("/v1/transfers/none", content=content, params={"offset": 0}).status_code == 404
    for path in ("none", "../cloud-id", "a/b", ""):
        assert agent.http.get(f"/v1/transfers/{path}").status_code == 404, path
    made = agent.verb("volumes/create_from_transfer", backend="file", name="v", format="raw", size_bytes=4 << 20, transfer="t")
    assert (made["size_bytes"], made["format"]) == (4 << 20, "raw")
    agent.verb("volumes/volumes", 404, backend="other")


def test_an_upload_that_breaks_off_leaves_nothing(real_agent: Agent) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * (3 << 20)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        real_agent.http.put("/v1/disks/images/image", content=broken(), params={"format": "raw", "sha512": "0" * 128})
    with pytest.raises(ConnectionError):
        real_agent.http.put("/v1/transfers/image", content=broken(), params={"format": "raw", "sha512": "0" * 128})
    for folder in ("images", "transfers"):
        left = real_agent.state / "host" / folder
        wait(lambda: not any(left.iterdir()), "the partial file goes")  # noqa: B023


def test_faults_are_used_up(agent: Agent) -> None:
    id = agent.server()
    agent.http.post("/v1/faults", json={"verb": "hypervisor/pause", "error": "no_room", "times": 2})
    agent.http.post("/v1/faults", json={"verb": "hypervisor/kill", "error": "failed", "after": True})
    agent.http.post("/v1/faults", json={"verb": "hypervisor/reset", "stall_seconds": 0.3})
    for _ in range(2):
        agent.verb("hypervisor/pause", 507, id=id)
    assert agent.verb("hypervisor/pause", id=id)["power"] == "paused"
    agent.verb("hypervisor/kill", 500, id=id)
    assert agent.verb("hypervisor/server", id=id)["power"] == "off"
    began = time.monotonic()
    agent.verb("hypervisor/reset", 409, id=id)
    assert time.monotonic() - began >= 0.3
    assert agent.http.get("/v1/faults").json() == []
    assert agent.http.post("/v1/faults", json={"error": "nonsense"}).status_code == 422
    agent.http.post("/v1/faults", json={"times": -1, "error": "failed"})
    agent.verb("hypervisor/kill", 500, id=id)
    agent.http.delete("/v1/faults")
    assert agent.verb("hypervisor/kill", id=id)["power"] == "off"


def test_a_fake_guest_can_crash(agent: Agent) -> None:
    id = agent.server()
    agent.verb("fake/power", id=id, power="crashed", reason="triple fault")
    assert agent.verb("hypervisor/server", id=id)["reason"] == "triple fault"


def test_many_fake_hosts_in_one_process(state: Path) -> None:
    agent = Agent(state, fake_hosts=200)
    try:
        hosts = agent.http.get("/v1/hosts").json()
        assert [host["name"] for host in hosts[:2]] == ["testhost-0001", "testhost-0002"] and len(hosts) == 200
        plain, other = agent.server(), agent.server("hosts/testhost-0200/")
        shown = {host["name"]: [server["id"] for server in host["servers"]] for host in agent.http.get("/v1/hosts").json()}
        assert shown["testhost-0001"] == [plain] and shown["testhost-0200"] == [other]
        agent.verb("hosts/testhost-0002/hypervisor/server", 404, id=plain)
        agent.verb("hosts/nobody/hypervisor/server", 404, id=plain)
        content = boot_sector(b"\xf4")
        assert agent.put_image(content, prefix="hosts/testhost-0007/").status_code == 200
        assert not agent.verb("disks/has_image", id="image")
        assert agent.verb("hosts/testhost-0007/disks/has_image", id="image")
    finally:
        agent.stop()


def test_a_fake_host_remembers_after_kill_9(state: Path) -> None:
    agent = Agent(state)
    id = agent.server()
    agent.put_image(boot_sector(b"\xf4"))
    before = agent.http.get("/v1/hosts").json()
    agent.stop(signal.SIGKILL)
    with open(state / "host" / "fake" / "testhost.jsonl", "ab") as file:
        file.write(b'["server","' + id.encode())  # a write that was cut off
    agent.start()
    assert agent.http.get("/v1/hosts").json()[0]["servers"] == before[0]["servers"]
    assert agent.verb("disks/has_image", id="image")
    agent.stop()


def test_only_one_agent_for_a_state_directory(agent: Agent) -> None:
    first = agent.process
    agent.start(expect=False)
    second, agent.process = agent.process, first
    _, said = second.communicate(timeout=20)
    assert second.returncode == 1 and f"runs already for {agent.state} (pid {first.pid})" in said


@pytest.mark.parametrize("config", ['{"host": {"nonsense": 1}}', '{"volume": {"backends": {"nonsense": {"driver": "no"}}}}'])
def test_bad_configuration_is_a_sentence(state: Path, config: str) -> None:
    done = subprocess.run([sys.executable, "-m", "haneul.host.agent", "--state", str(state), "--config",
                           config], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "nonsense" in done.stderr and "Traceback" not in done.stderr


def test_the_agent_is_lean(agent: Agent) -> None:
    """Neither the database's nor the API's libraries; their weight is more than all it needs itself."""
    maps = Path(f"/proc/{agent.process.pid}/maps").read_text()
    assert "sqlalchemy" not in maps and "psycopg" not in maps
    program = "import haneul.host.agent, haneul.host.hypervisor.qemu, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"sqlalchemy", "litestar", "structlog", "oslo_utils", "httpx", "pydantic"}


@pytest.mark.real
def test_guests_outlive_their_agent(real_agent: Agent) -> None:
    agent = real_agent
    ids = {agent.server() for _ in range(3)}
    before = agent.servers()
    for how in (signal.SIGTERM, signal.SIGKILL):
        agent.stop(how)
        agent.start()
        assert agent.servers() == before
    assert {server["id"] for server in before} == ids
    for id in ids:
        assert agent.verb("hypervisor/pause", id=id)["power"] == "paused"


@pytest.mark.real
def test_kill_9_in_the_middle_of_creations(real_agent: Agent) -> None:
    agent = real_agent
    ids = [str(uuid.uuid4()) for _ in range(8)]
    specs = [{"id": id, "name": "web", "vcpus": 1, "memory_mib": 32, "disks": [{"name": "root", "format": "qcow2"}]}
             for id in ids]
    agent.verb("disks/create", server_id=ids[0], name="root", format="qcow2", size_bytes=DISK_BYTES)

    def create(spec: dict[str, Any]) -> None:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(agent.socket)), base_url="http://agent") as http:
            for path, body in (("disks/create", {"server_id": spec["id"], "name": "root", "format": "qcow2",
                                                 "size_bytes": DISK_BYTES}), ("hypervisor/create", {"spec": spec})):
                try:
                    http.post(f"/v1/{path}", json=body, timeout=30)
                except httpx.TransportError:
                    return

    with ThreadPoolExecutor(8) as pool:
        for pause in (0.05, 0.15, 0.25):
            asked = [pool.submit(create, spec) for spec in specs]
            time.sleep(pause)
            agent.stop(signal.SIGKILL)
            for each in asked:
                each.result()
            agent.start()
    for spec in specs:
        create(spec)
    servers = agent.servers()
    assert {server["id"] for server in servers} == set(ids) and {server["power"] for server in servers} == {"paused"}
    folder = agent.state / "host" / "servers"
    assert sorted(find_below(folder).values()) == sorted(server["pid"] for server in servers)
    assert not list(agent.state.rglob(".partial-*"))


@pytest.mark.real
def test_the_screen_comes_through_a_websocket(real_agent: Agent) -> None:
    id = real_agent.server()
    with unix_connect(str(real_agent.socket), f"ws://agent/v1/servers/{id}/vnc", subprotocols=["binary"]) as screen:  # type: ignore[list-item]
        assert screen.subprotocol == "binary"
        assert screen.recv(10) == b"RFB 003.008\n"
        screen.send(b"RFB 003.008\n")
        assert screen.recv(10) == b"\x01\x01"  # one security type: none; the socket is guarded by its folder
    real_agent.verb("hypervisor/kill", id=id)
    with pytest.raises(InvalidStatus):
        unix_connect(str(real_agent.socket), f"ws://agent/v1/servers/{id}/vnc")


def test_a_contract_verb_without_glue() -> None:
    """What a verb takes is read from its signature, defaults included."""

    class Driver:
        def console_log(self, id: str, tail_bytes: int = 0) -> tuple[str, int]:
            return id, tail_bytes

    verb = every_verb()["hypervisor/console_log"]
    assert verb.call(Driver(), b'{"id": "x"}') == ("x", 1 << 20)
    assert set(every_verb()) >= {f"disks/{name}" for name in contract.Disks.__abstractmethods__}
