"""Cards plugged into and pulled out of a server."""

from __future__ import annotations

from sqlalchemy import delete, select

from haneul.compute import states
from haneul.compute.model import ServerNicRow
from haneul.compute.tasks import machine
from haneul.compute.tasks.machine import OnServer, plain
from haneul.host.contract import Conflict, NotThere
from haneul.kernel.context import system
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Again, Fault, Task, Work
from haneul.network import ports, wiring


class PortArguments(OnServer, kw_only=True):
    port_id: str


attach_interface = Task("compute.server.attach_interface", PortArguments, deadline=300.0)
detach_interface = Task("compute.server.detach_interface", PortArguments, deadline=300.0)
rewire_server = Task("compute.server.rewire", OnServer, deadline=300.0)
attach_interface.failed(machine.fail_softly)
rewire_server.failed(machine.fail_softly)
detach_interface.failed(machine.fail_softly)


def remove_nic(tx: Transaction, port_id: str) -> None:
    """The card is no longer the server's; its port ends if it was made for it."""
    nic = tx.execute(select(ServerNicRow).where(ServerNicRow.port_id == port_id)).scalar_one_or_none()
    if nic is None:
        return
    if nic.ours:
        ports.delete(tx, system(), port_id)
    else:
        ports.unbind(tx, [port_id])
    tx.execute(delete(ServerNicRow).where(ServerNicRow.port_id == port_id))


@attach_interface.step(deadline=120)
@plain
def wire(work: Work[PortArguments]) -> None:
    row = machine.load(work)
    wiring.apply(work.cloud, row.host or "", [work.arguments.port_id])
    with work.commit() as tx:
        ports.plugged(tx, [work.arguments.port_id])


@wire.undo
def unwire(work: Work[PortArguments]) -> None:
    with work.commit() as tx:
        remove_nic(tx, work.arguments.port_id)


@attach_interface.step(deadline=120)
@plain
def plug(work: Work[PortArguments]) -> None:
    row, guest = machine.whole(work)
    if row.vm_state in (states.ACTIVE, states.PAUSED):
        nic = next((nic for nic in guest.nics if nic.port_id == work.arguments.port_id), None)
        if nic is None:
            raise Fault("The port was taken away meanwhile.", code=404)
        machine.agent(work.cloud, row).hypervisor.plug(row.id, nic)


@plug.undo
def unplug_again(work: Work[PortArguments]) -> None:
    row = machine.load(work)
    try:
        machine.agent(work.cloud, row).hypervisor.unplug(row.id, work.arguments.port_id)
    except (Conflict, NotThere):
        return


@detach_interface.step(deadline=60)
@plain
def unplug(work: Work[PortArguments]) -> None:
    """The guest lets go in its own time; one that never does keeps its card, and the request fails."""
    row = machine.load(work)
    if row.host is not None and row.vm_state in (states.ACTIVE, states.PAUSED):
        try:
            left = machine.agent(work.cloud, row).hypervisor.unplug(row.id, work.arguments.port_id)
        except (Conflict, NotThere):
            return
        if work.arguments.port_id in left.nics:
            raise Again("the guest to let go of the card", 0.5)


@detach_interface.step(deadline=60)
@plain
def release(work: Work[PortArguments]) -> None:
    with work.commit() as tx:
        remove_nic(tx, work.arguments.port_id)


@rewire_server.step(deadline=120)
@plain
def apply(work: Work[OnServer]) -> None:
    """What the network says of the server's ports, made so once more on its host."""
    row, guest = machine.whole(work)
    machine.wire(work, row, guest)
    with work.commit() as tx:
        ports.plugged(tx, [nic.port_id for nic in guest.nics])
