"""A volume grows: in its store, or in the guest that has it open, which sees the new size at once."""

from __future__ import annotations

from haneul.fleet.agents import Agents
from haneul.host.contract import Conflict, NotThere
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Fault, Task, Work
from haneul.volume import attachments, rows, stores
from haneul.volume.listeners import Listeners
from haneul.volume.model import AttachmentRow, VolumeRow
from haneul.volume.tasks import steps
from haneul.volume.tasks.steps import GIB, OnVolume, plain


class ExtendArguments(OnVolume, kw_only=True):
    size: int


extend = Task("volume.extend", ExtendArguments, deadline=900.0)


@extend.step(deadline=600)
@plain
def grow(work: Work[ExtendArguments]) -> None:
    size = work.arguments.size
    with work.cloud.database.read() as tx:
        row = steps.row_of(tx, work)
        held = attachments.of_volume(tx, row.id)
    if not any(_in_guest(work, one, size) for one in held):
        stores.of(work.cloud, row.host).extend(row.stored_as, size * GIB, key=steps.key_of(work.cloud, row))
    with work.commit() as tx:
        row = steps.row_of(tx, work)
        row.size, row.previous_status = size, None
        steps.rest(tx, row)
        for one in held:
            if one.server_id is not None:
                _tell(tx, work, row, one)


def _in_guest(work: Work[ExtendArguments], held: AttachmentRow, size: int) -> bool:
    """False when no guest has it open: then the store does it alone."""
    if held.server_id is None or held.host is None or held.status != attachments.ATTACHED:
        return False
    try:
        work.cloud.get(Agents).of(held.host).hypervisor.resize_disk(held.server_id, held.disk_name, size * GIB)
    except (Conflict, NotThere):
        return False
    return True


def _tell(tx: Transaction, work: Work[ExtendArguments], row: VolumeRow, held: AttachmentRow) -> None:
    for listener in tx.cloud.get(Listeners).extended:
        listener(tx, held.server_id or "", row, work.request_id)


@extend.failed
def failed(work: Work[ExtendArguments], tx: Transaction, fault: Fault) -> None:
    """One that a guest has stays with it; one that lies still says that something went wrong."""
    row = rows.by_id(tx, work.arguments.volume_id)
    if row is None or row.status != "extending":
        return
    status = attachments.status_of(tx, row.id)
    row.previous_status = None
    rows.put(row, "error_extending" if status == "available" else status)
    steps.tell(work, tx, row, "EXTEND_VOLUME", "DRIVER_FAILED_EXTEND")
