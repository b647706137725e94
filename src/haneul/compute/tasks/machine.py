"""What the tasks of servers share: reading the row, the guest as the host must build it, and how a failure ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from haneul.compute import guests, servers, states
from haneul.compute.guests import Guest
from haneul.compute.model import ServerRow
from haneul.fleet.agents import Agent, Agents
from haneul.host.contract import CpuLimits, DiskSpec, HostError, NicSpec, NoRoom, NotThere, ServerSpec, ServerState
from haneul.host.storage import DiskLimits
from haneul.kernel import clock
from haneul.kernel.cloud import Cloud
from haneul.kernel.context import Context, system
from haneul.kernel.database import Transaction
from haneul.kernel.errors import Problem
from haneul.kernel.tasks import Again, Cancelled, Fault, Work
from haneul.network import networks, ports, wiring
from haneul.volume import attachments

MISSING = "The server was deleted."
AGAIN_SECONDS, PRESS_SECONDS = 0.5, 5.0


class OnServer(Struct, kw_only=True):
    """Arguments of a task that needs nothing but its server."""

    server_id: str


def plain(function: Callable[[Work[Any]], None]) -> Callable[[Work[Any]], None]:
    """Decorator of a step: what another room says becomes the fault that the user reads. What a host says may name its files
    and programs: that is for the operator."""

    @functools.wraps(function)
    def run(work: Work[Any]) -> None:
        try:
            function(work)
        except NoRoom as error:
            raise Fault("The host has no room for this.", str(error), code=507) from error
        except HostError as error:
            raise Fault("The host could not do it.", str(error)) from error
        except Problem as problem:
            raise Fault(problem.message, code=problem.status) from problem

    return run


def load(work: Work[Any]) -> ServerRow:
    with work.cloud.database.read() as tx:
        return row_of(tx, work)


def row_of(tx: Transaction, work: Work[Any]) -> ServerRow:
    row = servers.by_id(tx, work.arguments.server_id)
    if row is None or row.deleted:
        raise Fault(MISSING, code=404)
    return row


def agent(cloud: Cloud, row: ServerRow) -> Agent:
    if row.host is None:
        raise Fault("The server is on no host.")
    return cloud.get(Agents).of(row.host)


def owner(guest: Guest) -> Context:
    """The cloud acting for the server's project: ports and images are made as that project's."""
    return project(guest.project_id, guest.user_id)


def project(project_id: str, user_id: str) -> Context:
    """The cloud acting for a project: what it makes and ends is that project's."""
    return Context(user_id=user_id, project_id=project_id, roles=system().roles)


def put(row: ServerRow, vm_state: str, power_state: int, *, task_state: str | None = None) -> None:
    """The state that a task has reached; one whose deletion was asked for meanwhile stays `deleting`."""
    row.vm_state, row.power_state, row.updated_at = vm_state, power_state, clock.now()
    if row.task_state != "deleting":
        row.task_state = task_state
    if vm_state != states.ERROR:
        row.fault = None


def remember(row: ServerRow, **things: Any) -> None:
    """Changes keys of the server's `system`; None takes one away."""
    row.system = {key: value for key, value in {**row.system, **things}.items() if value is not None}


# ---------------------------------------------------------------- the guest


def disk_bus(guest: Guest) -> str:
    wished = guest.image["properties"].get("hw_disk_bus", "virtio")
    return wished if wished in ("virtio", "scsi", "ide", "usb") else "virtio"


def _quota(guest: Guest, name: str) -> int | None:
    """What the flavor says of it, if that is a number: values were not always checked."""
    try:
        return int(guest.flavor["extra_specs"][f"quota:{name}"])
    except (KeyError, ValueError):
        return None


def disk_limits(guest: Guest) -> DiskLimits | None:
    """Of the disks on the host, each by itself; volumes have limits of their own."""
    names = [f"{way}_{unit}_sec" for way in ("total", "read", "write") for unit in ("bytes", "iops")]
    found = {name: value for name in names if (value := _quota(guest, f"disk_{name}")) is not None and value > 0}
    return DiskLimits(**found) if found else None


def cpu_limits(guest: Guest) -> CpuLimits | None:
    found = {name: value for name in ("shares", "period", "quota") if (value := _quota(guest, f"cpu_{name}")) is not None
             and (value > 0 or name == "quota")}
    return CpuLimits(**found) if found else None


def disk_specs(guest: Guest, volumes: list[DiskSpec]) -> list[DiskSpec]:
    """The disks in the guest's order: the root, on the host or a volume, what the flavor has, other volumes. A rescued server
    boots from the rescue disk and has its own behind it; a stable rescue comes last, and moves none."""
    bus: Any = disk_bus(guest)
    limits = disk_limits(guest)
    roots = [disk for disk in volumes if disk.boot_index == 0] if guest.on_volume else [
        DiskSpec(name="root", format="qcow2", bus=bus, boot_index=0, limits=limits)]
    if not roots:
        raise Fault("The server's root volume is not attached.")
    buses: dict[str, Any] = guest.local.buses if guest.local is not None else {}
    found = [*roots, *(DiskSpec(name=name, format="qcow2", bus=buses.get(name, bus), limits=limits)
                      for name in guests.local_disks(guest)),
             *(disk for disk in volumes if disk not in roots)]
    if guest.config_drive:
        found.append(DiskSpec(name="config", format="raw", bus="ide", device="cdrom"))
    return _rescued(guest, found, bus) if guest.rescue else found


def _rescued(guest: Guest, disks: list[DiskSpec], bus: Any) -> list[DiskSpec]:
    behind = [replace(disk, boot_index=None if disk.boot_index is None else disk.boot_index + 1) for disk in disks]
    stable = guest.stable_rescue
    if stable is None:
        return [DiskSpec(name="rescue", format="qcow2", bus=bus, boot_index=0), *behind]
    shape: Any = {"bus": stable.bus, "device": stable.device}
    return [*behind, DiskSpec(name="rescue", format="qcow2", boot_index=0, **shape)]


def volume_disks(tx: Transaction, server_id: str) -> list[DiskSpec]:
    """The volumes that the server has, or is about to get: not those that are only reserved for it. Keys of encrypted ones are
    among it, so it goes to hosts and nowhere else."""
    rows = [row for row in attachments.of_servers(tx, [server_id]).get(server_id, []) if row.status != attachments.RESERVED]
    known = attachments.volumes_of(tx, rows)
    return [attachments.disk(tx.cloud, tx, row, known[row.volume_id]) for row in rows if row.volume_id in known]


def nic_model(image: dict[str, Any]) -> Any:
    wished = image["properties"].get("hw_vif_model", "virtio")
    return wished if wished in ("virtio", "e1000", "rtl8139") else "virtio"


def nic_specs(tx: Transaction, row: ServerRow) -> list[NicSpec]:
    """The server's cards in their order."""
    order = {nic.port_id: nic.position for nic in servers.nics(tx, row.id)}
    found = [port for port in ports.of_device(tx, [row.id])[row.id] if port.id in order]
    mtus = {network: networks.get(tx, system(), network).mtu for network in {port.network_id for port in found}}
    return [NicSpec(port_id=port.id, mac=port.mac_address, mtu=mtus[port.network_id], model=nic_model(row.system["image"]))
            for port in sorted(found, key=lambda port: order[port.id])]


def spec(guest: Guest, nics: list[NicSpec], volumes: list[DiskSpec]) -> ServerSpec:
    machine: Any = "q35" if guest.image["properties"].get("hw_machine_type", "").startswith("q35") else "pc"
    return ServerSpec(id=guest.id, name=guest.name, vcpus=guest.flavor["vcpus"], memory_mib=guest.flavor["ram"],
                      disks=disk_specs(guest, volumes), nics=nics, machine=machine, cpu=cpu_limits(guest))


def whole(work: Work[Any]) -> tuple[ServerRow, ServerSpec]:
    """The row and the guest, in one snapshot."""
    with work.cloud.database.read() as tx:
        row = row_of(tx, work)
        return row, spec(guests.of(row), nic_specs(tx, row), volume_disks(tx, row.id))


def wire(work: Work[Any], row: ServerRow, guest: ServerSpec) -> None:
    """Taps, filters, DHCP and metadata are ready when this returns."""
    if row.host is not None:
        wiring.apply(work.cloud, row.host, [nic.port_id for nic in guest.nics])


def power_on(work: Work[Any]) -> None:
    """Wired, made and run, whatever it was before; a suspended one keeps its memory."""
    until_moved(work)
    row, guest = whole(work)
    wire(work, row, guest)
    hypervisor = agent(work.cloud, row).hypervisor
    hypervisor.create(guest)
    hypervisor.run(row.id)


def until_moved(work: Work[Any]) -> None:
    """Returns when none of the server's volumes is being copied elsewhere: what a guest that starts now wrote into the old
    place would be lost."""
    with work.cloud.database.read() as tx:
        row = row_of(tx, work)
        rows = attachments.of_servers(tx, [row.id]).get(row.id, [])
        if any(volume.migration_status == "migrating" for volume in attachments.volumes_of(tx, rows).values()):
            raise Again("a volume of the server to be moved", AGAIN_SECONDS)


def state_of(work: Work[Any], row: ServerRow) -> ServerState:
    """What the host says; a server that it does not know is off."""
    try:
        return agent(work.cloud, row).hypervisor.server(row.id)
    except NotThere:
        return ServerState(id=row.id, power="off")


def press(work: Work[Any]) -> None:
    """Asks the guest to shut down; the step's result says when."""
    row = load(work)
    if state_of(work, row).power == "running":
        agent(work.cloud, row).hypervisor.press_power_button(row.id)
    work.result = {"at": clock.seconds()}


def until_off(work: Work[Any], pressed: str) -> ServerRow:
    """Waits for the guest to be off; after compute.shutdown_seconds, or if it cannot hear, its power is cut. The button is
    pressed again now and then, because a guest that was still booting did not hear it."""
    row = load(work)
    power = state_of(work, row).power
    waited = clock.seconds() - float((work.results.get(pressed) or {}).get("at", 0.0))
    if power == "running" and waited < work.cloud.config.compute.shutdown_seconds:
        if waited % PRESS_SECONDS < AGAIN_SECONDS < waited:
            agent(work.cloud, row).hypervisor.press_power_button(row.id)
        raise Again("the guest to shut down", 0.1 if waited < 1 else AGAIN_SECONDS)
    if power != "off":
        agent(work.cloud, row).hypervisor.kill(row.id)
    return row


# ---------------------------------------------------------------- ends


def fail(work: Work[Any], tx: Transaction, fault: Fault) -> None:
    """The server is in ERROR with a fault that its user can read; one that is being deleted is left to that."""
    row = servers.by_id(tx, work.arguments.server_id)
    if row is None or row.deleted or row.task_state == "deleting":
        return
    if not isinstance(fault, Cancelled):
        row.vm_state = states.ERROR
        row.fault = servers.fault(fault.message, fault.code, fault.details)
    row.task_state, row.progress, row.updated_at = None, 0, clock.now()


def fail_softly(work: Work[Any], tx: Transaction, fault: Fault) -> None:
    """The server is as it was; only the request failed, and its action says why."""
    row = servers.by_id(tx, work.arguments.server_id)
    if row is not None and not row.deleted and row.task_state != "deleting":
        row.task_state, row.updated_at = None, clock.now()
