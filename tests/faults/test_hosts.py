"""Hosts that fail: each verb of a boot and of a deletion refused, cut off before and after its work, and stalled; and an agent
that is killed in the middle of much."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from faults.harness import assert_sound, problems
from faults.scenarios import Stage
from running import wait_until

pytestmark = pytest.mark.faults
BOOT = ("disks/has_image", "disks/images", "disks/create", "fabric/apply", "hypervisor/create", "hypervisor/run")
DELETE = ("hypervisor/forget", "disks/remove")
PASSING: dict[str, dict[str, Any]] = {
    "lost before": {"lost": True}, "lost after": {"lost": True, "after": True},
    "lost twice": {"lost": True, "after": True, "times": 2},
    "stalled": {"stall_seconds": 1.5}}
MANY = 20


class Agent:
    """The agent's faults, asked for at its own socket."""

    def __init__(self, stage: Stage) -> None:
        self.http = httpx.Client(transport=httpx.HTTPTransport(uds=str(stage.cloud.paths.agent_socket)), base_url="http://agent")

    def plan(self, verb: str, **fault: Any) -> None:
        answer = self.http.post("/v1/faults", json={"verb": verb, **fault})
        assert answer.status_code == 200, answer.text

    def left(self) -> list[Any]:
        return list(self.http.get("/v1/faults").json())

    def clear(self) -> None:
        assert self.http.delete("/v1/faults").status_code == 200


@pytest.fixture
def agent(stage: Stage) -> Iterator[Agent]:
    found = Agent(stage)
    yield found
    found.clear()


def forget_image(stage: Stage) -> None:
    """So that the next boot sends it again."""
    from haneul.fleet.agents import Agents
    stage.cloud.cloud.get(Agents).of("host-1").disks.drop_image(stage.image_id)


@pytest.mark.parametrize("how", PASSING)
@pytest.mark.parametrize("verb", BOOT)
def test_a_boot_gets_over_what_passes(stage: Stage, agent: Agent, verb: str, how: str) -> None:
    forget_image(stage)
    agent.plan(verb, **PASSING[how])
    stage.boot()
    stage.until("ACTIVE")
    assert sum(fault["times"] for fault in agent.left()) < PASSING[how].get("times", 1), "the verb was never asked for"
    time.sleep(PASSING[how].get("stall_seconds", 0.0))  # a verb that comes after its server's end is the reconciler's
    assert_sound(stage.cloud)


@pytest.mark.parametrize("error", ["failed", "no_room"])
@pytest.mark.parametrize("verb", BOOT)
def test_a_boot_that_cannot_be_is_a_clean_error(stage: Stage, agent: Agent, verb: str, error: str) -> None:
    forget_image(stage)
    agent.plan(verb, error=error, times=-1, message="the shelf is full")
    stage.boot()
    stage.until("ERROR")
    agent.clear()
    found = stage.server()
    assert found is not None
    assert "the shelf is full" in found["fault"]["details"], "the administrator reads what the host said"
    assert found["fault"]["message"].startswith("The host ") and "shelf" not in found["fault"]["message"], found["fault"]
    assert found["fault"]["code"] == (507 if error == "no_room" else 500)
    assert found["OS-EXT-SRV-ATTR:host"] is None
    assert_sound(stage.cloud)


@pytest.mark.parametrize("how", PASSING)
@pytest.mark.parametrize("verb", DELETE)
def test_a_deletion_gets_over_what_passes(stage: Stage, agent: Agent, verb: str, how: str) -> None:
    stage.boot()
    stage.until("ACTIVE")
    agent.plan(verb, **PASSING[how])
    stage.api.delete(f"/compute/v2.1/servers/{stage.server_id}")
    stage.until(None)
    assert not agent.left()
    assert_sound(stage.cloud)


@pytest.mark.parametrize("verb", DELETE)
def test_a_deletion_that_fails_can_be_asked_for_again(stage: Stage, agent: Agent, verb: str) -> None:
    stage.boot()
    stage.until("ACTIVE")
    agent.plan(verb, error="failed", times=-1, message="it will not go")
    stage.api.delete(f"/compute/v2.1/servers/{stage.server_id}")
    stage.until("ERROR")
    agent.clear()
    assert_sound(stage.cloud)
    stage.api.delete(f"/compute/v2.1/servers/{stage.server_id}")
    stage.until(None)
    assert_sound(stage.cloud)


def test_a_host_that_never_answers_does_not_keep_a_deletion(stage: Stage, agent: Agent) -> None:
    """The server is gone for its user; what is left on the host is found and removed once it answers."""
    stage.boot()
    stage.until("ACTIVE")
    gone = stage.server_id
    agent.plan("hypervisor/forget", lost=True, times=-1)
    stage.api.delete(f"/compute/v2.1/servers/{gone}")
    stage.until(None)
    assert [problem for problem in problems(stage.cloud) if str(gone) in problem]
    agent.clear()
    stage.cloud.cloud.reconcilers.run_once("compute.leaks")
    assert_sound(stage.cloud)
    leaks = stage.call("GET", "/haneul/v1/status")["status"]["leaks"]
    assert [leak for leak in leaks if leak["name"] == gone and leak["mended"]]


def test_an_agent_killed_in_the_middle_of_much(stage: Stage) -> None:
    """20 creations and 20 deletions: all are ACTIVE, gone or in an ERROR that says why, and nothing is left over."""

    def boot(number: int) -> str:
        return str(stage.call("POST", "/compute/v2.1/servers", {"server": {
            "name": f"many-{number}", "flavorRef": stage.flavor, "imageRef": stage.image_id,
            "networks": [{"uuid": stage.network_id}]}})["server"]["id"])

    def listed() -> dict[str, dict[str, Any]]:
        return {server["id"]: server for server in stage.call("GET", "/compute/v2.1/servers/detail")["servers"]}

    with ThreadPoolExecutor(8) as pool:
        old = list(pool.map(boot, range(MANY)))
        wait_until(lambda: {server["status"] for server in listed().values()} == {"ACTIVE"}, 60, "the first servers")
        deleted = [pool.submit(stage.call, "DELETE", f"/compute/v2.1/servers/{id}") for id in old]
        made = [pool.submit(boot, number) for number in range(MANY, 2 * MANY)]
        for future in (*deleted[:MANY // 2], *made[:MANY // 2]):
            future.result()
        stage.cloud.kill_agent()
        time.sleep(0.5)
        stage.cloud.start_agent()
        for future in (*deleted, *made):
            future.result()
    new = {future.result() for future in made}
    stage.cloud.settle(120)
    found = listed()
    assert not set(found) & set(old), "what was deleted is gone"
    assert set(found) == new
    for server in found.values():
        assert server["status"] == "ACTIVE" or (server["status"] == "ERROR" and server["fault"]["message"]), server
    for name in ("compute.leaks", "network.fabric"):
        stage.cloud.cloud.reconcilers.run_once(name)
    assert_sound(stage.cloud)
    for id in found:
        stage.call("DELETE", f"/compute/v2.1/servers/{id}")
    wait_until(lambda: not listed(), 60, "the end of all servers")
    assert_sound(stage.cloud)
