"""`compute.volumes`: attachments that a task had to leave because a host could not be asked, and guests that lost a disk.

An attachment ends here under the same condition as anywhere: its host shows that no guest of the server has the disk, or an
administrator has said that the host is off (forced down) or is no more (docs/decisions/0015-attachments.md).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import structlog
from sqlalchemy import select

from haneul.compute import servers, states
from haneul.compute.model import ServerRow
from haneul.compute.tasks import volumes as tasks
from haneul.fleet.agents import Agents, Unreachable
from haneul.fleet.hosts import Listeners, is_up
from haneul.fleet.model import HostRow
from haneul.host.contract import HostError, ServerState
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.database import Transaction
from haneul.kernel.leaks import note
from haneul.kernel.reconcilers import reconciler
from haneul.kernel.tasks import Again, Task, TaskRow
from haneul.kernel.tasks.model import ACTIVE
from haneul.volume import attachments
from haneul.volume.model import AttachmentRow

log = structlog.get_logger("volumes")
_rows: Any = AttachmentRow.__table__
_servers: Any = ServerRow.__table__
_tasks: Any = TaskRow.__table__
_BUSY = select(_tasks.c.resource).where(_tasks.c.state.in_(ACTIVE), _tasks.c.resource.is_not(None))
_LEFT = (attachments.ATTACHING, attachments.DETACHING)
_UNFIT = (states.BUILDING, states.ERROR)  # what these have is seen to when they end, or are well again
_PLUGGED = (states.ACTIVE, states.PAUSED)
_HELD = select(_rows.c.id, _rows.c.server_id, _rows.c.status, _rows.c.host, _rows.c.attached_at, _servers.c.host.label("at"),
               _servers.c.deleted, _servers.c.vm_state).select_from(
    _rows.outerjoin(_servers, _servers.c.id == _rows.c.server_id)).where(
        _rows.c.server_id.is_not(None), ("server:" + _rows.c.server_id).not_in(_BUSY))


@reconciler("compute.volumes", every=10.0, beside="fleet.heartbeat")
def mend(cloud: Cloud) -> int:
    with cloud.database.read() as tx:
        held = list(tx.core(_HELD))
    mended = 0
    for row in held:
        if row.deleted is None or row.deleted:
            mended += _end(cloud, row.id, row.server_id, row.host or row.at)
        elif row.status in _LEFT and row.vm_state not in _UNFIT:
            mended += _go_on(cloud, row.id, tasks.detach_volume)
    return mended + _lost(cloud, [row for row in held if row.status == attachments.ATTACHED and not row.deleted
                                  and row.vm_state in _PLUGGED and row.at is not None])


# ---------------------------------------------------------------- servers that are gone


def _end(cloud: Cloud, attachment_id: str, server_id: str, host: str | None) -> int:
    if host is not None and not _rid_of(cloud, host, server_id):
        return 0
    with cloud.database.write() as tx:
        row = attachments.by_id(tx, attachment_id)
        if row is None or row.server_id != server_id:
            return 0
        volume_id = row.volume_id
        tasks.end(tx, row)
    note(cloud, "attachment", host, attachment_id, f"volume {volume_id} was held for server {server_id}, which is gone")
    return 1


def _rid_of(cloud: Cloud, host: str, server_id: str) -> bool:
    """No guest of the server runs there: the host says so, or an administrator says that the host is off."""
    with cloud.database.read() as tx:
        row = tx.get(HostRow, host)
    if row is None or row.forced_down:
        return True
    if not is_up(row):
        return False
    try:
        return tasks.gone_from(cloud, host, server_id)
    except (Unreachable, Again, HostError) as error:
        log.info("host not asked about a volume", host=host, error=str(error))
        return False


# ---------------------------------------------------------------- servers that are there


def _go_on(cloud: Cloud, attachment_id: str, task: Task[tasks.OnAttachment], seen: Any = None) -> int:
    """What a task began and had to leave is asked for again. `seen`: only if nothing happened to it since that moment."""
    with cloud.database.write() as tx:
        row = attachments.by_id(tx, attachment_id)
        server = servers.by_id(tx, row.server_id or "") if row is not None else None
        if row is None or server is None or server.deleted or _busy(tx, server.id):
            return 0
        if row.status not in _LEFT if seen is None else (row.status != attachments.ATTACHED or row.attached_at is None
                                                         or row.attached_at > seen):
            return 0
        task.submit(tx, tasks.OnAttachment(server_id=server.id, attachment_id=row.id), resource=f"server:{server.id}")
    log.warning("attachment taken up again", server=server.id, attachment=attachment_id, task=task.kind)
    return 1


def _busy(tx: Transaction, server_id: str) -> bool:
    return tx.execute(select(TaskRow.seq).where(
        TaskRow.resource == f"server:{server_id}", TaskRow.state.in_(ACTIVE)).limit(1)).first() is not None


def _lost(cloud: Cloud, held: list[Any]) -> int:
    """A guest that let go after the cloud had given up waiting for it gets its disk again: it is in use, and in use by it. The
    hosts' last reports say who may be meant, and the host itself who is."""
    suspects = cloud.get(Reports).without(held)
    with cloud.database.read() as tx:
        names = {row.id: row.disk_name for row in tx.execute(select(AttachmentRow).where(
            AttachmentRow.id.in_([row.id for row in suspects]))).scalars()} if suspects else {}
    mended = 0
    for row in suspects:
        asked = clock.now()
        try:
            state = cloud.get(Agents).of(row.at).hypervisor.server(row.server_id)
        except (Unreachable, Again, HostError) as error:
            log.info("host not asked about a volume", host=row.at, error=str(error))
            continue
        if state.power in ("running", "paused") and names.get(row.id) not in (None, *state.disks):
            mended += _go_on(cloud, row.id, tasks.attach_volume, asked)
    return mended


class Reports:
    """How many volumes each running guest has, as its host said last. `cloud.get(Reports)`."""

    def __init__(self) -> None:
        self._latest: dict[str, dict[str, int]] = {}

    def keep(self, cloud: Cloud, host: str, found: list[ServerState]) -> None:
        self._latest[host] = {state.id: sum(name.startswith("vol-") for name in state.disks) for state in found
                              if state.power in ("running", "paused")}

    def without(self, held: list[Any]) -> list[Any]:
        """Those of servers that have fewer than they should."""
        wanted = Counter(row.server_id for row in held)
        return [row for row in held if self._latest.get(row.at, {}).get(row.server_id, 1 << 16) < wanted[row.server_id]]


def listen(cloud: Cloud) -> None:
    reports = Reports()
    cloud.put(reports)
    cloud.get(Listeners).reported.append(reports.keep)
