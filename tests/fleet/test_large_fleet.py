"""A small large fleet: the number of statements must not grow with it. `benchmarks/fleet.py` is the large one."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import event, func, select

from haneul.fleet.model import HostRow
from haneul.kernel import ids
from haneul.placement.model import Allocation, Inventory
from haneul.placement.scheduler import Ask, claim
from running import RunningCloud, wait_until

HOSTS, SERVERS = 40, 120
COMPUTE, NETWORK = "/compute/v2.1", "/network/v2.0"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    unlimited = dict.fromkeys(("instances", "cores", "ram", "port"), -1)
    running = RunningCloud(tmp_path_factory.mktemp("fleet"), {
        "quota": unlimited, "host": {"name": "host", "fake_hosts": HOSTS, "heartbeat_seconds": 600.0}}).start()
    wait_until(lambda: _hosts_up(running) == HOSTS, 60, "the fleet")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def servers(fleet: RunningCloud) -> list[dict[str, Any]]:
    """Booted in two requests, all ACTIVE."""
    with client(fleet) as http:
        for _ in range(2):
            body = {"name": "many", "flavorRef": flavor(http), "imageRef": image(http), "networks": "none",
                    "min_count": SERVERS // 2, "max_count": SERVERS // 2}
            assert http.post(f"{COMPUTE}/servers", json={"server": body}).status_code == 202
        fleet.settle(120)
        found: list[dict[str, Any]] = http.get(f"{COMPUTE}/servers/detail").json()["servers"]
    return found


def _hosts_up(fleet: RunningCloud) -> int:
    with fleet.cloud.database.read() as tx:
        return int(tx.execute(select(func.count()).select_from(HostRow).where(HostRow.state == "up")).scalar_one())


def client(fleet: RunningCloud) -> httpx.Client:
    http = fleet.http("admin")
    http.headers["OpenStack-API-Version"] = "compute 2.79"
    return http


def flavor(http: httpx.Client) -> str:
    wanted = {"name": f"small-{ids.new_hex()[:8]}", "vcpus": 1, "ram": 64, "disk": 1}
    return str(http.post(f"{COMPUTE}/flavors", json={"flavor": wanted}).json()["flavor"]["id"])


def image(http: httpx.Client) -> str:
    made = http.post("/image/v2/images", json={"name": "small", "disk_format": "raw", "container_format": "bare"}).json()
    http.put(f"/image/v2/images/{made['id']}/file", content=b"\0" * 4096,
             headers={"Content-Type": "application/octet-stream"}).raise_for_status()
    return str(made["id"])


@contextlib.contextmanager
def statements(fleet: RunningCloud, *threads: str) -> Iterator[list[str]]:
    """The statements of this thread, or of those whose names begin so, while the block runs. Locks, that only PostgreSQL is
    asked for, are not counted: the numbers hold for SQLite."""
    found: list[str] = []
    mine = threading.current_thread()

    def note(*arguments: Any) -> None:
        present = threading.current_thread()
        if (present.name.startswith(threads) if threads else present is mine) and "pg_advisory" not in arguments[2]:
            found.append(arguments[2])

    engine = fleet.cloud.database.engine
    event.listen(engine, "before_cursor_execute", note)
    yield found
    event.remove(engine, "before_cursor_execute", note)


def test_servers_spread_over_the_fleet_and_nothing_is_claimed_twice(
        fleet: RunningCloud, servers: list[dict[str, Any]]) -> None:
    assert len(servers) == SERVERS
    assert {server["status"] for server in servers} == {"ACTIVE"}
    hosts = Counter(server["OS-EXT-SRV-ATTR:host"] for server in servers)
    assert len(hosts) == HOSTS and max(hosts.values()) - min(hosts.values()) <= 2
    with fleet.cloud.database.read() as tx:
        held = {consumer: count for consumer, count in tx.execute(select(
            Allocation.consumer_id, func.count(Allocation.provider_id.distinct())).group_by(Allocation.consumer_id))}
        used = tx.execute(select(func.sum(Inventory.used)).where(Inventory.resource_class == "VCPU")).scalar_one()
    assert all(held[server["id"]] == 1 for server in servers)
    assert used == SERVERS


@pytest.mark.parametrize(("path", "most"), [
    (f"{COMPUTE}/servers?limit=1000", 1), (f"{COMPUTE}/servers/detail?limit=1000", 6), (f"{COMPUTE}/servers/detail?limit=10", 6),
    (f"{COMPUTE}/os-services", 2), (f"{COMPUTE}/os-hypervisors/detail", 4)])
def test_a_page_costs_the_same_however_long(fleet: RunningCloud, servers: list[dict[str, Any]], path: str, most: int) -> None:
    with client(fleet) as http, statements(fleet, "request") as found:
        assert http.get(path).status_code == 200
    assert len(found) <= most, found


def test_pages_hold_every_server_once(fleet: RunningCloud, servers: list[dict[str, Any]]) -> None:
    seen: list[str] = []
    with client(fleet) as http:
        marker = ""
        while page := http.get(f"{COMPUTE}/servers?limit=17{marker}").json()["servers"]:
            seen += [server["id"] for server in page]
            marker = f"&marker={page[-1]['id']}"
    assert len(seen) == len(set(seen)) == SERVERS


def test_a_decision_asks_as_much_of_forty_hosts_as_of_one(fleet: RunningCloud, servers: list[dict[str, Any]]) -> None:
    ask = Ask(consumer_id=ids.new(), project_id="p", user_id="u", resources={"VCPU": 1, "MEMORY_MB": 64, "DISK_GB": 1})
    with contextlib.suppress(_Undone), fleet.cloud.database.write() as tx, statements(fleet) as found:
        assert claim(tx, ask).host.startswith("host-")
        assert len(found) <= 8, found
        raise _Undone


class _Undone(Exception):
    """Rolls back."""


@pytest.mark.parametrize(("reconciler", "most"), [("fleet.heartbeat", 5), ("compute.power", 2), ("compute.gauges", 3)])
def test_looking_after_a_quiet_fleet_costs_few_statements(
        fleet: RunningCloud, servers: list[dict[str, Any]], reconciler: str, most: int) -> None:
    with statements(fleet) as found:
        fleet.cloud.reconcilers.run_once(reconciler)
    assert len(found) <= most, found


def test_a_port_and_a_boot_stay_within_the_specification(fleet: RunningCloud, servers: list[dict[str, Any]]) -> None:
    with client(fleet) as http:
        network = http.post(f"{NETWORK}/networks", json={"network": {"name": "n"}}).json()["network"]["id"]
        http.post(f"{NETWORK}/subnets", json={"subnet": {
            "network_id": network, "ip_version": 4, "cidr": "10.9.0.0/24"}}).raise_for_status()
        http.post(f"{NETWORK}/ports", json={"port": {"network_id": network}}).raise_for_status()  # makes the default group
        with statements(fleet, "request") as found:
            http.post(f"{NETWORK}/ports", json={"port": {"network_id": network}}).raise_for_status()
        assert len(found) <= 15, found
        body = {"name": "one", "flavorRef": flavor(http), "imageRef": image(http), "networks": [{"uuid": network}]}
        with statements(fleet, "request", "task-") as found:
            made = http.post(f"{COMPUTE}/servers", json={"server": body}).json()["server"]
            wait_until(lambda: fleet.cloud.runner.idle(), 30, "the boot's end")
        assert len(found) <= 60, found
        assert http.get(f"{COMPUTE}/servers/{made['id']}").json()["server"]["status"] == "ACTIVE"
