"""A server comes to be: schedule, ports, image, disks, wire, spawn, run."""

from __future__ import annotations

from typing import Any

from msgspec import convert, to_builtins
from sqlalchemy import delete, insert

from haneul.compute import drive, placing, servers, states, zones
from haneul.compute.model import ServerNicRow, ServerRow
from haneul.compute.nics import Nic
from haneul.compute.tasks import images, machine
from haneul.compute.tasks.machine import OnServer, plain
from haneul.fleet.agents import Agents
from haneul.host.contract import NicSpec
from haneul.kernel import clock
from haneul.kernel.context import system
from haneul.kernel.database import Transaction
from haneul.kernel.tasks import Task, Work
from haneul.network import addresses, networks, ports, wiring


class CreateArguments(OnServer, kw_only=True):
    """`groups` are ids of security groups; empty: the project's default."""

    nics: list[Nic] = []
    groups: list[str] = []
    zone: str | None = None
    host: str | None = None
    force: bool = False
    hints: dict[str, list[str]] = {}


create_server = Task("compute.server.create", CreateArguments, deadline=1800.0)


@create_server.step(deadline=60)
@plain
def schedule(work: Work[CreateArguments]) -> None:
    wish = work.arguments
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        host = placing.claim(tx, row, row.flavor, zone=wish.zone, host=wish.host, force=wish.force, hints=wish.hints)
        row.host, row.availability_zone, row.task_state = host, zones.of_host(tx, host), "networking"
        row.updated_at = clock.now()
        work.result = {"host": host}


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
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        made = plug(tx, row, work.arguments.nics, work.arguments.groups)
        row.task_state = "spawning"
        work.result = {"nics": to_builtins(made)}


@network.undo
def unplug(work: Work[CreateArguments]) -> None:
    with work.commit() as tx:
        unplug_all(tx, work.arguments.server_id)


@create_server.step(deadline=1200)
@plain
def image(work: Work[CreateArguments]) -> None:
    row = machine.load(work)
    work.result = {"sent": images.ensure(work.cloud, machine.agent(work.cloud, row), row.system["image"])}


@create_server.step(deadline=300)
@plain
def disks(work: Work[CreateArguments]) -> None:
    row = machine.load(work)
    agent = machine.agent(work.cloud, row)
    images.make_disks(work.cloud, agent, row, row.system["image"])
    if row.config_drive:
        agent.disks.create_config_drive(row.id, drive.build(work.cloud, row.id))


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


@create_server.step(deadline=300)
@plain
def spawn(work: Work[CreateArguments]) -> None:
    row = machine.load(work)
    guest = machine.spec(row, convert(work.results["network"]["nics"], list[NicSpec]))
    machine.agent(work.cloud, row).hypervisor.create(guest)


@spawn.undo
def forget(work: Work[CreateArguments]) -> None:
    host = (work.results.get("schedule") or {}).get("host")
    if host:
        work.cloud.get(Agents).of(host).hypervisor.forget(work.arguments.server_id)


@create_server.step(deadline=120)
@plain
def run(work: Work[CreateArguments]) -> None:
    work.cloud.get(Agents).of(work.results["schedule"]["host"]).hypervisor.run(work.arguments.server_id)
    with work.commit() as tx:
        row = machine.row_of(tx, work)
        machine.put(row, states.ACTIVE, states.RUNNING)
        row.launched_at, row.progress = clock.now(), 100


create_server.failed(machine.fail)


# ---------------------------------------------------------------- cards


def plug(tx: Transaction, row: ServerRow, wanted: list[Nic], groups: list[str], first: int = 0) -> list[NicSpec]:
    """Ports made or bound to the server's host, in order, and remembered as its cards."""
    fresh = [nic for nic in wanted if nic.port_id is None]
    given = [nic.port_id for nic in wanted if nic.port_id is not None]
    context = machine.owner(row)
    made: list[Any] = ports.create_many(tx, context, [_new_port(row, nic, groups) for nic in fresh]) if fresh else []
    bound = ports.bind_many(tx, given, host=row.host or "", device_id=row.id) if given else []
    if bound:
        ports.rename(tx, row.id, row.hostname)
    fresh_ports, given_ports = iter(made), iter(bound)
    found: list[NicSpec] = []
    mtus: dict[str, int] = {}
    for nic in wanted:
        port = next(fresh_ports if nic.port_id is None else given_ports)
        if port.network_id not in mtus:
            mtus[port.network_id] = networks.get(tx, system(), port.network_id).mtu
        found.append(NicSpec(port_id=port.id, mac=port.mac_address, mtu=mtus[port.network_id], model=machine.nic_model(row)))
    if found:
        tx.execute(insert(ServerNicRow), [
            {"port_id": spec.port_id, "server_id": row.id, "position": first + position, "ours": nic.port_id is None,
             "tag": nic.tag} for position, (spec, nic) in enumerate(zip(found, wanted, strict=True))])
    return found


def _new_port(row: ServerRow, nic: Nic, groups: list[str]) -> ports.NewPort:
    new = ports.NewPort(network_id=nic.network_id or "", project_id=row.project_id, device_id=row.id, device_owner=
                        f"compute:{row.availability_zone or zones.DEFAULT}", host=row.host or "", dns_name=row.hostname)
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
