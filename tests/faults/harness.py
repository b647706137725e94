"""Takes a task and makes it fail, crash and repeat at every step; then looks for what is stuck, leaked or double.

The check is independent of haneul's own leak reconciler: it compares the tables with what the host agent holds.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from msgspec import Struct
from sqlalchemy import text, update

from faults.volume_problems import volume_problems
from haneul.fleet.agents import Agents
from haneul.kernel.tasks import Crash, TaskRow, registered
from running import RunningCloud, wait_until

Mode = Literal["fail", "fail_late", "crash_before", "crash_after", "fail_and_crash_undo"]
EVERY: tuple[Mode, ...] = ("fail", "fail_late", "crash_before", "crash_after", "fail_and_crash_undo")
# What differs by database is the statements, and what becomes of a transaction that is broken off. These two run every
# statement of a task and of its undo, and break off each transaction once; the others repeat them in other orders.
ON_POSTGRESQL: tuple[Mode, ...] = ("crash_before", "fail_and_crash_undo")
MODES = ON_POSTGRESQL if os.environ.get("HANEUL_TEST_DATABASE", "").startswith("postgresql") else EVERY
AT_REST = {"ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED", "RESCUE", "SHELVED", "SHELVED_OFFLOADED", "VERIFY_RESIZE", "ERROR"}
POWER = {"ACTIVE": {"running"}, "PAUSED": {"paused"}, "RESCUE": {"running"}, "SHUTOFF": {"off", None},
         "SUSPENDED": {"suspended", None}, "SHELVED_OFFLOADED": {None}}


class Injected(Exception):
    """The failure that a test asked for."""


class Case(Struct, frozen=True):
    kind: str
    step: str
    mode: Mode

    def __str__(self) -> str:
        return f"{self.kind}-{self.step}-{self.mode}"


def cases(kinds: Callable[[str], bool]) -> list[Case]:
    return [Case(kind, step.name, mode) for kind, task in sorted(registered().items()) if kinds(kind)
            for step in task.steps for mode in MODES]


@contextmanager
def injected(cloud: RunningCloud, case: Case) -> Iterator[list[str]]:
    """While it lasts, the runner misbehaves as the case says; yields what was injected so far."""
    runner, done = cloud.cloud.runner, []

    def crash(row: TaskRow, what: str) -> None:
        done.append(what)
        threading.Timer(0.05, _free_lease, (cloud, row.id)).start()  # instead of waiting for it to run out
        raise Crash

    def hook(point: str, row: TaskRow, step: str) -> None:
        if row.kind != case.kind:
            return
        if step == case.step:
            match case.mode, point:
                case ("fail" | "fail_and_crash_undo", "before_step") | ("fail_late", "before_commit"):
                    done.append("fail")
                    raise Injected("asked for")
                case ("crash_before", "before_commit") | ("crash_after", "after_commit") if not done:
                    crash(row, "crash")
        elif case.mode == "fail_and_crash_undo" and step.startswith("undo ") and point == "before_commit" and step not in done:
            crash(row, step)

    runner.hook = hook
    try:
        yield done
    finally:
        runner.hook = None


def _free_lease(cloud: RunningCloud, task_id: str) -> None:
    with cloud.cloud.database.write() as tx:
        tx.execute(update(TaskRow).where(TaskRow.id == task_id).values(lease_until=0.0))


# ---------------------------------------------------------------- what must hold afterwards


def problems(cloud: RunningCloud) -> list[str]:
    """What contradicts itself in a cloud without unfinished tasks; empty when all is well."""
    found: list[str] = []
    api = cloud.http()
    listed = api.get("/compute/v2.1/servers/detail?all_tenants=1", headers={"OpenStack-API-Version": "compute 2.79"}).json()
    servers = {server["id"]: server for server in listed["servers"]}
    with cloud.cloud.database.read() as tx:
        stuck = [tuple(row) for row in tx.execute(text("SELECT kind, step, waiting_for FROM tasks WHERE finished IS NULL"))]
        consumers = {row[0] for row in tx.execute(text("SELECT DISTINCT consumer_id FROM allocations"))}
        open_moves = {row[0] for row in tx.execute(text(
            "SELECT uuid FROM migrations WHERE status NOT IN ('confirmed', 'reverted', 'error', 'failed')"))}
        ports = {row[0]: (row[1], row[2]) for row in tx.execute(text("SELECT id, device_id, host FROM ports"))}
    found += [f"unfinished task {row}" for row in stuck]
    agent = cloud.cloud.get(Agents).of("host-1")
    running = {state.id: state for state in agent.hypervisor.servers()}
    disks = {state.server_id for state in agent.disks.disks()}
    wired = set(agent.fabric.inventory().ports)
    for server_id, server in servers.items():
        status, task = server["status"], server["OS-EXT-STS:task_state"]
        if status not in AT_REST or task is not None:
            found.append(f"server {server['name']} is in {status} with task_state {task}")
        power = running[server_id].power if server_id in running else None
        if status in POWER and power not in POWER[status]:
            found.append(f"server {server['name']} is {status} and its guest {power}")
        if server["OS-EXT-SRV-ATTR:host"] and server_id not in consumers:
            found.append(f"server {server['name']} on a host without an allocation")
    placed = {server_id for server_id, server in servers.items() if server["OS-EXT-SRV-ATTR:host"]}
    found += [f"guest {gone} of no server" for gone in set(running) - placed]
    found += [f"disks of no server: {gone}" for gone in disks - placed]
    found += [f"allocation of no server: {gone}" for gone in consumers - placed - open_moves]
    for port_id, (device, _) in ports.items():
        if device and device in servers or not device:
            continue
        with cloud.cloud.database.read() as tx:
            owner = tx.execute(text("SELECT device_owner FROM ports WHERE id = :id"), {"id": port_id}).scalar() or ""
        if owner.startswith("compute:"):
            found.append(f"port {port_id} of a server that is gone")
    found += [f"tap of no port {gone}" for gone in wired - set(ports)]
    api.close()
    return found + volume_problems(cloud)


def assert_sound(cloud: RunningCloud) -> None:
    """Nothing stuck, leaked or double. What tasks left for reconcilers gets a moment."""
    cloud.settle(60)
    try:
        wait_until(lambda: not problems(cloud), 10, "a sound cloud")
    except AssertionError:
        raise AssertionError("\n".join(problems(cloud))) from None
