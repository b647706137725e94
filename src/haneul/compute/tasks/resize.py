"""Resize on the server's own host, its confirmation and its revert.

While the user decides, a migration holds the old flavor's room in placement and the server the new one's. The disk only ever
grows; a revert gives the old flavor back and leaves the disk's size and content.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from sqlalchemy import select

from haneul.compute import guests, placing, states
from haneul.compute.model import MigrationRow, ServerRow
from haneul.compute.tasks import machine
from haneul.compute.tasks.machine import OnServer, plain
from haneul.kernel import clock
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Again, Fault, Task, Work


class ResizeArguments(OnServer, kw_only=True):
    """`run`: the server ran before."""

    migration: str
    flavor: dict[str, Any]
    run: bool = True


class DecideArguments(OnServer, kw_only=True):
    migration: str


resize_server = Task("compute.server.resize", ResizeArguments, deadline=1800.0)
confirm_resize = Task("compute.server.confirm_resize", DecideArguments, deadline=300.0)
revert_resize = Task("compute.server.revert_resize", DecideArguments, deadline=900.0)


def _migration(tx: Transaction, uuid: str, status: str) -> MigrationRow:
    row = tx.execute(select(MigrationRow).where(MigrationRow.uuid == uuid)).scalar_one()
    row.status, row.updated_at = status, clock.now()
    return row


def give_flavor(row: ServerRow, flavor: dict[str, Any]) -> None:
    row.flavor, row.flavor_id, row.vcpus, row.ram = flavor, flavor["id"], flavor["vcpus"], flavor["ram"]


@resize_server.step(deadline=60)
@plain
def schedule(work: Work[ResizeArguments]) -> None:
    """The present room becomes the migration's, the new is claimed on the same host."""
    wish = work.arguments
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        placing.lend(tx, row.id, wish.migration)
        host = placing.claim(tx, guests.of(row), wish.flavor, host=row.host, force=True)
        migration = _migration(tx, wish.migration, "migrating")
        migration.source, migration.target = row.host, host
        row.task_state = "resize_migrating"
        work.result = {"host": host}


@schedule.undo
def give_room_back(work: Work[ResizeArguments]) -> None:
    with work.commit() as tx:
        placing.lend(tx, work.arguments.migration, work.arguments.server_id)
        _migration(tx, work.arguments.migration, "error")


@resize_server.step(deadline=60)
@plain
def press(work: Work[ResizeArguments]) -> None:
    machine.press(work)


@press.undo
def run_again(work: Work[ResizeArguments]) -> None:
    """The guest may have heard the button whatever came of the step: it goes down in peace first, or keeps running."""
    if not work.arguments.run:
        return
    row = machine.load(work)
    if machine.state_of(work, row).power == "running":
        if work.attempt == 1:
            machine.agent(work.cloud, row).hypervisor.press_power_button(row.id)
        if work.attempt <= work.cloud.config.compute.shutdown_seconds / machine.AGAIN_SECONDS:
            raise Again("the guest to shut down", machine.AGAIN_SECONDS)
    machine.power_on(work)


@resize_server.step(deadline=400)
@plain
def power_off(work: Work[ResizeArguments]) -> None:
    machine.until_off(work, "press")


@resize_server.step(deadline=120)
@plain
def grow(work: Work[ResizeArguments]) -> None:
    row = machine.load(work)
    disks = machine.agent(work.cloud, row).disks
    wanted = work.arguments.flavor["disk"] << 30
    guest = replace(guests.of(row), flavor=work.arguments.flavor)
    if not guest.on_volume and wanted > _virtual_size(work, row):
        disks.resize(row.id, "root", wanted)
    for name, size in guests.local_disks(guest).items():
        disks.create(row.id, name, "qcow2", size)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        machine.remember(row, old_flavor=row.flavor, migration=work.arguments.migration, ran=work.arguments.run)
        give_flavor(row, work.arguments.flavor)
        row.task_state = "resize_finish"


@grow.undo
def old_flavor(work: Work[ResizeArguments]) -> None:
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        if row.system.get("migration") == work.arguments.migration:
            give_flavor(row, row.system["old_flavor"])
            machine.remember(row, old_flavor=None, migration=None, ran=None)


def _virtual_size(work: Work[Any], row: ServerRow) -> int:
    for disk in machine.agent(work.cloud, row).disks.disks():
        if disk.server_id == row.id and disk.name == "root":
            return disk.virtual_bytes
    raise Fault("The server's disk is not on its host.")


@resize_server.step(deadline=300)
@plain
def spawn(work: Work[ResizeArguments]) -> None:
    if work.arguments.run:
        machine.power_on(work)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        machine.put(row, states.RESIZED, states.RUNNING if work.arguments.run else states.SHUTDOWN)
        row.launched_at = clock.now()
        _migration(tx, work.arguments.migration, "finished")


@spawn.undo
def power_off_new(work: Work[ResizeArguments]) -> None:
    row = machine.load(work)
    machine.agent(work.cloud, row).hypervisor.kill(row.id)


@resize_server.failed
def resize_failed(work: Work[Any], tx: Transaction, fault: Fault) -> None:
    """All was undone: the server is as before, and its fault says why it was not resized."""
    row = tx.execute(select(ServerRow).where(ServerRow.id == work.arguments.server_id)).scalar_one_or_none()
    if row is None or row.deleted or row.task_state == "deleting":
        return
    from haneul.compute import servers
    row.fault = servers.fault(fault.message, fault.code, fault.details)
    row.task_state, row.updated_at = None, clock.now()


# ---------------------------------------------------------------- the user decides


@confirm_resize.step(deadline=120)
@plain
def confirm(work: Work[DecideArguments]) -> None:
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        placing.release(tx, work.arguments.migration)
        _migration(tx, work.arguments.migration, "confirmed")
        stopped = row.power_state == states.SHUTDOWN
        machine.put(row, states.STOPPED if stopped else states.ACTIVE, row.power_state)
        machine.remember(row, old_flavor=None, migration=None, ran=None)


confirm_resize.failed(machine.fail)


@revert_resize.step(deadline=120)
@plain
def stop_new(work: Work[DecideArguments]) -> None:
    row = machine.load(work)
    machine.agent(work.cloud, row).hypervisor.kill(row.id)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        placing.release(tx, row.id)
        placing.lend(tx, work.arguments.migration, row.id)
        work.result = {"run": bool(row.system.get("ran", True))}
        if row.system.get("old_flavor"):
            give_flavor(row, row.system["old_flavor"])
        machine.remember(row, old_flavor=None, migration=None, ran=None)
        _migration(tx, work.arguments.migration, "reverted")


@revert_resize.step(deadline=300)
@plain
def spawn_old(work: Work[DecideArguments]) -> None:
    run = work.results["stop_new"]["run"]
    if run:
        machine.power_on(work)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        machine.put(row, states.ACTIVE if run else states.STOPPED, states.RUNNING if run else states.SHUTDOWN)
        row.launched_at = clock.now()


revert_resize.failed(machine.fail)
