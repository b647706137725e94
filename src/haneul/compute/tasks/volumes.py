"""Volumes plugged into, pulled out of and exchanged in a server.

An attachment ends only after the server's host has shown that the guest has let go, or that it has no guest any more. Where the
host cannot be asked the attachment stays as it is, and `compute.volumes` goes on: docs/decisions/0015-attachments.md.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import structlog

from haneul.compute import servers
from haneul.compute.model import ServerRow
from haneul.compute.tasks import machine
from haneul.compute.tasks.machine import OnServer, plain
from haneul.fleet.agents import Agents
from haneul.host.contract import Conflict, DiskSpec, NotThere
from haneul.kernel.cloud import Cloud
from haneul.kernel.context import Context, system
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Problem
from haneul.kernel.tasks import Again, Fault, Task, Work
from haneul.volume import attachments, volumes
from haneul.volume.model import AttachmentRow

log = structlog.get_logger("volumes")
PATIENCE_SECONDS = 120.0  # for a guest to let go
_ASK_AGAIN = 0.2


class OnAttachment(OnServer, kw_only=True):
    attachment_id: str


class SwapArguments(OnAttachment, kw_only=True):
    """`reserved_id` is the attachment that holds the other volume meanwhile."""

    reserved_id: str


OnAttachmentTask: TypeAlias = Task[OnAttachment]
attach_volume: OnAttachmentTask = Task("compute.server.attach_volume", OnAttachment, deadline=600.0)
detach_volume: OnAttachmentTask = Task("compute.server.detach_volume", OnAttachment, deadline=600.0)
swap_volume = Task("compute.server.swap_volume", SwapArguments, deadline=7200.0)
for task in (attach_volume, detach_volume, swap_volume):
    task.failed(machine.fail_softly)


def _row(tx: Transaction, work: Work[Any]) -> AttachmentRow:
    row = attachments.by_id(tx, work.arguments.attachment_id)
    if row is None:
        raise Fault("The volume was taken away meanwhile.", code=404)
    return row


def _disk(work: Work[Any], attachment_id: str | None = None) -> tuple[ServerRow, DiskSpec]:
    """The server, and the disk that the attachment makes."""
    with work.cloud.database.read() as tx:
        server, row = machine.row_of(tx, work), _row(tx, work)
        source = row if attachment_id is None else attachments.by_id(tx, attachment_id)
        volume = attachments.volumes_of(tx, [source]).get(source.volume_id) if source is not None else None
        if volume is None:
            raise Fault("The volume was deleted.", code=404)
        return server, attachments.disk(work.cloud, tx, row, volume)


def _runs(work: Work[Any], server: ServerRow) -> bool:
    return server.host is not None and machine.state_of(work, server).power in ("running", "paused")


def let_go_of(cloud: Cloud, server_id: str, host: str | None, disk: str) -> None:
    """Returns when no guest on that host has the disk; Again until then. Unreachable says nothing about the guest."""
    if host is None:
        return
    hypervisor = cloud.get(Agents).of(host).hypervisor
    try:
        left = hypervisor.detach(server_id, disk)
    except NotThere:
        return
    except Conflict:  # off: it has nothing open
        left = hypervisor.server(server_id)
    if disk in left.disks:
        raise Again("the guest to let go of the volume", _ASK_AGAIN)


# ---------------------------------------------------------------- attach


@attach_volume.step(deadline=60)
@plain
def connect(work: Work[OnAttachment]) -> None:
    """Before the host opens it, the row says so: what is only reserved was never on a host."""
    with work.commit() as tx:
        server, row = machine.row_of(tx, work), _row(tx, work)
        attachments.attaching(tx, row, server.host, row.mountpoint)


@connect.undo
def give_back(work: Work[OnAttachment]) -> None:
    with work.commit() as tx:
        row = attachments.by_id(tx, work.arguments.attachment_id)
        if row is not None and row.status == attachments.RESERVED:
            attachments.release(tx, row)


@attach_volume.step(deadline=180)
@plain
def plug(work: Work[OnAttachment]) -> None:
    """A server that is off has it at its next start."""
    server, disk = _disk(work)
    if server.host is not None:
        try:
            machine.agent(work.cloud, server).hypervisor.attach(server.id, disk)
        except (Conflict, NotThere):
            if _runs(work, server):
                raise
    with work.commit() as tx:
        attachments.complete(tx, _row(tx, work))


@plug.undo
def unplug(work: Work[OnAttachment]) -> None:
    with work.cloud.database.read() as tx:
        row = attachments.by_id(tx, work.arguments.attachment_id)
        server = servers.by_id(tx, work.arguments.server_id)
    if row is None:
        return
    let_go_of(work.cloud, work.arguments.server_id, (server.host if server is not None else None) or row.host, row.disk_name)
    _release(work)


def _release(work: Work[OnAttachment]) -> None:
    with work.commit() as tx:
        row = attachments.by_id(tx, work.arguments.attachment_id)
        if row is not None:
            attachments.release(tx, row)


# ---------------------------------------------------------------- detach


@detach_volume.step(deadline=PATIENCE_SECONDS)
@plain
def let_go(work: Work[OnAttachment]) -> None:
    with work.cloud.database.read() as tx:
        server = machine.row_of(tx, work)
        row = attachments.by_id(tx, work.arguments.attachment_id)
    if row is None:
        return
    let_go_of(work.cloud, server.id, server.host or row.host, row.disk_name)
    _release(work)


@let_go.undo
def keep(work: Work[OnAttachment]) -> None:
    """A guest that never let go has it; one that did while something else failed has it no more."""
    with work.cloud.database.read() as tx:
        server = servers.by_id(tx, work.arguments.server_id)
        row = attachments.by_id(tx, work.arguments.attachment_id)
    if row is None:
        return
    host = (server.host if server is not None else None) or row.host
    has_it = host is not None and _has(work.cloud, host, work.arguments.server_id, row.disk_name)
    with work.commit() as tx:
        again = attachments.by_id(tx, row.id)
        if again is not None:
            (attachments.roll_back if has_it else attachments.release)(tx, again)


def _has(cloud: Cloud, host: str, server_id: str, disk: str) -> bool:
    try:
        return disk in cloud.get(Agents).of(host).hypervisor.server(server_id).disks
    except NotThere:
        return False


# ---------------------------------------------------------------- swap


@swap_volume.step(deadline=60)
@plain
def open_other(work: Work[SwapArguments]) -> None:
    with work.commit() as tx:
        server = machine.row_of(tx, work)
        other = attachments.by_id(tx, work.arguments.reserved_id)
        if other is None:
            raise Fault("The volume was taken away meanwhile.", code=404)
        attachments.attaching(tx, other, server.host, other.mountpoint)


@open_other.undo
def give_other_back(work: Work[SwapArguments]) -> None:
    """Only what no host was asked about: `mirror` has its own way back."""
    with work.commit() as tx:
        other = attachments.by_id(tx, work.arguments.reserved_id)
        if other is not None and other.status == attachments.RESERVED:
            _stay(tx, work.arguments)


@swap_volume.step(deadline=3600)
@plain
def mirror(work: Work[SwapArguments]) -> None:
    server, disk = _disk(work, work.arguments.reserved_id)
    machine.agent(work.cloud, server).hypervisor.replace_disk(server.id, disk)
    with work.commit() as tx:
        row, other = _row(tx, work), attachments.by_id(tx, work.arguments.reserved_id)
        if other is None:
            raise Fault("The volume was taken away meanwhile.", code=404)
        attachments.swap(tx, row, other)


@mirror.undo
def old_one(work: Work[SwapArguments]) -> None:
    """The guest may have the other volume by now: then what it wrote there is copied back. A guest that is off starts with
    what the row says."""
    with work.cloud.database.read() as tx:
        other = attachments.by_id(tx, work.arguments.reserved_id)
    if other is None:
        return
    server, disk = _disk(work)
    if _runs(work, server):
        machine.agent(work.cloud, server).hypervisor.replace_disk(server.id, disk)
    with work.commit() as tx:
        _stay(tx, work.arguments)


def _stay(tx: Transaction, arguments: SwapArguments) -> None:
    row, other = attachments.by_id(tx, arguments.attachment_id), attachments.by_id(tx, arguments.reserved_id)
    if row is not None:
        attachments.roll_back(tx, row)
    if other is not None:
        attachments.release(tx, other)


# ---------------------------------------------------------------- the server's end


def release_all(tx: Transaction, server: ServerRow, *, proven: bool) -> None:
    """The server is no more. `proven`: so is its guest, and its volumes are free; else they stay `detaching` until the host
    can be asked (`compute.volumes`)."""
    for row in attachments.of_servers(tx, [server.id]).get(server.id, []):
        if proven and row.host in (None, server.host):
            end(tx, row)
        else:
            attachments.begin_detach(tx, row)
            tx.after_commit(lambda: tx.cloud.reconcilers.signal("compute.volumes"))


def keep_reserved(tx: Transaction, server_id: str) -> None:
    """The server left its host, which has shown it: nobody has its volumes open, and nobody else gets them."""
    for row in attachments.of_servers(tx, [server_id]).get(server_id, []):
        row.host, row.attached_at = None, None
        attachments.roll_back(tx, row)


def connect_all(tx: Transaction, server: ServerRow) -> None:
    """From now on the server's host may have its volumes open."""
    for row in attachments.of_servers(tx, [server.id]).get(server.id, []):
        attachments.attaching(tx, row, server.host, row.mountpoint)


def complete_all(tx: Transaction, server_id: str) -> None:
    """The guest has them."""
    for row in attachments.of_servers(tx, [server_id]).get(server_id, []):
        attachments.complete(tx, row)


def wait_until_gone(work: Work[Any], server_id: str, host: str | None) -> None:
    """For an undo that gives volumes back: only a host that has nothing of the server leaves them to others."""
    if host is not None and not gone_from(work.cloud, host, server_id):
        raise Again("the host to let go of the server's volumes", 1.0)


def gone_from(cloud: Cloud, host: str, server_id: str) -> bool:
    """The host knows nothing of the server, so no guest of it has a volume open there."""
    try:
        cloud.get(Agents).of(host).hypervisor.server(server_id)
    except NotThere:
        return True
    return False


def end(tx: Transaction, row: AttachmentRow) -> None:
    """Nothing has the volume through this row any more; it goes too, if it was to end with its server."""
    attachments.release(tx, row)
    volume = volumes.by_id(tx, row.volume_id)
    if not row.delete_on_termination or volume is None:
        return
    owner = Context(user_id=volume.user_id, project_id=volume.project_id, roles=system().roles)
    try:
        volumes.delete(tx, owner, volume, force=volume.status in ("creating", "downloading"))
    except Problem as problem:
        log.warning("a volume does not end with its server", volume=volume.id, error=problem.message)
