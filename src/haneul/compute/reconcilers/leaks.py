"""`compute.leaks`: what belongs to no server, on hosts and in tables. It is mended, and kept for `haneul status` to show."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy import delete, func, select

from haneul.compute import servers
from haneul.compute.model import ConsoleTokenRow, LeakRow, MigrationRow, ServerNicRow, ServerRow
from haneul.fleet.agents import Agent, Agents, Unreachable
from haneul.fleet.hosts import is_up
from haneul.fleet.model import HostRow
from haneul.host.contract import HostError
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.reconcilers import reconciler
from haneul.kernel.tasks import Again, TaskRow
from haneul.kernel.tasks.model import ACTIVE, READY, UNDOING
from haneul.kernel.telemetry import QUEUE_AGE, SERVERS, TASKS
from haneul.placement import allocations

log = structlog.get_logger("leaks")
KEEP_SECONDS = 7 * 86400.0
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
    """Processes and disks of servers that are not on this host. Two looks: only what no row claims after the host was
    asked is a leak, so that a server made meanwhile is none."""
    try:
        agent = cloud.get(Agents).of(host)
        running = {state.id for state in agent.hypervisor.servers()}
        disks = {disk.server_id for disk in agent.disks.disks()}
    except (Unreachable, Again, HostError) as error:
        log.info("host not looked at", host=host, error=str(error))
        return 0
    with cloud.database.read() as tx:
        strange = [id for id in sorted(running | disks) if _nobodys(tx, host, id)]
    mended = 0
    for server_id in strange:
        kind = "process" if server_id in running else "disk"
        mended += _remove(cloud, agent, host, server_id, kind)
    return mended


def _nobodys(tx: Transaction, host: str, server_id: str) -> bool:
    """No server of that id is on the host, or has a task that may be bringing it there or away."""
    row = tx.execute(select(ServerRow.host, ServerRow.deleted).where(ServerRow.id == server_id)).first()
    if row is not None and row[0] == host and not row[1]:
        return False
    return tx.execute(select(TaskRow.seq).where(
        TaskRow.resource == f"server:{server_id}", TaskRow.state.in_(ACTIVE)).limit(1)).first() is None


def _remove(cloud: Cloud, agent: Agent, host: str, server_id: str, kind: str) -> int:
    mended: float | None = None
    what = f"a {kind} of server {server_id}, which is not on this host"
    try:
        agent.hypervisor.forget(server_id)
        agent.disks.remove(server_id)
        mended = clock.seconds()
    except (Unreachable, Again, HostError) as error:
        what += f"; it could not be removed: {error}"
    note(cloud, kind, host, server_id, what, mended)
    return 1 if mended else 0


def note(cloud: Cloud, kind: str, host: str | None, name: str, what: str, mended: float | None) -> None:
    log.warning("leak", kind=kind, host=host, name=name, mended=mended is not None)
    with cloud.database.write() as tx:
        row = tx.get(LeakRow, f"{kind}/{host or ''}/{name}")
        if row is None:
            row = LeakRow(id=f"{kind}/{host or ''}/{name}", kind=kind, host=host, name=name, found=clock.seconds())
            tx.add(row)
        row.what, row.mended = what, mended


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
        note(cloud, "allocation", None, consumer, "room held for a server that is gone", clock.seconds())
        mended += 1
    for server_id in stuck:
        mended += _unstick(cloud, server_id)
    with cloud.database.write() as tx:
        tx.execute(delete(LeakRow).where(LeakRow.found < clock.seconds() - KEEP_SECONDS))
        tx.execute(delete(ConsoleTokenRow).where(ConsoleTokenRow.expires < clock.seconds()))
        tx.execute(delete(ServerNicRow).where(ServerNicRow.server_id.in_(
            select(ServerRow.id).where(ServerRow.deleted.is_(True)))))
    return mended


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
    note(cloud, "task_state", None, server_id, f"task state {before} without a task", clock.seconds())
    return 1
