"""Rebuild (a fresh root disk of another image) and rescue (another image in front of the server's own disk)."""

from __future__ import annotations

from typing import Any

from msgspec import to_builtins

from haneul.compute import drive, guests, states
from haneul.compute.guests import Rescue
from haneul.compute.tasks import images, machine
from haneul.compute.tasks import volumes as attached
from haneul.compute.tasks.machine import OnServer, plain
from haneul.kernel import clock
from haneul.kernel.context import system
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Again, Fault, Task, Work
from haneul.volume import attachments, changing, volumes
from haneul.volume.model import AttachmentRow


class RebuildArguments(OnServer, kw_only=True):
    """`run`: the server ran, or was in ERROR, and shall run again; else it stays off."""

    run: bool = True


class ReimageArguments(RebuildArguments, kw_only=True):
    """Of a server whose root is a volume; without an image the volume keeps its data."""

    image_id: str | None = None


class RescueArguments(OnServer, kw_only=True):
    image: dict[str, Any]
    stable: Rescue | None = None  # the disk is plugged in behind the server's own


rebuild_server = Task("compute.server.rebuild", RebuildArguments, deadline=1800.0)
rebuild_on_volume = Task("compute.server.rebuild_volume", ReimageArguments, deadline=7800.0)
rescue_server = Task("compute.server.rescue", RescueArguments, deadline=1800.0)
unrescue_server = Task("compute.server.unrescue", OnServer, deadline=600.0)
for task in (rebuild_server, rebuild_on_volume, rescue_server, unrescue_server):
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


# ---------------------------------------------------------------- on a volume


def _root(tx: Transaction, server_id: str) -> AttachmentRow:
    for row in attachments.of_servers(tx, [server_id]).get(server_id, []):
        if row.boot_index == 0:
            return row
    raise Fault("The server's root volume is not attached.")


@rebuild_on_volume.step(deadline=300)
@plain
def let_go(work: Work[ReimageArguments]) -> None:
    """The guest is gone, and its root volume only reserved for it while it gets new data."""
    row = machine.load(work)
    agent = machine.agent(work.cloud, row)
    agent.hypervisor.kill(row.id)
    if row.config_drive:
        agent.disks.create_config_drive(row.id, drive.build(work.cloud, row.id))
    with work.commit() as tx:
        machine.row_of(tx, work).task_state = "rebuild_block_device_mapping"
        if work.arguments.image_id is not None:
            root = _root(tx, row.id)
            root.host, root.attached_at = None, None
            attachments.roll_back(tx, root)
            volume = volumes.get(tx, system(), root.volume_id)
            changing.reimage(tx, machine.project(row.project_id, row.user_id), volume, work.arguments.image_id, reserved=True)


@let_go.undo
def hold_on(work: Work[ReimageArguments]) -> None:
    """Whatever became of the data, the volume is the server's."""
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        for held in attachments.of_servers(tx, [row.id]).get(row.id, []):
            if held.boot_index == 0 and held.status != attachments.ATTACHED:
                held.host = row.host
                attachments.complete(tx, held)


@rebuild_on_volume.step(deadline=7200)
@plain
def reimage(work: Work[ReimageArguments]) -> None:
    wanted = work.arguments.image_id
    if wanted is None:
        return
    with work.cloud.database.read() as tx:
        volume = volumes.get(tx, system(), _root(tx, work.arguments.server_id).volume_id)
    if volume.status not in attachments.FOLLOWS:
        raise Again("the root volume's new data", 0.1)
    if (volume.image or {}).get("image_id") != wanted:
        raise Fault(f"Volume {volume.id} could not be given the image's data.")
    with work.commit() as tx:
        row, root = machine.row_of(tx, work), _root(tx, work.arguments.server_id)
        attachments.attaching(tx, root, row.host, root.mountpoint)
        row.task_state = "rebuild_spawning"


@rebuild_on_volume.step(deadline=300)
@plain
def boot_again(work: Work[ReimageArguments]) -> None:
    if work.arguments.run:
        machine.power_on(work)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        machine.put(row, states.ACTIVE if work.arguments.run else states.STOPPED,
                    states.RUNNING if work.arguments.run else states.SHUTDOWN)
        attached.complete_all(tx, row.id)
        row.launched_at, row.progress = clock.now(), 100


@boot_again.undo
def stop_again(work: Work[ReimageArguments]) -> None:
    row = machine.load(work)
    machine.agent(work.cloud, row).hypervisor.kill(row.id)


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
        machine.remember(machine.row_of(tx, work), rescue=image["id"], stable_rescue=to_builtins(work.arguments.stable))


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
        machine.remember(machine.row_of(tx, work), rescue=None, stable_rescue=None)
