"""A server comes to be: schedule, ports, image, disks, wire, spawn, run."""

from __future__ import annotations

from typing import Any

from msgspec import convert, to_builtins
from sqlalchemy import String, bindparam, case, delete, insert, select, update

from haneul.compute import block_devices, drive, placing, servers, states, zones
from haneul.compute.guests import Guest
from haneul.compute.model import ServerNicRow, ServerRow
from haneul.compute.nics import Nic
from haneul.compute.tasks import images, machine
from haneul.compute.tasks import volumes as attached
from haneul.compute.tasks.machine import OnServer, plain
from haneul.fleet.agents import Agent, Agents
from haneul.fleet.model import HostRow
from haneul.host.contract import DiskSpec, NicSpec
from haneul.kernel import clock
from haneul.kernel.context import system
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Again, Fault, Task, Work
from haneul.network import addresses, networks, ports, wiring
from haneul.volume import attachments


class CreateArguments(OnServer, kw_only=True):
    """`guest` is what the row says of it, so that steps need not read it again; `groups` are ids of security groups, empty for
    the project's default."""

    guest: Guest
    nics: list[Nic] = []
    groups: list[str] = []
    zone: str | None = None
    host: str | None = None
    force: bool = False
    hints: dict[str, list[str]] = {}


create_server = Task("compute.server.create", CreateArguments, deadline=1800.0)
create_with_volumes = Task("compute.server.create_with_volumes", CreateArguments, deadline=5400.0)  # the same steps, and two more


_HOST = select(HostRow.availability_zone).where(HostRow.name == bindparam("host"))
_TABLE: Any = ServerRow.__table__
_STATE = case((_TABLE.c.task_state == "deleting", "deleting"), else_=bindparam("state", type_=String))
_PLACE = update(_TABLE).where(_TABLE.c.id == bindparam("server")).values(
    host=bindparam("host"), availability_zone=bindparam("zone"), task_state=_STATE, updated_at=bindparam("now"))
_WIRE = update(_TABLE).where(_TABLE.c.id == bindparam("server")).values(task_state=_STATE)
_RUN = update(_TABLE).where(_TABLE.c.id == bindparam("server"), _TABLE.c.deleted.is_(False)).values(
    vm_state=states.ACTIVE, power_state=states.RUNNING, task_state=_STATE, progress=100, launched_at=bindparam("now"),
    updated_at=bindparam("now"))


@create_with_volumes.step(deadline=3600)
@plain
def volumes(work: Work[CreateArguments]) -> None:
    """The volumes that were asked for with the server are there."""
    with work.cloud.database.read() as tx:
        rows = attachments.of_servers(tx, [work.arguments.server_id]).get(work.arguments.server_id, [])
        known = attachments.volumes_of(tx, rows)
    for row in rows:
        volume = known.get(row.volume_id)
        status = volume.status if volume is not None else "gone"
        if status.startswith("error") or status in ("gone", "deleting"):
            raise Fault(f"Build of instance {work.arguments.server_id} aborted: Volume {row.volume_id} did not finish being "
                        f"created. And its status is {status}.")
        if status not in attachments.FOLLOWS:
            raise Again("the server's volumes", 0.1)
    work.result = {"volumes": [row.volume_id for row in rows]}


@volumes.undo
def give_volumes_back(work: Work[CreateArguments]) -> None:
    """Last of all, when the host has nothing of the server. One that cannot say so keeps its volumes, for the server's deletion
    to see to."""
    attached.wait_until_gone(work, work.arguments.server_id, (work.results.get("schedule") or {}).get("host"))
    with work.commit() as tx:
        for row in attachments.of_servers(tx, [work.arguments.server_id]).get(work.arguments.server_id, []):
            attached.end(tx, row)


@create_server.step(deadline=60)
@plain
def schedule(work: Work[CreateArguments]) -> None:
    """No row is read: a deletion waits for this task's end, or cancels it."""
    wish = work.arguments
    with work.commit() as tx:
        within = block_devices.hosts_within(tx, wish.server_id) if "volumes" in work.results else []
        host = placing.claim(tx, wish.guest, wish.guest.flavor, zone=wish.zone, host=wish.host, force=wish.force,
                             hints=wish.hints, within=within,
                             ports=[nic.port_id for nic in wish.nics if nic.port_id is not None])
        zone = tx.core(_HOST, host=host).scalar() or zones.DEFAULT
        tx.core(_PLACE, server=wish.server_id, host=host, zone=zone, state="networking", now=clock.now())
        work.result = {"host": host, "zone": zone}


@schedule.undo
def release(work: Work[CreateArguments]) -> None:
    with work.commit() as tx:
        placing.release(tx, work.arguments.server_id)
        row = servers.by_id(tx, work.arguments.server_id)
        if row is not None:
            row.host = None


@create_server.step(deadline=60)
@plain
def network(work: Work[CreateArguments]) -> None:
    wish, place = work.arguments, work.results["schedule"]
    with work.commit() as tx:
        found = plug(tx, wish.guest, place["host"], place["zone"], wish.nics, wish.groups)
        tx.core(_WIRE, server=wish.server_id, state="spawning")
        work.result = {"nics": to_builtins(found)}


@network.undo
def unplug(work: Work[CreateArguments]) -> None:
    with work.commit() as tx:
        unplug_all(tx, work.arguments.server_id)


def _agent(work: Work[CreateArguments]) -> Agent:
    return work.cloud.get(Agents).of(work.results["schedule"]["host"])


@create_server.step(deadline=1200)
@plain
def image(work: Work[CreateArguments]) -> None:
    if work.arguments.guest.on_volume:
        return
    work.result = {"sent": images.ensure(work.cloud, _agent(work), work.arguments.guest.image)}


@create_server.step(deadline=300)
@plain
def disks(work: Work[CreateArguments]) -> None:
    agent, guest = _agent(work), work.arguments.guest
    images.make_disks(agent, guest)
    if guest.config_drive:
        agent.disks.create_config_drive(guest.id, drive.build(work.cloud, guest.id))


@disks.undo
def remove_disks(work: Work[CreateArguments]) -> None:
    host = (work.results.get("schedule") or {}).get("host")
    if host:
        work.cloud.get(Agents).of(host).disks.remove(work.arguments.server_id)


@create_server.step(deadline=120)
@plain
def wire(work: Work[CreateArguments]) -> None:
    found = [nic["port_id"] for nic in work.results["network"]["nics"]]
    wiring.apply(work.cloud, work.results["schedule"]["host"], found)
    with work.commit() as tx:
        ports.plugged(tx, found)


@create_with_volumes.step(deadline=60)
@plain
def connect(work: Work[CreateArguments]) -> None:
    """From now on the host may have the volumes open."""
    with work.commit() as tx:
        for row in attachments.of_servers(tx, [work.arguments.server_id]).get(work.arguments.server_id, []):
            attachments.attaching(tx, row, work.results["schedule"]["host"], row.mountpoint)


@create_server.step(deadline=300)
@plain
def spawn(work: Work[CreateArguments]) -> None:
    nics = convert(work.results["network"]["nics"], list[NicSpec])
    disks: list[DiskSpec] = []
    if "volumes" in work.results:
        with work.cloud.database.read() as tx:
            disks = machine.volume_disks(tx, work.arguments.server_id)
    _agent(work).hypervisor.create(machine.spec(work.arguments.guest, nics, disks))


@spawn.undo
def forget(work: Work[CreateArguments]) -> None:
    host = (work.results.get("schedule") or {}).get("host")
    if host:
        work.cloud.get(Agents).of(host).hypervisor.forget(work.arguments.server_id)


@create_server.step(deadline=120)
@plain
def run(work: Work[CreateArguments]) -> None:
    _agent(work).hypervisor.run(work.arguments.server_id)
    with work.commit() as tx:
        if "volumes" in work.results:
            attached.complete_all(tx, work.arguments.server_id)
        tx.core(_RUN, server=work.arguments.server_id, state=None, now=clock.now())


create_server.failed(machine.fail)
create_with_volumes.failed(machine.fail)
create_with_volumes.steps = [volumes, schedule, network, image, disks, wire, connect, spawn, run]


# ---------------------------------------------------------------- cards


def plug(tx: Transaction, guest: Guest, host: str, zone: str, wanted: list[Nic], groups: list[str],
         first: int = 0) -> list[NicSpec]:
    """Ports made or bound to the server's host, in order, and remembered as its cards."""
    fresh = [nic for nic in wanted if nic.port_id is None]
    given = [nic.port_id for nic in wanted if nic.port_id is not None]
    made: list[Any] = []
    bound: list[Any] = []
    if fresh:
        made = ports.create_many(tx, machine.owner(guest), [_new_port(guest, host, zone, nic, groups) for nic in fresh])
    if given:
        bound = ports.bind_many(tx, given, host=host, device_id=guest.id)
        ports.rename(tx, guest.id, guest.hostname)
    mtus = {id: networks.get(tx, system(), id).mtu for id in {port.network_id for port in (*made, *bound)}}
    each, model = (iter(made), iter(bound)), machine.nic_model(guest.image)
    found = [next(each[nic.port_id is not None]) for nic in wanted]
    if found:
        tx.execute(insert(ServerNicRow), [
            {"port_id": port.id, "server_id": guest.id, "position": first + position, "ours": nic.port_id is None,
             "tag": nic.tag} for position, (port, nic) in enumerate(zip(found, wanted, strict=True))])
    return [NicSpec(port_id=port.id, mac=port.mac_address, mtu=mtus[port.network_id], model=model) for port in found]


def _new_port(guest: Guest, host: str, zone: str, nic: Nic, groups: list[str]) -> ports.NewPort:
    new = ports.NewPort(network_id=nic.network_id or "", project_id=guest.project_id, device_id=guest.id,
                        device_owner=f"compute:{zone}", host=host, dns_name=guest.hostname)
    if groups:
        new.security_groups = groups
    if nic.fixed_ip is not None:
        new.fixed_ips = [addresses.Wish(ip_address=nic.fixed_ip)]
    return new


def unplug_all(tx: Transaction, server_id: str) -> None:
    """The server's own ports are deleted, those that it was given are free again."""
    found = servers.nics(tx, server_id)
    for nic in found:
        if nic.ours:
            ports.delete(tx, system(), nic.port_id)
    ports.unbind(tx, [nic.port_id for nic in found if not nic.ours])
    tx.execute(delete(ServerNicRow).where(ServerNicRow.server_id == server_id))
