"""One of each thing that belongs to nothing, planted, found, mended and told; and nothing of what is being made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text, update

from faults.harness import assert_sound
from faults.scenarios import Stage
from haneul.compute.model import ServerNicRow, ServerRow
from haneul.fleet.agents import Agent, Agents
from haneul.host.contract import DiskSpec, FabricState, NetworkSpec, PortSpec, ServerSpec
from haneul.kernel import clock, ids
from haneul.placement.model import Allocation, Consumer
from running import wait_until

pytestmark = pytest.mark.faults
RECONCILERS = ("compute.leaks", "network.fabric", "image.store", "placement.used")


def agent_of(stage: Stage) -> Agent:
    return stage.cloud.cloud.get(Agents).of("host-1")


def mend(stage: Stage) -> None:
    for name in RECONCILERS:
        stage.cloud.cloud.reconcilers.run_once(name)


def told(stage: Stage) -> dict[tuple[str, str], dict[str, Any]]:
    """What `haneul status` shows."""
    return {(leak["kind"], leak["name"]): leak for leak in stage.call("GET", "/haneul/v1/status")["status"]["leaks"]}


def plant_disk(stage: Stage) -> tuple[str, str, Callable[[], bool]]:
    agent, id = agent_of(stage), ids.new()
    agent.disks.create(id, "root", "qcow2", 1 << 30)
    return "disk", id, lambda: id not in {disk.server_id for disk in agent.disks.disks()}


def plant_guest(stage: Stage) -> tuple[str, str, Callable[[], bool]]:
    agent, id = agent_of(stage), ids.new()
    agent.disks.create(id, "root", "qcow2", 1 << 30)
    agent.hypervisor.create(ServerSpec(id=id, name="orphan", vcpus=1, memory_mib=64, nics=[],
                                       disks=[DiskSpec(name="root", format="qcow2", boot_index=0)]))
    agent.hypervisor.run(id)
    return "process", id, lambda: id not in {state.id for state in agent.hypervisor.servers()} | {
        disk.server_id for disk in agent.disks.disks()}


def plant_tap(stage: Stage) -> tuple[str, str, Callable[[], bool]]:
    fabric, port, network = agent_of(stage).fabric, ids.new(), ids.new()
    fabric.apply(FabricState(networks=[NetworkSpec(id=network, type="vxlan", segmentation_id=4000)],
                             ports=[PortSpec(id=port, network_id=network, mac="fa:16:3e:00:00:01", fixed_ips=[])]))
    assert port in fabric.inventory().ports
    return "fabric", port, lambda: port not in fabric.inventory().ports and network not in fabric.inventory().networks


def plant_allocation(stage: Stage) -> tuple[str, str, Callable[[], bool]]:
    stage.boot()
    stage.until("ACTIVE")
    database, id = stage.cloud.cloud.database, ids.new()
    with database.write() as tx:
        real = tx.query(Consumer).filter_by(id=stage.server_id).one()
        values = {column.key: getattr(real, column.key) for column in Consumer.__mapper__.column_attrs}
        tx.execute(insert(Consumer), [{**values, "id": id, "created_at": clock.now() - timedelta(seconds=120)}])
        for row in tx.query(Allocation).filter_by(consumer_id=stage.server_id).all():
            kept = {column.key: getattr(row, column.key) for column in Allocation.__mapper__.column_attrs if column.key != "id"}
            tx.execute(insert(Allocation), [{**kept, "consumer_id": id}])

    def gone() -> bool:
        with database.read() as tx:
            return tx.query(Allocation).filter_by(consumer_id=id).count() == 0

    return "allocation", id, gone


def plant_port(stage: Stage) -> tuple[str, str, Callable[[], bool]]:
    """The card of a server whose row says that it is gone: with it an address is held."""
    port = stage.call("POST", "/network/v2.0/ports", {"port": {"network_id": stage.network_id}})["port"]["id"]
    stage.boot()
    stage.until("ACTIVE")
    server = stage.server_id
    stage.clean()
    with stage.cloud.cloud.database.write() as tx:
        tx.execute(insert(ServerNicRow), [{"port_id": port, "server_id": server, "position": 0, "ours": True, "tag": None}])
    return "port", port, lambda: stage.api.get(f"/network/v2.0/ports/{port}").status_code == 404


def plant_state(stage: Stage) -> tuple[str, str, Callable[[], bool]]:
    """A server that waits for a task that there is not."""
    stage.boot()
    stage.until("ACTIVE")
    id = str(stage.server_id)
    with stage.cloud.cloud.database.write() as tx:
        tx.execute(update(ServerRow).where(ServerRow.id == id).values(
            task_state="rebooting", updated_at=clock.now() - timedelta(seconds=120)))
    return "task_state", id, lambda: stage.status() == "ERROR" and stage.server()["OS-EXT-STS:task_state"] is None  # type: ignore[index]


@pytest.mark.parametrize("plant", [plant_disk, plant_guest, plant_tap, plant_allocation, plant_port, plant_state],
                         ids=lambda plant: plant.__name__.removeprefix("plant_"))
def test_what_belongs_to_nothing_is_mended_and_told(
        stage: Stage, plant: Callable[[Stage], tuple[str, str, Callable[[], bool]]]) -> None:
    kind, name, gone = plant(stage)
    assert not gone()
    mend(stage)
    wait_until(gone, 10, f"the end of {kind} {name}")
    leak = told(stage)[kind, name]
    assert leak["mended"] and leak["what"], leak
    stage.clean()
    assert_sound(stage.cloud)


def test_what_cannot_be_mended_is_told_too(stage: Stage) -> None:
    import httpx
    agent = httpx.Client(transport=httpx.HTTPTransport(uds=str(stage.cloud.paths.agent_socket)), base_url="http://agent")
    _, id, gone = plant_guest(stage)
    agent.post("/v1/faults", json={"verb": "hypervisor/forget", "error": "failed", "times": -1, "message": "stuck fast"})
    mend(stage)
    assert not gone()
    leak = told(stage)["process", id]
    assert not leak["mended"] and "stuck fast" in leak["what"]
    agent.delete("/v1/faults")
    mend(stage)
    assert gone() and told(stage)["process", id]["mended"]


def test_leaks_are_forgotten_after_a_week(stage: Stage) -> None:
    from haneul.kernel import leaks
    leaks.note(stage.cloud.cloud, "disk", "host-1", "long ago", "a disk")
    with stage.cloud.cloud.database.write() as tx:
        tx.execute(text("UPDATE leaks SET found = found - :week WHERE name = 'long ago'"), {"week": leaks.KEEP_SECONDS + 1})
    assert ("disk", "long ago") in told(stage)
    mend(stage)
    assert ("disk", "long ago") not in told(stage)


def test_what_is_being_made_or_ended_is_no_leak(stage: Stage) -> None:
    """Servers come, shelve, come back and go while every reconciler looks as often as it can: none is told a leak."""
    before, ended = set(told(stage)), threading.Event()

    def look() -> int:
        rounds = 0
        while not ended.is_set():
            mend(stage)
            rounds += 1
        return rounds

    def life(number: int) -> None:
        mine = Stage.__new__(Stage)
        mine.__dict__.update(stage.__dict__)
        mine.boot()
        mine.until("ACTIVE")
        if number % 3 == 0:
            mine.to("shelve", "SHELVED_OFFLOADED")
            mine.to("unshelve", "ACTIVE")
        elif number % 3 == 1:
            mine.to("resize", "VERIFY_RESIZE", {"flavorRef": mine.large})
            mine.to("revertResize", "ACTIVE")
        mine.call("DELETE", f"/compute/v2.1/servers/{mine.server_id}")
        mine.until(None)

    with ThreadPoolExecutor(6) as pool:
        looking = pool.submit(look)
        lives = [pool.submit(life, number) for number in range(15)]
        try:
            for future in lives:
                future.result()
        finally:
            ended.set()
        assert looking.result() > 3
    assert set(told(stage)) == before
    assert_sound(stage.cloud)
