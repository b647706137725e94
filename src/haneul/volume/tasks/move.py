"""A volume is copied to another place, or to another kind of storage in the same one: beside the guest that has it open
through QEMU's mirror, else through a transfer. Then it is there, and what lay in the old place goes."""

from __future__ import annotations

import msgspec

from haneul.fleet.agents import Agent, Agents
from haneul.host.contract import Conflict, DiskSpec, NotThere
from haneul.host.storage import VolumeFormat, VolumeSource
from haneul.kernel import ids
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Again, Fault, Task, Work
from haneul.volume import attachments, rows, secrets, stores
from haneul.volume.model import AttachmentRow, VolumeRow
from haneul.volume.tasks import steps
from haneul.volume.tasks.steps import GIB, OnVolume, plain

PIECE = 8 << 20


class MoveArguments(OnVolume, kw_only=True):
    """Where to and what it is to be there."""

    pool: str
    zone: str
    format: str
    type_id: str
    encrypted: bool
    multiattach: bool


move = Task("volume.move", MoveArguments, deadline=86400.0)


def _name(work: Work[MoveArguments]) -> str:
    return f"volume-{work.task_id}"


def _transfer(work: Work[MoveArguments]) -> str:
    return f"move-{work.task_id}"


def _format(word: str) -> VolumeFormat:
    return "qcow2" if word == "qcow2" else "raw"


@move.step(deadline=60)
@plain
def prepare(work: Work[MoveArguments]) -> None:
    """The copy's key, sealed, before anything is written with it: the volume's own, unless that has none."""
    row = steps.load(work)
    work.result = {"key": (row.key or secrets.new(work.cloud)) if work.arguments.encrypted else None}


def _key(work: Work[MoveArguments]) -> str | None:
    sealed = work.results["prepare"]["key"]
    return secrets.opened(work.cloud, sealed) if sealed else None


@move.step(deadline=86400)
@plain
def copy(work: Work[MoveArguments]) -> None:
    with work.cloud.database.read() as tx:
        row = steps.row_of(tx, work)
        held = attachments.of_volume(tx, row.id)
        disk = attachments.disk(work.cloud, tx, held[0], row) if held else None
    if not (disk is not None and _mirror(work, row, held[0], disk)):
        _through_transfer(work, row)
        if held and _runs(work, held[0]):  # started before it was known that the volume moves: what it wrote is not in the copy
            stores.of(work.cloud, work.arguments.pool).delete(_name(work))
            raise Again("the volume to be copied beside the guest that runs now", 0.1)
    with work.commit() as tx:
        row = steps.row_of(tx, work)
        work.result = {"pool": row.host, "name": row.stored_as}
        asked = work.arguments
        row.host, row.stored_as, row.format, row.availability_zone = asked.pool, _name(work), asked.format, asked.zone
        row.type_id, row.multiattach, row.encrypted = asked.type_id, asked.multiattach, asked.encrypted
        row.key, row.key_id = work.results["prepare"]["key"], (row.key_id or ids.new()) if asked.encrypted else None
        row.migration_status, row.previous_status = "success", None
        steps.rest(tx, row)


def _mirror(work: Work[MoveArguments], row: VolumeRow, held: AttachmentRow, disk: DiskSpec) -> bool:
    """False when the server is off: nobody has the volume open then."""
    key = _key(work)
    stores.of(work.cloud, work.arguments.pool).create(_name(work), _format(work.arguments.format), row.size * GIB, key=key)
    source = VolumeSource(backend=stores.backend_of(work.arguments.pool), volume=_name(work),
                          format=_format(work.arguments.format), key=key)
    try:
        work.cloud.get(Agents).of(held.host or "").hypervisor.replace_disk(
            held.server_id or "", msgspec.structs.replace(disk, source=source, format=source.format))
    except (Conflict, NotThere) as error:
        if row.encrypted and not work.arguments.encrypted:
            raise Fault("An encrypted volume can be copied in the clear only while a server runs with it.", str(error)) from error
        stores.of(work.cloud, work.arguments.pool).delete(_name(work))
        return False
    return True


def _runs(work: Work[MoveArguments], held: AttachmentRow) -> bool:
    try:
        return work.cloud.get(Agents).of(held.host or "").hypervisor.server(held.server_id or "").power in ("running", "paused")
    except NotThere:
        return False


def _through_transfer(work: Work[MoveArguments], row: VolumeRow) -> None:
    source, target = stores.agent(work.cloud, row.host), stores.agent(work.cloud, work.arguments.pool)
    transfer = _transfer(work)
    stores.of(work.cloud, row.host).export(row.stored_as, transfer, format="raw")
    if (source.endpoint, source.host) != (target.endpoint, target.host) and not _shared(source, target, transfer):
        _carry(source, target, transfer)
    stores.of(work.cloud, work.arguments.pool).create_from_transfer(
        _name(work), _format(work.arguments.format), row.size * GIB, transfer, key=_key(work))
    source.transfers.drop(transfer)
    target.transfers.drop(transfer)


def _shared(source: Agent, target: Agent, transfer: str) -> bool:
    """Hosts of one agent share its transfers."""
    return source.endpoint == target.endpoint and any(state.id == transfer for state in target.transfers.transfers())


def _carry(source: Agent, target: Agent, transfer: str) -> None:
    """From one machine to another; only what may hold other than zeros."""
    target.transfers.begin(transfer, source.transfers.transfer(transfer).bytes)
    for extent in source.transfers.extents(transfer):
        for offset in range(extent.offset, extent.offset + extent.length, PIECE):
            length = min(PIECE, extent.offset + extent.length - offset)
            target.write_transfer(transfer, offset, b"".join(source.read_transfer(transfer, offset, length)))


@copy.undo
def stay(work: Work[MoveArguments]) -> None:
    """Where it was: a guest that has the copy open already goes back to the volume first."""
    with work.cloud.database.read() as tx:
        row = rows.by_id(tx, work.arguments.volume_id)
        if row is None or row.stored_as == _name(work):
            return
        held = attachments.of_volume(tx, row.id)
        disk = attachments.disk(work.cloud, tx, held[0], row) if held else None
    store = stores.of(work.cloud, work.arguments.pool)
    try:
        store.delete(_name(work))
    except Conflict:
        if disk is None:
            raise
        work.cloud.get(Agents).of(held[0].host or "").hypervisor.replace_disk(held[0].server_id or "", disk)
        store.delete(_name(work))
    for pool in (row.host, work.arguments.pool):
        stores.agent(work.cloud, pool).transfers.drop(_transfer(work))


@move.step(deadline=600)
@plain
def drop(work: Work[MoveArguments]) -> None:
    """What lay in the old place. The volume has been in the new one since the step before."""
    old = work.results["copy"]
    stores.of(work.cloud, old["pool"]).delete(old["name"])


@move.failed
def failed(work: Work[MoveArguments], tx: Transaction, fault: Fault) -> None:
    row = rows.by_id(tx, work.arguments.volume_id)
    if "copy" in work.results:  # what could not be dropped is a leak now
        tx.after_commit(lambda: work.cloud.reconcilers.signal("volume.leaks"))
    if row is not None and row.migration_status == "migrating":
        row.migration_status, row.previous_status = "error", None
        steps.rest(tx, row)
