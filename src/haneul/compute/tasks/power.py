"""Start, stop, reboot, pause, unpause, suspend, resume."""

from __future__ import annotations

from haneul.compute import states
from haneul.compute.tasks import machine
from haneul.compute.tasks.machine import OnServer, plain
from haneul.kernel import clock
from haneul.kernel.tasks import Task, Work
from haneul.network import ports

start_server = Task("compute.server.start", OnServer, deadline=600.0)
stop_server = Task("compute.server.stop", OnServer, deadline=600.0)
reboot_server = Task("compute.server.reboot", OnServer, deadline=600.0)
hard_reboot_server = Task("compute.server.hard_reboot", OnServer, deadline=600.0)
pause_server = Task("compute.server.pause", OnServer, deadline=300.0)
unpause_server = Task("compute.server.unpause", OnServer, deadline=300.0)
suspend_server = Task("compute.server.suspend", OnServer, deadline=900.0)
resume_server = Task("compute.server.resume", OnServer, deadline=900.0)
interrupt_server = Task("compute.server.interrupt", OnServer, deadline=120.0)
interrupt_server.failed(machine.fail_softly)

for task in (start_server, stop_server, reboot_server, hard_reboot_server, pause_server, unpause_server, suspend_server,
             resume_server):
    task.failed(machine.fail)


def _runs(work: Work[OnServer]) -> None:
    machine.power_on(work)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        machine.put(row, states.ACTIVE, states.RUNNING)
        row.launched_at = row.launched_at or clock.now()
        ports.plugged(tx, [port.id for port in ports.of_device(tx, [row.id])[row.id]])


@start_server.step(deadline=300)
@plain
def power_on(work: Work[OnServer]) -> None:
    _runs(work)


# ---------------------------------------------------------------- stop


@stop_server.step(deadline=60)
@plain
def press(work: Work[OnServer]) -> None:
    machine.press(work)


@stop_server.step(deadline=400)
@plain
def power_off(work: Work[OnServer]) -> None:
    machine.until_off(work, "press")
    with work.commit() as tx:
        machine.put(machine.row_of(tx, work), states.STOPPED, states.SHUTDOWN)


# ---------------------------------------------------------------- reboot


@reboot_server.step(deadline=60)
@plain
def ask(work: Work[OnServer]) -> None:
    machine.press(work)
    with work.commit() as tx:
        machine.row_of(tx, work).task_state = "reboot_started"


@reboot_server.step(deadline=400)
@plain
def shut_down(work: Work[OnServer]) -> None:
    machine.until_off(work, "ask")


@reboot_server.step(deadline=300)
@plain
def boot(work: Work[OnServer]) -> None:
    _runs(work)


@hard_reboot_server.step(deadline=120)
@plain
def cut_power(work: Work[OnServer]) -> None:
    row = machine.load(work)
    machine.agent(work.cloud, row).hypervisor.kill(row.id)
    with work.commit() as tx:
        machine.row_of(tx, work).task_state = "reboot_started_hard"


@hard_reboot_server.step(deadline=300)
@plain
def boot_anew(work: Work[OnServer]) -> None:
    _runs(work)


# ---------------------------------------------------------------- pause and suspend


@pause_server.step(deadline=120)
@plain
def pause(work: Work[OnServer]) -> None:
    row = machine.load(work)
    machine.agent(work.cloud, row).hypervisor.pause(row.id)
    with work.commit() as tx:
        machine.put(machine.row_of(tx, work), states.PAUSED, states.POWER_PAUSED)


@unpause_server.step(deadline=120)
@plain
def unpause(work: Work[OnServer]) -> None:
    row = machine.load(work)
    machine.agent(work.cloud, row).hypervisor.run(row.id)
    with work.commit() as tx:
        machine.put(machine.row_of(tx, work), states.ACTIVE, states.RUNNING)


@suspend_server.step(deadline=600)
@plain
def save_memory(work: Work[OnServer]) -> None:
    row = machine.load(work)
    machine.agent(work.cloud, row).hypervisor.suspend(row.id)
    with work.commit() as tx:
        machine.put(machine.row_of(tx, work), states.SUSPENDED, states.SHUTDOWN)


@resume_server.step(deadline=600)
@plain
def restore_memory(work: Work[OnServer]) -> None:
    machine.until_moved(work)
    row, guest = machine.whole(work)
    machine.wire(work, row, guest)
    machine.agent(work.cloud, row).hypervisor.resume(guest)
    with work.commit() as tx:
        machine.put(machine.row_of(tx, work), states.ACTIVE, states.RUNNING)


# ---------------------------------------------------------------- crash dump


@interrupt_server.step(deadline=60)
@plain
def interrupt(work: Work[OnServer]) -> None:
    """What follows is the guest's: a kernel that is set up for it dumps its memory and starts again."""
    row = machine.load(work)
    machine.agent(work.cloud, row).hypervisor.interrupt(row.id)
