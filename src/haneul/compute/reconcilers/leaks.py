"""`compute.leaks`: what belongs to no server, on hosts and in tables. It is mended, and kept for `haneul status` to show."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import delete, func, select

from haneul.compute import servers
from haneul.compute.model import ConsoleTokenRow, MigrationRow, ServerNicRow, ServerRow
from haneul.compute.tasks.create import unplug_all
from haneul.fleet.agents import Agent, Agents, Unreachable
from haneul.fleet.hosts import is_up
from haneul.fleet.model import HostRow
from haneul.host.contract import HostError
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.leaks import forget_old, note
from haneul.kernel.reconcilers import reconciler
from haneul.kernel.tasks import Again, TaskRow
from haneul.kernel.tasks.model import ACTIVE, READY, UNDOING
from haneul.kernel.telemetry import QUEUE_AGE, SERVERS, TASKS
from haneul.placement import allocations

log = structlog.get_logger("leaks")
STUCK_SECONDS = 60.0


@reconciler("compute.leaks", every=60.0)
def find(cloud: Cloud) -> int:
    with cloud.database.read() as tx:
        hosts = [row for row in tx.execute(select(HostRow)).scalars() if is_up(row)]
    mended = sum(_of_host(cloud, host.name) for host in hosts)
    return mended + _of_tables(cloud)


@reconciler("compute.gauges", every=5.0)
def gauges(cloud: Cloud) -> int:
    """Not a repair: the numbers of /metrics that only the database knows."""
    from haneul.compute import states
    with cloud.database.read() as tx:
        rows = tx.execute(select(ServerRow.vm_state, ServerRow.task_state, func.count()).where(
            ServerRow.deleted.is_(False)).group_by(ServerRow.vm_state, ServerRow.task_state)).all()
        tasks = {state: count for state, count in tx.execute(select(TaskRow.state, func.count()).where(
            TaskRow.state.in_(ACTIVE)).group_by(TaskRow.state))}
        oldest = tx.execute(select(func.min(TaskRow.run_at)).where(
            TaskRow.state.in_(ACTIVE), TaskRow.lease_until < clock.seconds())).scalar()
    counts: dict[str, int] = {}
    for vm_state, task_state, count in rows:
        name = states.status(vm_state, task_state)
        counts[name] = counts.get(name, 0) + count
    SERVERS.clear()
    for name, count in counts.items():
        SERVERS.labels(name).set(count)
    for state in (READY, UNDOING):
        TASKS.labels(state).set(tasks.get(state, 0))
    QUEUE_AGE.set(max(0.0, clock.seconds() - oldest) if oldest is not None else 0.0)
    return 0


# ---------------------------------------------------------------- hosts


def _of_host(cloud: Cloud, host: str) -> int:
    """Processes and disks of servers that are not on this host. A leak is what no row claims after the host was asked, so
    that a server made meanwhile is none, and what the host still has after that, so that one that just left is none."""
    try:
        agent = cloud.get(Agents).of(host)
        running, disks = _held(agent)
        with cloud.database.read() as tx:
            strange = [id for id in sorted(running | disks) if _nobodys(tx, host, id)]
        if strange:
            running, disks = _held(agent)
    except (Unreachable, Again, HostError) as error:
        log.info("host not looked at", host=host, error=str(error))
        return 0
    return sum(_remove(cloud, agent, host, id, "process" if id in running else "disk")
               for id in strange if id in running | disks)


def _held(agent: Agent) -> tuple[set[str], set[str]]:
    """Ids of servers: with a process, with disks."""
    return {state.id for state in agent.hypervisor.servers()}, {disk.server_id for disk in agent.disks.disks()}


def _nobodys(tx: Transaction, host: str, server_id: str) -> bool:
    """No server of that id is on the host, or has a task that may be bringing it there or away."""
    row = tx.execute(select(ServerRow.host, ServerRow.deleted).where(ServerRow.id == server_id)).first()
    if row is not None and row[0] == host and not row[1]:
        return False
    return tx.execute(select(TaskRow.seq).where(
        TaskRow.resource == f"server:{server_id}", TaskRow.state.in_(ACTIVE)).limit(1)).first() is None


def _remove(cloud: Cloud, agent: Agent, host: str, server_id: str, kind: str) -> int:
    mended = False
    what = f"a {kind} of server {server_id}, which is not on this host"
    try:
        agent.hypervisor.forget(server_id)
        agent.disks.remove(server_id)
        mended = True
    except (Unreachable, Again, HostError) as error:
        what += f"; it could not be removed: {error}"
    note(cloud, kind, host, server_id, what, mended=mended)
    return int(mended)


# ---------------------------------------------------------------- tables


def _of_tables(cloud: Cloud) -> int:
    mended = 0
    with cloud.database.read() as tx:
        known = set(tx.execute(select(ServerRow.id).where(ServerRow.deleted.is_(False))).scalars())
        known |= set(tx.execute(select(MigrationRow.uuid).where(MigrationRow.status.in_(
            ("pre-migrating", "migrating", "finished")))).scalars())
        gone = allocations.unknown(tx, known)
        stuck = _stuck(tx)
    for consumer in gone:
        with cloud.database.write() as tx:
            allocations.release(tx, consumer)
        note(cloud, "allocation", None, consumer, "room held for a server that is gone")
        mended += 1
    for server_id in stuck:
        mended += _unstick(cloud, server_id)
    with cloud.database.write() as tx:
        forget_old(tx)
        tx.execute(delete(ConsoleTokenRow).where(ConsoleTokenRow.expires < clock.seconds()))
    return mended + _of_ports(cloud)


def _of_ports(cloud: Cloud) -> int:
    """Cards of servers that are gone: their ports, with the addresses, end or are free again."""
    with cloud.database.read() as tx:
        gone = list(tx.execute(select(ServerNicRow.server_id, ServerNicRow.port_id).join(
            ServerRow, ServerRow.id == ServerNicRow.server_id).where(ServerRow.deleted.is_(True))))
    for server_id in sorted({server_id for server_id, _ in gone}):
        with cloud.database.write() as tx:
            unplug_all(tx, server_id)
    for server_id, port_id in gone:
        note(cloud, "port", None, port_id, f"a port of server {server_id}, which is gone")
    return len(gone)


def _stuck(tx: Transaction) -> list[str]:
    """Servers that say they are busy while no task of theirs is unfinished."""
    from datetime import timedelta
    limit = clock.now() - timedelta(seconds=STUCK_SECONDS)
    active: Any = select(TaskRow.resource).where(TaskRow.state.in_(ACTIVE), TaskRow.resource.is_not(None))
    return list(tx.execute(select(ServerRow.id).where(
        ServerRow.deleted.is_(False), ServerRow.task_state.is_not(None), ServerRow.updated_at < limit,
        ("server:" + ServerRow.id).not_in(active))).scalars())


def _unstick(cloud: Cloud, server_id: str) -> int:
    with cloud.database.write() as tx:
        row = servers.by_id(tx, server_id)
        if row is None or row.deleted or row.task_state is None or server_id not in _stuck(tx):
            return 0
        before = row.task_state
        row.task_state, row.updated_at = None, clock.now()
        row.vm_state = "error"
        row.fault = servers.fault(f"The server was left in task state {before} by a task that is no more.")
    note(cloud, "task_state", None, server_id, f"task state {before} without a task")
    return 1
