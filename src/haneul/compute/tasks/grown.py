"""A volume that a server has has grown. The server's own record of it, once its host has said that the guest has the new size."""

from __future__ import annotations

from haneul.compute import servers, states
from haneul.compute.tasks import machine
from haneul.compute.tasks.machine import OnServer, plain
from haneul.host.contract import Conflict, NotThere
from haneul.kernel.cloud import Cloud
from haneul.kernel.context import Context
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Task, Work
from haneul.volume import attachments
from haneul.volume.listeners import Listeners
from haneul.volume.model import VolumeRow


class GrownArguments(OnServer, kw_only=True):
    volume_id: str
    size_bytes: int


grown = Task("compute.server.extend_volume", GrownArguments, deadline=300.0)
grown.failed(machine.fail_softly)


def listen(cloud: Cloud) -> None:
    cloud.get(Listeners).extended.append(_extended)


def _extended(tx: Transaction, server_id: str, volume: VolumeRow, request_id: str) -> None:
    row = servers.by_id(tx, server_id)
    if row is None or row.deleted:
        return
    grown.submit(tx, GrownArguments(server_id=server_id, volume_id=volume.id, size_bytes=volume.size << 30),
                 resource=f"server:{server_id}",
                 context=Context(user_id=volume.user_id, project_id=volume.project_id, request_id=request_id))


@grown.step(deadline=120)
@plain
def extend_volume(work: Work[GrownArguments]) -> None:
    """Asked again, a host that has done it does nothing; a guest that is off sees the size when it starts."""
    row = machine.load(work)
    with work.cloud.database.read() as tx:
        held = [one for one in attachments.of_volume(tx, work.arguments.volume_id) if one.server_id == row.id]
    if held and row.vm_state in (states.ACTIVE, states.PAUSED):
        try:
            machine.agent(work.cloud, row).hypervisor.resize_disk(row.id, held[0].disk_name, work.arguments.size_bytes)
        except (Conflict, NotThere):
            return
