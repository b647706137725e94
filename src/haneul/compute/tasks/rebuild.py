"""Rebuild (a fresh root disk of another image) and rescue (another image in front of the server's own disk)."""

from __future__ import annotations

from typing import Any

from haneul.compute import drive, guests, states
from haneul.compute.tasks import images, machine
from haneul.compute.tasks.machine import OnServer, plain
from haneul.kernel import clock
from haneul.kernel.tasks import Task, Work


class RebuildArguments(OnServer, kw_only=True):
    """`run`: the server ran, or was in ERROR, and shall run again; else it stays off."""

    run: bool = True


class RescueArguments(OnServer, kw_only=True):
    image: dict[str, Any]


rebuild_server = Task("compute.server.rebuild", RebuildArguments, deadline=1800.0)
rescue_server = Task("compute.server.rescue", RescueArguments, deadline=1800.0)
unrescue_server = Task("compute.server.unrescue", OnServer, deadline=600.0)
for task in (rebuild_server, rescue_server, unrescue_server):
    task.failed(machine.fail)


@rebuild_server.step(deadline=1200)
@plain
def image(work: Work[RebuildArguments]) -> None:
    """Before anything is lost: the image is on the host."""
    row = machine.load(work)
    work.result = {"sent": images.ensure(work.cloud, machine.agent(work.cloud, row), row.system["image"])}


@rebuild_server.step(deadline=300)
@plain
def replace_disk(work: Work[RebuildArguments]) -> None:
    row = machine.load(work)
    agent = machine.agent(work.cloud, row)
    agent.hypervisor.kill(row.id)
    agent.disks.remove(row.id, "root")
    images.make_disks(agent, guests.of(row))
    if row.config_drive:
        agent.disks.create_config_drive(row.id, drive.build(work.cloud, row.id))
    with work.commit() as tx:
        machine.row_of(tx, work).task_state = "rebuild_spawning"


@rebuild_server.step(deadline=300)
@plain
def spawn(work: Work[RebuildArguments]) -> None:
    if work.arguments.run:
        machine.power_on(work)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        if work.arguments.run:
            machine.put(row, states.ACTIVE, states.RUNNING)
        else:
            machine.put(row, states.STOPPED, states.SHUTDOWN)
        row.launched_at, row.progress = clock.now(), 100


# ---------------------------------------------------------------- rescue


@rescue_server.step(deadline=1200)
@plain
def rescue_image(work: Work[RescueArguments]) -> None:
    row = machine.load(work)
    work.result = {"sent": images.ensure(work.cloud, machine.agent(work.cloud, row), work.arguments.image)}


@rescue_server.step(deadline=60)
@plain
def press(work: Work[RescueArguments]) -> None:
    machine.press(work)


@rescue_server.step(deadline=400)
@plain
def power_off(work: Work[RescueArguments]) -> None:
    row = machine.until_off(work, "press")
    image = work.arguments.image
    machine.agent(work.cloud, row).disks.create(row.id, "rescue", "qcow2", row.flavor["disk"] << 30, image_id=image["id"],
                                                image_format=image["format"])
    with work.commit() as tx:
        machine.remember(machine.row_of(tx, work), rescue=image["id"])


@power_off.undo
def remove_rescue_disk(work: Work[RescueArguments]) -> None:
    _drop_rescue_disk(work)


@rescue_server.step(deadline=300)
@plain
def boot_rescue(work: Work[RescueArguments]) -> None:
    machine.power_on(work)
    with work.commit() as tx:
        machine.put(machine.row_of(tx, work), states.RESCUED, states.RUNNING)


@unrescue_server.step(deadline=300)
@plain
def leave_rescue(work: Work[OnServer]) -> None:
    _drop_rescue_disk(work)


@unrescue_server.step(deadline=300)
@plain
def boot_own_disk(work: Work[OnServer]) -> None:
    machine.power_on(work)
    with work.commit() as tx:
        machine.put(machine.row_of(tx, work), states.ACTIVE, states.RUNNING)


def _drop_rescue_disk(work: Work[Any]) -> None:
    row = machine.load(work)
    agent = machine.agent(work.cloud, row)
    agent.hypervisor.kill(row.id)
    agent.disks.remove(row.id, "rescue")
    with work.commit() as tx:
        machine.remember(machine.row_of(tx, work), rescue=None)
