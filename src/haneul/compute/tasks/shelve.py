"""Shelving: the disk becomes an image, the host is left; and back onto a host."""

from __future__ import annotations

from typing import Any

from msgspec import convert, to_builtins

from haneul.compute import block_devices, drive, guests, placing, servers, states, zones
from haneul.compute.model import ServerRow
from haneul.compute.tasks import images as host_images
from haneul.compute.tasks import machine, snapshot
from haneul.compute.tasks import volumes as attached
from haneul.compute.tasks.machine import OnServer, plain
from haneul.fleet.agents import Agents
from haneul.host.contract import NicSpec
from haneul.image import images
from haneul.kernel import clock
from haneul.kernel.context import system
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Task, Work
from haneul.network import ports, wiring


class ShelveArguments(OnServer, kw_only=True):
    image_id: str | None = None  # of a server whose root is a volume there is nothing to keep


class UnshelveArguments(OnServer, kw_only=True):
    zone: str | None = None
    host: str | None = None


shelve_server = Task("compute.server.shelve", ShelveArguments, deadline=3600.0)
unshelve_server = Task("compute.server.unshelve", UnshelveArguments, deadline=1800.0)


@shelve_server.step(deadline=60)
@plain
def press(work: Work[ShelveArguments]) -> None:
    machine.press(work)


@shelve_server.step(deadline=400)
@plain
def power_off(work: Work[ShelveArguments]) -> None:
    machine.until_off(work, "press")


@shelve_server.step(deadline=1800)
@plain
def take(work: Work[ShelveArguments]) -> None:
    row = machine.load(work)
    if work.arguments.image_id is not None:
        snapshot.copy(work, row, work.arguments.image_id)
    work.result = {"host": row.host}


@take.undo
def drop(work: Work[ShelveArguments]) -> None:
    if work.arguments.image_id is None:
        return
    with work.cloud.database.read() as tx:
        row = servers.by_id(tx, work.arguments.server_id)
    snapshot.give_up(work, row.host if row is not None else None, work.arguments.image_id)


@shelve_server.step(deadline=1800)
@plain
def upload(work: Work[ShelveArguments]) -> None:
    if work.arguments.image_id is not None:
        snapshot.bring(work, work.results["take"]["host"], work.arguments.image_id)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        machine.remember(row, shelved_image=work.arguments.image_id)
        machine.put(row, states.SHELVED, states.SHUTDOWN, task_state="shelving_offloading")


@upload.undo
def forget_image(work: Work[ShelveArguments]) -> None:
    with work.commit() as tx:
        row = servers.by_id(tx, work.arguments.server_id)
        if row is not None:
            machine.remember(row, shelved_image=None)


@shelve_server.step(deadline=300)
@plain
def leave_host(work: Work[ShelveArguments]) -> None:
    """From here on there is no way back: the image is the server."""
    agent = work.cloud.get(Agents).of(work.results["take"]["host"])
    agent.hypervisor.forget(work.arguments.server_id)
    agent.disks.remove(work.arguments.server_id)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        ports.unbind(tx, [nic.port_id for nic in servers.nics(tx, row.id)], keep_device=True)
        placing.release(tx, row.id)
        attached.keep_reserved(tx, row.id)
        row.host = None
        machine.put(row, states.SHELVED_OFFLOADED, states.SHUTDOWN)


shelve_server.failed(machine.fail)


# ---------------------------------------------------------------- back


@unshelve_server.step(deadline=60)
@plain
def schedule(work: Work[UnshelveArguments]) -> None:
    wish = work.arguments
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        host = placing.claim(tx, guests.of(row), row.flavor, zone=wish.zone or row.pinned_zone, host=wish.host,
                             within=block_devices.hosts_within(tx, row.id))
        row.host, row.availability_zone, row.task_state = host, zones.of_host(tx, host), "spawning"
        work.result = {"host": host, "image": _image(tx, row)}


def _image(tx: Transaction, row: ServerRow) -> dict[str, Any] | None:
    if "shelved_image" not in row.system:
        return None
    image = images.get(tx, system(), row.system["shelved_image"])
    return {"id": image.id, "format": image.disk_format, "sha512": image.os_hash_value}


@schedule.undo
def release(work: Work[UnshelveArguments]) -> None:
    with work.commit() as tx:
        placing.release(tx, work.arguments.server_id)
        row = servers.by_id(tx, work.arguments.server_id)
        if row is not None:
            row.host = None


@unshelve_server.step(deadline=60)
@plain
def network(work: Work[UnshelveArguments]) -> None:
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        found = [nic.port_id for nic in servers.nics(tx, row.id)]
        if found:
            ports.bind_many(tx, found, host=row.host or "", device_id=row.id)
        attached.connect_all(tx, row)
        work.result = {"nics": to_builtins(machine.nic_specs(tx, row))}


@network.undo
def unplug(work: Work[UnshelveArguments]) -> None:
    attached.wait_until_gone(work, work.arguments.server_id, (work.results.get("schedule") or {}).get("host"))
    with work.commit() as tx:
        attached.keep_reserved(tx, work.arguments.server_id)
        ports.unbind(tx, [nic.port_id for nic in servers.nics(tx, work.arguments.server_id)], keep_device=True)


@unshelve_server.step(deadline=1200)
@plain
def image(work: Work[UnshelveArguments]) -> None:
    row, image = machine.load(work), work.results["schedule"]["image"]
    if image is not None:
        host_images.ensure(work.cloud, machine.agent(work.cloud, row), image)


@unshelve_server.step(deadline=300)
@plain
def disks(work: Work[UnshelveArguments]) -> None:
    row = machine.load(work)
    agent = machine.agent(work.cloud, row)
    host_images.make_disks(agent, guests.of(row), work.results["schedule"]["image"])
    if row.config_drive:
        agent.disks.create_config_drive(row.id, drive.build(work.cloud, row.id))


@disks.undo
def remove_disks(work: Work[UnshelveArguments]) -> None:
    host = (work.results.get("schedule") or {}).get("host")
    if host:
        work.cloud.get(Agents).of(host).disks.remove(work.arguments.server_id)


@unshelve_server.step(deadline=300)
@plain
def spawn(work: Work[UnshelveArguments]) -> None:
    row = machine.load(work)
    found = convert(work.results["network"]["nics"], list[NicSpec])
    wiring.apply(work.cloud, row.host or "", [nic.port_id for nic in found])
    hypervisor = machine.agent(work.cloud, row).hypervisor
    with work.cloud.database.read() as tx:
        volumes = machine.volume_disks(tx, row.id)
    hypervisor.create(machine.spec(guests.of(row), found, volumes))
    hypervisor.run(row.id)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        ports.plugged(tx, [nic.port_id for nic in found])
        machine.put(row, states.ACTIVE, states.RUNNING)
        row.launched_at = clock.now()
        attached.complete_all(tx, row.id)
        if "shelved_image" in row.system:
            images.discard(tx, row.system["shelved_image"])
            machine.remember(row, shelved_image=None)


@spawn.undo
def forget(work: Work[UnshelveArguments]) -> None:
    host = (work.results.get("schedule") or {}).get("host")
    if host:
        work.cloud.get(Agents).of(host).hypervisor.forget(work.arguments.server_id)


@unshelve_server.failed
def unshelve_failed(work, tx, fault) -> None:  # type: ignore[no-untyped-def]
    """Still shelved, with a fault that says why it did not come back."""
    machine.fail_softly(work, tx, fault)
    row = servers.by_id(tx, work.arguments.server_id)
    if row is not None and not row.deleted:
        row.fault = servers.fault(fault.message, fault.code, fault.details)
