"""Hosts as their agents tell of them: up, silent, disowned, claimed by two."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from haneul.control import build
from haneul.fleet.agents import Agent, Agents, HostReport, Unreachable
from haneul.fleet.hosts import heartbeat
from haneul.fleet.model import HostRow
from haneul.host.contract import HostFacts
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.config import Config, Paths

Answers = dict[str, Any]
ONE, TWO = "http://one", "http://two"


def _facts(name: str) -> HostFacts:
    return HostFacts(name=name, hypervisor="fake", virt="fake", hypervisor_version=1, architecture="x86_64", cpu_model="",
                     cpu_features=[], cpus=4, memory_mib=4096, disk_gib=100, fabric="fake")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What each endpoint answers: names of hosts, or something to call first."""
    told: Answers = {}

    def reports(agent: Agent) -> list[HostReport]:
        names = told.get(agent.endpoint)
        if callable(names):
            names = names()
        if names is None:
            raise Unreachable("nobody there")
        return [HostReport(name=name, facts=_facts(name)) for name in names]

    monkeypatch.setattr(Agent, "reports", reports)
    return told


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    config = Config()
    config.identity.admin_password, config.identity.bcrypt_rounds = "a-password-for-tests", 4
    made, _ = build(config, Paths(tmp_path))
    yield made
    made.database.close()


def known(cloud: Cloud) -> dict[str, tuple[str, str]]:
    with cloud.database.read() as tx:
        return {row.name: (row.state, row.endpoint) for row in tx.query(HostRow)}


def enrol(cloud: Cloud, answers: Answers) -> None:
    """Two hosts behind two endpoints: the local agent enrols both, then each is found at its own place."""
    local = f"unix:{cloud.paths.agent_socket}"
    answers[local] = ["a", "b"]
    heartbeat(cloud)
    with cloud.database.write() as tx:
        for row in tx.query(HostRow):
            row.endpoint = {"a": ONE, "b": TWO}[row.name]
    answers.clear()
    answers.update({ONE: ["a"], TWO: ["b"]})
    heartbeat(cloud)
    assert known(cloud) == {"a": ("up", ONE), "b": ("up", TWO)}


def test_a_host_that_its_agent_disowns_is_unknown_until_it_is_back(cloud: Cloud, answers: Answers) -> None:
    enrol(cloud, answers)
    answers[ONE] = []
    assert heartbeat(cloud) == 1 and heartbeat(cloud) == 0
    assert known(cloud)["a"][0] == "unknown" and known(cloud)["b"][0] == "up"
    answers[ONE] = ["a"]
    heartbeat(cloud)
    assert known(cloud)["a"][0] == "up"


def test_a_heartbeat_of_a_clock_that_was_put_back_is_not_trusted(
        cloud: Cloud, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    enrol(cloud, answers)
    with monkeypatch.context() as patch:
        patch.setattr(clock, "seconds", lambda: time.time() + 3600)
        heartbeat(cloud)
    heartbeat(cloud)
    with cloud.database.read() as tx:
        assert all(row.heartbeat <= time.time() for row in tx.query(HostRow))


def test_an_agent_that_hangs_holds_up_nobody(cloud: Cloud, answers: Answers) -> None:
    enrol(cloud, answers)
    release = threading.Event()
    answers[ONE] = lambda: release.wait(20) and ["a"]
    with cloud.database.write() as tx:
        for row in tx.query(HostRow):
            row.heartbeat = time.time() - 15
    heartbeat(cloud)
    with cloud.database.read() as tx:
        beats = {row.name: time.time() - row.heartbeat for row in tx.query(HostRow)}
    release.set()
    assert beats["b"] < 10 < beats["a"]
    heartbeat(cloud)  # the late answer counts
    with cloud.database.read() as tx:
        assert time.time() - tx.get_one(HostRow, "a").heartbeat < 10


def test_a_host_that_is_up_is_not_taken_over_by_name(cloud: Cloud, answers: Answers) -> None:
    enrol(cloud, answers)
    answers[TWO] = ["b", "a"]
    heartbeat(cloud)
    assert known(cloud)["a"] == ("up", ONE)
    answers[ONE] = None
    with cloud.database.write() as tx:
        tx.get_one(HostRow, "a").state = "down"
    heartbeat(cloud)
    assert known(cloud)["a"] == ("up", TWO)


def test_a_silent_host_is_asked_by_one_call_at_a_time(cloud: Cloud) -> None:
    agents = cloud.get(Agents)
    agent = agents.at("http://127.0.0.1:9", "a")
    agents.silent("http://127.0.0.1:9")
    with agent._probing, pytest.raises(Unreachable, match="at present"):
        agent.call("hypervisor/servers", {})
    with pytest.raises(Unreachable, match="did not answer"):
        agent.call("hypervisor/servers", {})
    agents.heard("http://127.0.0.1:9", {"a"})
    assert not agent.sick
