"""`compute.power`: what hosts say of their servers against what the rows say.

A guest that turned itself off is SHUTOFF, one whose process broke is SHUTOFF with a fault that says why, and after a host came
back servers that should run are started again. Rows with a task under way are that task's business.
"""

from __future__ import annotations

import threading
from typing import Any

import structlog
from sqlalchemy import bindparam, select

from haneul.compute import actions, history, servers, states
from haneul.compute.model import MigrationRow, ServerRow
from haneul.fleet.agents import Agents, Unreachable
from haneul.fleet.hosts import Listeners
from haneul.host.contract import HostError, ServerState
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.context import system
from haneul.kernel.database import Transaction
from haneul.kernel.reconcilers import reconciler
from haneul.kernel.tasks import Again, TaskRow
from haneul.kernel.tasks.model import ACTIVE

log = structlog.get_logger("power")
_SHOULD_RUN = (states.ACTIVE, states.RESCUED)
_servers: Any = ServerRow.__table__
_RESTING = select(_servers.c.id, _servers.c.host, _servers.c.vm_state, _servers.c.power_state, _servers.c.updated_at).where(
    _servers.c.host.in_(bindparam("hosts", expanding=True)), _servers.c.deleted.is_(False), _servers.c.task_state.is_(None))


class Reports:
    """The last word of each host, and which hosts came back since the last look. `cloud.get(Reports)`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, tuple[float, list[ServerState]]] = {}

    def keep(self, cloud: Cloud, host: str, found: list[ServerState]) -> None:
        with self._lock:
            self._latest[host] = (clock.seconds(), found)

    def take(self) -> dict[str, tuple[float, list[ServerState]]]:
        with self._lock:
            found, self._latest = self._latest, {}
        return found


def listen(cloud: Cloud) -> None:
    reports = Reports()
    cloud.put(reports)
    cloud.get(Listeners).reported.append(reports.keep)


@reconciler("compute.power", every=2.0, beside="fleet.heartbeat")
def compare(cloud: Cloud) -> int:
    with cloud.database.read() as tx:
        suspects = _suspects(tx, cloud.get(Reports).take())
    mended = sum(_mend_on(cloud, host, server_ids) for host, server_ids in suspects.items())
    return mended + _auto_confirm(cloud)


def _suspects(tx: Transaction, reports: dict[str, tuple[float, list[ServerState]]]) -> dict[str, list[str]]:
    """By host, ids of servers whose rows differ from the report, were not changed since, and have no task. One statement,
    however many hosts."""
    found: dict[str, list[str]] = {}
    if not reports:
        return found
    seen = {host: history.moment(at - 1.0) for host, (at, _) in reports.items()}
    told = {(host, state.id): state for host, (_, there) in reports.items() for state in there}
    for id, host, vm_state, power, updated in tx.core(_RESTING, hosts=list(reports)):
        if updated < seen[host] and _differs(vm_state, power, told.get((host, id))):
            found.setdefault(host, []).append(id)
    return found


def _differs(vm_state: str, power: int, state: ServerState | None) -> bool:
    if vm_state in _SHOULD_RUN:
        return state is None or state.power != "running"
    if vm_state == states.PAUSED:
        return state is None or state.power not in ("paused", "running")
    if vm_state == states.STOPPED:
        return state is not None and state.power in ("running", "paused")
    if vm_state == states.RESIZED:
        return power == states.RUNNING and (state is None or state.power in ("off", "crashed"))
    return False


def _mend_on(cloud: Cloud, host: str, server_ids: list[str]) -> int:
    mended = 0
    for server_id in server_ids:
        try:
            now = cloud.get(Agents).of(host).hypervisor.server(server_id)
        except (Unreachable, Again):
            return mended
        except HostError:
            now = None
        with cloud.database.write() as tx:
            mended += _mend(tx, server_id, now)
    return mended


def _busy(tx: Transaction, server_id: str) -> bool:
    return tx.execute(select(TaskRow.seq).where(
        TaskRow.resource == f"server:{server_id}", TaskRow.state.in_(ACTIVE)).limit(1)).first() is not None


def _mend(tx: Transaction, server_id: str, now: ServerState | None) -> int:
    row = servers.by_id(tx, server_id)
    if row is None or row.deleted or row.task_state is not None or _busy(tx, server_id) or not _differs(
            row.vm_state, row.power_state, now):
        return 0
    if now is None and row.vm_state in (*_SHOULD_RUN, states.PAUSED, states.RESIZED):
        log.warning("server is gone from its host and started again", server=row.id, host=row.host)
        _restart(tx, row)
    elif row.vm_state == states.STOPPED:
        log.info("a stopped server runs: its power is cut", server=row.id)
        row.vm_state = states.ACTIVE
        actions.stop(tx, system(), row)
    elif now is not None and now.power == "paused":
        row.vm_state, row.power_state, row.updated_at = states.PAUSED, states.POWER_PAUSED, clock.now()
    else:
        _stopped_by_itself(row, now)
    return 1


def _restart(tx: Transaction, row: ServerRow) -> None:
    """The host was started anew. A paused guest's memory is lost with it: it runs again from its disk."""
    if row.vm_state in (states.ACTIVE, states.PAUSED):
        row.vm_state = states.STOPPED
        actions.start(tx, system(), row)
    else:
        row.power_state, row.updated_at = states.SHUTDOWN, clock.now()
        row.fault = servers.fault("The server's process is gone from its host; a hard reboot starts it again.")
        row.vm_state = states.STOPPED if row.vm_state != states.RESIZED else row.vm_state


def _stopped_by_itself(row: ServerRow, now: ServerState | None) -> None:
    crashed = now is not None and now.power == "crashed"
    if crashed and now is not None:
        row.fault = servers.fault("The guest's machine broke down.", details=now.reason or "its process ended")
        log.warning("server crashed", server=row.id, reason=now.reason)
    if row.vm_state != states.RESIZED:
        row.vm_state = states.STOPPED
    row.power_state = states.CRASHED if crashed else states.SHUTDOWN
    row.updated_at = clock.now()


def _auto_confirm(cloud: Cloud) -> int:
    """Resizes that nobody decided within compute.resize_confirm_seconds, if that is set."""
    seconds = cloud.config.compute.resize_confirm_seconds
    if not seconds:
        return 0
    from datetime import timedelta
    limit = clock.now() - timedelta(seconds=seconds)
    query = select(ServerRow.id).join(MigrationRow, MigrationRow.server_id == ServerRow.id).where(
        ServerRow.deleted.is_(False), ServerRow.vm_state == states.RESIZED, ServerRow.task_state.is_(None),
        MigrationRow.status == "finished", MigrationRow.updated_at < limit)
    with cloud.database.read() as tx:
        found = list(tx.execute(query).scalars())
    for server_id in found:
        with cloud.database.write() as tx:
            row = servers.by_id(tx, server_id)
            if row is not None and row.vm_state == states.RESIZED and row.task_state is None and not _busy(tx, server_id):
                actions.confirm_resize(tx, system(), row)
    return len(found)
