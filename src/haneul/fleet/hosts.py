"""The machines: enrolment, heartbeat, and what becomes of those that fall silent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Any

import msgspec
import structlog
from sqlalchemy import bindparam, func, select, update

from haneul.fleet.agents import Agents, HostReport, Unreachable
from haneul.fleet.model import HostRow
from haneul.host.contract import HostFacts, ServerState
from haneul.kernel import clock, ids
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.reconcilers import reconciler
from haneul.kernel.telemetry import HOSTS

log = structlog.get_logger("fleet")
POLLS_AT_ONCE = 64
ROUND_SECONDS = 2.0
ENROL_AT_ONCE = 20
OnEnrol = Callable[[Transaction, HostRow, HostFacts], None]
OnReport = Callable[[Cloud, str, list[ServerState]], None]

_hosts: Any = HostRow.__table__
_KNOWN = select(_hosts.c.name, _hosts.c.endpoint, _hosts.c.state, _hosts.c.heartbeat, _hosts.c.facts)
_BEAT = update(_hosts).where(_hosts.c.name.in_(bindparam("names", expanding=True))).values(heartbeat=bindparam("now"))


class Listeners:
    """What other rooms want to know of hosts: placement makes providers in `enrolled`'s transaction, compute compares
    `reported` servers with its own after each heartbeat. `cloud.get(Listeners)`."""

    def __init__(self) -> None:
        self.enrolled: list[OnEnrol] = []
        self.reported: list[OnReport] = []


def facts(row: HostRow) -> HostFacts:
    return msgspec.convert(row.facts, HostFacts)


def is_up(row: HostRow) -> bool:
    return row.state == "up" and not row.forced_down


def local_endpoint(cloud: Cloud) -> str:
    return f"unix:{cloud.paths.agent_socket}"


@reconciler("fleet.heartbeat", every=2.0)
def heartbeat(cloud: Cloud) -> int:
    """Asks every agent for its hosts; enrols new ones, keeps the facts, marks the silent down. The local agent enrols by
    being there. Returns how many hosts changed their state."""
    with cloud.database.read() as tx:
        rows = list(tx.core(_KNOWN))
    known = {row.name: row for row in rows}
    endpoints = {local_endpoint(cloud), *(row.endpoint for row in rows)}
    changed = 0
    for endpoint, reports in cloud.get(Polls).ask(sorted(endpoints)):
        mine = [report for report in reports if _may_serve(known.get(report.name), endpoint)]
        cloud.get(Agents).heard(endpoint, {report.name for report in mine})
        changed += _keep(cloud, endpoint, mine, known)
        served = {report.name for report in mine}
        changed += _unknown(cloud, [row.name for row in rows if row.endpoint == endpoint and row.name not in served
                                    and row.state != "unknown"])
    changed += _mark_silent(cloud)
    return changed


class Polls:
    """Asks many agents at once; one that takes its time holds up nobody: its answer is taken in a later round.
    `cloud.get(Polls)`."""

    def __init__(self, cloud: Cloud) -> None:
        self._agents = cloud.get(Agents)
        self._pool = ThreadPoolExecutor(POLLS_AT_ONCE, "heartbeat")
        self._pending: dict[str, Future[list[HostReport]]] = {}

    def ask(self, endpoints: list[str]) -> Iterator[tuple[str, list[HostReport]]]:
        """What agents answer, as they answer."""
        for endpoint in endpoints:
            if endpoint not in self._pending:
                self._pending[endpoint] = self._pool.submit(self._agents.at(endpoint).reports)
        names = {future: endpoint for endpoint, future in self._pending.items()}
        with contextlib.suppress(TimeoutError):
            for future in as_completed(names, ROUND_SECONDS):
                endpoint = names[future]
                del self._pending[endpoint]
                try:
                    reports = future.result()
                except Unreachable as error:
                    log.info("agent silent", endpoint=endpoint, error=str(error))
                    self._agents.silent(endpoint)
                    continue
                yield endpoint, reports


def _may_serve(row: Any, endpoint: str) -> bool:
    """A host that answers elsewhere is not taken over by an agent that gives itself its name."""
    if row is None or row.endpoint == endpoint or row.state != "up":
        return True
    log.warning("a second agent says that it serves this host", host=row.name, endpoint=endpoint, known=row.endpoint)
    return False


def _unknown(cloud: Cloud, names: list[str]) -> int:
    """Their agent answers, but not for them."""
    if names:
        with cloud.database.write() as tx:
            for row in tx.execute(select(HostRow).where(HostRow.name.in_(names))).scalars():
                row.state = "unknown"
                log.warning("host unknown to its agent", host=row.name, endpoint=row.endpoint)
    return len(names)


def _keep(cloud: Cloud, endpoint: str, reports: list[HostReport], known: dict[str, Any]) -> int:
    now = clock.seconds()
    due = now - cloud.config.host.heartbeat_seconds
    changed: list[HostReport] = []
    beating: list[str] = []
    for report in reports:
        row = known.get(report.name)
        if row is None or row.state != "up" or row.endpoint != endpoint:
            changed.append(report)
            continue
        if not due <= row.heartbeat <= now:  # one of the future is of a clock that was put back since
            beating.append(report.name)
        if row.facts != msgspec.to_builtins(report.facts):
            changed.append(report)
    if beating:
        with cloud.database.write() as tx:
            tx.core(_BEAT, names=beating, now=now)
    returned = _enrol_all(cloud, endpoint, changed)
    for report in reports:
        for reported in cloud.get(Listeners).reported:
            reported(cloud, report.name, report.servers)
    return returned


def _enrol_all(cloud: Cloud, endpoint: str, reports: list[HostReport]) -> int:
    """A few a transaction, and after a while the rest in the next round: while a thousand hosts enrol, others want to write
    and the heartbeats of those that are there must not grow old. How many are up that were not."""
    end, returned = clock.seconds() + ROUND_SECONDS, 0
    for first in range(0, len(reports), ENROL_AT_ONCE):
        with cloud.database.write() as tx:
            for report in reports[first:first + ENROL_AT_ONCE]:
                returned += _enrol(tx, endpoint, report)
        if clock.seconds() > end:
            break
    return returned


def _enrol(tx: Transaction, endpoint: str, report: HostReport) -> bool:
    """A host that is new, back, or not what it was. Whether it is up and was not."""
    told, now = msgspec.to_builtins(report.facts), clock.seconds()
    row = tx.get(HostRow, report.name)
    grown = row is None or row.facts != told
    returned = row is None or row.state != "up"
    if row is None:
        number = tx.execute(select(func.coalesce(func.max(HostRow.number), 0))).scalar_one() + 1
        row = HostRow(name=report.name, id=ids.new(), number=number, endpoint=endpoint, facts=told, created_at=clock.now(),
                      updated_at=clock.now())
        tx.add(row)
        tx.flush()
        log.info("host enrolled", host=report.name, virt=report.facts.virt)
    row.state, row.heartbeat, row.endpoint = "up", now, endpoint
    if grown:
        row.facts, row.updated_at = told, clock.now()
        for listener in tx.cloud.get(Listeners).enrolled:
            listener(tx, row, report.facts)
    return returned


def _mark_silent(cloud: Cloud) -> int:
    limit = clock.seconds() - cloud.config.host.down_seconds
    with cloud.database.read() as tx:
        silent = list(tx.execute(select(HostRow.name).where(HostRow.state == "up", HostRow.heartbeat < limit)).scalars())
        HOSTS.clear()
        for state, count in tx.execute(select(HostRow.state, func.count()).group_by(HostRow.state)):
            HOSTS.labels(state).set(count)
    if silent:
        with cloud.database.write() as tx:
            for row in tx.execute(select(HostRow).where(HostRow.name.in_(silent))).scalars():
                row.state = "down"
                log.warning("host down", host=row.name)
    return len(silent)
