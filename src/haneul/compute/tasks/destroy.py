"""A server ends. A host that does not answer does not hold it up: what is left there is found by the leak reconciler, and its
volumes are not free before."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select, update

from haneul.compute import personality, placing, servers, states
from haneul.compute.model import ConsoleTokenRow, MigrationRow, ServerRow
from haneul.compute.tasks import volumes
from haneul.compute.tasks.create import unplug_all
from haneul.compute.tasks.machine import OnServer, plain
from haneul.fleet.agents import Agents, Unreachable
from haneul.fleet.hosts import is_up
from haneul.fleet.model import HostRow
from haneul.image import images
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Fault, Task, Work

delete_server = Task("compute.server.delete", OnServer, deadline=900.0)
PATIENCE = 3  # tries on a host that is said to be up


@delete_server.step(deadline=300)
@plain
def destroy(work: Work[OnServer]) -> None:
    """Process, disks and every trace on the host."""
    with work.cloud.database.read() as tx:
        row = servers.by_id(tx, work.arguments.server_id)
        host = tx.get(HostRow, row.host) if row is not None and row.host else None
    if host is None:
        return
    if not is_up(host):
        work.result = {"left": host.name}
        return
    agent = work.cloud.get(Agents).of(host.name)
    try:
        agent.hypervisor.forget(work.arguments.server_id)
        agent.disks.remove(work.arguments.server_id)
    except Unreachable:
        if work.attempt < PATIENCE:
            raise
        work.result = {"left": host.name}


@delete_server.step(deadline=120)
@plain
def release(work: Work[OnServer]) -> None:
    """Ports, volumes, allocations and the row."""
    with work.commit() as tx:
        row = servers.by_id(tx, work.arguments.server_id)
        if row is None or row.deleted:
            return
        unplug_all(tx, row.id)
        volumes.release_all(tx, row, proven="left" not in (work.results.get("destroy") or {}))
        placing.release(tx, row.id)
        for migration in tx.execute(select(MigrationRow.uuid).where(MigrationRow.server_id == row.id)).scalars():
            placing.release(tx, migration)
        tx.execute(update(MigrationRow).where(MigrationRow.server_id == row.id, MigrationRow.status.in_(
            ("pre-migrating", "migrating", "finished"))).values(status="confirmed"))
        if row.config_drive:
            personality.forget(tx, row.id)
        tx.execute(delete(ConsoleTokenRow).where(ConsoleTokenRow.server_id == row.id))
        shelved = row.system.get("shelved_image")
        if shelved:
            images.discard(tx, shelved)
        end(row)


def end(row: ServerRow) -> None:
    now = clock.now()
    row.vm_state, row.task_state, row.power_state = states.DELETED, None, states.NOSTATE
    row.deleted, row.deleted_at, row.terminated_at, row.updated_at = True, now, now, now


@delete_server.failed
def failed(work: Work[Any], tx: Transaction, fault: Fault) -> None:
    row = servers.by_id(tx, work.arguments.server_id)
    if row is not None and not row.deleted:
        row.vm_state, row.task_state, row.updated_at = states.ERROR, None, clock.now()
        row.fault = servers.fault(fault.message, fault.code, fault.details)


